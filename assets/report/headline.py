"""The few numbers that a reader wants first."""

from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any

from assets.audit.shortcuts import SHOWN
from assets.params import CLEAN, Params
from assets.report.results import Results
from assets.statistics.bootstrap import interval
from assets.statistics.cells import ALL, CELL, Cell, Estimate
from assets.statistics.means import CROSS_GENERATOR, IN_DOMAIN, MEANS, PLAIN_MEAN
from assets.tables.cell_table import difference

Number = dict[str, float | None]
"""{value, low, high}; null where there is no data, or no interval."""

_METRICS = ("auroc", "accuracy", "balanced_accuracy", "ap", "accuracy_real", "accuracy_generated", "ece")
_RANKS = 0.7
"""AUROC from which scores are said to rank images usefully."""
_BELOW_REACH = 0.1
"""How far the share called rightly at 0.5 may lie below what the AUROC promises."""


def headline(results: Results) -> dict[str, Any]:
    """Headline numbers, ready for JSON; a number is {value, low, high}, null where there is no data.

    `detectors`: every mean of `assets.statistics.means.MEANS`, clean and over the degradations. `ranking`: by
    mean cross-generator AUROC. `worst_generators`: of each detector, the test generator on which trainings on
    others do worst on average. `trust`: per test generator, the detector with the highest AUROC among those
    that were not trained on it and among those that were. `worst_generator_drop`: the pair whose AUROC lies
    furthest below the same detector's on the generator it was trained on. `worst_condition_drop`: the
    detector and condition with the largest fall of the in-domain AUROC (of the plain mean, where nothing is
    in-domain) from clean; `by` is the fall. `thresholds`: detectors that rank images better than P = 0.5
    divides them. `leaks_left_out`: test images that count for no detector, by image set. `missing`: cells
    without data. `set_aside`: generators that could not be made, and why. `audit`: verdicts;
    `audit_together`: of all generators at once; `alarms`: what gave the class away.
    """
    params, tabulated = results.params, results.tabulated
    level = params.report.level
    found = {cell.key: cell for cell in tabulated.means}
    return {
        "detectors": {
            detector: {
                kind: {
                    "clean": _numbers(found.get((kind, detector, ALL, ALL, CLEAN)), level),
                    "degraded": _numbers(found.get((kind, detector, ALL, ALL, ALL)), level),
                }
                for kind in MEANS
            }
            for detector in params.scorers
        },
        "ranking": _ranking(found, params),
        "worst_generators": {
            detector: _worst_generator(detector, found, params) for detector in params.scorers
        },
        "trust": [_trust(name, tabulated.cells, level) for name in params.generators],
        "worst_generator_drop": _worst_generator_drop(tabulated.cells, level),
        "worst_condition_drop": _worst_condition_drop(found, params),
        "thresholds": [
            bad for detector in params.scorers if (bad := _threshold(detector, found, level)) is not None
        ],
        "audit": {name: results.audits[name]["verdict"] for name in params.generators},
        "audit_together": results.whole.get("verdict"),
        "alarms": {name: _alarms(results.audits[name]) for name in params.generators},
        "leaks_left_out": dict(tabulated.left_out),
        "missing": _missing(tabulated.cells, params),
        "set_aside": {name: aside.why for name, aside in params.report.set_aside.items()},
    }


def _ranking(found: Mapping[Any, Cell], params: Params) -> dict[str, Any] | None:
    """Detectors by mean cross-generator AUROC, and the lead of the first over the second."""
    means = {
        detector: cell
        for detector in params.scorers
        if (cell := found.get((CROSS_GENERATOR, detector, ALL, ALL, CLEAN))) is not None and cell.num_cells
    }
    order = sorted(means, key=lambda name: (-(means[name].metrics["auroc"].value or 0), name))
    if not order:
        return None
    lead = None
    if len(order) > 1:
        lead = _number(difference(*(means[name].metrics["auroc"] for name in order[:2])), params.report.level)
    return {"detectors": order, "num_cells": means[order[0]].num_cells, "lead": lead}


def _worst_generator(detector: str, found: Mapping[Any, Cell], params: Params) -> dict[str, Any] | None:
    means = [
        cell
        for name in params.generators
        if (cell := found.get((CROSS_GENERATOR, detector, ALL, name, CLEAN))) is not None
        and _auroc(cell) is not None
    ]
    if len(means) < 2:
        return None
    worst = min(means, key=lambda cell: _auroc(cell) or 0)
    return {
        "tested_on": worst.tested_on,
        "num_cells": worst.num_cells,
        "auroc": _number(worst.metrics["auroc"], params.report.level),
    }


