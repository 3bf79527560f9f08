"""What the paper printed, what was measured here, and the difference."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from assets.papers.checking import VERDICTS, checked_means
from assets.papers.counterparts import Counterpart, Measured
from assets.papers.reading import EVERY_GENERATOR, RECALL, Paper, PaperTable, Place, read_paper
from assets.report.results import Results
from assets.statistics.bootstrap import interval
from assets.statistics.metrics import TITLES
from assets.tables.cell_table import about_intervals, about_reals, column_of, estimate_value, join, notes_of
from assets.tables.table import Chapter, Column, Line, Table, Value

AXES = {
    "detector": "detector",
    "trained_on": "trained on",
    "tested_on": "tested on",
    "condition": "condition",
}


@dataclass(frozen=True)
class _Beside:
    """A printed number and what stands beside it."""

    place: Place
    metric: str
    printed: Decimal
    counterpart: Counterpart


def chapter(results: Results) -> Chapter | None:
    """Comparisons, then what has no counterpart, then the paper's tables; None without `report.paper`."""
    params = results.params
    if params.report.paper is None:
        return None
    paper = read_paper(params.report.paper)
    measured = Measured(paper, results)
    beside = {table.name: list(_beside(table, measured)) for table in paper.tables}
    compared = [
        _comparison(table, beside[table.name], results)
        for table in paper.tables
        if any(one.counterpart.estimate for one in beside[table.name])
    ]
    told = (
        "Where a detector, what it was trained on, what it was tested on and the condition are the paper's, "
        "its number stands beside the one measured here."
        if compared
        else "Nothing that was measured here is what the paper measured, so its numbers stand alone."
    )
    return Chapter(
        "published",
        "Published beside measured",
        (
            f"Numbers of {paper.paper}. Source: {paper.source}. {paper.setting}",
            f"{told} A difference is no verdict: images, seeds and recipes are not all published.",
            about_intervals(params),
        ),
        (
            *compared,
            _checked(paper),
            *_missing(paper, beside),
            *(_as_printed(table, paper) for table in paper.tables),
        ),
    )


def _beside(table: PaperTable, measured: Measured) -> Iterable[_Beside]:
    for place in table.places:
        for metric in table.metrics:
            printed = table.number(place.row, place.column, metric)
            if printed is not None:
                yield _Beside(place, metric, printed, measured.at(table, place, metric))


def _comparison(table: PaperTable, beside: list[_Beside], results: Results) -> Table:
    """One line for every place at which something was measured."""
    level = results.params.report.level
    there = {(one.place, one.metric): one for one in beside if one.counterpart.estimate}
    lines = []
    for place in dict.fromkeys(place for place, _ in there):
        values: list[Value | None] = []
        for metric in table.metrics:
            one = there.get((place, metric))
            values += [None] * 3 if one is None else _three(one, table, level)
        lines.append(Line((place.row, place.column), tuple(values), place.over_rows or place.over_columns))
    columns: list[Column] = []
    for at, metric in enumerate(table.metrics):
        name = _title(metric)
        measured, apart = ([line.values[3 * at + step] for line in lines] for step in (1, 2))
        columns += [
            Column(f"{name}, published", table.unit, _digits(table)),
            column_of(f"{name}, measured", table.unit, measured),
            column_of(f"{name}, difference", "points", apart, mean=True),
        ]
    return Table(
        table.name,
        f"{table.title}{_doubt(table)}: published and measured",
        join(
            f"The {len(there)} of the paper's {len(beside)} numbers that were measured here.",
            _fixed(table),
            "measured: the same detector, trained and tested on the same, here; a mean is over the "
            "counterparts of all cells that the paper's mean is over.",
            _pooling(beside, table),
            "Measured balanced accuracy is at the threshold chosen on val, which stands for the paper's "
            "recalibration."
            if "balanced_accuracy" in table.metrics
            else "",
            "difference: measured less published, in points (hundredths). Its interval is that of the "
            "measured number alone: the paper gives none.",
            table.note,
            about_reals(results.params),
        ),
        (AXES[table.rows_are], AXES[table.columns_are]),
        tuple(columns),
        tuple(lines),
        () if RECALL in table.metrics else notes_of(value for line in lines for value in line.values[1::3]),
        not table.verified,
    )


def _pooling(beside: list[_Beside], table: PaperTable) -> str:
    """What a number stands for that is no row of the long table."""
    single = [one for one in beside if not (one.place.over_rows or one.place.over_columns)]
    if table.fixed.get("trained_on") == EVERY_GENERATOR:
        return "It is the mean over the trainings on each of the paper's generators."
    if RECALL not in table.metrics and any(
        one.counterpart.estimate and one.counterpart.cell is None for one in single
    ):
        return (
            "A name of the paper that is several generators here, with no group of report.groups that holds "
            "exactly these, is the mean over their cells."
        )
    return ""


