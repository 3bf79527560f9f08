"""The cells of a table: one detector, trained on something, tested on some generated and some real images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from threading import Lock

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from assets.params import Params
from assets.seeds import derive_seed
from assets.statistics.bootstrap import Counts, Draws, Sample, draw_groups, resampled_metrics, unbiased
from assets.statistics.metrics import METRICS, all_metrics
from assets.statistics.scores import Block, Scores

CELL = "cell"
GROUP = "group"
CONTENT = "content"
CLASSES = "classes"
POOLED = {
    GROUP: "the test images of all generators of a group of `report.groups` together, against all real test "
    "images that count for any of them",
    CONTENT: "the test images of all generators that show one content, against the real test images that "
    "show it",
    CLASSES: "the test images of the generators trained on whose class was (seen) or was not (unseen) among "
    "the training images, against the real test images of the same classes",
}
"""Kinds of cells over the images of several generators, counted together: every image weighs the same."""
SEEN, UNSEEN = "seen", "unseen"
ALL = ""
"""Stands for what a mean is taken over: all test sets, all training generators, all degradations."""


@dataclass(frozen=True)
class Estimate:
    """One number and what is known about how sure it is."""

    value: float | None
    """None is "no data"."""
    draws: Draws | None = None
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
    """One row of the long table.

    `kind` is "cell" (one generator's images against the real ones), a kind of `POOLED`, or a mean of cells
    (in `assets.statistics.means.MEANS`). `trained_on`, `tested_on` and `condition` are `ALL` where they are
    averaged over; a mean over conditions is over the degradations (all but clean and the twins). Of pooled
    cells, `tested_on` is the group, the content, `seen` or `unseen`.
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
    """Whether the detector was trained on the generator it is tested on (on one of the group, on images of
    the content or the classes); None: not known, or a mean."""

    @property
    def key(self) -> tuple[str, str, str, str, str]:
        """What tells rows apart, seeds aside: kind, detector, trained_on, tested_on, condition."""
        return self.kind, self.detector, self.trained_on, self.tested_on, self.condition


class GroupDraws:
    """How often every image's group is in every resample: made once an image set, shared by its cells.

    May be used by several threads.
    """

    def __init__(self, params: Params) -> None:
        self._params = params
        self._known: dict[str, tuple[NDArray[np.intp], Counts]] = {}
        self._lock = Lock()

    def of(self, scores: Scores) -> tuple[NDArray[np.intp], Counts]:
        """(N,) the group of every image, as a row of (G, B) counts."""
        with self._lock:
            if scores.tested_on not in self._known:
                group_N, groups = pd.factorize(scores.groups, sort=True)
                seed = derive_seed(self._params.seed, "bootstrap", scores.tested_on)
                drawn = draw_groups(len(groups), self._params.report.resamples, seed)
                self._known[scores.tested_on] = group_N, drawn
            return self._known[scores.tested_on]


@dataclass(frozen=True)
class Part:
    """The images of one set that count in a cell."""

    scores: Scores
    counted: NDArray[np.bool_]
    """(N,) which of the set's."""

    def sample(self, block: Block, draws: GroupDraws) -> Sample:
        """Those that have a score; their groups are drawn with all groups of the set."""
        group_N, counts = draws.of(self.scores)
        logits_N = self.scores.logits[block]
        scored = self.counted & np.isfinite(logits_N)
        return Sample(logits_N[scored], group_N[scored], counts)


def pair_cells(
    real: Scores,
    generated: Scores,
    draws: GroupDraws,
    params: Params,
    answered: frozenset[str] | None = None,
) -> list[Cell]:
    """The cells of all detectors trained on one source, tested on one generator's images, one a seed.

    Args: answered: the real test images that count here (with `split.reals` other than `all`); None: all.
    They are drawn with the groups of all real images, so that test sets which share some vary together.
    Raises:
        PredictionsError: no detector was shown one of `answered`.
    """
    trained_on, tested_on = generated.trained_on, generated.tested_on
    parts = Part(real, real.which(answered)), [Part(generated, generated.which(None))]
    seen = partial(params.seen, trained_on=trained_on, generator=tested_on)
    return cells_of((CELL, tested_on), *parts, draws, seen)


def cells_of(
    about: tuple[str, str],
    real: Part,
    generated: Sequence[Part],
    draws: GroupDraws,
    seen: Callable[[str], bool | None],
) -> list[Cell]:
    """One cell for every detector, seed and condition.

    Args: about: its kind and what it is tested on. seen: of a detector, what `Cell.seen` says.
    """
    kind, tested_on = about
    models = {model: found for part in (real, *generated) for model, found in part.scores.models.items()}
    shown = sum(int(part.counted.sum()) for part in (real, *generated))
    cells = []
    for block in real.scores.logits:
        detector, seed, condition = block
        _, threshold = models.get((detector, seed), ("", 0.0))
        samples = real.sample(block, draws), [part.sample(block, draws) for part in generated]
        tally, metrics = _measure(*samples, threshold, shown)
        names = kind, detector, real.scores.trained_on, tested_on, condition, str(seed)
        with_data = int(metrics["auroc"].value is not None)
        cells.append(Cell(*names, 1, with_data, metrics, tally, seen(detector)))
    return cells


def _measure(
    real: Sample, generated: Sequence[Sample], threshold: float, shown: int
) -> tuple[Tally, dict[str, Estimate]]:
    logits = [real.logits, *(sample.logits for sample in generated)]
    n_real, n_generated = real.logits.size, sum(part.size for part in logits[1:])
    labels = np.repeat([0, 1], [n_real, n_generated])
    values = all_metrics(labels, np.concatenate(logits), threshold)
    draws = resampled_metrics(real, generated, threshold)
    draws["ece"] = unbiased(draws["ece"], values["ece"])
    groups = real.num_groups + sum(sample.num_groups for sample in generated)
    tally = Tally(n_real, n_generated, shown - n_real - n_generated, groups)
    return tally, {name: Estimate(values[name], draws[name]) for name in METRICS}
