"""From cells to tables: values with intervals, frames and shades, and only the digits that they support."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from assets.detection import Sample
from assets.params import CLEAN, ELSEWHERE, Params
from assets.statistics.bootstrap import interval
from assets.statistics.cells import ALL, CELL, Cell, Estimate
from assets.statistics.means import MEANS
from assets.statistics.metrics import DEFINITIONS, GUESSING, LOWER_IS_BETTER, ONE_IN, PERCENT, TITLES
from assets.statistics.tabulate import Tabulated
from assets.tables.table import CellKey, Column, Line, Table, Unit, Value

TOO_FEW_REALS = "too few real images"
MEAN_OF_DEGRADED = "degraded mean"
TRAINING_HEADS = ("detector", "trained on")

_ONE_CLASS = ("accuracy_real", "accuracy_generated")
_UNBOUNDED = ("cllr",)  # the only metric that is no share
_PAIRED = "those that its test generator's images are paired with, of the same classes"
REALS = {
    "shared": f"{_PAIRED}; one may count for several generators",
    "own": f"{_PAIRED}; none is dealt to two generators",
}
"""What `split.reals` says about the real images behind a number; where it is `all`, it is all of them."""


@dataclass(frozen=True)
class Row:
    """One line of cells."""

    heads: tuple[str, ...]
    cells: tuple[Cell | None, ...]
    """One a column; None leaves the place empty."""
    mean: bool = False
    """Set apart: it says something about the lines before it."""


def cell_value(cell: Cell | None, metric: str, level: float) -> Value | None:
    """One metric of a cell with its interval, deviation, frame and shade; None for no cell."""
    if cell is None:
        return None
    estimate = cell.metrics[metric]
    text = None
    if estimate.value is None and metric in ONE_IN and cell.metrics["auroc"].value is not None:
        text = TOO_FEW_REALS
    return estimate_value(
        estimate, level, text=text, seen=cell.seen, shade=shade(metric, estimate.value), cell=cell.key
    )


def estimate_value(
    estimate: Estimate,
    level: float,
    *,
    text: str | None = None,
    seen: bool | None = None,
    shade: float | None = None,
    cell: CellKey | None = None,
) -> Value:
    """An estimate with the interval of its draws."""
    low, high = interval(estimate.draws, level) or (None, None)
    if estimate.value is None:
        low = high = None
    return Value(estimate.value, low, high, estimate.sd, text, seen, shade, cell)


def difference(one: Estimate, other: Estimate) -> Estimate:
    """One less the other, resample by resample: fair where both were drawn with the same groups.

    No data if either has none. The deviation over seeds is not told: seeds are not pairs.
    """
    if one.value is None or other.value is None:
        return Estimate(None)
    draws = None if one.draws is None or other.draws is None else one.draws - other.draws
    return Estimate(one.value - other.value, draws)


def difference_value(one: Cell | None, other: Cell | None, metric: str, level: float) -> Value | None:
    """How far a metric of one cell is above that of another, shaded by whether that is better."""
    if one is None or other is None:
        return None
    estimate = difference(one.metrics[metric], other.metrics[metric])
    better = -1 if metric in LOWER_IS_BETTER else 1
    tint = None if estimate.value is None else _clipped(2 * better * estimate.value)
    return estimate_value(estimate, level, shade=tint)


def shade(metric: str, value: float | None) -> float | None:
    """-1 to 1: how far from guessing, 0, towards perfect, 1; None where that says nothing.

    The accuracies on one class are such: whoever calls everything real has 1 on real images.
    """
    guess = None if metric in _ONE_CLASS else GUESSING[metric]
    if value is None or guess is None:
        return None
    if metric in LOWER_IS_BETTER:
        return _clipped((guess - value) / guess)
    return _clipped((value - guess) / ((1 - guess) if value > guess else guess))


def unit_of(metric: str) -> Unit:
    """How a metric is printed."""
    return "percent" if metric in PERCENT else "number" if metric in _UNBOUNDED else "share"


def sensible_places(bounds: Sequence[tuple[float, float]]) -> int:
    """Digits after the point of a share that the typical interval supports: two of its width, 2 to 4."""
    width = float(np.median([high - low for low, high in bounds])) if bounds else 1.0
    return 4 if width <= 0 else min(max(math.ceil(-math.log10(width)) + 1, 2), 4)


def column_of(name: str, unit: Unit, values: Iterable[Value | None], mean: bool = False) -> Column:
    """A column with the digits that the intervals of its values support; counts and texts have none."""
    if unit in ("count", "text"):
        return Column(name, unit, 0, mean)
    bounds = [(one.low, one.high) for one in values if one and one.low is not None and one.high is not None]
    return Column(name, unit, sensible_places(bounds) - (2 if unit in ("percent", "points") else 0), mean)


def metric_table(
    metric: str,
    *,
    name: str,
    title: str,
    caption: str,
    columns: Sequence[str],
    rows: Sequence[Row],
    level: float,
    num_means: int = 0,
    heads: tuple[str, ...] = TRAINING_HEADS,
    folded: bool = False,
) -> Table:
    """A table of one metric, all numbers with as many digits.

    Args:
        caption: what lines, columns and means are; what the metric is comes before it.
        num_means: the last so many columns are means.
    """
    values = [[cell_value(cell, metric, level) for cell in row.cells] for row in rows]
    alike = column_of("", unit_of(metric), [value for line in values for value in line])
    first_mean = len(columns) - num_means
    return Table(
        name,
        title,
        f"{definition(metric)} {caption}",
        heads,
        tuple(
            Column(column, alike.unit, alike.places, at >= first_mean) for at, column in enumerate(columns)
        ),
        tuple(Line(row.heads, tuple(line), row.mean) for row, line in zip(rows, values, strict=True)),
        notes_of(value for line in values for value in line),
        folded,
    )


def metrics_table(
    metrics: Sequence[str],
    *,
    name: str,
    title: str,
    caption: str,
    rows: Sequence[Row],
    level: float,
    heads: tuple[str, ...] = TRAINING_HEADS,
    folded: bool = False,
) -> Table:
    """A table of several metrics, one a column, of rows that have one cell each."""
    values = [[cell_value(row.cells[0], metric, level) for metric in metrics] for row in rows]
    return Table(
        name,
        title,
        caption,
        heads,
        tuple(
            column_of(heading(metric), unit_of(metric), [line[at] for line in values])
            for at, metric in enumerate(metrics)
        ),
        tuple(Line(row.heads, tuple(line), row.mean) for row, line in zip(rows, values, strict=True)),
        notes_of(value for line in values for value in line),
        folded,
    )


def notes_of(values: Iterable[Value | None]) -> tuple[str, ...]:
    """What the words that stand in place of numbers mean, and why some have no interval."""
    there = [value for value in values if value is not None]
    notes = []
    if any(value.value is None and value.text is None for value in there):
        notes.append(
            "no data: no scored image of a class, or nothing to average; means leave such cells out."
        )
    if any(value.text == TOO_FEW_REALS for value in there):
        notes.append(
            f"{TOO_FEW_REALS}: the false positives allowed are fewer than ten, so the number would be chance."
        )
    if any(value.value is not None and value.low is None for value in there):
        notes.append(
            "A number without an interval: a class has fewer than two groups of images to draw from."
        )
    return tuple(notes)


def heading(metric: str) -> str:
    """`Accuracy at 0.5, %`, `AUROC`."""
    return f"{TITLES[metric]}, %" if metric in PERCENT else TITLES[metric]


def definition(metric: str) -> str:
    """`AUROC: chance that ...`, a sentence."""
    title = TITLES[metric]
    text = DEFINITIONS[metric].removeprefix(f"{title.lower()}: ").removeprefix(f"{title}: ")
    return f"{title}: {text.rstrip('.')}."


def about_means(kinds: Iterable[str] = tuple(MEANS)) -> str:
    """What means are over, a sentence each."""
    return " ".join(f"{kind}: {MEANS[kind]}." for kind in kinds)


def about_intervals(params: Params) -> str:
    """What intervals, and the spread over seeds, do and do not cover."""
    seeds, spec = len(params.train.seeds), params.report
    images = (
        f"In brackets: intervals that cover {spec.level * 100:g} % of {spec.resamples} bootstrap resamples "
        "of groups of test images, within each class: what other images could have given."
    )
    if not params.detectors:
        return f"{images} What another training could have given is not in them."
    if seeds == 1:
        return f"{images} Every detector was trained once: what another training could give is not in them."
    return (
        f"{images} Numbers are means over {seeds} training seeds, ± their standard deviation: what another "
        "training could have given."
    )


def about_reals(params: Params) -> str:
    """Which real images a cell counts, a sentence."""
    which = REALS.get(params.split.reals, "all real test images, the same for every test generator")
    return f"Real images of a cell: {which}."


def about_trainings(params: Params) -> str:
    """What sets, samples and `elsewhere` are, a sentence; '' if all rows are of single generators."""
    told = [f"{name} = {' + '.join(members)} (a set)" for name, members in params.train.sets.items()]
    told += [
        f"{name} = {' + '.join(params.samples[name])}{_limits(sample)} (a sample)"
        for name, sample in params.train.samples.items()
    ]
    if params.given:
        told.append(f"{ELSEWHERE} = detectors that were not trained here")
    return f"Trained on: {'; '.join(told)}." if told else ""


def about_set_aside(asides: Mapping[str, str]) -> str:
    """Which generators could not be made (name -> why), and so stand in no table; '' if all could."""
    if not asides:
        return ""
    told = "; ".join(f"{name} ({why.rstrip('.')})" for name, why in asides.items())
    return f"Generators that should be here and could not be made: {told}."


def join(*sentences: str) -> str:
    """Sentences as one paragraph, empty ones left out."""
    return " ".join(sentence for sentence in sentences if sentence)


def over_conditions(params: Params) -> list[str]:
    """Names of all conditions, then `ALL` for the mean over the degradations, if there are any."""
    return [*params.conditions, *([ALL] if params.degradations else [])]


def clean_cells(tabulated: Tabulated, detector: str, trained_on: str, params: Params) -> list[Cell | None]:
    """The cells of one training on every generator's clean test images."""
    return [tabulated.find(CELL, detector, trained_on, tested_on, CLEAN) for tested_on in params.generators]


def _limits(sample: Sample) -> str:
    told = {
        "until": sample.until and f"all published until {sample.until}",
        "images": sample.images and f"{sample.images} generated images",
        "classes": sample.classes and f"{sample.classes} classes",
        "per_class": sample.per_class and f"{sample.per_class} generated images of each class and generator",
        "contents": sample.contents and f"showing {' or '.join(sample.contents)}",
        "real_sides": sample.real_sides
        and f"real sides {sample.real_sides[0]} to {sample.real_sides[1]} pixels",
        "real_quality": sample.real_quality and f"real JPEGs of quality {sample.real_quality}",
        "balance": sample.balance and "as many real as generated images of each class",
        "prepare": str(sample.prepare) and f"prepared by {sample.prepare}",
    }
    return "".join(f", {text}" for text in told.values() if text)


def _clipped(value: float) -> float:
    return max(-1.0, min(1.0, value))
