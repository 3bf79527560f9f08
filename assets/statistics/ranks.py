"""Do several rankings of the same detectors agree?"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from assets.statistics.metrics import Floats


@dataclass(frozen=True)
class Concordance:
    """How far several rankings agree."""

    w: float
    """Kendall's W: 1 if all rankings are the same, about 0 if they have nothing in common."""
    p: float
    """Chance of so much agreement among random rankings; rough where items or rankings are few."""


def ranked(values: ArrayLike) -> Floats:
    """Ranks along the last axis, 1 for the highest value; those that tie share the mean of their ranks."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(-np.asarray(values, np.float64), axis=-1), np.float64)


def kendalls_w(ranks: Floats) -> Concordance | None:
    """Agreement of M rankings (M, N) of N items, corrected for ties; None if M or N is 1, or all items tie.

    p is of Friedman's chi-square, M (N - 1) W with N - 1 degrees of freedom.

    Source: Kendall and Gibbons 1990, "Rank Correlation Methods", chapter 6.
    """
    from scipy.stats import chi2

    rankings, items = ranks.shape
    if rankings < 2 or items < 2:
        return None
    sums = ranks.sum(axis=0)
    spread = float(np.sum((sums - sums.mean()) ** 2))
    tied = sum(float(np.sum(count**3 - count)) for count in map(_tie_sizes, ranks))
    most = rankings**2 * (items**3 - items) - rankings * tied
    if most <= 0:
        return None
    w = 12 * spread / most
    return Concordance(w, float(chi2.sf(rankings * (items - 1) * w, items - 1)))


def spearman(one: Floats, other: Floats) -> float | None:
    """Correlation of two rankings (N,), -1 to 1; None with a single item or where all items of one tie."""
    one, other = one - one.mean(), other - other.mean()
    spread = float(np.sqrt(np.sum(one**2) * np.sum(other**2)))
    return float(np.sum(one * other)) / spread if spread else None


def _tie_sizes(ranks: Floats) -> Floats:
    return np.unique(ranks, return_counts=True)[1].astype(np.float64)
