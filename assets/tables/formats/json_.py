"""A chapter as JSON, as `assets/tables/schema.json` describes it."""

import json
from typing import Any

from assets.params import Params
from assets.report.results import Results
from assets.tables.formats.numbers import rounded
from assets.tables.table import Chapter, Table, Value

SCHEMA = "urn:assay:chapter:1"
_KEY = ("kind", "detector", "trained_on", "tested_on", "condition")
_WIDTH = 320  # a value with all that is known about it


def json_(chapter: Chapter, results: Results) -> str:
    """The whole chapter; numbers of six digits, whatever is printed."""
    return pretty(
        {
            "schema": SCHEMA,
            "chapter": chapter.name,
            "title": chapter.title,
            "lineage": results.lineage,
            "recipe": results.recipe,
            "interval": about_interval(results.params),
            "intro": list(chapter.intro),
            "tables": [_table(table) for table in chapter.tables],
        }
    )


def about_interval(params: Params) -> dict[str, Any]:
    """What `low` and `high` are the ends of."""
    return {
        "level": params.report.level,
        "resamples": params.report.resamples,
        "method": "percentile bootstrap over groups, within each class",
    }


def pretty(node: Any) -> str:
    """JSON text, a value a line: what fits on a line stays on it; ends with a newline."""
    return f"{_pretty(node, '')}\n"


def _pretty(node: Any, indent: str) -> str:
    flat = json.dumps(node, ensure_ascii=False, allow_nan=False)
    if not isinstance(node, dict | list) or len(indent) + len(flat) <= _WIDTH:
        return flat
    inner = f"{indent}  "
    if isinstance(node, dict):
        parts = [f"{json.dumps(key)}: {_pretty(value, inner)}" for key, value in node.items()]
        opened, closed = "{}"
    else:
        parts = [_pretty(value, inner) for value in node]
        opened, closed = "[]"
    return f"{opened}\n{inner}" + f",\n{inner}".join(parts) + f"\n{indent}{closed}"


def _table(table: Table) -> dict[str, Any]:
    return {
        "name": table.name,
        "title": table.title,
        "caption": table.caption,
        "notes": list(table.notes),
        "folded": table.folded,
        "heads": list(table.heads),
        "columns": [
            {"name": column.name, "unit": column.unit, "places": column.places, "mean": column.mean}
            for column in table.columns
        ],
        "lines": [
            {"heads": list(line.heads), "mean": line.mean, "values": [_value(value) for value in line.values]}
            for line in table.lines
        ],
    }


def _value(value: Value | None) -> dict[str, Any] | None:
    """`value` always, null for no data; the rest where it is known."""
    if value is None:
        return None
    rest = {
        "low": rounded(value.low),
        "high": rounded(value.high),
        "sd": rounded(value.sd),
        "text": value.text,
        "seen": value.seen,
        "cell": None if value.cell is None else dict(zip(_KEY, value.cell, strict=True)),
    }
    known = {name: item for name, item in rest.items() if item is not None}
    return {"value": rounded(value.value), **known}
