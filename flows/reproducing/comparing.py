"""What was made against what was recorded: which stage is first at fault, how far the numbers differ."""

import csv
import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from assets.dag import REPORT, Dag

CELLS = "cells.csv"
_CELL = ("kind", "detector", "trained_on", "tested_on", "condition", "seed")
_HASHES = {"evaluation", "lineage", "recipe"}
_Row = dict[str, str]


@dataclass(frozen=True)
class Difference:
    """Two values of one number."""

    cell: str
    metric: str
    recorded: str
    found: str
    difference: float
    """Absolute; infinite where one of the two is no number, or not there."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON, which knows no infinity."""
        finite = self.difference if math.isfinite(self.difference) else None
        return {**asdict(self), "difference": finite}

    def __str__(self) -> str:
        apart = f"{self.difference:.3g}" if math.isfinite(self.difference) else "not comparable"
        return f"{self.metric} of {self.cell}: {self.recorded} recorded, {self.found} here ({apart})"


def first_differing(
    dag: Dag, recorded: Mapping[str, Any], made: Mapping[str, Any], md5s: Mapping[str, str | None]
) -> tuple[list[str], list[str]]:
    """Stages whose outputs differ from the record, inputs first.

    Args:
        recorded: stages of the record's dvc.lock.
        made: stages of the dvc.lock in which they were made.
        md5s: what lies on the disk, output -> md5.

    Returns those that were given the recorded inputs, and those that were not and so follow from others.
    """
    known = {out["path"]: out["md5"] for entry in recorded.values() for out in entry.get("outs") or ()}
    differing = [name for name in dag.order if not _same_outputs(recorded.get(name), md5s)]
    at_fault = [
        name for name in differing if _same_inputs(dag, recorded.get(name), made.get(name), known, md5s)
    ]
    if at_fault[:1] not in ([], [REPORT]):
        at_fault = [name for name in at_fault if name != REPORT]  # its tables print the hash of all the rest
    return at_fault, [name for name in differing if name not in at_fault]


def largest_difference(recorded: str, found: str) -> Difference | None:
    """The largest difference between two cells.csv; None if all their numbers are equal.

    Hashes do not count: other bytes have others. A cell or a column that only one of them has, and a word
    or an empty field in place of a number, are larger than any difference.
    """
    largest = None
    for difference in _differences(_cells(recorded), _cells(found)):
        if largest is None or difference.difference > largest.difference:
            largest = difference
    return largest


def _same_outputs(entry: Any, md5s: Mapping[str, str | None]) -> bool:
    outs = entry.get("outs") or () if entry else ()
    return all(md5s.get(out["path"]) == out["md5"] for out in outs)


def _same_inputs(
    dag: Dag, was: Any, now: Any, recorded: Mapping[str, str], md5s: Mapping[str, str | None]
) -> bool:
    """Whether a stage was given what it was given then.

    A folder of several stages may hold what is no part of the benchmark any more: the outputs of stages in
    it count, and not its own md5.
    """
    if not was or not now:
        return False
    if was["cmd"] != now["cmd"] or (was.get("params") or {}) != (now.get("params") or {}):
        return False
    before, after = _deps(was), _deps(now)
    if set(before) != set(after):
        return False
    for path in before:
        outs = () if path in dag.out_of else dag.outs_behind(path)
        same = (
            all(md5s.get(out) == recorded.get(out) for out in outs) if outs else before[path] == after[path]
        )
        if not same:
            return False
    return True


def _deps(entry: Any) -> dict[str, str]:
    return {str(dep["path"]): str(dep["md5"]) for dep in entry.get("deps") or ()}


def _cells(text: str) -> dict[tuple[str, ...], _Row]:
    rows = list(csv.DictReader(io.StringIO(text)))
    found: dict[tuple[str, ...], _Row] = {}
    for row in rows:
        key = tuple(row.get(part) or "" for part in _CELL)
        while key in found:  # the second of the same name is compared with the second there
            key = (*key, "again")
        found[key] = {name: value or "" for name, value in row.items() if name not in {*_CELL, *_HASHES}}
    return found


def _differences(
    recorded: Mapping[tuple[str, ...], _Row], found: Mapping[tuple[str, ...], _Row]
) -> Iterator[Difference]:
    for key in dict.fromkeys([*recorded, *found]):
        cell = ", ".join(part for part in key if part) or "the only cell"
        if key not in recorded or key not in found:
            there = ("no such cell", "a cell") if key not in recorded else ("a cell", "no such cell")
            yield Difference(cell, "all", *there, math.inf)
            continue
        was, now = recorded[key], found[key]
        for metric in dict.fromkeys([*was, *now]):
            one, other = was.get(metric, "no such column"), now.get(metric, "no such column")
            if one != other:
                yield Difference(cell, metric, one or "no data", other or "no data", _apart(one, other))


def _apart(one: str, other: str) -> float:
    try:
        apart = abs(float(one) - float(other))
    except ValueError:
        return math.inf
    return math.inf if math.isnan(apart) else apart
