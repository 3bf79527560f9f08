"""How far a number would move had other images been drawn: a bootstrap over groups of images.

Images of one group (one source photograph, one prompt, one cluster of near-duplicates) are no independent
evidence, so groups are drawn, with replacement, within each class; an image counts as often as its group
was drawn. All cells that judge the same images share the same draws: differences between detectors, and
means over test sets (which share their real images), get the interval that belongs to them.

Source: percentile bootstrap, Efron and Tibshirani 1993, chapter 13; clusters, Davison and Hinkley 1997, 3.8.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assets.metrics import METRICS, Floats

Counts = NDArray[np.uint16]
Indices = NDArray[np.intp]

_CHUNK = 125  # resamples at a time: their columns stay in the cache (measured: twice as fast as all at once)


@dataclass(frozen=True)
class Sample:
    """The scored images of one class of a cell, and how often their groups were drawn."""

    logits: Floats
    """(N,) finite."""
    group: NDArray[np.intp]
    """(N,) the row of `counts` that an image belongs to."""
    counts: Counts
    """(G, B) how often each of G groups is in each of B resamples."""

    @property
    def num_groups(self) -> int:
        """Groups with at least one scored image."""
        return int(np.unique(self.group).size)

    def sorted(self) -> "Sample":
        """The same with rising logits."""
        order = np.argsort(self.logits, kind="stable")
        return Sample(self.logits[order], self.group[order], self.counts)


def draw_groups(num_groups: int, resamples: int, seed: int) -> Counts:
    """(G, B) how often each group is in each resample of G groups drawn with replacement."""
    generator = np.random.default_rng(seed)
    counts = np.empty((num_groups, resamples), np.uint16)
    for column in range(resamples):
        drawn = generator.integers(0, num_groups, num_groups)
        counts[:, column] = np.bincount(drawn, minlength=num_groups)
    return counts


def resampled_metrics(real: Sample, generated: Sample, threshold: float) -> dict[str, Floats | None]:
    """Every metric of `METRICS` in every resample: name -> (B,).

    None where an interval over groups cannot be had: a class that the metric needs has fewer than two
    groups. NaN in resamples that hold no scored image of a class (only where some were unreadable).
    """
    real, generated = real.sorted(), generated.sorted()
    ranks = _Ranks.of(real.logits, generated.logits, threshold)
    with np.errstate(invalid="ignore", divide="ignore"):
        chunks = [_metrics(*below, ranks) for below in zip(_running(real), _running(generated), strict=True)]
    enough = {"accuracy_real": real.num_groups >= 2, "accuracy_generated": generated.num_groups >= 2}
    return {
        name: np.concatenate([chunk[name] for chunk in chunks])
        if enough.get(name, all(enough.values()))
        else None
        for name in METRICS
    }


def interval(draws: Floats | None, level: float) -> tuple[float, float] | None:
    """Percentile interval (low, high) that covers `level` of the draws; None without draws."""
    if draws is None:
        return None
    finite = draws[np.isfinite(draws)]
    if finite.size < draws.size / 2:  # the few that are defined are no fair choice of all
        return None
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


@dataclass(frozen=True)
class _Ranks:
    """Where scores stand among the sorted scores of either class: indices into running sums."""

    real_below: Indices
    """(N,) real images that score below each generated one."""
    real_up_to: Indices
    """(N,) real images that score no higher than each generated one."""
    generated_below: Indices
    """(N,) generated images that score below each generated one."""
    half: tuple[int, int]
    """Real and generated images called real at P(generated) = 0.5."""
    chosen: tuple[int, int]
    """The same at the threshold chosen on val."""

    @classmethod
    def of(cls, real: Floats, generated: Floats, threshold: float) -> "_Ranks":
        def called_real(at: float) -> tuple[int, int]:
            return int(np.searchsorted(real, at, "right")), int(np.searchsorted(generated, at, "right"))

        return cls(
            np.searchsorted(real, generated, "left"),
            np.searchsorted(real, generated, "right"),
            np.searchsorted(generated, generated, "left"),
            called_real(0.0),
            called_real(threshold),
        )


def _running(sample: Sample) -> Iterator[Floats]:
    """(N + 1, b) weight of the first 0..N images, a chunk of resamples at a time."""
    for start in range(0, sample.counts.shape[1], _CHUNK):
        weights = sample.counts[:, start : start + _CHUNK].astype(np.float64)[sample.group]
        running = np.zeros((len(weights) + 1, weights.shape[1]))
        np.cumsum(weights, axis=0, out=running[1:])
        yield running


def _metrics(real_below: Floats, generated_below: Floats, at: _Ranks) -> dict[str, Floats]:
    """The formulas of `assets.metrics`, an image counting as often as it was drawn: name -> (b,).

    All sums are of whole numbers (halves for the AUROC) and exact, but for the average precision.
    """
    num_real, num_generated = real_below[-1], generated_below[-1]
    right_real, right_generated = real_below[at.half[0]], num_generated - generated_below[at.half[1]]
    chosen_real, chosen_generated = real_below[at.chosen[0]], num_generated - generated_below[at.chosen[1]]

    weights = np.diff(generated_below, axis=0)
    below = real_below[at.real_below]
    ranks = np.einsum("nb,nb->b", weights, below + real_below[at.real_up_to])
    hits = num_generated - generated_below[at.generated_below]
    precision = hits / np.maximum(hits + num_real - below, 1)  # nothing called: no hits and no weight
    gained = np.einsum("nb,nb->b", weights, precision)
    return {
        "accuracy": _if_both(right_real + right_generated, num_real, num_generated)
        / (num_real + num_generated),
        "balanced_accuracy": (chosen_real / num_real + chosen_generated / num_generated) / 2,
        "accuracy_real": right_real / num_real,
        "accuracy_generated": right_generated / num_generated,
        "auroc": ranks / (2 * num_real * num_generated),
        "ap": _if_both(gained, num_real, num_generated) / num_generated,
    }


def _if_both(values: Floats, num_real: Floats, num_generated: Floats) -> Floats:
    return np.where((num_real > 0) & (num_generated > 0), values, np.nan)
