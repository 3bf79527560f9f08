"""Scores in bins of neighbours, and how many images fall into each bin in every bootstrap resample.

A metric is a function of how many real and generated images have each score. With few distinct scores
every one is a bin and nothing is lost. With many, neighbouring scores share a bin; the metrics take the
scores of a bin as steps of one height that mix both classes evenly (`Bins.steps`). Bins are narrow where
real images score high and generated ones low: few images there decide the TPR at a low FPR, and Cllr. None
reaches across a threshold or the edge of a calibration bin, so that shares called rightly stay exact.

How far that moves draws for 6,000 + 6,000 images, in standard deviations of the draws (root mean square):
AUROC, ECE, Brier and Cllr 0.05 or less; average precision 0.02 (0.15 where scores are upside down); EER and
TPR, which hang on the order of single images, 0.1 to 0.2. Ends of intervals move by about 1 % of their
width, seldom by more than 5 %; drawing another 1,000 resamples moves them by about 2 %.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assets.statistics.metrics import CALIBRATION_EDGES, Floats

Counts = NDArray[np.int16]
"""At most 127: more of a Binomial(G, 1/G) has a chance below 1e-200."""
Indices = NDArray[np.intp]

MOST_EXACT = 256
"""Up to this many distinct scores every one has its own bin."""
_QUANTILES = 112
_NARROWING = 2.5  # 1: as many images in each bin; the higher, the narrower the bins at the end that matters
_IMAGES_A_ROW = 256  # x 127 < 2 ** 15


@dataclass(frozen=True)
class Sample:
    """The scored images of one class of a cell, and how often their groups were drawn."""

    logits: Floats
    """(N,) finite."""
    group: Indices
    """(N,) the row of `counts` that an image belongs to."""
    counts: Counts
    """(G, B) how often each of G groups is in each of B resamples."""

    @property
    def num_groups(self) -> int:
        """Groups with at least one scored image."""
        return int(np.count_nonzero(np.bincount(self.group)))


@dataclass(frozen=True)
class Bins:
    """Neighbouring scores that are taken together, from low to high."""

    highest: Floats
    """(K,) the highest score in each, which belongs to it; the lowest lies above the bin before."""
    steps: Floats
    """(K,) distinct scores in each."""

    @classmethod
    def of(cls, real: Floats, generated: Floats, thresholds: Sequence[float]) -> "Bins":
        """For the scores (N,) of both classes, at least one in all; `thresholds` become edges."""
        scores = np.unique(np.concatenate([real, generated]))
        if scores.size <= MOST_EXACT:
            return cls(scores, np.ones(scores.size))
        edges = np.concatenate([CALIBRATION_EDGES, np.asarray(thresholds, np.float64)])
        below = np.searchsorted(scores, edges, "right")
        inner = [scores[below[below > 0] - 1], -_quantiles(-real), _quantiles(generated)]
        highest = np.unique(np.concatenate([*inner, scores[-1:]]))
        ranks = np.searchsorted(scores, highest, "right")
        return cls(highest, np.diff(ranks, prepend=0).astype(np.float64))

    def place(self, logits: Floats) -> Indices:
        """(N,) the bin of every score."""
        order = np.argsort(logits)
        up_to = np.searchsorted(logits[order], self.highest, "right")
        place = np.empty(logits.size, np.intp)
        place[order] = np.repeat(np.arange(up_to.size), np.diff(up_to, prepend=0))
        return place

    def below(self, threshold: float) -> int:
        """How many bins hold images called real at a threshold."""
        return int(np.searchsorted(self.highest, threshold, "right"))

    def means(self, place: Indices, values: Floats) -> NDArray[np.float32]:
        """(K,) mean value of the images in each bin, (N,) of which are placed; 0 where there is none."""
        images = np.bincount(place, minlength=self.highest.size)
        sums = np.bincount(place, values, self.highest.size)
        return (sums / np.maximum(images, 1)).astype(np.float32)

    @property
    def calibration(self) -> Indices:
        """(K,) the calibration bin that each lies in."""
        return np.searchsorted(CALIBRATION_EDGES, self.highest, "left")


def histogram(samples: Sequence[Sample], place: Indices, size: int) -> NDArray[np.integer]:
    """(K, B) images of a class in every bin and resample.

    Args: samples: its parts, one or more; place: (N,) the bins of their images; size: K.
    """
    parts = np.split(place, np.cumsum([sample.group.size for sample in samples])[:-1])
    tallies = [_histogram(*part, size) for part in zip(samples, parts, strict=True)]
    return tallies[0] if len(tallies) == 1 else np.sum(tallies, axis=0, dtype=np.int64)


def _histogram(sample: Sample, place: Indices, size: int) -> NDArray[np.integer]:
    from scipy import sparse

    images = np.bincount(place, minlength=size)
    # rows of few images, so that int16 holds their sums: counts this narrow are read several times faster
    rows = np.maximum(-(-images // _IMAGES_A_ROW), 1)
    first = np.cumsum(rows) - rows
    row = first[place] + _rank_within(place, images) // _IMAGES_A_ROW if rows.max() > 1 else place
    # column by column: the counts, which no cache holds, are read once and in order
    order = np.argsort(sample.group, kind="stable")
    ends = np.cumsum(np.bincount(sample.group, minlength=len(sample.counts)))
    shape = (int(rows.sum()), len(sample.counts))
    matrix = sparse.csc_array((np.ones(place.size, np.int16), row[order], np.r_[0, ends]), shape)
    sums = matrix @ sample.counts.astype(np.int16, copy=False)
    return sums if rows.max() == 1 else np.add.reduceat(sums, first, axis=0, dtype=np.int64)


def _rank_within(place: Indices, images: Indices) -> Indices:
    """(N,) how many images of the same bin come before each."""
    order = np.argsort(place, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(place.size) - (np.cumsum(images) - images)[place[order]]
    return rank


def _quantiles(values: Floats) -> Floats:
    """Values that part a class into ever fewer images towards its low end."""
    if not values.size:
        return values
    below = (np.arange(_QUANTILES) / _QUANTILES) ** _NARROWING
    return np.sort(values)[(below * values.size).astype(np.intp)]