def _trust(tested_on: str, cells: Sequence[Cell], level: float) -> dict[str, Any]:
    here = [
        cell
        for cell in cells
        if (cell.kind, cell.tested_on, cell.condition) == (CELL, tested_on, CLEAN)
        and _auroc(cell) is not None
    ]
    return {
        "tested_on": tested_on,
        CROSS_GENERATOR: _best([cell for cell in here if cell.seen is False], level),
        IN_DOMAIN: _best([cell for cell in here if cell.seen], level),
    }


def _best(cells: Sequence[Cell], level: float) -> dict[str, Any] | None:
    if not cells:
        return None
    best = max(cells, key=lambda cell: _auroc(cell) or 0)
    names = {"detector": best.detector, "trained_on": best.trained_on, "candidates": len(cells)}
    return {**names, **(_numbers(best, level) or {})}


def _worst_generator_drop(cells: Sequence[Cell], level: float) -> dict[str, Any] | None:
    clean = [
        cell for cell in cells if cell.kind == CELL and cell.condition == CLEAN and _auroc(cell) is not None
    ]
    own = {(cell.detector, cell.trained_on): cell for cell in clean if cell.trained_on == cell.tested_on}
    pairs = [(own.get((cell.detector, cell.trained_on)), cell) for cell in clean]
    return _largest([(one, other) for one, other in pairs if one is not None and one is not other], level)


def _worst_condition_drop(found: Mapping[Any, Cell], params: Params) -> dict[str, Any] | None:
    pairs = []
    for detector in params.scorers:
        for condition in params.degradations:
            for kind in (IN_DOMAIN, PLAIN_MEAN):
                clean = found.get((kind, detector, ALL, ALL, CLEAN))
                other = found.get((kind, detector, ALL, ALL, condition))
                if clean and other and None not in (_auroc(clean), _auroc(other)):
                    pairs.append((clean, other))
                    break
    return _largest(pairs, params.report.level)


def _largest(pairs: Sequence[tuple[Cell, Cell]], level: float) -> dict[str, Any] | None:
    """The pair with the largest fall of AUROC from the first to the second cell."""
    if not pairs:
        return None
    before, after = max(pairs, key=lambda pair: (_auroc(pair[0]) or 0) - (_auroc(pair[1]) or 0))
    return {
        "kind": after.kind,
        "detector": after.detector,
        "trained_on": after.trained_on,
        "tested_on": after.tested_on,
        "condition": after.condition,
        "from": _number(before.metrics["auroc"], level),
        "to": _number(after.metrics["auroc"], level),
        "by": _number(difference(before.metrics["auroc"], after.metrics["auroc"]), level),
    }


def _threshold(detector: str, found: Mapping[Any, Cell], level: float) -> dict[str, Any] | None:
    """A detector that ranks images well and divides them badly, on generators that it has not seen.

    What an AUROC promises: were the scores of both classes normal with one variance, the best threshold
    would call a share of Phi(Phi^-1(AUROC) / sqrt 2) of each class rightly.
    """
    for kind in (CROSS_GENERATOR, PLAIN_MEAN):
        cell = found.get((kind, detector, ALL, ALL, CLEAN))
        if cell is None or (value := _auroc(cell)) is None:
            continue
        real, generated = (cell.metrics[f"accuracy_{name}"].value for name in ("real", "generated"))
        if real is None or generated is None or value < _RANKS:
            return None
        normal = NormalDist()
        within_reach = normal.cdf(normal.inv_cdf(min(value, 1 - 1e-9)) / 2**0.5)
        if within_reach - (real + generated) / 2 <= _BELOW_REACH:
            return None
        return {"detector": detector, "kind": kind, **(_numbers(cell, level) or {})}
    return None


def _alarms(audit: Mapping[str, Any]) -> list[str]:
    """The feature sets that give the class away by themselves, those about what is shown left out."""
    features = audit.get("features", {})
    return [name for name, found in features.items() if name not in ("all", *SHOWN) and found["alarm"]]


def _missing(cells: Sequence[Cell], params: Params) -> dict[str, Any]:
    """Cells without data, and the detectors that have none with data."""
    own = [cell for cell in cells if cell.kind == CELL]
    alive = {cell.detector for cell in own if cell.num_cells}
    return {
        "detectors": [name for name in params.scorers if name not in alive],
        "cells": sum(not cell.num_cells for cell in own),
        "of": len(own),
    }


def _numbers(cell: Cell | None, level: float) -> dict[str, Any] | None:
    if cell is None or _auroc(cell) is None:
        return None
    return {name: _number(cell.metrics[name], level) for name in _METRICS}


def _number(estimate: Estimate, level: float) -> Number:
    low, high = interval(estimate.draws, level) or (None, None)
    values = {"value": estimate.value, "low": low, "high": high}
    return {name: None if value is None else round(value, 6) for name, value in values.items()}


def _auroc(cell: Cell) -> float | None:
    return cell.metrics["auroc"].value
