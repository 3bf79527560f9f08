"""Tables as people read them: which cell stands in which row and column, and with how many digits."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from assets.bootstrap import interval
from assets.cells import ALL, CELL, Cell
from assets.means import CROSS_GENERATOR, MEANS, PLAIN_MEAN
from assets.metrics import DEFINITIONS
from assets.params import CLEAN, ELSEWHERE, Params
from assets.tabulate import Tabulated

NO_DATA = "no data"
NOT_AVAILABLE = "n/a"
MEAN_OF_DEGRADED = "degraded mean"

TITLES = {
    "accuracy": "Accuracy at 0.5, %",
    "balanced_accuracy": "Balanced accuracy at the val threshold, %",
    "accuracy_real": "Accuracy on real images, %",
    "accuracy_generated": "Accuracy on generated images, %",
    "auroc": "AUROC",
    "ap": "Average precision",
}
_MEANS = " ".join(f"{name}: {text}." for name, text in MEANS.items())
_PERCENT = frozenset(name for name in TITLES if "accuracy" in name)


@dataclass(frozen=True)
class Row:
    """One line of a grid."""

    detector: str
    label: str
    """The training generator, or which of them the line is the mean of."""
    is_mean: bool
    cells: tuple[Cell | None, ...]
    """One a column; None leaves the place empty."""


@dataclass(frozen=True)
class Grid:
    """One metric, rows of detector x training generator."""

    metric: str
    title: str
    definition: str
    """What each number is."""
    layout: str
    """What rows, columns and means are."""
    columns: tuple[str, ...]
    num_means: int
    """The last so many columns are means."""
    rows: tuple[Row, ...]
    level: float
    places: int
    """Digits after the point that the images support, percent or not."""

    def value(self, cell: Cell) -> str:
        """The number, or `no data`."""
        value = cell.metrics[self.metric].value
        return NO_DATA if value is None else f"{value * self._factor:.{self.places}f}"

    def spread(self, cell: Cell) -> str:
        """Standard deviation over training seeds, or nothing with a single seed."""
        sd = cell.metrics[self.metric].sd
        return "" if sd is None else f"±{_bare(f'{sd * self._factor:.{self.places}f}')}"

    def interval(self, cell: Cell) -> str:
        """`low–high`, `n/a` where groups are too few, nothing without data."""
        estimate = cell.metrics[self.metric]
        if estimate.value is None:
            return ""
        bounds = interval(estimate.draws, self.level)
        if bounds is None:
            return NOT_AVAILABLE
        return "–".join(_bare(f"{bound * self._factor:.{self.places}f}") for bound in bounds)

    @property
    def blocks(self) -> list[tuple[str, list[Row]]]:
        """Detectors and their rows, in the order of the parameters."""
        names = dict.fromkeys(row.detector for row in self.rows)
        return [(name, [row for row in self.rows if row.detector == name]) for name in names]

    @property
    def all_cells(self) -> list[Cell]:
        """Every cell that stands in the grid."""
        return [cell for row in self.rows for cell in row.cells if cell is not None]

    @property
    def notes(self) -> list[str]:
        """What the words in this grid's cells mean."""
        notes = []
        if any(cell.metrics[self.metric].value is None for cell in self.all_cells):
            notes.append(
                f"{NO_DATA}: no scored image of a class, or nothing to average; means leave such cells out."
            )
        if any(self.interval(cell) == NOT_AVAILABLE for cell in self.all_cells):
            notes.append(
                f"{NOT_AVAILABLE}: a class has fewer than two groups; there is no interval over groups."
            )
        return notes

    @property
    def _factor(self) -> int:
        return 100 if self.metric in _PERCENT else 1


_PAIRED = "those that its test generator's images are paired with, of the same classes"
REALS = {
    "shared": f"{_PAIRED}; one may count for several generators",
    "own": f"{_PAIRED}; none is dealt to two generators",
}
"""What `split.reals` says about the real images behind a number; where it is `all`, it is all of them."""


def about_intervals(params: Params) -> str:
    """What intervals, and the spread over seeds, do and do not cover."""
    seeds, spec = len(params.train.seeds), params.report
    images = (
        f"Intervals cover {spec.level * 100:g} % of {spec.resamples} bootstrap resamples of groups of test "
        "images: what other images could have given."
    )
    if seeds == 1:
        return f"{images} Every detector was trained once: what another training could give is not in them."
    return (
        f"{images} Numbers are means over {seeds} training seeds, ± their standard deviation: what another "
        "training could have given."
    )


