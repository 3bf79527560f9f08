"""The short ResNet of several detectors: a 3 x 3 stem of stride 2, and an end after the second stage.

What is learned by heart needs depth; traces of a generator are local. Made of a timm ResNet; the network of
Tan et al. 2024 (NPR) when that is a ResNet-50: 1.44 million weights,
https://github.com/chuangchuangtan/NPR-DeepfakeDetection/blob/73cde1c/networks/resnet.py. SAFE and the fixed
pixel mapping took it over.
"""

from collections.abc import Mapping
from typing import Any

import timm
import torch
from torch import Tensor, nn

from assets.detection import TIMM, Judge
from assets.errors import AssayError
from models.detectors.detector import Detector


class ShortResnetDetector(Detector):
    """A detector on this network; starting weights may have the names of the authors' files."""

    def begin_from(self, state: Mapping[str, Tensor], where: str) -> None:
        """Take over starting weights: ours, or a released file, which calls the classifier `fc1`.

        Raises:
            AssayError: they do not fit.
        """
        super().begin_from({_own_name(name): value for name, value in state.items()}, where)


def short_resnet(spec: Judge, outputs: int, where: str, zero_last: bool) -> Any:
    """The network at its random start.

    Args: zero_last: let every residual block begin as the identity (the last batch norm weights are zero,
        timm's way); the authors of NPR and SAFE do not.
    Raises:
        AssayError: a model that is no ResNet, or `weights: timm`.
    """
    if spec.weights == TIMM:
        raise AssayError(
            f"{where}.weights: {spec.kind} has a stem and a head of its own, for which timm has no weights; "
            "use none or a file"
        )
    model: Any = spec.model
    if not timm.models.is_model_in_modules(model, ["resnet"]):
        raise AssayError(f"{where}.model: {spec.kind} is made from a ResNet, e.g. resnet50; {model} is none")
    net: Any = timm.create_model(model, num_classes=outputs, zero_init_last=zero_last)
    net.conv1 = nn.Conv2d(3, net.bn1.num_features, 3, stride=2, padding=1, bias=False)
    nn.init.kaiming_normal_(net.conv1.weight, mode="fan_out", nonlinearity="relu")
    net.layer3, net.layer4 = nn.Identity(), nn.Identity()
    net.fc = nn.Linear(_channels(net), outputs)
    return net


def _channels(net: Any) -> int:
    """Channels that come out of the cut network."""
    with torch.no_grad():
        return int(net.eval().forward_features(torch.zeros(1, 3, 32, 32)).shape[1])


def _own_name(name: str) -> str:
    return f"fc.{name.removeprefix('fc1.')}" if name.startswith("fc1.") else name
