"""Xception (Chollet 2017, arXiv 1610.02357) in three parts, of any width, named as timm's."""

import math
from typing import Any

from timm.models.xception import Block, SeparableConv2d
from torch import Tensor, nn

FEATURES = 2048
"""Channels that come out of the full width."""


class Xception(nn.Module):
    """Without a classifier; runs up to block 7, up to block 12, and to the end."""

    def __init__(self, channels: int, stride: int = 2, width: float = 1.0) -> None:
        """Args: channels, stride: of the first convolution; width: of every layer, 1.0 being the paper's."""
        super().__init__()

        def wide(number: int) -> int:
            return max(1, math.ceil(number * width))

        self.features = wide(FEATURES)
        middle = wide(728)
        self.conv1 = nn.Conv2d(channels, wide(32), 3, stride, bias=False)
        self.bn1 = nn.BatchNorm2d(wide(32))
        self.conv2 = nn.Conv2d(wide(32), wide(64), 3, bias=False)
        self.bn2 = nn.BatchNorm2d(wide(64))
        self.block1 = Block(wide(64), wide(128), 2, 2, start_with_relu=False)
        self.block2 = Block(wide(128), wide(256), 2, 2)
        self.block3 = Block(wide(256), middle, 2, 2)
        for number in range(4, 12):
            self.add_module(f"block{number}", Block(middle, middle, 3, 1))
        self.block12 = Block(middle, wide(1024), 2, 2, grow_first=False)
        self.conv3: Any = SeparableConv2d(wide(1024), wide(1536), 3, 1, 1)
        self.bn3 = nn.BatchNorm2d(wide(1536))
        self.conv4: Any = SeparableConv2d(wide(1536), self.features, 3, 1, 1)
        self.bn4 = nn.BatchNorm2d(self.features)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def to_block7(self, values: Tensor) -> Tensor:
        """(B, channels, S, S) -> an eighth of the side, or a sixteenth with stride 2."""
        values = self.bn1(self.conv1(values)).relu()
        values = self.bn2(self.conv2(values)).relu()
        return self._blocks(values, 1, 7)

    def to_block12(self, values: Tensor) -> Tensor:
        """What `to_block7` gave -> half its side."""
        return self._blocks(values, 8, 12)

    def to_end(self, values: Tensor) -> Tensor:
        """What `to_block12` gave -> (B, features), the mean over places."""
        values = self.bn3(self.conv3(values)).relu()
        values = self.bn4(self.conv4(values)).relu()
        return values.mean((-2, -1))

    def _blocks(self, values: Tensor, first: int, last: int) -> Tensor:
        for number in range(first, last + 1):
            values = getattr(self, f"block{number}")(values)
        return values
