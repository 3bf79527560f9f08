"""What a cell of a table says: how well scores tell generated images from real ones.

Everywhere: `labels` (N,) 0 real, 1 generated; `logits` (N,) finite, rising with "generated". An image is
called generated when its logit lies above (not on) the threshold; P(generated) = 0.5 is logit 0. A value is
None, "no data", where a class that it needs is missing; all but `cllr` are in [0, 1].
"""

from bisect import bisect_left
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from assets.errors import AssayError

DEFINITIONS = {
    "auroc": "chance that a generated image scores above a real one, a tie counting half; 0.5 is guessing",
    "ap": "average precision: precision at every distinct score, weighted by the recall gained there "
    "(scikit-learn's definition); guessing gives the share of generated images",
    "accuracy": "share of all images called rightly at P(generated) = 0.5",
    "balanced_accuracy": "mean of the shares of real and of generated images called rightly, "
    "at the threshold chosen on the validation images of the training generator",
    "accuracy_real": "share of the real images called real at P(generated) = 0.5",
    "accuracy_generated": "share of the generated images called generated at P(generated) = 0.5",
    "eer": "equal error rate: share of real images called generated where it equals the share of generated "
    "images called real, on the ROC curve with straight lines between its points; 0.5 is guessing, lower is "
    "better",
    "tpr_at_5": "largest share of the generated images that can be called generated while at most 5 % of the "
    "real ones are, the threshold chosen on these very images; guessing gives 5 %; not given with fewer than "
    "200 real images",
    "tpr_at_1": "largest share of the generated images that can be called generated while at most 1 % of the "
    "real ones are, the threshold chosen on these very images; guessing gives 1 %; not given with fewer than "
    "1,000 real images",
    "ece": "expected calibration error: how far P(generated) lies from the share of generated images, in 15 "
    "equally wide bins of P(generated), bins weighing by their images and the two classes weighing alike; "
    "lower is better",
    "brier": "Brier score: squared distance of P(generated) from 1 (generated) or 0 (real), mean over the "
    "images of a class, then over the classes; saying 0.5 always gives 0.25, lower is better",
    "cllr": "cost of the log-likelihood ratio in bits, the logit taken as that ratio at even odds: mean "
    "-log2 of the probability given to the right class, over the images of a class, then over the classes; "
    "saying 0.5 always gives 1, lower is better",
}
METRICS = tuple(DEFINITIONS)
"""The metrics of every table, in the order of their columns."""

TITLES = {
    "auroc": "AUROC",
    "ap": "Average precision",
    "accuracy": "Accuracy at 0.5",
    "balanced_accuracy": "Balanced accuracy at the val threshold",
    "accuracy_real": "Accuracy on real images",
    "accuracy_generated": "Accuracy on generated images",
    "eer": "Equal error rate",
    "tpr_at_5": "TPR at 5 % FPR",
    "tpr_at_1": "TPR at 1 % FPR",
    "ece": "Calibration error (ECE)",
    "brier": "Brier score",
    "cllr": "Cllr",
}
PERCENT = frozenset(
    {
        "accuracy",
        "balanced_accuracy",
        "accuracy_real",
        "accuracy_generated",
        "eer",
        "tpr_at_5",
        "tpr_at_1",
    }
)
"""Those printed in per cent; the others are printed as they are."""
LOWER_IS_BETTER = frozenset({"eer", "ece", "brier", "cllr"})
GUESSING: dict[str, float | None] = {
    "auroc": 0.5,
    "ap": None,  # the share of generated images
    "accuracy": 0.5,
    "balanced_accuracy": 0.5,
    "accuracy_real": 0.5,
    "accuracy_generated": 0.5,
    "eer": 0.5,
    "tpr_at_5": 0.05,
    "tpr_at_1": 0.01,
    "ece": None,  # whoever always says 0.5 is perfectly calibrated and of no use
    "brier": 0.25,
    "cllr": 1.0,
}
"""What tossing a coin, or saying P(generated) = 0.5 of every image, gives; None: no one value."""

ONE_IN = {"tpr_at_5": 20, "tpr_at_1": 100}
"""Of how many real images one may be called generated."""
CALIBRATION_BINS = 15
_SHARES = np.arange(1, CALIBRATION_BINS) / CALIBRATION_BINS
CALIBRATION_EDGES = np.log(_SHARES / (1 - _SHARES))
"""The logits between neighbouring calibration bins; one on an edge belongs below, as one at 0.5 is real."""

Floats = NDArray[np.float64]


class MetricsError(AssayError):
    """Scores that no metric can be computed from."""


