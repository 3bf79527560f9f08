"""Tables as the page shows them: names written once, numbers that can be opened, tokens to filter by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from markupsafe import Markup

from assets.page.facets import Facets, printed
from assets.tables.formats.numbers import bounds, number, spread
from assets.tables.table import CellKey, Column, Table, Value

_SHADES = 10
_LONG = 480
"""Letters from which a caption is folded after its first sentence."""


@dataclass(frozen=True)
class ShownLine:
    """One line; `about` are the tokens that it can be filtered by."""

    heads: tuple[str, ...]
    about: str
    mean: bool
    places: Markup
    """Its <td> elements."""


@dataclass(frozen=True)
class ShownColumn:
    """The head of one column."""

    name: str
    about: str
    kind: str
    """CSS classes."""


@dataclass(frozen=True)
class ShownTable:
    """One table, ready for the template."""

    id: str
    table: Table
    lead: str
    """The caption, or its first sentence if it is long."""
    rest: str
    """The other sentences, which are folded then."""
    group_head: str | None
    """What the first column is called when its names stand above the lines that they belong to."""
    heads: tuple[str, ...]
    columns: tuple[ShownColumn, ...]
    bodies: tuple[tuple[str | None, tuple[ShownLine, ...]], ...]
    """(name above the lines, or None; lines)."""


def lay_out(table: Table, chapter: str, facets: Facets, numbers: Mapping[CellKey, int]) -> ShownTable:
    """Arrange a table; names of its first column are written once, above their lines, where they repeat."""
    runs = [(name, list(lines)) for name, lines in groupby(table.lines, key=lambda line: line.heads[:1])]
    grouped = len(table.heads) > 1 and len(runs) < len(table.lines)
    kinds = _column_kinds(table.columns)
    first = True
    bodies = []
    for name, lines in runs if grouped else [(("",), list(table.lines))]:
        shown = []
        for line in lines:
            places = []
            for value, kind in zip(line.values, zip(table.columns, kinds, strict=True), strict=True):
                places.append(_place(value, *kind, numbers, first))
                first = first and 'data-c="' not in places[-1]
            about = printed(facets.of_line(line, table.heads))
            heads = line.heads[1:] if grouped else line.heads
            shown.append(ShownLine(heads, about, line.mean, Markup("").join(places)))
        bodies.append((name[0] if grouped else None, tuple(shown)))
    columns = [
        ShownColumn(column.name, printed(facets.of_column(table, index)), kind)
        for index, (column, kind) in enumerate(zip(table.columns, kinds, strict=True))
    ]
    return ShownTable(
        f"{chapter}-{table.name}",
        table,
        *_caption(table),
        table.heads[0] if grouped else None,
        table.heads[1:] if grouped else table.heads,
        tuple(columns),
        tuple(bodies),
    )


def _caption(table: Table) -> tuple[str, str]:
    text = " ".join((table.caption, *table.notes))
    lead, stop, rest = text.partition(". ")
    return (f"{lead}.", rest) if len(text) > _LONG and stop else (text, "")


def shade_class(shade: float | None) -> str:
    """The CSS class of a background: `u1`..`u10` for better, `n1`..`n10` for worse, '' for neither."""
    if shade is None:
        return ""
    steps = min(round(abs(shade) * _SHADES), _SHADES)
    return f"{'u' if shade > 0 else 'n'}{steps}" if steps else ""


def _place(
    value: Value | None, column: Column, kind: str, numbers: Mapping[CellKey, int], first: bool
) -> Markup:
    """One <td>; of a table's numbers only the `first` is reached by Tab, arrow keys lead to the others."""
    if value is None:
        return Markup("<td{}></td>").format(_classes(kind, "blank"))
    text = number(value, column)
    there = value.value is not None or column.unit == "text"
    names = _classes(
        kind,
        shade_class(value.shade),
        "own" if value.seen and value.value is not None else "",
        "" if there else "none",
    )
    place = numbers.get(value.cell) if value.cell is not None else None
    inside = Markup("{}").format(text)
    if place is not None:
        inside = Markup('<button data-c="{}"{}>{}</button>').format(
            place, "" if first else Markup(" tabindex=-1"), text
        )
    if value.seen and value.value is not None:
        inside += Markup("<i>trained on</i>")
    if more := spread(value, column):
        inside += Markup(" <small>{}</small>").format(more)
    if more := bounds(value, column):
        inside += Markup("<small class=b>{}</small>").format(more)
    return Markup("<td{}>{}</td>").format(names, inside)


def _column_kinds(columns: Sequence[Column]) -> list[str]:
    kinds = []
    for before, column in zip((None, *columns), columns, strict=False):
        edge = "edge" if column.mean and before is not None and not before.mean else ""
        kinds.append(" ".join(one for one in ("words" if column.unit == "text" else "", edge) if one))
    return kinds


def _classes(*names: str) -> Markup:
    there = " ".join(name for name in names if name)
    return Markup(' class="{}"').format(there) if there else Markup("")
