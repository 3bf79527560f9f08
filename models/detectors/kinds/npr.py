"""Kind `npr`: neighbouring pixel relationships, after Tan et al. 2024 (CVPR), arXiv 2312.10461.

The network sees by how much each pixel differs from the upper left one of its 2 x 2 block. Up-sampling layers
tie neighbouring pixels together, and the picture's content is gone, so that little can be learned by heart.
"""

from typing import Any

import timm
import torch
from torch import Tensor, nn

from assets.detection import TIMM, Judge
from assets.errors import AssayError
from assets.section import Section
from models.detectors.detector import Detector, normalisation


class NprDetector(Detector):
    """A network that sees residuals in place of pixels."""

    def seen(self, values: Tensor) -> Tensor:
        """The residual of normalised pixels, times 2/3 as in the paper's code."""
        return residual(values) * (2 / 3)


def residual(values: Tensor) -> Tensor:
    """x - up(down(x)), both by nearest neighbour and a factor of 2: what is left of (B, C, H, W).

    An odd last row or column has no partner and is cut off.
    """
    even = values[..., : values.shape[-2] // 2 * 2, : values.shape[-1] // 2 * 2]
    corner = even[..., ::2, ::2]
    return even - corner.repeat_interleave(2, -2).repeat_interleave(2, -1)


MODEL = "resnet50"


def build(spec: Judge, options: Section, outputs: int, where: str) -> NprDetector:
    """The paper's network: a timm ResNet with a 3 x 3 stem of stride 2 that ends after its second stage.

    Raises:
        AssayError: a model that is no ResNet, or `weights: timm`.
    """
    if spec.weights == TIMM:
        raise AssayError(
            f"{where}.weights: npr has a stem and a head of its own, for which timm has no weights; "
            "use none or a file"
        )
    made = timm.create_model(spec.model, num_classes=outputs)
    if not isinstance(made, timm.models.resnet.ResNet):
        raise AssayError(f"{where}.model: npr is made from a ResNet, e.g. resnet50; {spec.model} is none")
    net: Any = made
    net.conv1 = nn.Conv2d(3, net.bn1.num_features, 3, stride=2, padding=1, bias=False)
    nn.init.kaiming_normal_(net.conv1.weight, mode="fan_out", nonlinearity="relu")
    net.layer3, net.layer4 = nn.Identity(), nn.Identity()
    net.fc = nn.Linear(_channels(net), outputs)
    return NprDetector(net, *normalisation(spec.view.normalise, None), outputs)


def _channels(net: Any) -> int:
    """Channels that come out of the cut network."""
    with torch.no_grad():
        return int(net.eval().forward_features(torch.zeros(1, 3, 32, 32)).shape[1])
