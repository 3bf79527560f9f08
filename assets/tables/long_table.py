"""The long ("tidy") table: every cell and every mean with all metrics, for programs."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from assets.files import write_text
from assets.params import ELSEWHERE
from assets.predictions import given_source
from assets.report.results import Results
from assets.statistics.bootstrap import interval
from assets.statistics.cells import CELL, POOLED, Cell
from assets.statistics.means import MEANS
from assets.statistics.metrics import DEFINITIONS, METRICS
from assets.tables.cell_table import about_reals
from assets.tables.formats.json_ import about_interval
from assets.tables.formats.numbers import rounded

Record = dict[str, Any]
SCHEMA = "urn:assay:cells:1"

COLUMNS: dict[str, str] = {
    "kind": "; ".join(
        f"`{kind}`: {text}" for kind, text in {CELL: "one pair of generators", **POOLED, **MEANS}.items()
    ),
    "detector": "its name in the parameters",
    "trained_on": "generator, set or sample trained on; empty: mean over all training generators",
    "tested_on": "generator tested on (with the real test images), group of generators, content, or seen or "
    "unseen classes; empty: mean over all test sets",
    "condition": "`clean` or the name of a condition; empty: mean over all but clean and the twins",
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
    "evaluation": "hash of the stage that scored the generated images of a cell: what was asked for and "
    "every byte that came out; empty for what is made of several",
    "lineage": "hash over what was asked for and every byte that came out",
    "recipe": "hash over what was asked for: commands, code, parameters, raw inputs",
}
"""Columns and what they hold; empty (JSON: null) is no data."""


def write_long_table(folder: Path, results: Results) -> None:
    """Write `cells.csv` and `cells.json`."""
    rows = records(results)
    write_text(folder / "cells.csv", as_csv(rows))
    write_text(folder / "cells.json", as_json(rows, results))


def records(results: Results) -> list[Record]:
    """Cells of every seed, then cells, pooled cells and means over seeds; values of six digits."""
    tabulated = results.tabulated
    single = tabulated.per_seed if any(cell.num_seeds > 1 for cell in tabulated.cells) else []
    return [_record(cell, results) for cell in [*single, *tabulated.rows]]


def as_csv(rows: Sequence[Record]) -> str:
    """CSV with the columns of `COLUMNS`; no data is an empty field."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(COLUMNS), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


def as_json(rows: Sequence[Record], results: Results) -> str:
    """A JSON document that says what its columns are; each row on a line of its own."""
    params = results.params
    document = {
        "schema": SCHEMA,
        "lineage": results.lineage,
        "recipe": results.recipe,
        "interval": about_interval(params),
        "reals": about_reals(params),
        "conditions": params.conditions,
        "means": MEANS,
        "columns": COLUMNS,
        "rows": [],
    }
    lines = (json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows)
    head = json.dumps(document, indent=2, ensure_ascii=False).removesuffix("[]\n}")
    return f"{head}[\n    " + ",\n    ".join(lines) + "\n  ]\n}\n"


def _record(cell: Cell, results: Results) -> Record:
    tally, level = cell.tally, results.params.report.level
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
        record[name] = rounded(estimate.value)
        record[f"{name}_low"], record[f"{name}_high"] = rounded(low), rounded(high)
        record[f"{name}_sd"] = rounded(estimate.sd)
    hashes = {"lineage": results.lineage, "recipe": results.recipe}
    return {**record, "evaluation": _evaluation(cell, results), **hashes}


def _evaluation(cell: Cell, results: Results) -> str | None:
    if cell.kind != CELL:
        return None
    source = given_source(cell.detector) if cell.trained_on == ELSEWHERE else cell.trained_on
    return results.evaluations.get((source, cell.tested_on))
