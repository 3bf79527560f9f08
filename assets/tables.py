"""The tables as files: long ("tidy") CSV and JSON for programs, Markdown for people."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from assets.bootstrap import interval
from assets.cells import Cell
from assets.files import write_json, write_text
from assets.grids import REALS
from assets.markdown import cross_generator_markdown, degraded_markdown
from assets.means import MEANS
from assets.metrics import DEFINITIONS, METRICS
from assets.params import CLEAN, Params
from assets.tabulate import Tabulated

Record = dict[str, Any]

_DIGITS = 6  # of a share; a billion images would not support more

COLUMNS: dict[str, str] = {
    "kind": "`cell`: one pair of generators; else which mean of cells: " + "; ".join(MEANS),
    "detector": "its name in the parameters",
    "trained_on": "generator trained on; empty: mean over all training generators",
    "tested_on": "generator tested on (with the real test images); empty: mean over all test sets",
    "condition": "`clean` or a degradation; empty: mean over the degradations, clean left out",
    "seed": "training seed; `mean`: mean over several",
    "num_seeds": "training seeds behind the row",
    "num_cells": "cells with data behind the row, for one seed",
    "n_real": "real images scored; empty for means",
    "n_generated": "generated images scored; empty for means",
    "n_unreadable": "images of either class without a score; empty for means",
    "groups": "groups of scored images (what the bootstrap draws), real and generated; empty for means",
    **{
        column: text
        for name, definition in DEFINITIONS.items()
        for column, text in (
            (name, definition),
            (f"{name}_low", f"lower end of the interval of {name}; empty: fewer than two groups in a class"),
            (f"{name}_high", f"upper end of the interval of {name}"),
            (f"{name}_sd", f"standard deviation of {name} over training seeds; empty with one seed"),
        )
    },
    "lineage": "hash over what was asked for and every byte that came out",
    "recipe": "hash over what was asked for: commands, code, parameters, raw inputs",
}
"""Columns of the long tables and what they hold; shares in [0, 1]; empty (JSON: null) is no data."""


def records(tabulated: Tabulated, level: float, lineage: str, recipe: str) -> list[Record]:
    """The long table: cells of every seed, cells over seeds, means; values rounded to six digits."""
    single = tabulated.per_seed if any(cell.num_seeds > 1 for cell in tabulated.cells) else []
    return [
        {**_record(cell, level), "lineage": lineage, "recipe": recipe}
        for cell in [*single, *tabulated.cells, *tabulated.means]
    ]


def write_tables(folder: Path, tabulated: Tabulated, params: Params, lineage: str, recipe: str) -> None:
    """Write `cross_generator.{csv,json,md}` (clean images) and `degraded.{csv,json,md}` (all conditions)."""
    rows = records(tabulated, params.report.level, lineage, recipe)
    clean = [row for row in rows if row["condition"] == CLEAN]
    for name, chosen in (("cross_generator", clean), ("degraded", rows)):
        write_text(folder / f"{name}.csv", as_csv(chosen))
        write_json(folder / f"{name}.json", _document(name, chosen, params, lineage, recipe))
    cross = cross_generator_markdown(tabulated, params, lineage, recipe)
    write_text(folder / "cross_generator.md", cross)
    write_text(folder / "degraded.md", degraded_markdown(tabulated, params, lineage, recipe))


def as_csv(rows: Sequence[Record]) -> str:
    """CSV with the columns of `COLUMNS`; no data is an empty field."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(COLUMNS), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def _record(cell: Cell, level: float) -> Record:
    tally = cell.tally
    record: Record = {
        "kind": cell.kind,
        "detector": cell.detector,
        "trained_on": cell.trained_on,
        "tested_on": cell.tested_on,
        "condition": cell.condition,
        "seed": cell.seed,
        "num_seeds": cell.num_seeds,
        "num_cells": cell.num_cells,
        "n_real": tally and tally.n_real,
        "n_generated": tally and tally.n_generated,
        "n_unreadable": tally and tally.n_unreadable,
        "groups": tally and tally.groups,
    }
    for name in METRICS:
        estimate = cell.metrics[name]
        low, high = interval(estimate.draws, level) or (None, None)
        record[name] = _rounded(estimate.value)
        record[f"{name}_low"], record[f"{name}_high"] = _rounded(low), _rounded(high)
        record[f"{name}_sd"] = _rounded(estimate.sd)
    return record


def _document(name: str, rows: Sequence[Record], params: Params, lineage: str, recipe: str) -> Record:
    return {
        "table": name,
        "lineage": lineage,
        "recipe": recipe,
        "interval": {
            "level": params.report.level,
            "resamples": params.report.resamples,
            "method": "percentile bootstrap over groups, within each class",
        },
        **({"reals": REALS[params.split.reals]} if params.split.reals in REALS else {}),
        "conditions": params.conditions,
        "means": MEANS,
        "columns": COLUMNS,
        "rows": list(rows),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)
