"""Low-rank adaptation, after Hu et al. 2022 (ICLR), arXiv 2106.09685: W x + (alpha / r) B A x, W fixed."""

import math
from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, nn


class LoraLinear(nn.Module):
    """A linear layer that stays as it is, and a product of two thin matrices beside it.

    The product is zero at first, so that the layer begins as it was.
    """

    added = ("a", "b")

    def __init__(self, layer: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        self.scale = alpha / rank
        self.a = nn.Parameter(torch.empty(rank, layer.in_features))
        self.b = nn.Parameter(torch.zeros(layer.out_features, rank))
        nn.init.kaiming_uniform_(self.a, a=math.sqrt(5))

    def forward(self, values: Tensor) -> Tensor:
        """(..., I) -> (..., O)."""
        beside = nn.functional.linear(nn.functional.linear(values, self.a), self.b)
        return nn.functional.linear(values, self.weight, self.bias) + self.scale * beside


def adapt(net: Any, targets: Collection[str], rank: int, alpha: float) -> None:
    """Put a trained product beside a timm vision transformer's layers of these names."""
    for block in net.blocks:
        for part in (block.attn, block.mlp):
            for name, layer in list(part.named_children()):
                if name in targets:
                    setattr(part, name, LoraLinear(layer, rank, alpha))
