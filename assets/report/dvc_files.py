"""What `dvc metrics` and `dvc plots` read: headline numbers, and tables that can be drawn side by side."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assets.files import write_json, write_text
from assets.params import CLEAN
from assets.report.results import Results
from assets.statistics.cells import ALL, CELL, Cell
from assets.statistics.means import CROSS_GENERATOR, IN_DOMAIN

METRICS = "metrics.json"
PLOTS = ("plots/cross_generator.csv", "plots/conditions.csv")

_SHOWN = ("auroc", "accuracy", "balanced_accuracy", "ece")
_DIGITS = 4


def write_dvc_files(folder: Path, results: Results) -> None:
    """Write metrics.json and the tables of `PLOTS`; places without data are left out."""
    write_json(folder / METRICS, headline_metrics(results))
    cells: dict[str, Cell | None] = {
        f"{cell.detector}: {cell.trained_on} > {cell.tested_on}": cell
        for cell in results.tabulated.cells
        if cell.kind == CELL and cell.condition == CLEAN
    }
    conditions: dict[str, Cell | None] = {
        f"{detector}: {condition}": _mean(results, CROSS_GENERATOR, detector, condition)
        for detector in results.params.scorers
        for condition in results.params.conditions
    }
    for name, label, found in zip(
        PLOTS, ("cell", "detector and condition"), (cells, conditions), strict=True
    ):
        write_text(folder / name, _csv(label, found))


def headline_metrics(results: Results) -> dict[str, Any]:
    """Detector -> mean -> `clean` and `degraded` -> metric, and how many images there are of each item."""
    return {
        "detectors": {
            detector: {
                kind: {
                    state: _numbers(_mean(results, kind, detector, condition))
                    for state, condition in (("clean", CLEAN), ("degraded", ALL))
                }
                for kind in (IN_DOMAIN, CROSS_GENERATOR)
            }
            for detector in results.params.scorers
        },
        "images": {holding.item: holding.kept for holding in results.holdings},
    }


def _mean(results: Results, kind: str, detector: str, condition: str) -> Cell | None:
    return results.tabulated.find(kind, detector, ALL, ALL, condition)


def _numbers(cell: Cell | None) -> dict[str, float]:
    if cell is None:
        return {}
    values = {name: cell.metrics[name].value for name in _SHOWN}
    return {name: round(value, _DIGITS) for name, value in values.items() if value is not None}


def _csv(label: str, found: Mapping[str, Cell | None]) -> str:
    rows = [(name, numbers) for name, cell in found.items() if (numbers := _numbers(cell))]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([label, *_SHOWN])
    writer.writerows(
        [[name, *(numbers.get(metric, "") for metric in _SHOWN)] for name, numbers in rows if numbers]
    )
    return buffer.getvalue()
