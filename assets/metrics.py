"""What a cell of a table says: how well scores tell generated images from real ones.

Everywhere: `labels` (N,) 0 real, 1 generated; `logits` (N,) finite, rising with "generated". An image is
called generated when its logit lies above (not on) the threshold; P(generated) = 0.5 is logit 0. A value is
None, "no data", where a class that it needs is missing; a share is in [0, 1].
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from assets.errors import AssayError

DEFINITIONS = {
    "accuracy": "share of all images called rightly at P(generated) = 0.5",
    "balanced_accuracy": "mean of the shares of real and of generated images called rightly, "
    "at the threshold chosen on the validation images of the training generator",
    "accuracy_real": "share of the real images called real at P(generated) = 0.5",
    "accuracy_generated": "share of the generated images called generated at P(generated) = 0.5",
    "auroc": "chance that a generated image scores above a real one, a tie counting half; 0.5 is guessing",
    "ap": "average precision: precision at every distinct score, weighted by the recall gained there "
    "(scikit-learn's definition); guessing gives the share of generated images",
}
METRICS = tuple(DEFINITIONS)
"""The metrics of every table, in the order of their columns."""

Floats = NDArray[np.float64]


class MetricsError(AssayError):
    """Scores that no metric can be computed from."""


def all_metrics(labels: ArrayLike, logits: ArrayLike, threshold: float) -> dict[str, float | None]:
    """Every metric of `METRICS`; `threshold` (logits) serves the balanced accuracy alone."""
    return {
        "accuracy": accuracy(labels, logits),
        "balanced_accuracy": balanced_accuracy(labels, logits, threshold),
        "accuracy_real": accuracy_real(labels, logits),
        "accuracy_generated": accuracy_generated(labels, logits),
        "auroc": auroc(labels, logits),
        "ap": average_precision(labels, logits),
    }


def accuracy(labels: ArrayLike, logits: ArrayLike, threshold: float = 0.0) -> float | None:
    """Share of images called rightly; GenImage's number. None unless both classes are there."""
    real, generated = by_class(labels, logits)
    if not (real.size and generated.size):
        return None
    right = np.sum(real <= threshold) + np.sum(generated > threshold)
    return float(right / (real.size + generated.size))


def balanced_accuracy(labels: ArrayLike, logits: ArrayLike, threshold: float = 0.0) -> float | None:
    """Mean of the accuracies on real and on generated images: 0.5 is guessing whatever their numbers."""
    real = accuracy_real(labels, logits, threshold)
    generated = accuracy_generated(labels, logits, threshold)
    return None if real is None or generated is None else (real + generated) / 2


def accuracy_real(labels: ArrayLike, logits: ArrayLike, threshold: float = 0.0) -> float | None:
    """Share of real images called real (specificity)."""
    real, _ = by_class(labels, logits)
    return float(np.mean(real <= threshold)) if real.size else None


def accuracy_generated(labels: ArrayLike, logits: ArrayLike, threshold: float = 0.0) -> float | None:
    """Share of generated images called generated (recall)."""
    _, generated = by_class(labels, logits)
    return float(np.mean(generated > threshold)) if generated.size else None


def auroc(labels: ArrayLike, logits: ArrayLike) -> float | None:
    """Area under the ROC curve: P(generated scores above real) + P(tie) / 2, exact (Mann-Whitney U)."""
    real, generated = by_class(labels, logits)
    if not (real.size and generated.size):
        return None
    real = np.sort(real)
    below = np.searchsorted(real, generated, "left")
    up_to = np.searchsorted(real, generated, "right")
    return float(np.sum(below + up_to) / (2 * real.size * generated.size))


def average_precision(labels: ArrayLike, logits: ArrayLike) -> float | None:
    """Sum over distinct scores of (recall gained) x (precision there): images that tie enter together.

    Source: `sklearn.metrics.average_precision_score`; no interpolation between points.
    """
    real, generated = by_class(labels, logits)
    if not (real.size and generated.size):
        return None
    real, generated = np.sort(real), np.sort(generated)
    hits = generated.size - np.searchsorted(generated, generated, "left")
    alarms = real.size - np.searchsorted(real, generated, "left")
    return float(np.mean(hits / (hits + alarms)))


def best_threshold(labels: ArrayLike, logits: ArrayLike) -> float | None:
    """The threshold (logits) that gives the highest balanced accuracy; None if a class is missing.

    Candidates are the midpoints between neighbouring distinct scores, and one on either outer side of
    all scores. Of several that are equally good, the one in the widest gap wins, then the one nearest 0,
    then the lower. An outer one is taken only when no midpoint is as good: 0 if it lies outside the
    scores, else the one nearer 0, 1 logit away from the outermost score.
    """
    real, generated = by_class(labels, logits)
    if not (real.size and generated.size):
        return None
    scores = np.unique(np.concatenate([real, generated]))
    middles = scores[:-1] + np.diff(scores) / 2
    rightly_real = np.searchsorted(np.sort(real), middles, "right")
    rightly_generated = generated.size - np.searchsorted(np.sort(generated), middles, "right")
    # both shares over one denominator: whole numbers, so that equally good is exactly equal
    quality = rightly_real * generated.size + rightly_generated * real.size
    guessing = real.size * generated.size
    if not middles.size or quality.max() < guessing:
        return _outside(scores)
    best = np.flatnonzero(quality == quality.max())
    order = np.lexsort((middles[best], np.abs(middles[best]), -np.diff(scores)[best]))
    return float(middles[best[order[0]]])


def by_class(labels: ArrayLike, logits: ArrayLike) -> tuple[Floats, Floats]:
    """The logits of real and of generated images.

    Raises:
        MetricsError: different lengths, a label that is not 0 or 1, a logit that is not finite.
    """
    label_N = np.asarray(labels)
    logit_N = np.asarray(logits, np.float64)
    if label_N.ndim != 1 or label_N.shape != logit_N.shape:
        raise MetricsError(f"labels {label_N.shape} and logits {logit_N.shape} must be lists of one length")
    if not np.isin(label_N, (0, 1)).all():
        raise MetricsError("labels must be 0 (real) or 1 (generated)")
    if bad := int(np.sum(~np.isfinite(logit_N))):
        raise MetricsError(f"{bad} of {logit_N.size} logits are not finite: metrics would mean nothing")
    return logit_N[label_N == 0], logit_N[label_N == 1]


def _outside(scores: Floats) -> float:
    low, high = float(scores[0]), float(scores[-1])
    if low > 0 or high <= 0:  # then 0 calls every image the same
        return 0.0
    return min(low - 1, high + 1, key=abs)
