"""The finest diagonal band of a wavelet transform."""

import torch
from torch import Tensor

BORDER = 2
"""Columns that the transform adds on each side: its low-pass filter is four longer than the high-pass."""


def diagonal_band(values: Tensor) -> Tensor:
    """HH of one level of the bior1.3 wavelet: (B, C, H, W) -> (B, C, (H + 5) // 2, (W + 5) // 2).

    Its high-pass filter is Haar's, (-1, 1) / sqrt 2, between zeros: the band is half of a - b - c + d of each
    2 x 2 block. The border is mirrored with its edge repeated (`symmetric`). Source: PyWavelets' filter bank,
    https://pywavelets.readthedocs.io/en/latest/ref/wavelets.html
    """
    # Sums, not a convolution, which mixed precision would round to eight bits.
    columns = _halved(_mirror(values, -1))
    return _halved(_mirror(columns, -2).mT).mT / 2


def _halved(values: Tensor) -> Tensor:
    """First minus second of each pair of columns."""
    return values[..., ::2] - values[..., 1::2]


def _mirror(values: Tensor, axis: int) -> Tensor:
    """Repeat `BORDER` values before and after, in reverse; one more after an odd length."""
    length = values.shape[axis]
    after = BORDER + length % 2
    parts = values.narrow(axis, 0, BORDER), values.narrow(axis, length - after, after)
    return torch.cat([parts[0].flip(axis), values, parts[1].flip(axis)], axis)
