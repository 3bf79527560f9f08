"""How far a number would move had other images been drawn: a bootstrap over groups of images.

Images of one group (one source photograph, one prompt, one cluster of near-duplicates) are no independent
evidence, so groups are drawn, with replacement, within each class; an image counts as often as its group
was drawn. All cells that judge the same images share the same draws: differences between detectors, and
means over test sets (which share their real images), get the interval that belongs to them.

Draws are exact for cells of up to 256 distinct scores; beyond that scores are binned
(`assets.statistics.histograms`), which moves a draw by far less than draws differ among themselves. Values
(`assets.statistics.metrics`) are always exact.

Source: percentile bootstrap, Efron and Tibshirani 1993, chapter 13; clusters, Davison and Hinkley 1997, 3.8.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assets.statistics.histograms import Bins, Counts, Indices, Sample, histogram
from assets.statistics.metrics import (
    CALIBRATION_BINS,
    METRICS,
    ONE_IN,
    Floats,
    log_loss,
    sigmoid,
    squared_error,
)

__all__ = ["Counts", "Draws", "Sample", "draw_groups", "interval", "resampled_metrics", "unbiased"]

Draws = NDArray[np.float32]

_AT_ONCE = 1000  # resamples: bounds what a cell takes in memory


def draw_groups(num_groups: int, resamples: int, seed: int) -> Counts:
    """(G, B) how often each group is in each resample of G groups drawn with replacement."""
    generator = np.random.default_rng(seed)
    counts = np.empty((resamples, num_groups), np.int16)
    for resample in counts:
        drawn = generator.integers(0, num_groups, num_groups, np.int32)
        resample[:] = np.bincount(drawn, minlength=num_groups)
    return np.ascontiguousarray(counts.T)


def resampled_metrics(
    real: Sample | Sequence[Sample],
    generated: Sample | Sequence[Sample],
    threshold: float,
    metrics: Sequence[str] = METRICS,
) -> dict[str, Draws | None]:
    """Each of the metrics in every resample: name -> (B,). Safe to call from several threads.

    None where an interval over groups cannot be had: a class that the metric needs has fewer than two
    groups, or there is no value (TPR with too few real images). NaN in resamples that hold no scored image
    of a class (only where some were unreadable).

    Args: real, generated: the images of either class, in one part or in several with draws of their own.
    """
    reals = [real] if isinstance(real, Sample) else list(real)
    fakes = [generated] if isinstance(generated, Sample) else list(generated)
    num_real = sum(sample.logits.size for sample in reals)
    groups = {"real": sum(s.num_groups for s in reals), "generated": sum(s.num_groups for s in fakes)}
    wanted = [
        name
        for name in metrics
        if all(groups[which] >= 2 for which in _NEEDS.get(name, ("real", "generated")))
        and num_real >= 10 * ONE_IN.get(name, 0)
    ]
    found: dict[str, Draws | None] = dict.fromkeys(metrics)
    if wanted:
        with np.errstate(invalid="ignore", divide="ignore"):
            some = [
                [_FORMULAS[name](resampled) for name in wanted]
                for resampled in _resample(reals, fakes, threshold, wanted)
            ]
        found.update(zip(wanted, np.concatenate(some, axis=1, dtype=np.float32), strict=True))
    return found


def interval(draws: NDArray[np.floating] | None, level: float) -> tuple[float, float] | None:
    """Percentile interval (low, high) that covers `level` of the draws; None without draws."""
    if draws is None:
        return None
    finite = np.sort(draws[np.isfinite(draws)]).astype(np.float64)
    if finite.size < draws.size / 2:  # the few that are defined are no fair choice of all
        return None
    ends = np.array([(1 - level) / 2, (1 + level) / 2]) * (finite.size - 1)
    low, high = np.interp(ends, np.arange(finite.size), finite)  # what np.quantile does, sooner
    return float(low), float(high)


def unbiased(draws: Draws | None, value: float | None) -> Draws | None:
    """Draws moved so that their mean is the value, none below 0.

    A calibration error adds up distances, which resampling makes larger on the average, so that the interval
    of its draws may lie wholly above it (Efron and Tibshirani 1993, chapter 10: the bootstrap's bias).
    """
    if draws is None or value is None:
        return draws
    return np.maximum(draws - (np.nanmean(draws) - np.float32(value)), np.float32(0))


class _Class:
    """The images of one class in every bin and in some resamples.

    Whole numbers, exact up to 16 million images.
    """

    def __init__(self, images: NDArray[np.integer]) -> None:
        self.images = images.astype(np.float32)
        """(K, b)."""
        self.below = _running(self.images)
        """(K + 1, b) in the first 0..K bins."""
        self.total: Floats = self.below[-1].astype(np.float64)
        """(b,)."""


@dataclass(frozen=True)
class _Resampled:
    """Both classes in some resamples."""

    bins: Bins
    threshold: float
    losses: Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32]]]
    """Metric -> (K,) what an image of a bin adds on average: a real one, a generated one."""
    real: _Class
    generated: _Class

    def rightly(self, threshold: float) -> tuple[Floats, Floats]:
        """(b,) real images called real, and generated ones called generated."""
        at = self.bins.below(threshold)
        return self.real.below[at], self.generated.total - self.generated.below[at]

    def if_both(self, values: Floats) -> Floats:
        """NaN where a resample lacks a class."""
        return np.where((self.real.total > 0) & (self.generated.total > 0), values, np.nan)


def _resample(
    reals: Sequence[Sample], fakes: Sequence[Sample], threshold: float, metrics: Sequence[str]
) -> Iterator[_Resampled]:
    """All resamples, some at a time."""
    real, generated = (np.concatenate([part.logits for part in parts]) for parts in (reals, fakes))
    bins = Bins.of(real, generated, (0.0, threshold))
    places = bins.place(real), bins.place(generated)
    losses = {
        name: (bins.means(places[0], loss(real)), bins.means(places[1], loss(-generated)))
        for name, loss in _LOSSES.items()
        if name in metrics
    }
    size = bins.highest.size
    images = histogram(reals, places[0], size), histogram(fakes, places[1], size)
    for start in range(0, images[0].shape[1], _AT_ONCE):
        classes = [_Class(of[:, start : start + _AT_ONCE]) for of in images]
        yield _Resampled(bins, threshold, losses, *classes)


def _auroc(at: _Resampled) -> Floats:
    twice_below = at.real.below[:-1] + at.real.below[1:]
    ranks: Floats = np.einsum("kb,kb->b", at.generated.images, twice_below, dtype=np.float64)
    return ranks / (2 * at.real.total * at.generated.total)


def _average_precision(at: _Resampled) -> Floats:
    # the mean over the steps of a bin is close to what the middle one has; with one step it is that one
    part = ((1 + 1 / at.bins.steps) / 2).astype(np.float32)[:, None]
    hits = part * at.generated.images
    hits += at.generated.below[-1] - at.generated.below[1:]
    called = part * at.real.images
    called += at.real.below[-1] - at.real.below[1:]
    called += hits
    hits /= np.maximum(called, 0.5, out=called)  # nothing called: no hits and no weight
    gained = np.einsum("kb,kb->b", at.generated.images, hits)
    return at.if_both(gained / at.generated.total)


def _accuracy(at: _Resampled) -> Floats:
    real, generated = at.rightly(0.0)
    return at.if_both((real + generated) / (at.real.total + at.generated.total))


def _balanced_accuracy(at: _Resampled) -> Floats:
    real, generated = at.rightly(at.threshold)
    return (real / at.real.total + generated / at.generated.total) / 2


def _equal_error_rate(at: _Resampled) -> Floats:
    column = np.arange(at.real.total.size)

    def ahead(edge: Indices) -> Floats:
        """Misses minus alarms if the bins below these edges are called real, in one whole-numbered unit."""
        misses = at.generated.below[edge, column] * at.real.total
        alarms = (at.real.total - at.real.below[edge, column]) * at.generated.total
        return misses - alarms

    after = _first(lambda edge: ahead(edge) >= 0, at)
    before, beyond = ahead(after - 1), ahead(after)
    step = before / (before - beyond)
    misses = at.generated.below[after - 1, column] + step * at.generated.images[after - 1, column]
    return misses / at.generated.total


def _tpr_at_fpr(at: _Resampled, one_in: int) -> Floats:
    column = np.arange(at.real.total.size)
    called_real = at.real.total * (one_in - 1) / one_in  # so many at least
    after = _first(lambda edge: at.real.below[edge, column] >= called_real, at)
    # the steps of the bin before are called generated one by one, from above, while alarms allow
    steps = at.bins.steps[after - 1]
    spare = at.real.below[after, column] - called_real
    allowed = np.floor(spare / at.real.images[after - 1, column] * steps + 1e-9) / steps
    hits = at.generated.total - at.generated.below[after, column]
    return at.if_both((hits + allowed * at.generated.images[after - 1, column]) / at.generated.total)


def _calibration_error(at: _Resampled) -> Floats:
    from scipy import sparse

    bins = at.bins.calibration  # rising
    starts, shape = np.searchsorted(bins, np.arange(CALIBRATION_BINS + 1)), (CALIBRATION_BINS, bins.size)
    over, under = (
        sparse.csr_array((means, np.arange(bins.size), starts), shape) for means in at.losses["ece"]
    )
    gap: Floats = (over @ at.real.images) / at.real.total - (under @ at.generated.images) / at.generated.total
    return np.asarray(np.abs(gap).sum(axis=0) / 2, np.float64)


def _mean_loss(at: _Resampled, name: str) -> Floats:
    """(b,) mean over the images of a class, then over the classes."""
    of_real, of_generated = at.losses[name]
    real: Floats = np.einsum("k,kb->b", of_real, at.real.images) / at.real.total
    generated: Floats = np.einsum("k,kb->b", of_generated, at.generated.images) / at.generated.total
    return (real + generated) / 2


_LOSSES: dict[str, Callable[[Floats], Floats]] = {
    "ece": sigmoid,
    "brier": squared_error,
    "cllr": log_loss,
}
"""What a real image of this logit adds to a metric; a generated one adds what a real one of -logit does."""
_FORMULAS: dict[str, Callable[[_Resampled], Floats]] = {
    "auroc": _auroc,
    "ap": _average_precision,
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "accuracy_real": lambda at: at.rightly(0.0)[0] / at.real.total,
    "accuracy_generated": lambda at: at.rightly(0.0)[1] / at.generated.total,
    "eer": _equal_error_rate,
    "tpr_at_5": lambda at: _tpr_at_fpr(at, ONE_IN["tpr_at_5"]),
    "tpr_at_1": lambda at: _tpr_at_fpr(at, ONE_IN["tpr_at_1"]),
    "ece": _calibration_error,
    "brier": lambda at: _mean_loss(at, "brier"),
    "cllr": lambda at: _mean_loss(at, "cllr"),
}
"""The metrics of `assets.statistics.metrics`, an image counting as often as it was drawn: (b,)."""
_NEEDS = {"accuracy_real": ("real",), "accuracy_generated": ("generated",)}


def _first(reached: Callable[[Indices], NDArray[np.bool_]], at: _Resampled) -> Indices:
    """(b,) the first edge of a bin, from 1 on, where what stays true once it is true holds, by bisection."""
    low = np.ones(at.real.total.size, np.intp)
    high = np.full_like(low, at.bins.highest.size)
    while (low < high).any():
        middle = (low + high) // 2
        here = reached(middle)
        low, high = np.where(here, low, middle + 1), np.where(here, middle, high)
    return low


def _running(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """(K + 1, B) sums of the first 0..K rows; row by row, which numpy's cumsum is slower at."""
    sums = np.zeros((len(images) + 1, images.shape[1]), np.float32)
    for row, added in enumerate(images):
        np.add(sums[row], added, out=sums[row + 1])
    return sums
