"""Kind `spec`: a classifier of spectra, after Zhang, Karaman and Chang 2019 (WIFS), arXiv 1907.06515.

Up-sampling layers repeat a picture's spectrum at higher frequencies. The network sees, for each colour, the
logarithm of the spectrum's amplitudes in place of pixels.
"""

import torch
from torch import Tensor

from assets.detection import Judge
from assets.errors import AssayError
from assets.section import Section
from models.detectors.detector import Detector, normalisation
from models.detectors.nets.timm_net import create

OFFSET = 1e-3
"""Added to amplitudes before the logarithm."""
LOW, HIGH = 0.05, 0.95
"""Shares of a channel's frequencies that lie below what becomes -1, and below what becomes 1."""
FLAT = 1e-6
"""A spread of logarithms below this is none: the spectrum of a picture of one colour."""

MODEL = "resnet34"


class SpecDetector(Detector):
    """A network that sees spectra in place of pixels."""

    def seen(self, values: Tensor) -> Tensor:
        """Spectra of pixels in [0, 1], blue first: the authors read pictures with OpenCV."""
        return spectrum(values.flip(1))


def spectrum(values: Tensor) -> Tensor:
    """Logarithms of the amplitudes of the Fourier transform of (B, C, H, W), frequency 0 in the corner.

    Each channel is scaled by itself so that its 5th percentile becomes -1 and its 95th 1, and cut off there.
    As `GAN_Detection_Train.py` does it (mode 0) in github.com/ColumbiaDVMM/AutoGAN at 01172b3. Of a channel
    of one colour, where that code divides by zero, everything but frequency 0 is -1 here (of black, all is).
    """
    # Weak frequencies drown in the rounding of float32.
    amplitudes = torch.fft.fft2(values.double()).abs()
    logarithms = (amplitudes + OFFSET).log().float()
    ordered = logarithms.flatten(-2).sort(-1).values
    low, high = (_quantile(ordered, share)[..., None, None] for share in (LOW, HIGH))
    return ((logarithms - low) / (high - low).clamp_min(FLAT) * 2 - 1).clamp(-1, 1)


def _quantile(ordered: Tensor, share: float) -> Tensor:
    """The value below which that share of (..., N) ascending numbers lies, between two of them by line."""
    place = (ordered.shape[-1] - 1) * share
    below = int(place)
    return torch.lerp(ordered[..., below], ordered[..., min(below + 1, ordered.shape[-1] - 1)], place - below)


def check(spec: Judge, options: Section, where: str) -> None:
    """Refuse a normalisation: the spectrum has its own."""
    if spec.view.normalise not in (None, "none"):
        raise AssayError(
            f"{where}.view.normalise is {spec.view.normalise}: spec has a scale of its own; leave it out"
        )


def build(spec: Judge, options: Section, outputs: int, where: str) -> SpecDetector:
    """The paper's network, a ResNet-34 with one output a class; `model` may name another.

    Raises:
        AssayError: a model that cannot take this crop.
    """
    net = create(spec, 2 if outputs == 1 else outputs, where)
    return SpecDetector(net, *normalisation("none", None), outputs)
