"""The ROC curve and the reliability of one cell, in few enough numbers to draw."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assets.statistics.metrics import CALIBRATION_BINS, CALIBRATION_EDGES, Floats, roc_corners, sigmoid

_MOST_POINTS = 100


@dataclass(frozen=True)
class Curve:
    """What can be drawn of one detector's scores of one set of images."""

    fpr: Floats
    """(P,) share of real images called generated, rising from 0 to 1; P is at most 100."""
    tpr: Floats
    """(P,) share of generated images called generated there."""
    num_real: NDArray[np.intp]
    """(15,) real images in equally wide bins (low, high] of P(generated)."""
    num_generated: NDArray[np.intp]
    """(15,) the same of generated images."""
    mean_p: Floats
    """(15,) mean P(generated) in each bin, the two classes weighing alike; NaN in an empty one."""
    share: Floats
    """(15,) share of generated images in each bin, the two classes weighing alike; NaN in an empty one."""


def curve(real_logits: Floats, generated_logits: Floats) -> Curve:
    """The curve of the logits (N,) of real and of generated images, at least one of each, all finite.

    Of more than 100 corners of the ROC curve, those at even distances along it are kept, and both ends.
    """
    real, generated = np.sort(real_logits), np.sort(generated_logits)
    fpr, tpr = (counts / counts[-1] for counts in roc_corners(real, generated))
    kept = _evenly(fpr + tpr)
    bins = [np.searchsorted(CALIBRATION_EDGES, of, "left") for of in (real, generated)]
    counts = [np.bincount(of, minlength=CALIBRATION_BINS) for of in bins]
    sums = [
        np.bincount(where, sigmoid(of), CALIBRATION_BINS)
        for where, of in zip(bins, (real, generated), strict=True)
    ]
    weights = counts[0] / real.size, counts[1] / generated.size
    with np.errstate(invalid="ignore"):
        mean_p = (sums[0] / real.size + sums[1] / generated.size) / (weights[0] + weights[1])
        share = weights[1] / (weights[0] + weights[1])
    return Curve(fpr[kept], tpr[kept], counts[0], counts[1], mean_p, share)


def _evenly(along: Floats) -> NDArray[np.intp]:
    """Indices of at most 100 of these rising places, about equally far apart, both ends among them."""
    if along.size <= _MOST_POINTS:
        return np.arange(along.size)
    wanted = np.linspace(along[0], along[-1], _MOST_POINTS)
    return np.unique(np.searchsorted(along, wanted).clip(0, along.size - 1))
