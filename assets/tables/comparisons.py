"""Tables of pairs: one number, another, and the difference with its own paired interval."""

from collections.abc import Sequence
from dataclasses import dataclass

from assets.statistics.cells import Cell, Estimate
from assets.statistics.metrics import LOWER_IS_BETTER
from assets.tables.cell_table import (
    TRAINING_HEADS,
    cell_value,
    column_of,
    difference,
    difference_value,
    estimate_value,
    notes_of,
    shade,
    unit_of,
)
from assets.tables.table import Column, Line, Table, Unit, Value

PAIRED = (
    "Differences are in points (hundredths). Their intervals are paired: both numbers were computed over the "
    "same resamples of images. One that holds 0 says that other images might show no difference."
)


@dataclass(frozen=True)
class Contrast:
    """Three columns: a metric before, after, and how far after is above before."""

    metric: str
    before: str
    after: str
    difference: str


@dataclass(frozen=True)
class Pairs:
    """One line: a pair of cells for every contrast."""

    heads: tuple[str, ...]
    cells: tuple[tuple[Cell | None, Cell | None], ...]
    mean: bool = False


@dataclass(frozen=True)
class Head:
    """A column of values that are not all cells."""

    name: str
    unit: Unit
    mean: bool = False
    exact: bool = False
    """Its numbers have no interval by their nature, which needs no explaining."""


def contrast_table(
    contrasts: Sequence[Contrast],
    rows: Sequence[Pairs],
    *,
    name: str,
    title: str,
    caption: str,
    level: float,
    heads: tuple[str, ...] = TRAINING_HEADS,
    folded: bool = False,
) -> Table:
    """A table of contrasts; contrasts and lines in which nothing can be compared are left out."""
    kept = [at for at, one in enumerate(contrasts) if any(_both(*row.cells[at], one.metric) for row in rows)]
    columns: list[Head] = []
    for one in (contrasts[at] for at in kept):
        unit = unit_of(one.metric)
        columns += [Head(one.before, unit), Head(one.after, unit), Head(one.difference, "points", mean=True)]
    lines = []
    for row in rows:
        pairs = [(contrasts[at].metric, *row.cells[at]) for at in kept]
        if any(_both(before, after, metric) for metric, before, after in pairs):
            values = (value for pair in pairs for value in _three(*pair, level))
            lines.append(Line(row.heads, tuple(values), row.mean))
    return value_table(
        columns, lines, name=name, title=title, caption=f"{caption} {PAIRED}", heads=heads, folded=folded
    )


def value_table(
    columns: Sequence[Head],
    lines: Sequence[Line],
    *,
    name: str,
    title: str,
    caption: str,
    heads: tuple[str, ...] = TRAINING_HEADS,
    folded: bool = False,
) -> Table:
    """A table of any values; columns of one unit get as many digits."""
    alike: dict[Unit, Column] = {}
    for at, head in enumerate(columns):
        if head.unit not in alike:
            same = [value for value, one in _beside(lines, columns) if one.unit == head.unit]
            alike[head.unit] = column_of(columns[at].name, head.unit, same)
    made = [Column(head.name, head.unit, alike[head.unit].places, head.mean) for head in columns]
    notes = notes_of(value for value, head in _beside(lines, columns) if not head.exact)
    return Table(name, title, caption, heads, tuple(made), tuple(lines), notes, folded)


def metric_value(estimate: Estimate, metric: str, level: float, seen: bool | None = None) -> Value:
    """An estimate of a metric that is no row of the long table, shaded like one."""
    return estimate_value(estimate, level, seen=seen, shade=shade(metric, estimate.value))


def change_value(before: Estimate, after: Estimate, metric: str, level: float) -> Value:
    """How far `after` is above `before`, shaded by whether that is better."""
    change = difference(after, before)
    if change.value is None:
        return Value()
    better = -1 if metric in LOWER_IS_BETTER else 1
    return estimate_value(change, level, shade=max(-1.0, min(1.0, 2 * better * change.value)))


def _three(metric: str, before: Cell | None, after: Cell | None, level: float) -> list[Value | None]:
    change = difference_value(after, before, metric, level) if _both(before, after, metric) else None
    return [cell_value(before, metric, level), cell_value(after, metric, level), change]


def _both(before: Cell | None, after: Cell | None, metric: str) -> bool:
    return all(cell is not None and cell.metrics[metric].value is not None for cell in (before, after))


def _beside(lines: Sequence[Line], columns: Sequence[Head]) -> list[tuple[Value | None, Head]]:
    return [pair for line in lines for pair in zip(line.values, columns, strict=True)]
