"""The long table inside the page: what the panel behind a number and the sortable table are made from.

Column by column and in whole numbers (a share of 0.8731 is 8731), which halves it.
"""

import json
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from assets.page.facets import Facets, printed
from assets.params import ELSEWHERE, REAL, Params
from assets.predictions import given_source
from assets.report.results import Results
from assets.statistics.bootstrap import interval
from assets.statistics.cells import CELL, POOLED, Cell
from assets.statistics.means import MEANS
from assets.statistics.metrics import DEFINITIONS, GUESSING, LOWER_IS_BETTER, METRICS, PERCENT, TITLES
from assets.tables.cell_table import TOO_FEW_REALS
from assets.tables.table import CellKey

_SCALE = 10_000
_KINDS = {
    CELL: "one training, tested on the images of one generator and on real ones",
    **POOLED,
    **MEANS,
}
_SEEN = {None: None, False: 0, True: 1}


def numbered(results: Results) -> dict[CellKey, int]:
    """Every row over seeds -> its place in the embedded table."""
    return {cell.key: index for index, cell in enumerate(results.tabulated.rows)}


def embedded(results: Results, facets: Facets) -> dict[str, Any]:
    """The document that page.js reads."""
    rows = results.tabulated.rows
    level = results.params.report.level
    names = list(dict.fromkeys(name for cell in rows for name in cell.key))
    place = {name: index for index, name in enumerate(names)}
    tokens = list(dict.fromkeys(printed(facets.of_cell(cell.key)) for cell in rows))
    at = {text: index for index, text in enumerate(tokens)}
    return {
        "lineage": results.lineage,
        "level": level,
        "scale": _SCALE,
        "metrics": [
            {
                "name": name,
                "title": TITLES[name],
                "definition": DEFINITIONS[name],
                "percent": name in PERCENT,
                "lower": name in LOWER_IS_BETTER,
                "guessing": GUESSING.get(name),
            }
            for name in METRICS
        ],
        "kinds": {kind: text for kind, text in _KINDS.items() if kind in place},
        "conditions": results.params.conditions,
        "names": names,
        "tokens": tokens,
        "columns": {
            **{
                column: [place[cell.key[index]] for cell in rows]
                for index, column in enumerate(("kind", "detector", "trained_on", "tested_on", "condition"))
            },
            "about": [at[printed(facets.of_cell(cell.key))] for cell in rows],
            "seen": [_SEEN[cell.seen] for cell in rows],
            "num_cells": [cell.num_cells for cell in rows],
            "num_seeds": [cell.num_seeds for cell in rows],
            **{
                name: [getattr(cell.tally, name) if cell.tally else None for cell in rows]
                for name in ("n_real", "n_generated", "n_unreadable", "groups")
            },
        },
        "values": {name: _values(rows, name, level) for name in METRICS},
        "stages": _stages(results),
        "real": REAL,
        "groups": {name: list(members) for name, members in results.params.report.groups.items()},
        "refused": TOO_FEW_REALS,
    }


def as_script(document: Mapping[str, Any]) -> Markup:
    """JSON that can stand in a <script>: nothing in it ends the element or a line, and all of it is ASCII."""
    text = json.dumps(document, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def stage_of(params: Params, trained_on: str, tested_on: str) -> str:
    """Name of the stage that scored these images, as `dvc` and `assay lineage` print it."""
    real = "-real" if tested_on == REAL else ""
    where = "" if tested_on == REAL else f"-{tested_on}"
    for name in params.given:
        if trained_on == given_source(name):
            return f"evaluate-given{real}@{name}{where}"
    kind = (
        "-set" if trained_on in params.train.sets else "-sample" if trained_on in params.train.samples else ""
    )
    return f"evaluate{kind}{real}@{trained_on}{where}"


def _values(rows: list[Cell], metric: str, level: float) -> dict[str, list[int | None]]:
    estimates = [cell.metrics[metric] for cell in rows]
    bounds = [interval(one.draws, level) or (None, None) for one in estimates]
    columns = {
        "value": [_whole(one.value) for one in estimates],
        "low": [_whole(low) for low, _ in bounds],
        "high": [_whole(high) for _, high in bounds],
        "sd": [_whole(one.sd) for one in estimates],
    }
    return {name: column for name, column in columns.items() if any(one is not None for one in column)}


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value * _SCALE)


def _stages(results: Results) -> list[list[str]]:
    """[detector, '' for all; trained on; tested on; stage; its lineage hash]."""
    given = {given_source(name): (name, ELSEWHERE) for name in results.params.given}
    return [
        [*given.get(source, ("", source)), tested_on, stage_of(results.params, source, tested_on), lineage]
        for (source, tested_on), lineage in sorted(results.evaluations.items())
    ]
