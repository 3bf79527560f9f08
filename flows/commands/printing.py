"""Tables, records and JSON on a terminal."""

import json
from collections.abc import Iterator
from typing import Any


def print_records(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json(rows)
        return
    heading = list(rows[0])
    print_table(heading, [["" if row[key] is None else str(row[key]) for key in heading] for row in rows])


def print_table(heading: list[str], rows: list[list[str]]) -> None:
    """Columns side by side; the last is not padded."""
    for line in table_lines(heading, rows):
        print(line)


def table_lines(heading: list[str], rows: list[list[str]]) -> Iterator[str]:
    """The lines of `print_table`."""
    widths = [max(len(row[column]) for row in [heading, *rows]) for column in range(len(heading))]
    for row in [heading, *rows]:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, default=str))
