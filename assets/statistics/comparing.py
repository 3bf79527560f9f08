"""Is one detector better than another, or were the images kind to it? Tests on the same images, and of many.

Two tests. `paired` takes the bootstrap draws of two numbers: it resamples groups of images, so that images
which belong together are not taken for independent evidence, and works for every metric and every mean.
`delong` is the standard test for two AUROCs of the same images; it takes every image as independent of all
others, and is too sure of itself where images come in groups.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from assets.statistics.bootstrap import interval
from assets.statistics.cells import Estimate
from assets.statistics.metrics import Floats

_ROUNDING = 1e-12


@dataclass(frozen=True)
class Paired:
    """How far one number lies above another."""

    difference: float
    low: float
    high: float
    p: float
    """Two-sided: chance of a difference at least as large, were there none."""


def paired(one: Estimate, other: Estimate, level: float) -> Paired | None:
    """The difference of two numbers whose draws come from the same resamples; None where there are no draws.

    The interval holds the middle `level` of the differences of draws. The p value takes the difference as
    normal with their standard deviation: counting draws beyond zero cannot give less than 2 / B, which no
    correction for many comparisons would survive.

    Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapters 12 and 13.
    """
    if one.value is None or other.value is None or one.draws is None or other.draws is None:
        return None
    draws = one.draws.astype(np.float64) - other.draws
    ends = interval(draws, level)
    if ends is None:
        return None
    difference = one.value - other.value
    deviation = float(np.std(draws[np.isfinite(draws)], ddof=1)) if draws.size > 1 else 0.0
    return Paired(difference, *ends, two_sided(difference, deviation))


def two_sided(difference: float, deviation: float) -> float:
    """Chance that a normal variable of mean 0 and this standard deviation is at least as far from 0."""
    if abs(difference) < _ROUNDING:
        return 1.0
    return math.erfc(abs(difference) / deviation / math.sqrt(2)) if deviation > _ROUNDING else 0.0


def delong(real: Floats, generated: Floats) -> tuple[Floats, Floats]:
    """The AUROCs (M,) of M detectors on the same images, and their covariance (M, M).

    Takes all images as independent of each other: groups of images that belong together make it too small.

    Args: real: (M, N) logits of real images, N at least 2; generated: (M, K), K at least 2.

    Source: DeLong, DeLong and Clarke-Pearson 1988, "Comparing the areas under two or more correlated
    receiver operating characteristic curves"; by ranks, in O(n log n), as in Sun and Xu 2014, "Fast
    implementation of DeLong's algorithm".
    """
    pairs = list(zip(real, generated, strict=True))
    outdoes = np.stack([_shares_below(below, above) for below, above in pairs])
    outdone = np.stack([1 - _shares_below(above, below) for below, above in pairs])
    covariance = np.cov(outdone).reshape(len(real), -1) / real.shape[1]
    covariance += np.cov(outdoes).reshape(len(real), -1) / generated.shape[1]
    return outdoes.mean(axis=1), covariance


def delong_p(aurocs: Floats, covariance: Floats, one: int, other: int) -> float:
    """Two-sided p value of the difference of two of the AUROCs that `delong` gave."""
    variance = covariance[one, one] + covariance[other, other] - 2 * covariance[one, other]
    return two_sided(float(aurocs[one] - aurocs[other]), math.sqrt(max(float(variance), 0.0)))


def holm(p: Sequence[float]) -> list[float]:
    """p values corrected for their number, so that the chance of a single false alarm stays below each.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    order = np.argsort(p, kind="stable")
    corrected = np.asarray(p, np.float64)[order] * np.arange(len(p), 0, -1)
    return _as_given(np.minimum(np.maximum.accumulate(corrected), 1), order)


def benjamini_hochberg(p: Sequence[float]) -> list[float]:
    """p values corrected so that the expected share of false alarms among those below a level is that level.

    Source: Benjamini and Hochberg 1995, "Controlling the false discovery rate".
    """
    order = np.argsort(p, kind="stable")[::-1]
    corrected = np.asarray(p, np.float64)[order] * len(p) / np.arange(len(p), 0, -1)
    return _as_given(np.minimum(np.minimum.accumulate(corrected), 1), order)


def _as_given(values: Floats, order: np.ndarray) -> list[float]:
    back = np.empty_like(values)
    back[order] = values
    return [float(value) for value in back]


def _shares_below(values: Floats, at: Floats) -> Floats:
    """For each of `at` the share of `values` below it, a tie counting half."""
    ranked = np.sort(values)
    return (np.searchsorted(ranked, at, "left") + np.searchsorted(ranked, at, "right")) / (2 * ranked.size)
