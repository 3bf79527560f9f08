"""The cells of a table, and means of cells under their own names."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from assets.bootstrap import Counts, Sample, draw_groups, resampled_metrics
from assets.metrics import METRICS, Floats, all_metrics
from assets.params import CLEAN, REAL, Params
from assets.progress import counter
from assets.scores import Ledger, Scores, lay_out
from assets.seeds import derive_seed

CELL = "cell"
IN_DOMAIN = "in_domain"
CROSS_GENERATOR = "cross_generator"
PLAIN_MEAN = "plain_mean"
MEANS = {
    IN_DOMAIN: "mean over cells whose test generator is the training generator (the diagonal)",
    CROSS_GENERATOR: "mean over cells whose test generator is not the training generator "
    "(the diagonal left out)",
    PLAIN_MEAN: "mean over all cells, the diagonal included: what GenImage prints as Avg",
}
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
    """One row of the long table: a cell (`kind` is "cell") or a mean of cells (`kind` is in `MEANS`).

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

    @property
    def key(self) -> tuple[str, str, str, str, str]:
        """What tells rows apart, seeds aside: kind, detector, trained_on, tested_on, condition."""
        return self.kind, self.detector, self.trained_on, self.tested_on, self.condition


Reader = Callable[[str, str], pd.DataFrame]
"""(trained_on, tested_on) -> the rows of that predictions file."""


@dataclass(frozen=True)
class Tabulated:
    """Everything the tables are made from."""

    per_seed: list[Cell]
    """One for every detector x trained_on x tested_on x condition x seed."""
    cells: list[Cell]
    """The same over seeds (with a single seed, the same cells)."""
    means: list[Cell]
    """In-domain, cross-generator and plain means of `cells`."""
    num_images: dict[str, int]
    """Image set (a generator, or `real`) -> test images, scored or not."""


def tabulate(params: Params, read: Reader) -> Tabulated:
    """Read every pair that the parameters name and compute all cells and means.

    Raises:
        PredictionsError: files that are missing, malformed or at odds (`assets.scores`).
    """
    ledger = Ledger()
    draws = _Draws(params)
    per_seed: list[Cell] = []
    num_images: dict[str, int] = {}
    with counter("tabulating", len(params.train.generators) * len(params.generators), "pairs") as bar:
        for trained_on in params.train.generators:
            real = ledger.admit(lay_out(read(trained_on, REAL), trained_on, REAL, params))
            num_images[REAL] = real.ids.size
            for tested_on in params.generators:
                frame = read(trained_on, tested_on)
                generated = ledger.admit(lay_out(frame, trained_on, tested_on, params))
                num_images[tested_on] = generated.ids.size
                per_seed += pair_cells(real, generated, draws)
                bar.update(1)
    ledger.close()
    cells = over_seeds(per_seed)
    return Tabulated(per_seed, cells, means(cells, params), num_images)


class _Draws:
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


def pair_cells(real: Scores, generated: Scores, draws: _Draws) -> list[Cell]:
    """The cells of all detectors trained on one generator, tested on another's images, one a seed."""
    cells = []
    models = {**real.models, **generated.models}
    for (detector, seed, condition), generated_N in generated.logits.items():
        real_N = real.logits[detector, seed, condition]
        _, threshold = models.get((detector, seed), ("", 0.0))
        samples = _sample(real_N, *draws.of(real)), _sample(generated_N, *draws.of(generated))
        tally, metrics = _measure(*samples, threshold, real_N.size + generated_N.size)
        pair = generated.trained_on, generated.tested_on
        num_cells = int(metrics["auroc"].value is not None)
        cells.append(Cell(CELL, detector, *pair, condition, str(seed), 1, num_cells, metrics, tally))
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


def over_seeds(per_seed: Sequence[Cell]) -> list[Cell]:
    """Average the cells that differ in nothing but the training seed; resample by resample for intervals.

    The interval says what other test images would give; `sd` what other training seeds would.
    """
    together: dict[tuple[str, ...], list[Cell]] = {}
    for cell in per_seed:
        together.setdefault(cell.key, []).append(cell)
    return [_seed_mean(cells) if len(cells) > 1 else cells[0] for cells in together.values()]


def _seed_mean(cells: Sequence[Cell]) -> Cell:
    metrics = {}
    for name in METRICS:
        estimates = [cell.metrics[name] for cell in cells]
        values = [estimate.value for estimate in estimates if estimate.value is not None]
        sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
        metrics[name] = Estimate(*_averaged(estimates), sd)
    first = cells[0]
    return Cell(*first.key, "mean", len(cells), first.num_cells, metrics, first.tally)


def means(cells: Sequence[Cell], params: Params) -> list[Cell]:
    """Every mean of `MEANS` for every condition, and for the mean over degradations.

    Per detector: over test sets for each training generator (GenImage Tables 3 and 5), over training
    generators for each test set (GenImage Table 4), and over both.
    """
    out: list[Cell] = []
    rows = [*params.train.generators, ALL]
    columns = [*params.generators, ALL]
    for detector in params.detectors:
        for condition in params.conditions:
            here = [cell for cell in cells if (cell.detector, cell.condition) == (detector, condition)]
            places = [(row, column) for row in rows for column in columns if ALL in (row, column)]
            for trained_on, tested_on in places:
                chosen = [
                    cell
                    for cell in here
                    if trained_on in (ALL, cell.trained_on) and tested_on in (ALL, cell.tested_on)
                ]
                out += [
                    mean_of(_of_kind(kind, chosen), (kind, detector, trained_on, tested_on, condition))
                    for kind in MEANS
                ]
    return out + _over_degradations([*cells, *out])


def mean_of(cells: Sequence[Cell], key: tuple[str, str, str, str, str]) -> Cell:
    """The plain mean of cells, each weighing the same; cells without data are left out and not counted."""
    metrics = {name: Estimate(*_averaged([c.metrics[name] for c in cells])) for name in METRICS}
    seeds = {(cell.seed, cell.num_seeds) for cell in cells}
    seed, num_seeds = seeds.pop() if len(seeds) == 1 else ("", 0)
    return Cell(*key, seed, num_seeds, sum(cell.num_cells for cell in cells), metrics)


def _of_kind(kind: str, cells: Iterable[Cell]) -> list[Cell]:
    if kind == PLAIN_MEAN:
        return list(cells)
    return [cell for cell in cells if (cell.trained_on == cell.tested_on) == (kind == IN_DOMAIN)]


def _over_degradations(rows: Sequence[Cell]) -> list[Cell]:
    together: dict[tuple[str, str, str, str], list[Cell]] = {}
    for row in rows:
        if row.condition != CLEAN:
            together.setdefault(row.key[:4], []).append(row)
    return [mean_of(same, (*key, ALL)) for key, same in together.items()]


def _averaged(estimates: Sequence[Estimate]) -> tuple[float | None, Floats | None]:
    """Mean value and mean draws of the estimates that have data."""
    with_data = [estimate for estimate in estimates if estimate.value is not None]
    if not with_data:
        return None, None
    value = float(np.mean([estimate.value for estimate in with_data]))
    draws = [estimate.draws for estimate in with_data if estimate.draws is not None]
    return value, np.mean(draws, axis=0) if len(draws) == len(with_data) else None
