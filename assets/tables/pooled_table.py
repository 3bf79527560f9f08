"""A table of pooled cells: one column a group of generators or a content, and the mean over them."""

from collections.abc import Callable, Sequence

from assets.params import CLEAN
from assets.report.results import Results
from assets.statistics.averages import averaged
from assets.statistics.cells import Cell, Estimate
from assets.tables.cell_table import TRAINING_HEADS, estimate_value, shade, unit_of
from assets.tables.comparisons import Head, metric_value, value_table
from assets.tables.table import Line, Table, Value

MEAN = "Mean"
Reading = Callable[[Cell], Estimate]


def pooled_table(
    results: Results,
    kind: str,
    names: Sequence[str],
    metric: str,
    conditions: Sequence[str],
    *,
    name: str,
    title: str,
    caption: str,
    read: Reading | None = None,
    folded: bool = False,
) -> Table:
    """One line for every detector, training and condition, those of a condition together.

    Args:
        kind: of the cells; `names`: what they are tested on.
        metric: what is shown, or what gives `read` its unit and shade.
        read: what is shown of a cell, if no metric of its own.
        conditions: if there is but the clean one, lines do not say it.
    """
    params = results.params
    level = params.report.level
    shown: Reading = read or (lambda cell: cell.metrics[metric])
    only_clean = [*conditions] == [CLEAN]
    lines = []
    for condition in conditions:
        for detector in params.scorers:
            for trained_on in params.rows_of(detector):
                cells = [results.tabulated.find(kind, detector, trained_on, one, condition) for one in names]
                there = [cell for cell in cells if cell is not None]
                if not there:
                    continue
                values = [_value(cell, shown, metric, level) for cell in cells]
                mean = metric_value(averaged([shown(cell) for cell in there]), metric, level)
                heads = (detector, trained_on) if only_clean else (condition, detector, trained_on)
                lines.append(Line(heads, (*values, mean)))
    unit = unit_of(metric)
    return value_table(
        [*(Head(one, unit) for one in names), Head(MEAN, unit, mean=True)],
        lines,
        name=name,
        title=title,
        caption=caption,
        heads=TRAINING_HEADS if only_clean else ("condition", *TRAINING_HEADS),
        folded=folded,
    )


def _value(cell: Cell | None, read: Reading, metric: str, level: float) -> Value | None:
    if cell is None:
        return None
    estimate = read(cell)
    return estimate_value(estimate, level, seen=cell.seen, shade=shade(metric, estimate.value), cell=cell.key)