def cross_generator_grid(tabulated: Tabulated, params: Params, metric: str) -> Grid:
    """Clean test images: trained on (rows) x tested on (columns), then the means under their own names."""
    found = _by_key(tabulated)

    def line(detector: str, trained_on: str, label: str, kind: str) -> Row:
        cells = [found.get((kind, detector, trained_on, column, CLEAN)) for column in params.generators]
        cells += [
            found.get((mean, detector, trained_on, ALL, CLEAN)) if kind in (CELL, PLAIN_MEAN, mean) else None
            for mean in MEANS
        ]
        return Row(detector, label, kind != CELL, tuple(cells))

    rows = []
    for detector in params.scorers:
        rows += [line(detector, name, name, CELL) for name in params.rows_of(detector)]
        if len(params.averaged_rows(detector)) > 1:
            rows.append(line(detector, ALL, "mean (plain)", PLAIN_MEAN))
            rows.append(line(detector, ALL, "mean (cross)", CROSS_GENERATOR))
    layout = (
        f"Clean test images; rows: the generator trained on{_others(params)}, columns: the generator "
        f"tested on. {_MEANS} Last rows of a detector: mean over training generators for each test set, all "
        "of them (plain; GenImage Table 4) or those trained on another generator (cross)."
    )
    return _grid(metric, layout, (*params.generators, *MEANS), len(MEANS), rows, params)


def degraded_grid(tabulated: Tabulated, params: Params, metric: str, kind: str) -> Grid:
    """Every condition: the mean named `kind` over the test sets of each training generator."""
    found = _by_key(tabulated)
    conditions = [*params.conditions, *([ALL] if params.degrade else [])]
    rows = []
    for detector in params.scorers:
        mean_too = [ALL] if len(params.averaged_rows(detector)) > 1 else []
        for trained_on in [*params.rows_of(detector), *mean_too]:
            cells = tuple(found.get((kind, detector, trained_on, ALL, name)) for name in conditions)
            rows.append(Row(detector, trained_on or "mean", trained_on == ALL, cells))
    columns = tuple(name or MEAN_OF_DEGRADED for name in conditions)
    mean = f"{MEAN_OF_DEGRADED}: mean over the conditions, {CLEAN} left out (GenImage Table 5: Avg). "
    layout = (
        f"Each number is the {kind}: {MEANS[kind]}. Columns: the condition, applied to real and generated "
        f"test images alike and never to training images. {mean if params.degrade else ''}"
        "Last row of a detector: mean over training generators."
    )
    return _grid(metric, layout, columns, int(bool(params.degrade)), rows, params)


def sensible_places(bounds: Sequence[tuple[float, float]]) -> int:
    """Digits after the point of a share that the typical interval supports: two of its width, 2 to 4."""
    width = float(np.median([high - low for low, high in bounds])) if bounds else 1.0
    return 4 if width <= 0 else min(max(math.ceil(-math.log10(width)) + 1, 2), 4)


def _grid(
    metric: str, layout: str, columns: tuple[str, ...], num_means: int, rows: list[Row], params: Params
) -> Grid:
    level = params.report.level
    cells = [cell for row in rows for cell in row.cells if cell is not None]
    bounds = [interval(cell.metrics[metric].draws, level) for cell in cells]
    places = sensible_places([bound for bound in bounds if bound is not None])
    places -= 2 if metric in _PERCENT else 0
    definition = f"{TITLES[metric]}: {DEFINITIONS[metric]}."
    if params.split.reals in REALS:
        layout = f"{layout} Real images of a cell: {REALS[params.split.reals]}."
    return Grid(metric, TITLES[metric], definition, layout, columns, num_means, tuple(rows), level, places)


def _others(params: Params) -> str:
    """What rows there are besides single generators."""
    sets = [f"{name} = {' + '.join(members)}" for name, members in params.train.sets.items()]
    given = [f"{ELSEWHERE} (detectors that were not trained here)"] if params.given else []
    return "".join(f" or {text}" for text in [*sets, *given])


def _by_key(tabulated: Tabulated) -> dict[tuple[str, str, str, str, str], Cell]:
    return {cell.key: cell for cell in [*tabulated.cells, *tabulated.means]}


def _bare(number: str) -> str:
    """Drop the zero before the point: .83 beside 0.87 is read at a glance."""
    return number[1:] if number.startswith("0.") else number
