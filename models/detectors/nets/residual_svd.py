"""Orthogonal subspaces, after Yan et al. 2025 (ICML, "Effort"), arXiv 2411.15633.

A weight is W = U S V; its large singular components stay, the smallest ones are trained. Two penalties keep
what is trained orthogonal to what stays, and as strong as it was.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn


class ResidualLinear(nn.Module):
    """A linear layer of which only the smallest singular components are trained.

    A layer that holds several square weights one below the other, as timm's queries, keys and values,
    has components of each. The layer computes with W + U S V - U0 S0 V0, where U0, S0, V0 are the components
    as they were: at the start that is W to the last bit, and what stays is never computed anew elsewhere.
    """

    added = ("u", "s", "v", "u0", "s0", "v0")
    weight: Tensor
    u: nn.Parameter
    s: nn.Parameter
    v: nn.Parameter
    u0: Tensor
    s0: Tensor
    v0: Tensor

    def __init__(self, layer: nn.Linear, parts: int, rank: int) -> None:
        """Args: parts: how many weights the layer holds; rank: trained components of each.

        The components are zero until `decompose`.
        """
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias
        rows, columns = layer.out_features // parts, layer.in_features
        shapes = {"u": (parts, rows, rank), "s": (parts, rank), "v": (parts, columns, rank)}
        for name, shape in shapes.items():
            self.register_parameter(name, nn.Parameter(torch.zeros(shape)))
            self.register_buffer(f"{name}0", torch.zeros(shape))

    @torch.no_grad()
    def decompose(self) -> None:
        """Find the smallest singular components of the weights. Of two signs always the same is chosen."""
        parts, rank = self.s.shape
        weights = self.weight.cpu().reshape(parts, -1, self.weight.shape[1]).double()  # the same anywhere
        left, values, right = torch.linalg.svd(weights, full_matrices=False)
        left, right = left[..., -rank:], right[..., -rank:, :].mT
        largest = left.gather(1, left.abs().argmax(1, keepdim=True))
        for name, found in (("u", left * largest.sign()), ("v", right * largest.sign()), ("s", values)):
            found = found[..., -rank:]
            getattr(self, name).copy_(found)
            getattr(self, f"{name}0").copy_(found)

    def forward(self, values: Tensor) -> Tensor:
        """(..., I) -> (..., O)."""
        with torch.autocast(values.device.type, enabled=False):  # a small difference of large numbers
            change = (self.u * self.s[:, None]) @ self.v.mT - (self.u0 * self.s0[:, None]) @ self.v0.mT
            weight = self.weight + change.reshape(self.weight.shape)
        return nn.functional.linear(values, weight, self.bias)

    def turned(self) -> Tensor:
        """How far the vectors are from orthogonal to what stays: |U'U'^T - I| / 2 + |V'V'^T - I| / 2.

        U' and V' have all singular vectors, the trained ones among them. Returns: the sum over the parts.
        """
        return (_apart(self.u, self.u0) + _apart(self.v, self.v0)).sum() / 2

    def strengthened(self) -> Tensor:
        """How much the squared norm of the weights has changed, | |W'|^2 - |W|^2 |; the sum over the parts.

        The trained part stands in for the one that was taken out, which is orthogonal to what stays.
        """
        weights = self.weight.reshape(self.s.shape[0], -1, self.weight.shape[1])
        strong, strong0 = self.u * self.s[:, None], self.u0 * self.s0[:, None]
        left = weights @ self.v - strong0 @ (self.v0.mT @ self.v)  # what stays, times V
        mixed = (left * strong).sum((1, 2))
        own = ((strong.mT @ strong) * (self.v.mT @ self.v)).sum((1, 2))
        return (2 * mixed + own - self.s0.square().sum(1)).abs().sum()


def split_attention(net: Any, rank: int) -> None:
    """Make the smallest components of a timm vision transformer's attention weights parameters."""
    for block in net.blocks:
        block.attn.qkv = ResidualLinear(block.attn.qkv, 3, rank)
        block.attn.proj = ResidualLinear(block.attn.proj, 1, rank)


def residuals(net: nn.Module) -> Iterator[ResidualLinear]:
    """The layers of a network that have trained components."""
    return (module for module in net.modules() if isinstance(module, ResidualLinear))


def _apart(now: Tensor, before: Tensor) -> Tensor:
    """Frobenius norm of A A^T - B B^T for A, B (P, D, R), without the (D, D) products; (P,).

    With C = A - B it is that of C A^T + B C^T, which is exact where A is near B.
    """
    change = now - before
    own = change.mT @ change
    square = ((now.mT @ now + before.mT @ before) * own).sum((1, 2))
    square = square + 2 * ((change.mT @ before) * (change.mT @ now).mT).sum((1, 2))
    return square.clamp_min(1e-12).sqrt()  # of 0 the root has no gradient
