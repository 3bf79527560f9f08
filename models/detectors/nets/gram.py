"""Gram blocks: a short description of a layer's texture (Liu, Qi and Torr 2020, section 4)."""

import torch
from torch import Tensor, nn

SIZE = 32
"""Channels whose products are taken, and length of the description."""


class GramBlock(nn.Module):
    """Features (B, C, H, W) -> (B, 32): by how much 32 channels made of them go together."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.before = _convolution(channels, SIZE, stride=1)
        self.after = nn.Sequential(
            _convolution(1, SIZE // 2, stride=2), _convolution(SIZE // 2, SIZE, stride=2)
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, features: Tensor) -> Tensor:
        products = gram(self.before(features)).unsqueeze(1)
        described: Tensor = self.after(products)
        return described.mean((-2, -1))


def gram(features: Tensor) -> Tensor:
    """Mean products of channels: (B, C, H, W) -> (B, C, C), divided by C * H * W.

    Always in float32: a sum over a large picture is more than float16 can hold.
    """
    flat = features.flatten(2).float()
    with torch.autocast(features.device.type, enabled=False):
        return flat @ flat.transpose(1, 2) / (flat.shape[1] * flat.shape[2])


def _convolution(before: int, after: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(after), nn.ReLU())
