"""What differs between two lineages, from what was asked for down to the bytes; see also differing_cells.

Both sides are trees as `assets.lineage.Lineage.tree` gives them, so no data is needed: parameters, commands,
code, raw inputs, stages that only one side has, and where bytes part though the same was asked for.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from assets.differing_cells import cell_differences

CODE = ("assets", "flows", "models", "tasks", "presets")
"""Folders of code; a file at the top (constraints.txt) counts as code, too."""
_ABSENT = object()
_Row = dict[str, Any]


@dataclass(frozen=True)
class Side:
    """One of two things that are compared."""

    name: str
    """What the user called it."""
    rows: list[_Row]
    """It and all upstream of it, itself last."""
    cells: str | None = None
    """cells.csv, where it is a benchmark whose tables are at hand."""
    environment: dict[str, Any] | None = None
    """What it was computed with, where that was recorded."""

    @property
    def last(self) -> _Row:
        """The thing itself."""
        return self.rows[-1]


def differences(a: Side, b: Side) -> dict[str, Any]:
    """Everything that differs, ready for JSON; `old` is a's and `new` is b's, left out where there is none.

    `a` and `b`: name, stage and hashes; `same`: `lineage` (to the byte), `recipe` (asked for the same) or
    None; `parameters`, `commands`, `code`, `inputs`: lists with the stages that see the difference;
    `only_a`, `only_b`: names of stages; `stages`: of those that both have, how many are the same to the byte,
    were asked for otherwise (`same_outputs` of them with the same bytes all the same), or gave other bytes;
    `bytes`: the stages at which bytes part first, and whether the same was asked of them; `cells` and
    `environment`: None where a side has none.
    """
    pairs, only_a, only_b = _paired(a, b)
    files = list(_files(pairs))
    return {
        "a": _about(a),
        "b": _about(b),
        "same": next((kind for kind in ("lineage", "recipe") if a.last[kind] == b.last[kind]), None),
        "parameters": _grouped(_parameters(pairs)),
        "commands": [
            {"stage": name, "old": one["cmd"], "new": other["cmd"]}
            for name, (one, other) in pairs.items()
            if one["cmd"] != other["cmd"]
        ],
        "code": _grouped(file for file in files if is_code(file["path"])),
        "inputs": _grouped(file for file in files if not is_code(file["path"])),
        "only_a": only_a,
        "only_b": only_b,
        "stages": _counted(pairs),
        "bytes": list(_partings(pairs)),
        "cells": None if a.cells is None or b.cells is None else cell_differences(a.cells, b.cells),
        "environment": None
        if a.environment is None or b.environment is None
        else list(_values(a.environment, b.environment, "")),
    }


def is_code(path: str) -> bool:
    """Whether an input that no stage makes is code, and not raw data."""
    top, _, below = path.partition("/")
    return not below or top in CODE


def _about(side: Side) -> dict[str, str]:
    return {"name": side.name, **{key: side.last[key] for key in ("stage", "lineage", "recipe")}}


def _paired(a: Side, b: Side) -> tuple[dict[str, tuple[_Row, _Row]], list[str], list[str]]:
    """Stages of the same name; two stages that are compared are a pair though they have other names."""
    rows_a = {row["stage"]: row for row in a.rows}
    rows_b = {row["stage"]: row for row in b.rows}
    one, other = a.last["stage"], b.last["stage"]
    if one not in rows_b and other not in rows_a:
        both = f"{one} / {other}"
        rows_a[both], rows_b[both] = rows_a.pop(one), rows_b.pop(other)
    return (
        {stage: (row, rows_b[stage]) for stage, row in rows_a.items() if stage in rows_b},
        [stage for stage in rows_a if stage not in rows_b],
        [stage for stage in rows_b if stage not in rows_a],
    )


def _parameters(pairs: dict[str, tuple[_Row, _Row]]) -> Iterator[_Row]:
    for name, (one, other) in pairs.items():
        for file in sorted({*one["params"], *other["params"]}):
            for found in _values(one["params"].get(file, {}), other["params"].get(file, {}), ""):
                yield {"file": file, **found, "stage": name}


def _values(old: Any, new: Any, key: str) -> Iterator[_Row]:
    """Values that differ below a dotted key; a section that one side lacks is one difference."""
    if isinstance(old, dict) and isinstance(new, dict):
        for part in dict.fromkeys((*old, *new)):
            below = f"{key}.{part}" if key else str(part)
            yield from _values(old.get(part, _ABSENT), new.get(part, _ABSENT), below)
    elif old is _ABSENT or new is _ABSENT or old != new or isinstance(old, bool) != isinstance(new, bool):
        sides = (("old", old), ("new", new))
        yield {"key": key, **{side: value for side, value in sides if value is not _ABSENT}}


def _files(pairs: dict[str, tuple[_Row, _Row]]) -> Iterator[_Row]:
    """Files that no stage makes and that differ, or that one side does not read."""
    for name, (one, other) in pairs.items():
        for path in sorted({*one["inputs"], *other["inputs"]}):
            sides = {"old": one["inputs"].get(path), "new": other["inputs"].get(path)}
            if sides["old"] != sides["new"]:
                yield {"path": path, **{side: md5 for side, md5 in sides.items() if md5}, "stage": name}


def _grouped(found: Iterable[_Row]) -> list[_Row]:
    """The same difference once, with `stages`: all that see it."""
    groups: dict[str, _Row] = {}
    for one in found:
        rest = {key: value for key, value in one.items() if key != "stage"}
        groups.setdefault(repr(rest), {**rest, "stages": []})["stages"].append(one["stage"])
    return list(groups.values())


def _counted(pairs: dict[str, tuple[_Row, _Row]]) -> dict[str, int]:
    counts = dict.fromkeys(("same", "other_recipe", "other_bytes", "same_outputs"), 0)
    for one, other in pairs.values():
        alike = [kind for kind in ("lineage", "recipe") if one[kind] == other[kind]]
        counts["same" if "lineage" in alike else "other_bytes" if alike else "other_recipe"] += 1
        counts["same_outputs"] += not alike and bool(one["outputs"]) and one["outputs"] == other["outputs"]
    return counts


def _partings(pairs: dict[str, tuple[_Row, _Row]]) -> Iterator[_Row]:
    """Stages that read the same from other stages and wrote something else; not what follows from them."""
    same = {one["stage"] for one, other in pairs.values() if one["outputs"] == other["outputs"]}
    for name, (one, other) in pairs.items():
        if one["outputs"] != other["outputs"] and same.issuperset((*one["reads"], *other["reads"])):
            paths = dict.fromkeys((*one["outputs"], *other["outputs"]))
            outputs = [
                {"path": path, "old": one["outputs"].get(path), "new": other["outputs"].get(path)}
                for path in paths
                if one["outputs"].get(path) != other["outputs"].get(path)
            ]
            yield {"stage": name, "same_recipe": one["recipe"] == other["recipe"], "outputs": outputs}