def all_metrics(labels: ArrayLike, logits: ArrayLike, threshold: float) -> dict[str, float | None]:
    """Every metric of `METRICS`; `threshold` (logits) serves the balanced accuracy alone."""
    real, generated = (np.sort(of) for of in by_class(labels, logits))
    return {
        "auroc": _auroc(real, generated),
        "ap": _average_precision(real, generated),
        "accuracy": _accuracy(real, generated, 0.0),
        "balanced_accuracy": _balanced_accuracy(real, generated, threshold),
        "accuracy_real": _called_real(real, 0.0),
        "accuracy_generated": _called_generated(generated, 0.0),
        "eer": _equal_error_rate(real, generated),
        "tpr_at_5": _tpr_at_fpr(real, generated, ONE_IN["tpr_at_5"]),
        "tpr_at_1": _tpr_at_fpr(real, generated, ONE_IN["tpr_at_1"]),
        "ece": _calibration_error(real, generated),
        "brier": _mean_loss(real, generated, squared_error),
        "cllr": _mean_loss(real, generated, log_loss),
    }


def accuracy(labels: ArrayLike, logits: ArrayLike, threshold: float = 0.0) -> float | None:
    """Share of images called rightly; GenImage's number. None unless both classes are there."""
    return _accuracy(*by_class(labels, logits), threshold)


def balanced_accuracy(labels: ArrayLike, logits: ArrayLike, threshold: float = 0.0) -> float | None:
    """Mean of the accuracies on real and on generated images: 0.5 is guessing whatever their numbers."""
    return _balanced_accuracy(*by_class(labels, logits), threshold)


def accuracy_real(labels: ArrayLike, logits: ArrayLike, threshold: float = 0.0) -> float | None:
    """Share of real images called real (specificity)."""
    return _called_real(by_class(labels, logits)[0], threshold)


def accuracy_generated(labels: ArrayLike, logits: ArrayLike, threshold: float = 0.0) -> float | None:
    """Share of generated images called generated (recall)."""
    return _called_generated(by_class(labels, logits)[1], threshold)


def auroc(labels: ArrayLike, logits: ArrayLike) -> float | None:
    """Area under the ROC curve: P(generated scores above real) + P(tie) / 2, exact (Mann-Whitney U)."""
    return _auroc(*_sorted(labels, logits))


def average_precision(labels: ArrayLike, logits: ArrayLike) -> float | None:
    """Sum over distinct scores of (recall gained) x (precision there): images that tie enter together.

    Source: `sklearn.metrics.average_precision_score`; no interpolation between points.
    """
    return _average_precision(*_sorted(labels, logits))


def equal_error_rate(labels: ArrayLike, logits: ArrayLike) -> float | None:
    """The false positive rate where the ROC curve, its corners joined by straight lines, meets 1 - TPR.

    Scores that say nothing give 0.5, perfect ones 0, ones that are upside down up to 1.
    """
    return _equal_error_rate(*_sorted(labels, logits))


def tpr_at_fpr(labels: ArrayLike, logits: ArrayLike, one_in: int) -> float | None:
    """The largest true positive rate with at most one in `one_in` real images called generated.

    None with fewer than 10 x `one_in` real images: the few that decide would be too few to trust.
    """
    return _tpr_at_fpr(*_sorted(labels, logits), one_in)


def calibration_error(labels: ArrayLike, logits: ArrayLike) -> float | None:
    """Expected calibration error over 15 equally wide bins (low, high] of P(generated).

    Either class weighs one half whatever its number of images, so that the answer is about even odds.
    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 3, with these weights.
    """
    return _calibration_error(*by_class(labels, logits))


def brier(labels: ArrayLike, logits: ArrayLike) -> float | None:
    """Mean squared error of P(generated), either class weighing one half (`sklearn.brier_score_loss`)."""
    return _mean_loss(*by_class(labels, logits), squared_error)


def cllr(labels: ArrayLike, logits: ArrayLike) -> float | None:
    """Cost of the log-likelihood ratio in bits; above 1 a detector misleads more than it helps.

    Source: Brümmer and du Preez 2006, "Application-independent evaluation of speaker detection", with
    "generated" as target and logits (natural logarithm) as ratios.
    """
    return _mean_loss(*by_class(labels, logits), log_loss)


