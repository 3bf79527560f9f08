"""A ResNet whose answers each depend on 9 x 9 pixels: BagNet (Brendel and Bethge 2019, arXiv 1904.00760) as
LaDeDa cuts it down further.

No padding, and 3 x 3 convolutions only where the receptive field is to grow: in the stem and at the beginning
of the first two stages. Names of weights are those of
https://github.com/barcavia/RealTime-DeepfakeDetection-in-the-RealWorld/blob/e734562/networks/LaDeDa.py
"""

import math
from collections.abc import Sequence

from torch import Tensor, nn

FIELD = 9
"""Side in pixels of what an answer depends on."""
STRIDE = 8
"""Pixels from one answer to the next."""
EXPANSION = 4


class PatchBlock(nn.Module):
    """A bottleneck without padding: the short cut is cut off at the right and below to match."""

    def __init__(self, entering: int, inner: int, kernel: int, stride: int, widen: bool) -> None:
        super().__init__()
        leaving = inner * EXPANSION
        self.conv1 = nn.Conv2d(entering, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, kernel, stride, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, leaving, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(leaving)
        self.downsample = (
            nn.Sequential(nn.Conv2d(entering, leaving, 1, stride, bias=False), nn.BatchNorm2d(leaving))
            if widen
            else nn.Identity()
        )

    def forward(self, values: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, leaving, H', W')."""
        inner = self.bn1(self.conv1(values)).relu()
        inner = self.bn2(self.conv2(inner)).relu()
        result: Tensor = self.bn3(self.conv3(inner))
        short: Tensor = self.downsample(values)
        return (result + short[..., : result.shape[-2], : result.shape[-1]]).relu()


class PatchNet(nn.Module):
    """Answers of every patch (B, O, h, w), or of the picture: their mean (B, O)."""

    def __init__(self, outputs: int, width: int = 64, depths: Sequence[int] = (3, 4, 6, 3)) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width, momentum=0.001)
        entering = width
        for number, (depth, stride, kernel) in enumerate(
            zip(depths, (2, 2, 2, 1), (3, 3, 1, 1), strict=True)
        ):
            inner = width * 2**number
            blocks = [PatchBlock(entering, inner, kernel, stride, widen=True)]
            entering = inner * EXPANSION
            blocks += [PatchBlock(entering, inner, 1, 1, widen=False) for _ in range(depth - 1)]
            setattr(self, f"layer{number + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(entering, outputs)
        self.pretrained_cfg = {"classifier": "fc"}
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
                nn.init.normal_(module.weight, 0, math.sqrt(2 / fan_out))
        nn.init.normal_(self.fc.weight, 0, 0.02)

    def forward(self, values: Tensor) -> Tensor:
        """(B, 3, H, W), sides of at least 9 -> (B, O)."""
        answers: Tensor = self.fc(self.features(values).mean((2, 3)))
        return answers

    def patches(self, values: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, O, h, w): answer (i, j) is of the 9 x 9 pixels from row 8 i, column 8 j."""
        return self.fc(self.features(values).movedim(1, -1)).movedim(-1, 1)  # type: ignore[no-any-return]

    def features(self, values: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, C, h, w)."""
        values = self.bn1(self.conv2(self.conv1(values))).relu()
        for name in ("layer1", "layer2", "layer3", "layer4"):
            values = getattr(self, name)(values)
        return values
