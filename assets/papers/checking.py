"""Is a published mean the mean of its own cells?

A printed number stands for all that round to it: it may be off by half of its last digit. So a mean of
printed cells may differ from the printed mean by one last digit, half for the cells and half for itself, and
still be right; a mean that was cut off instead of rounded is told apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from typing import Literal

from assets.papers.reading import Paper, PaperTable

Verdict = Literal["agrees", "cut off", "within rounding", "does not agree"]
VERDICTS: dict[Verdict, str] = {
    "agrees": "the mean of the printed cells, rounded to the digits of the printed mean, is the printed mean",
    "cut off": "the digits after the last printed one were cut off, not rounded",
    "within rounding": "off by no more than one last digit, which cells that were rounded allow",
    "does not agree": "no cells that round to the printed ones have this mean",
}


@dataclass(frozen=True)
class CheckedMean:
    """One published mean and what its cells give."""

    table: str
    row: str
    column: str
    metric: str
    printed: Decimal
    of_cells: Decimal
    verdict: Verdict


def checked_means(paper: Paper) -> list[CheckedMean]:
    """Every mean that a paper printed beside all of its cells, recomputed."""
    return [checked for table in paper.tables for checked in _of_table(table)]


def verdict_on(printed: Decimal, cells: Sequence[Decimal]) -> tuple[Decimal, Verdict]:
    """The mean of some printed cells, and whether another printed number is it.

    Args: cells: at least one, all printed with as many digits as the mean.
    """
    mean = sum(cells, Decimal(0)) / len(cells)
    digit = Decimal(1).scaleb(int(printed.as_tuple().exponent))
    if abs(mean - printed) <= digit / 2:  # a tie may be rounded either way
        return mean, "agrees"
    if mean.quantize(digit, ROUND_FLOOR) == printed:
        return mean, "cut off"
    return mean, "within rounding" if abs(mean - printed) <= digit else "does not agree"


def _of_table(table: PaperTable) -> list[CheckedMean]:
    rows, columns = table.members
    found = []
    for place in table.places:
        if not (place.over_rows or place.over_columns):
            continue
        over = [(row, place.column) for row in rows] if place.over_rows else [(place.row, c) for c in columns]
        for metric in table.metrics:
            printed = table.number(place.row, place.column, metric)
            cells = [table.number(row, column, metric) for row, column in over]
            there = [cell for cell in cells if cell is not None]
            if printed is None or len(there) < len(cells):
                continue
            mean, verdict = verdict_on(printed, there)
            found.append(CheckedMean(table.name, place.row, place.column, metric, printed, mean, verdict))
    return found
