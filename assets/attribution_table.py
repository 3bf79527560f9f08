"""The table of attributors as files: long ("tidy") CSV and JSON for programs, Markdown for people."""

import csv
import io
from pathlib import Path
from typing import Any

from assets.attributed import DEFINITIONS, KINDS, Attributed, Row
from assets.attribution_markdown import attribution_markdown
from assets.bootstrap import interval
from assets.files import write_json, write_text
from assets.params import Params

Record = dict[str, Any]

COLUMNS: dict[str, str] = {
    "kind": "; ".join(f"`{name}`: {text}" for name, text in KINDS.items()),
    "detector": "the attributor's name in the parameters",
    "trained_on": "the set of generators that it knows",
    "tested_on": "the generator whose images are shown; empty for means",
    "condition": "`clean` or a degradation",
    "seed": "training seed; `mean`: mean over several",
    "num_seeds": "training seeds behind the row",
    "n": "images that got an answer; empty for means",
    "n_unreadable": "images without an answer; empty for means",
    "groups": "groups of the images that got an answer (what the bootstrap draws); empty for means",
    **{
        column: text
        for name, definition in DEFINITIONS.items()
        for column, text in (
            (name, definition),
            (f"{name}_low", f"lower end of the interval of {name}; empty: fewer than two groups"),
            (f"{name}_high", f"upper end of the interval of {name}"),
            (f"{name}_sd", f"standard deviation of {name} over training seeds; empty with one seed"),
        )
    },
    "lineage": "hash over what was asked for and every byte that came out",
    "recipe": "hash over what was asked for: commands, code, parameters, raw inputs",
}
"""Columns of the long table and what they hold; empty (JSON: null) is no data."""


def attribution_records(attributed: Attributed, level: float, lineage: str, recipe: str) -> list[Record]:
    """The long table: rows of every seed where there are several, rows over seeds; values of six digits."""
    single = attributed.per_seed if any(row.num_seeds > 1 for row in attributed.rows) else []
    return [
        {**_record(row, level), "lineage": lineage, "recipe": recipe} for row in [*single, *attributed.rows]
    ]


def write_attribution_tables(
    folder: Path, attributed: Attributed, params: Params, lineage: str, recipe: str
) -> None:
    """Write `attribution.{csv,json,md}`."""
    rows = attribution_records(attributed, params.report.level, lineage, recipe)
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(COLUMNS), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(folder / "attribution.csv", buffer.getvalue())
    document = {
        "table": "attribution",
        "lineage": lineage,
        "recipe": recipe,
        "interval": {
            "level": params.report.level,
            "resamples": params.report.resamples,
            "method": "percentile bootstrap over groups, within each generator",
        },
        "sets": {name: list(members) for name, members in params.train.sets.items()},
        "conditions": params.conditions,
        "columns": COLUMNS,
        "rows": rows,
        "confusion": [
            {
                "detector": confusion.detector,
                "trained_on": confusion.trained_on,
                "condition": confusion.condition,
                "answers": list(confusion.answers),
                "shares": {
                    name: [_rounded(value) for value in row] for name, row in confusion.shares.items()
                },
            }
            for confusion in attributed.confusions
        ],
    }
    write_json(folder / "attribution.json", document)
    write_text(folder / "attribution.md", attribution_markdown(attributed, params, lineage, recipe))


def _record(row: Row, level: float) -> Record:
    names = ("kind", "detector", "trained_on", "tested_on", "condition", "seed", "num_seeds")
    record: Record = {name: getattr(row, name) for name in (*names, "n", "n_unreadable", "groups")}
    for name in DEFINITIONS:
        estimate = row.metrics[name]
        low, high = interval(estimate.draws, level) or (None, None)
        record[name] = _rounded(estimate.value)
        record[f"{name}_low"], record[f"{name}_high"] = _rounded(low), _rounded(high)
        record[f"{name}_sd"] = _rounded(estimate.sd)
    return record


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
