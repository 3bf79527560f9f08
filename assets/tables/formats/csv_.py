"""A chapter as tidy CSV: a row for each value of each table."""

import csv
import io

from assets.report.results import Results
from assets.tables.formats.numbers import rounded
from assets.tables.table import Chapter

COLUMNS = {
    "table": "name of the table in the chapter",
    "line": "what names the line, joined by ' | '",
    "column": "name of the column",
    "unit": "how it is printed: share, percent, points, number, count, text; value is a share in all cases",
    "value": "the number; empty: no data, or see text",
    "low": "lower end of the interval; empty: there is none",
    "high": "upper end of the interval",
    "sd": "standard deviation over training seeds; empty with one seed",
    "text": "what stands in place of a number",
    "seen": "true or false: trained on what it is tested on; empty: not known, or a mean",
    "lineage": "hash over what was asked for and every byte that came out",
    "recipe": "hash over what was asked for: commands, code, parameters, raw inputs",
}
"""Columns and what they hold."""


def csv_(chapter: Chapter, results: Results) -> str:
    """The columns of `COLUMNS`; empty places of a table have no row."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for table in chapter.tables:
        for line in table.lines:
            for value, column in zip(line.values, table.columns, strict=True):
                if value is not None:
                    numbers = map(rounded, (value.value, value.low, value.high, value.sd))
                    seen = "" if value.seen is None else str(value.seen).lower()
                    about = (table.name, " | ".join(line.heads), column.name, column.unit)
                    hashes = (results.lineage, results.recipe)
                    writer.writerow([*about, *numbers, value.text or "", seen, *hashes])
    return buffer.getvalue()
