"""What differs between the numbers of two benchmarks: two `cells.csv`, cell by cell."""

import csv
import io
from typing import Any

NAMES = ("kind", "detector", "trained_on", "tested_on", "condition", "seed")
"""Columns that say which cell or mean a row is."""
COUNTS = ("n_real", "n_generated", "n_unreadable")
_Rows = dict[tuple[str, ...], dict[str, str]]


def cell_differences(a: str, b: str) -> dict[str, Any]:
    """Differences between two tables, ready for JSON; `old` is a's and `new` is b's.

    `rows`: how many rows a has, b has, and both have; `only_a`, `only_b`: how many rows, and which detectors,
    generators and so on, only one has; `metrics`: for each column in which a number differs, in how many
    rows, the largest difference and its row (`cell`), and in how many rows only one has data (`no_data`).
    """
    rows_a, columns_a = _read(a)
    rows_b, columns_b = _read(b)
    common = [key for key in rows_a if key in rows_b]
    metrics = [*COUNTS, *(name for name in columns_a if f"{name}_low" in columns_a)]
    compared = (_compared(name, rows_a, rows_b, common) for name in metrics if name in columns_b)
    return {
        "rows": [len(rows_a), len(rows_b), len(common)],
        "only_a": _only(rows_a, rows_b),
        "only_b": _only(rows_b, rows_a),
        "metrics": [found for found in compared if found["differ"] or found["no_data"]],
    }


def _read(text: str) -> tuple[_Rows, list[str]]:
    reader = csv.DictReader(io.StringIO(text))
    rows = {tuple(row.get(name) or "" for name in NAMES): row for row in reader}
    return rows, list(reader.fieldnames or ())


def _only(rows: _Rows, others: _Rows) -> dict[str, Any]:
    """Rows that `others` lacks, and the names in them that it has nowhere."""
    new = {
        name: sorted({key[place] for key in rows} - {key[place] for key in others})
        for place, name in enumerate(NAMES)
    }
    return {
        "rows": sum(key not in others for key in rows),
        **{name: values for name, values in new.items() if values},
    }


def _compared(name: str, rows_a: _Rows, rows_b: _Rows, common: list[tuple[str, ...]]) -> dict[str, Any]:
    differ, no_data = 0, 0
    largest: dict[str, Any] = {}
    for key in common:
        old, new = rows_a[key].get(name) or "", rows_b[key].get(name) or ""
        if old == new:
            continue
        if not old or not new:
            no_data += 1
            continue
        by = abs(float(new) - float(old))
        differ += by > 0
        if by > largest.get("largest", 0.0):
            cell = {column: value for column, value in zip(NAMES, key, strict=True) if value}
            largest = {"largest": round(by, 9), "old": float(old), "new": float(new), "cell": cell}
    return {"metric": name, "differ": differ, "no_data": no_data, **largest}
