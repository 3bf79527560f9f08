"""What a score means: a threshold with a known rate of false alarms, and a probability that can be believed.

Both come from validation images alone. Scores are logits, finite, rising with "generated".
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from assets.errors import AssayError

IMAGES_PER_ALARM = 10
"""A rate is offered where so many real val images are expected above its threshold (n >= 10 / rate)."""
RATE = 0.05
"""The usual rate of false alarms."""
_LEAST = 2 * IMAGES_PER_ALARM
_MOST_STEPS = 100


class Rate(NamedTuple):
    """A threshold, and how often a real picture lies above it."""

    fpr: float
    """False-positive rate: at most this share of real pictures like those of val is called generated."""
    threshold: float
    """In logits; above it, not on it, a picture is called generated."""


class Platt(NamedTuple):
    """P(generated) = sigmoid(slope x logit + offset), no surer than val allows."""

    slope: float
    offset: float
    least: float = 0.0
    """M generated images cannot show that fewer than one in M + 2 score as low as a picture does."""
    most: float = 1.0
    """Nor N real ones that fewer than one in N + 2 score as high."""

    def __call__(self, logit: ArrayLike) -> NDArray[np.float64]:
        """Logits -> probabilities from `least` to `most`."""
        chance = sigmoid(self.slope * np.asarray(logit, np.float64) + self.offset)
        return np.clip(chance, self.least, self.most)


def smallest_rate(num_real: int) -> float | None:
    """The smallest rate that so many real val images support, rounded up to two significant digits.

    None if it would be more than a half: then no rate means anything.
    """
    if num_real < _LEAST:
        return None
    rate = IMAGES_PER_ALARM / num_real
    digits: int = 1 - math.floor(math.log10(rate))
    up = math.ceil(round(rate * 10.0**digits, 9)) / 10.0**digits
    return min(up, 0.5)


def check_rate(fpr: float, option: str) -> None:
    """Refuse what is no rate of false alarms; `option` is what the message calls it.

    Raises:
        AssayError: not above 0 and up to 0.5.
    """
    if not 0 < fpr <= 0.5:
        raise AssayError(f"{option} is {fpr:g}: it must be a share above 0 and up to 0.5, e.g. 0.05")


def at_rate(real: ArrayLike, fpr: float, option: str = "the false-positive rate") -> Rate:
    """The lowest threshold above which a real picture lies with a probability of at most `fpr`.

    With n real scores it is the k-th largest of them, k = floor(fpr (n + 1)): for a picture that is drawn as
    those were, the bound holds exactly, whatever the scores look like (split conformal prediction,
    V. Vovk et al., Algorithmic Learning in a Random World, 2005).

    Args: real: logits (N,) of real val images; option: what messages call the rate.
    Raises:
        AssayError: a rate outside (0, 0.5], or one that so few images do not support (10 / N at least, as
            TPR at a rate is reported elsewhere).
    """
    check_rate(fpr, option)
    scores = np.sort(np.asarray(real, np.float64))[::-1]
    least = smallest_rate(scores.size)
    if least is None:
        raise AssayError(
            f"{option}: val has {scores.size} real images, too few for any rate of false alarms; "
            f"{_LEAST} at the least, {math.ceil(IMAGES_PER_ALARM / fpr)} for {fpr:g}"
        )
    if scores.size * fpr < IMAGES_PER_ALARM - 1e-9:
        raise AssayError(
            f"{option} is {fpr:g}: that takes {math.ceil(IMAGES_PER_ALARM / fpr):,} real val images, so that "
            f"{IMAGES_PER_ALARM} of them lie above the threshold, and there are {scores.size:,}; the "
            f"smallest rate they allow is {least:g}"
        )
    above = math.floor(fpr * (scores.size + 1) + 1e-9)
    return Rate(fpr, float(scores[above - 1]))


def fit_platt(real: ArrayLike, generated: ArrayLike) -> Platt | None:
    """Logistic regression of the label on the logit, both classes with the same weight in total.

    So the probability is that of a world in which half of all pictures are generated. Targets are drawn in
    from 0 and 1 as by J. Platt, Probabilistic Outputs for Support Vector Machines (1999), section 2.2, so
    that classes that val tells apart without a mistake do not make it certain.

    Returns: None where a class is missing, or higher scores do not go with "generated".
    """
    sides = [np.asarray(side, np.float64) for side in (real, generated)]
    if not all(side.size for side in sides):
        return None
    logits = np.concatenate(sides)
    centre, spread = logits.mean(), logits.std()
    if spread == 0:
        return None
    values = (logits - centre) / spread
    wanted = [1 / (sides[0].size + 2), (sides[1].size + 1) / (sides[1].size + 2)]
    target = np.repeat(wanted, [side.size for side in sides])
    weight = np.repeat([0.5 / side.size for side in sides], [side.size for side in sides])
    slope, offset = _newton(values, target, weight)
    if slope <= 0:
        return None
    least, most = 1 / (sides[1].size + 2), 1 - 1 / (sides[0].size + 2)
    return Platt(float(slope / spread), float(offset - slope * centre / spread), least, most)


def sigmoid(logit: ArrayLike) -> NDArray[np.float64]:
    """1 / (1 + exp(-logit)), without overflow."""
    value = np.asarray(logit, np.float64)
    small = np.exp(-np.abs(value))
    return np.where(value >= 0, 1 / (1 + small), small / (1 + small))


def _newton(
    values: NDArray[np.float64], target: NDArray[np.float64], weight: NDArray[np.float64]
) -> tuple[float, float]:
    """Minimise the weighted cross entropy over (slope, offset): Newton's method with halved steps."""
    design = np.stack([values, np.ones_like(values)])
    found = np.zeros(2)

    def loss(at: NDArray[np.float64]) -> float:
        logit = at @ design
        return float(weight @ (np.logaddexp(0, logit) - target * logit))

    for _ in range(_MOST_STEPS):
        chance = sigmoid(found @ design)
        slope = design @ (weight * (chance - target))
        curve = (design * (weight * chance * (1 - chance))) @ design.T + 1e-12 * np.eye(2)
        step = np.linalg.solve(curve, slope)
        size = 1.0
        while loss(found - size * step) > loss(found) and size > 1e-10:
            size /= 2
        found = found - size * step
        if float(np.abs(size * step).max()) < 1e-10:
            break
    return float(found[0]), float(found[1])