def roc_corners(real: Floats, generated: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Corners of the ROC curve as counts: (T + 1,) real and generated images called generated.

    From none to all, one corner for each of T distinct scores: images that tie are called together.

    Args: real, generated: sorted logits.
    """
    cuts = np.unique(np.concatenate([real, generated]))[::-1]
    alarms = real.size - np.searchsorted(real, cuts, "left")
    hits = generated.size - np.searchsorted(generated, cuts, "left")
    return np.concatenate([[0], alarms]), np.concatenate([[0], hits])


def sigmoid(logits: Floats) -> Floats:
    """P(generated) of logits of any size, without overflow."""
    small = np.exp(-np.abs(logits))
    return np.asarray(np.where(logits >= 0, 1, small) / (1 + small), np.float64)


def squared_error(logits: Floats) -> Floats:
    """Of P(generated) of real images with these logits; of generated ones with these, negated."""
    return sigmoid(logits) ** 2


def log_loss(logits: Floats) -> Floats:
    """Bits lost on real images with these logits, -log2 P(real); on generated ones with these, negated."""
    nats = np.maximum(logits, 0) + np.log1p(np.exp(-np.abs(logits)))
    return np.asarray(nats / np.log(2), np.float64)


def best_threshold(labels: ArrayLike, logits: ArrayLike) -> float | None:
    """The threshold (logits) that gives the highest balanced accuracy; None if a class is missing.

    Candidates are the midpoints between neighbouring distinct scores, and one on either outer side of
    all scores. Of several that are equally good, the one in the widest gap wins, then the one nearest 0,
    then the lower. An outer one is taken only when no midpoint is as good: 0 if it lies outside the
    scores, else the one nearer 0, 1 logit away from the outermost score.
    """
    real, generated = _sorted(labels, logits)
    if not (real.size and generated.size):
        return None
    scores = np.unique(np.concatenate([real, generated]))
    middles = scores[:-1] + np.diff(scores) / 2
    rightly_real = np.searchsorted(real, middles, "right")
    rightly_generated = generated.size - np.searchsorted(generated, middles, "right")
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
    if not ((label_N == 0) | (label_N == 1)).all():
        raise MetricsError("labels must be 0 (real) or 1 (generated)")
    if bad := int(np.sum(~np.isfinite(logit_N))):
        raise MetricsError(f"{bad} of {logit_N.size} logits are not finite: metrics would mean nothing")
    return logit_N[label_N == 0], logit_N[label_N == 1]


def _outside(scores: Floats) -> float:
    low, high = float(scores[0]), float(scores[-1])
    if low > 0 or high <= 0:  # then 0 calls every image the same
        return 0.0
    return min(low - 1, high + 1, key=abs)


def _sorted(labels: ArrayLike, logits: ArrayLike) -> tuple[Floats, Floats]:
    real, generated = by_class(labels, logits)
    return np.sort(real), np.sort(generated)


def _called_real(real: Floats, threshold: float) -> float | None:
    return float(np.mean(real <= threshold)) if real.size else None


def _called_generated(generated: Floats, threshold: float) -> float | None:
    return float(np.mean(generated > threshold)) if generated.size else None


def _accuracy(real: Floats, generated: Floats, threshold: float) -> float | None:
    if not (real.size and generated.size):
        return None
    right = np.sum(real <= threshold) + np.sum(generated > threshold)
    return float(right / (real.size + generated.size))


def _balanced_accuracy(real: Floats, generated: Floats, threshold: float) -> float | None:
    if not (real.size and generated.size):
        return None
    return float(np.mean(real <= threshold) + np.mean(generated > threshold)) / 2


def _auroc(real: Floats, generated: Floats) -> float | None:
    if not (real.size and generated.size):
        return None
    below = np.searchsorted(real, generated, "left")
    up_to = np.searchsorted(real, generated, "right")
    return float(np.sum(below + up_to) / (2 * real.size * generated.size))


def _average_precision(real: Floats, generated: Floats) -> float | None:
    if not (real.size and generated.size):
        return None
    hits = generated.size - np.searchsorted(generated, generated, "left")
    alarms = real.size - np.searchsorted(real, generated, "left")
    return float(np.mean(hits / (hits + alarms)))


def _equal_error_rate(real: Floats, generated: Floats) -> float | None:
    if not (real.size and generated.size):
        return None
    cuts = np.sort(np.concatenate([real, generated]))

    def corner(at: int) -> tuple[int, int]:
        """Generated images missed and real ones called generated, if those that reach a score are."""
        if at == cuts.size:
            return generated.size, 0
        missed = int(np.searchsorted(generated, cuts[at], "left"))
        return missed, real.size - int(np.searchsorted(real, cuts[at], "left"))

    def ahead(at: int) -> int:
        missed, alarms = corner(at)
        return missed * real.size - alarms * generated.size  # whole numbers, rising with the score

    after = bisect_left(range(cuts.size), 0, key=ahead)
    step = ahead(after - 1) / (ahead(after - 1) - ahead(after))
    missed = corner(after - 1)[0]
    return float((missed + step * (corner(after)[0] - missed)) / generated.size)


def _tpr_at_fpr(real: Floats, generated: Floats, one_in: int) -> float | None:
    if not generated.size or real.size < 10 * one_in:
        return None
    first_too_many = real[real.size - 1 - real.size // one_in]
    return float(np.mean(generated > first_too_many))


def _calibration_error(real: Floats, generated: Floats) -> float | None:
    if not (real.size and generated.size):
        return None
    over = _per_bin(real, sigmoid(real)) / real.size  # P(generated) minus what is so: p - 0
    under = _per_bin(generated, sigmoid(-generated)) / generated.size  # 1 - p
    return float(np.abs(over - under).sum() / 2)


def _per_bin(logits: Floats, values: Floats) -> Floats:
    """(15,) sums of the values of the images in every calibration bin."""
    bins = np.searchsorted(CALIBRATION_EDGES, logits, "left")
    return np.bincount(bins, values, CALIBRATION_BINS).astype(np.float64)


def _mean_loss(real: Floats, generated: Floats, loss: Callable[[Floats], Floats]) -> float | None:
    """Mean over the images of a class, then over the classes."""
    if not (real.size and generated.size):
        return None
    return float(np.mean(loss(real)) + np.mean(loss(-generated))) / 2
