"""Kind `safe`: simple preserved and augmented features, after Li et al. 2025 (KDD), arXiv 2408.06741.

Crops, not resizing; the network sees only the finest diagonal wavelet band; training turns, recolours and
masks the pictures. Source of what the paper leaves open: https://github.com/Ouxiang-Li/SAFE/tree/722620a
"""

from typing import Any

from pydantic import Field
from torch import Tensor
from torch.nn.functional import interpolate

from assets.detection import Judge
from assets.section import Section
from models.detectors.detector import NORMALISATIONS
from models.detectors.nets.safe_views import augmented
from models.detectors.nets.short_resnet import ShortResnetDetector, short_resnet
from models.detectors.nets.wavelet import diagonal_band

MODEL = "resnet50"


class Options(Section):
    """What `options` may hold: how strongly training changes a picture; 0: not at all."""

    rotation: float = Field(180.0, ge=0, le=180)
    """Degrees, at most, either way."""
    jitter: float = Field(0.5, ge=0, le=1)
    """Brightness, contrast and saturation are multiplied by factors within 1 -+ `jitter`."""
    mask: float = Field(0.75, ge=0, le=1)
    """Largest share of a picture that is blacked out in patches of 16 pixels, in half of the pictures."""


class SafeDetector(ShortResnetDetector):
    """The short ResNet on the diagonal wavelet band, which is enlarged to the size of the picture."""

    def __init__(self, net: Any, mean: Any, std: Any, outputs: int, options: Options) -> None:
        super().__init__(net, mean, std, outputs)
        self.options = options

    def answers(self, pixels: Tensor) -> Tensor:
        """Of pixels as they are; in training of augmented ones, as a network with dropout does."""
        if self.training:
            options = self.options
            pixels = augmented(pixels, options.rotation, options.jitter, options.mask)
        return super().answers(pixels)

    def seen(self, values: Tensor) -> Tensor:
        """(B, 3, H, W) -> the band, (B, 3, H, W) again."""
        return interpolate(diagonal_band(values), values.shape[-2:], mode="bilinear", align_corners=False)


def build(spec: Judge, options: Options, outputs: int, where: str) -> SafeDetector:
    """The short ResNet with two outputs (real, generated), or one a class.

    Raises:
        AssayError: a model that is no ResNet, or `weights: timm`.
    """
    net = short_resnet(spec, 2 if outputs == 1 else outputs, where, zero_last=False)
    values = NORMALISATIONS[spec.view.normalise or "none"]
    return SafeDetector(net, *values, outputs, options)
