"""Kind `npr`: neighbouring pixel relationships, after Tan et al. 2024 (CVPR), arXiv 2312.10461.

The network sees by how much each pixel differs from the upper left one of its 2 x 2 block. Up-sampling layers
tie neighbouring pixels together, and the picture's content is gone, so that little can be learned by heart.
"""

from torch import Tensor

from assets.detection import Judge
from assets.section import Section
from models.detectors.detector import normalisation
from models.detectors.nets.residual import residual
from models.detectors.nets.short_resnet import ShortResnetDetector, short_resnet

MODEL = "resnet50"


class Options(Section):
    """What `options` may hold."""

    zero_last: bool = True
    """Every residual block begins as the identity, as timm's do; false: as in the authors' code."""


class NprDetector(ShortResnetDetector):
    """A network that sees residuals in place of pixels."""

    def seen(self, values: Tensor) -> Tensor:
        """The residual of normalised pixels, times 2/3 as in the paper's code."""
        return residual(values) * (2 / 3)


def build(spec: Judge, options: Options, outputs: int, where: str) -> NprDetector:
    """The paper's network: a ResNet with a 3 x 3 stem that ends after its second stage.

    Raises:
        AssayError: a model that is no ResNet, or `weights: timm`.
    """
    net = short_resnet(spec, outputs, where, options.zero_last)
    return NprDetector(net, *normalisation(spec.view.normalise, None), outputs)
