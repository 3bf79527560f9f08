"""Means of estimates, resample by resample."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from assets.statistics.cells import Estimate


def averaged(estimates: Sequence[Estimate]) -> Estimate:
    """The plain mean of those that have data; no data if none has.

    It has draws if all of them do. The deviation over training seeds is not told: that of a mean is not the
    mean of its parts'.
    """
    there = [one for one in estimates if one.value is not None]
    if not there:
        return Estimate(None)
    draws = [one.draws for one in there if one.draws is not None]
    value = sum(one.value for one in there if one.value is not None) / len(there)
    return Estimate(value, np.mean(draws, axis=0) if len(draws) == len(there) else None)


def with_deviation(estimates: Sequence[Estimate]) -> Estimate:
    """`averaged`, of one estimate a training seed, and their standard deviation (n - 1)."""
    values = [one.value for one in estimates if one.value is not None]
    return replace(averaged(estimates), sd=float(np.std(values, ddof=1)) if len(values) > 1 else None)