def _three(one: _Beside, table: PaperTable, level: float) -> list[Value | None]:
    estimate = one.counterpart.estimate
    assert estimate is not None and estimate.value is not None
    printed = _share(one.printed, table)
    low, high = interval(estimate.draws, level) or (None, None)
    return [
        Value(printed),
        estimate_value(estimate, level, seen=one.counterpart.seen, cell=one.counterpart.cell),
        Value(
            estimate.value - printed,
            None if low is None else low - printed,
            None if high is None else high - printed,
        ),
    ]


def _checked(paper: Paper) -> Table:
    """The published means that are not simply the means of their own cells."""
    checked = checked_means(paper)
    flagged = [one for one in checked if one.verdict != "agrees"]
    titles = {table.name: table.title for table in paper.tables}
    lines = [
        Line(
            (titles[one.table], one.row, one.column, _title(one.metric)),
            tuple(
                Value(text=text)
                for text in (str(one.printed), _two_more(one.printed, one.of_cells), one.verdict)
            ),
        )
        for one in flagged
    ]
    return Table(
        "means",
        "Published means that are not the means of their own cells",
        join(
            "Every mean that the paper prints beside all of its cells was recomputed from them: "
            f"{len(checked)} means, of which {len(checked) - len(flagged)} agree.",
            *(f"{verdict}: {text}." for verdict, text in VERDICTS.items() if verdict != "agrees"),
        ),
        ("table", "row", "column", "metric"),
        (Column("printed", "text", 0), Column("of its cells", "text", 0), Column("verdict", "text", 0)),
        tuple(lines),
        folded=not flagged,
    )


def _missing(paper: Paper, beside: dict[str, list[_Beside]]) -> Iterable[Table]:
    """What has no counterpart, and why."""
    counts: dict[tuple[str, str], int] = {}
    for table in paper.tables:
        for one in beside[table.name]:
            if one.counterpart.estimate is None:
                key = table.title, one.counterpart.why
                counts[key] = counts.get(key, 0) + 1
    if counts:
        yield Table(
            "without_counterpart",
            "Published, and not measured here",
            "How many numbers of the paper have no counterpart here, and why. A mean has none if one of its "
            "cells has none.",
            ("table", "why"),
            (Column("numbers", "count", 0),),
            tuple(Line(key, (Value(count),)) for key, count in counts.items()),
            folded=True,
        )


def _as_printed(table: PaperTable, paper: Paper) -> Table:
    """The paper's table."""
    lines = []
    for row in table.rows:
        numbers = [table.number(row, column, metric) for column in table.columns for metric in table.metrics]
        values = tuple(None if one is None else Value(_share(one, table)) for one in numbers)
        lines.append(Line((row,), values, row == table.mean_row))
    several = len(table.metrics) > 1
    columns = tuple(
        Column(
            f"{column}, {_title(metric)}" if several else column,
            table.unit,
            _digits(table),
            column == table.mean_column,
        )
        for column in table.columns
        for metric in table.metrics
    )
    return Table(
        f"{table.name}_printed",
        f"{table.title}{_doubt(table)}, as published",
        join(f"{paper.paper}.", _fixed(table), paper.setting, table.note),
        (AXES[table.rows_are],),
        columns,
        tuple(lines),
        folded=True,
    )


def _title(metric: str) -> str:
    """What both the paper's number and ours are; thresholds may differ, which the caption says."""
    return TITLES.get(metric, metric).removesuffix(" at the val threshold")


def _fixed(table: PaperTable) -> str:
    told = [f"{AXES[axis]} {name}" for axis, name in table.fixed.items()]
    return f"In the paper: {', '.join(told)}." if told else ""


def _doubt(table: PaperTable) -> str:
    return "" if table.verified else " (unverified)"


def _share(printed: Decimal, table: PaperTable) -> float:
    return float(printed / 100 if table.unit == "percent" else printed)


def _digits(table: PaperTable) -> int:
    """Digits after the point, as printed."""
    numbers = (
        table.number(place.row, place.column, metric) for place in table.places for metric in table.metrics
    )
    return max(-int(number.as_tuple().exponent) for number in numbers if number is not None)


def _two_more(printed: Decimal, number: Decimal) -> str:
    """A number with two digits more than another."""
    return str(number.quantize(Decimal(1).scaleb(int(printed.as_tuple().exponent) - 2)))
