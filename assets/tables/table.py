"""A table as data: what every format (HTML, Markdown, LaTeX, CSV, JSON) is made from.

A chapter is one question and the tables that answer it; it becomes one file of each format, and one
section of the report.
"""

from dataclasses import dataclass
from typing import Literal

CellKey = tuple[str, str, str, str, str]
"""`assets.statistics.cells.Cell.key`."""
Unit = Literal["share", "percent", "points", "number", "count", "text"]
"""How a number is printed: share 0.873; percent 87.3 of the value 0.873; points +1.2 of the difference 0.012;
number as it is; count whole; text `Value.text`."""


@dataclass(frozen=True)
class Value:
    """What stands in one place of a table. Shares are in [0, 1] whatever the unit."""

    value: float | None = None
    """None: no data (or see `text`)."""
    low: float | None = None
    high: float | None = None
    """Ends of the interval; None where there is none."""
    sd: float | None = None
    """Standard deviation over training seeds."""
    text: str | None = None
    """Stands in place of a number, or of `no data`: why there is none."""
    seen: bool | None = None
    """Whether the detector was trained on what it is tested on; gets a frame."""
    shade: float | None = None
    """-1 (bad, or negative) to 1 (good, or positive) for the background; None: none."""
    cell: CellKey | None = None
    """The row of the long table that this is, for its lineage and its other metrics."""


@dataclass(frozen=True)
class Column:
    """One column of values."""

    name: str
    unit: Unit = "share"
    places: int = 2
    """Digits after the point as printed."""
    mean: bool = False
    """Set apart: it says something about the columns before it."""


@dataclass(frozen=True)
class Line:
    """One line of a table."""

    heads: tuple[str, ...]
    """One for each of `Table.heads`."""
    values: tuple[Value | None, ...]
    """One a column; None leaves the place empty."""
    mean: bool = False
    """Set apart: it says something about the lines before it."""


@dataclass(frozen=True)
class Table:
    """Lines and columns, and what each number is."""

    name: str
    """Unique in its chapter: a-z, 0-9 and _."""
    title: str
    caption: str
    """The exact definition of every number: what is measured, on which images, what means are over."""
    heads: tuple[str, ...]
    """What the first columns, which name the lines, are called."""
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = ()
    """What words in the places mean."""
    folded: bool = False
    """Of secondary interest: closed at first in the report."""


@dataclass(frozen=True)
class Chapter:
    """One question and the tables that answer it."""

    name: str
    """Name of its files: a-z, 0-9 and _."""
    title: str
    intro: tuple[str, ...]
    """Paragraphs in plain words: what was done and how to read the tables."""
    tables: tuple[Table, ...]
