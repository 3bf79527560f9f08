"""The cells of a table: one detector, trained on one generator, tested on another's images."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from assets.bootstrap import Counts, Sample, draw_groups, resampled_metrics
from assets.metrics import METRICS, Floats, all_metrics
from assets.params import Params
from assets.scores import Scores
from assets.seeds import derive_seed

CELL = "cell"
ALL = ""
"""Stands for what a mean is taken over: all test sets, all training generators, all degradations."""


@dataclass(frozen=True)
class Estimate:
    """One number and what is known about how sure it is."""

    value: float | None
    """In [0, 1]; None is "no data"."""
    draws: Floats | None = None
    """(B,) the number in every bootstrap resample; None if no interval over groups can be had."""
    sd: float | None = None
    """Standard deviation over training seeds (n - 1); None with a single seed."""


@dataclass(frozen=True)
class Tally:
    """The images behind a cell."""

    n_real: int
    """Real images that were scored."""
    n_generated: int
    """Generated images that were scored."""
    n_unreadable: int
    """Images of either class without a score."""
    groups: int
    """Groups of scored images, real and generated ones counted apart."""


@dataclass(frozen=True)
class Cell:
    """One row of the long table: a cell (`kind` is "cell") or a mean of cells (in `assets.means.MEANS`).

    `trained_on`, `tested_on` and `condition` are `ALL` where they are averaged over; a mean over
    conditions is over the degradations, clean left out.
    """

    kind: str
    detector: str
    trained_on: str
    tested_on: str
    condition: str
    seed: str
    """A training seed, or "mean" over several."""
    num_seeds: int
    num_cells: int
    """Cells with data behind the number: 1 or, for a mean, how many it is over."""
    metrics: dict[str, Estimate]
    tally: Tally | None = None
    seen: bool | None = None
    """Of a cell: whether the detector was trained on the generator it is tested on; None: not known."""

    @property
    def key(self) -> tuple[str, str, str, str, str]:
        """What tells rows apart, seeds aside: kind, detector, trained_on, tested_on, condition."""
        return self.kind, self.detector, self.trained_on, self.tested_on, self.condition


class Draws:
    """How often every image's group is in every resample: made once an image set, shared by its cells."""

    def __init__(self, params: Params) -> None:
        self._params = params
        self._known: dict[str, tuple[np.ndarray, Counts]] = {}

    def of(self, scores: Scores) -> tuple[np.ndarray, Counts]:
        """(N,) the group of every image, as a row of (G, B) counts."""
        if scores.tested_on not in self._known:
            group_N, groups = pd.factorize(scores.groups, sort=True)
            seed = derive_seed(self._params.seed, "bootstrap", scores.tested_on)
            drawn = draw_groups(len(groups), self._params.report.resamples, seed)
            self._known[scores.tested_on] = group_N, drawn
        return self._known[scores.tested_on]


def pair_cells(
    real: Scores, generated: Scores, draws: Draws, params: Params, answered: frozenset[str] | None = None
) -> list[Cell]:
    """The cells of all detectors trained on one generator, tested on another's images, one a seed.

    Args: answered: the real test images that count here (with `split.reals` other than `all`); None: all.
    They are drawn with the groups of all real images, so that test sets which share some vary together.
    Raises:
        PredictionsError: no detector was shown one of `answered`.
    """
    cells = []
    counted = real.which(answered)
    real_group, real_counts = draws.of(real)
    models = {**real.models, **generated.models}
    for (detector, seed, condition), generated_N in generated.logits.items():
        real_N = real.logits[detector, seed, condition][counted]
        _, threshold = models.get((detector, seed), ("", 0.0))
        real_sample = _sample(real_N, real_group[counted], real_counts)
        samples = real_sample, _sample(generated_N, *draws.of(generated))
        tally, metrics = _measure(*samples, threshold, real_N.size + generated_N.size)
        pair = generated.trained_on, generated.tested_on
        num_cells = int(metrics["auroc"].value is not None)
        seen = params.seen(detector, *pair)
        cells.append(Cell(CELL, detector, *pair, condition, str(seed), 1, num_cells, metrics, tally, seen))
    return cells


def _sample(logits: Floats, group: np.ndarray, counts: Counts) -> Sample:
    scored = np.isfinite(logits)
    return Sample(logits[scored], group[scored], counts)


def _measure(
    real: Sample, generated: Sample, threshold: float, shown: int
) -> tuple[Tally, dict[str, Estimate]]:
    n_real, n_generated = real.logits.size, generated.logits.size
    labels = np.repeat([0, 1], [n_real, n_generated])
    values = all_metrics(labels, np.concatenate([real.logits, generated.logits]), threshold)
    draws = resampled_metrics(real, generated, threshold)
    tally = Tally(n_real, n_generated, shown - n_real - n_generated, real.num_groups + generated.num_groups)
    return tally, {name: Estimate(values[name], draws[name]) for name in METRICS}
