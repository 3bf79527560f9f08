"""The two frequency views of F3-Net (Qian et al. 2020, ECCV, arXiv 2007.09355, sections 3.1 and 3.2).

Both weigh cosine-transform coefficients with bands, fixed but for what training adds to or takes from each
coefficient (between -1 and 1). Their frequency is row + column. Computed in float32 always, for logarithms of
small numbers need it.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

WINDOW, STRIDE, MARGIN = 10, 2, 4
"""Of the local statistics: side of a window, from one to the next, and zeros around the picture."""
LEVELS = 6
"""Bands of the local statistics."""
SMALLEST = 1e-15
"""Added to coefficients before the logarithm: a flat window has zeros."""
GREY = (0.299, 0.587, 0.114)

Band = tuple[float, float]
"""Frequencies of a band: from the first, up to and with the second."""


class BandSplit(nn.Module):
    """Frequency-aware decomposition: (B, 3, S, S) -> (B, 3 * bands, S, S), a picture for each band."""

    basis: Tensor
    bands: Tensor

    def __init__(self, side: int, bands: Sequence[Band], with_start: bool) -> None:
        """Args: with_start: a band has its first frequency too."""
        super().__init__()
        self.register_buffer("basis", cosines(side), persistent=False)
        self.register_buffer("bands", masks(side, bands, with_start), persistent=False)
        self.learned = nn.Parameter(torch.randn(len(bands), side, side) * 0.1)

    def forward(self, values: Tensor) -> Tensor:
        with torch.autocast(values.device.type, enabled=False):
            coefficients = self.basis @ values.float() @ self.basis.T
            weights = self.bands + _between(self.learned)
            filtered = coefficients.unsqueeze(1) * weights.unsqueeze(1)
            return (self.basis.T @ filtered @ self.basis).flatten(1, 2)


class LocalStatistics(nn.Module):
    """Local frequency statistics: (B, 3, S, S) in [-1, 1] -> (B, 6, S / 2, S / 2), by windows of 10 x 10.

    A statistic is the mean over a band of log10 of the coefficients' magnitudes, with the learned weights.
    """

    basis: Tensor
    bands: Tensor
    grey: Tensor

    def __init__(self, with_start: bool) -> None:
        super().__init__()
        step = 2 * WINDOW / LEVELS
        bands = list(pairwise(step * level for level in range(LEVELS + 1)))
        chosen = masks(WINDOW, bands, with_start)
        rows = cosines(WINDOW)
        self.register_buffer("basis", torch.kron(rows, rows), persistent=False)
        self.register_buffer("bands", chosen.flatten(1), persistent=False)
        self.register_buffer("grey", torch.tensor(GREY).view(1, 3, 1, 1), persistent=False)
        self.learned = nn.Parameter(torch.randn(LEVELS, WINDOW, WINDOW) * 0.1)

    def forward(self, values: Tensor) -> Tensor:
        with torch.autocast(values.device.type, enabled=False):
            grey = (values.float() * self.grey).sum(1, keepdim=True)
            # 122.5, not 127.5, in both public codes
            windows = functional.unfold((grey + 1) * 122.5, WINDOW, padding=MARGIN, stride=STRIDE)
            magnitudes = ((self.basis @ windows).abs() + SMALLEST).log10()
            weights = self.bands + _between(self.learned).flatten(1)
            statistics = weights / self.bands.sum(1, keepdim=True) @ magnitudes
        side = (values.shape[-1] + 2 * MARGIN - WINDOW) // STRIDE + 1
        return statistics.unflatten(2, (-1, side))


def cosines(side: int) -> Tensor:
    """The orthonormal cosine transform (DCT-II) as a matrix: row = frequency, column = place."""
    frequency, place = np.mgrid[:side, :side]
    waves = np.sqrt(2 / side) * np.cos((place + 0.5) * np.pi * frequency / side)
    waves[0] = np.sqrt(1 / side)
    return torch.tensor(waves, dtype=torch.float32)


def masks(side: int, bands: Sequence[Band], with_start: bool) -> Tensor:
    """1 for the coefficients of each band, else 0: (bands, side, side)."""
    frequency = np.add.outer(np.arange(side), np.arange(side))
    above = np.greater_equal if with_start else np.greater
    chosen = [above(frequency, start) & (frequency <= end) for start, end in bands]
    return torch.tensor(np.array(chosen), dtype=torch.float32)


def _between(learned: Tensor) -> Tensor:
    """Any number -> between -1 and 1."""
    return 2 * torch.sigmoid(learned) - 1
