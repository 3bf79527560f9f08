"""ResNets that do not shrink a picture before their first block, so that fine traces reach it."""

from typing import Any

import timm
from torch import nn

from assets.detection import Judge
from assets.errors import AssayError
from models.detectors.nets.timm_net import create


def resnet(spec: Judge, outputs: int, where: str, shrink: bool = False, **extra: Any) -> Any:
    """The timm ResNet `spec.model` at its random start, with a first convolution and pooling of stride 1.

    Names and shapes of its weights stay timm's. From the first block on it computes on pictures of four
    times the side, so it needs about sixteen times the memory and time of the usual network.

    Source: Gragnaniello et al. 2021 (ICME), arXiv 2104.02617.

    Args: outputs: 0 for features, (B, C), in place of a classifier; shrink: leave the usual strides.
    Raises:
        AssayError: a model that is no ResNet.
    """
    net = create(spec, outputs, where, **extra)
    if not isinstance(net, timm.models.resnet.ResNet):
        raise AssayError(
            f"{where}.model: {spec.kind} is made from a ResNet, e.g. resnet50; {spec.model} is none"
        )
    if not shrink:
        for part in (net.conv1, net.maxpool):
            for layer in part.modules():
                if isinstance(layer, nn.Conv2d):
                    layer.stride = (1, 1)
                elif isinstance(layer, nn.MaxPool2d):
                    layer.stride = 1
    return net
