"""The few numbers that a reader wants first, and what they mean in plain words."""

from collections.abc import Sequence
from typing import Any

from assets.bootstrap import interval
from assets.cells import ALL, CELL, Cell, Estimate
from assets.grids import sensible_places
from assets.means import CROSS_GENERATOR, IN_DOMAIN, MEANS
from assets.params import CLEAN, Params
from assets.tabulate import Tabulated

Audits = dict[str, dict[str, Any]]
"""Generator -> its audit.json."""

_METRICS = ("auroc", "accuracy", "balanced_accuracy", "ap")


def headline(tabulated: Tabulated, params: Params, audits: Audits) -> dict[str, Any]:
    """Headline numbers, ready for JSON; a number is {value, low, high}, null where there is no data.

    `trust`: per test generator, the detector with the highest AUROC among those that were not trained on
    it and among those that were. `worst_generator_drop`: the pair whose AUROC lies furthest below the
    same detector's on the generator it was trained on. `worst_condition_drop`: the detector and condition
    with the largest fall of the in-domain AUROC from clean.
    """
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
        "ranking": _ranking(tabulated, params),
        "trust": [_trust(name, tabulated.cells, level) for name in params.generators],
        "worst_generator_drop": _worst_generator_drop(tabulated.cells, level),
        "worst_condition_drop": _worst_condition_drop(found, params),
        "audit": {name: audits[name]["verdict"] for name in params.generators},
    }


def sentences(numbers: dict[str, Any], params: Params, audits: Audits) -> list[str]:
    """The headline numbers in plain words."""
    said = [
        _say_ranking(numbers),
        _say_untrusted(numbers["trust"]),
        _say_generator_drop(numbers["worst_generator_drop"]),
        _say_condition_drop(numbers["worst_condition_drop"]),
        _say_audit(params, audits),
    ]
    return [sentence for sentence in said if sentence]


def shown(number: dict[str, float | None] | None) -> str:
    """`0.87 (0.83–0.90)`, with the digits that the interval supports."""
    if number is None or number["value"] is None:
        return "no data"
    value, low, high = number["value"], number["low"], number["high"]
    if low is None or high is None:
        return f"{value:.2f}"
    places = sensible_places([(low, high)])
    joint = "–" if low >= 0 else " to "
    return f"{value:.{places}f} ({low:.{places}f}{joint}{high:.{places}f})"


def _ranking(tabulated: Tabulated, params: Params) -> dict[str, Any] | None:
    """Detectors by mean cross-generator AUROC, and the lead of the first over the second."""
    means = {
        cell.detector: cell
        for cell in tabulated.means
        if cell.key == (CROSS_GENERATOR, cell.detector, ALL, ALL, CLEAN) and cell.num_cells
    }
    order = sorted(means, key=lambda name: (-(means[name].metrics["auroc"].value or 0), name))
    if not order:
        return None
    lead = None
    if len(order) > 1:
        lead = _number(
            _difference(*(means[name].metrics["auroc"] for name in order[:2])), params.report.level
        )
    return {"detectors": order, "num_cells": means[order[0]].num_cells, "lead": lead}


def _difference(one: Estimate, other: Estimate) -> Estimate:
    """Paired: both were drawn with the same groups."""
    draws = None if one.draws is None or other.draws is None else one.draws - other.draws
    return Estimate((one.value or 0) - (other.value or 0), draws)


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
    clean = [cell for cell in cells if cell.condition == CLEAN and _auroc(cell) is not None]
    own = {(cell.detector, cell.trained_on): cell for cell in clean if cell.trained_on == cell.tested_on}
    drops = [
        (own[cell.detector, cell.trained_on], cell)
        for cell in clean
        if (cell.detector, cell.trained_on) in own
    ]
    return _largest([(one, other) for one, other in drops if one is not other], level)


def _worst_condition_drop(found: dict[Any, Cell], params: Params) -> dict[str, Any] | None:
    pairs = []
    for detector in params.scorers:
        clean = found.get((IN_DOMAIN, detector, ALL, ALL, CLEAN))
        for condition in params.degrade:
            other = found.get((IN_DOMAIN, detector, ALL, ALL, condition))
            if clean and other and None not in (_auroc(clean), _auroc(other)):
                pairs.append((clean, other))
    return _largest(pairs, params.report.level)


def _largest(pairs: Sequence[tuple[Cell, Cell]], level: float) -> dict[str, Any] | None:
    """The pair with the largest fall of AUROC from the first to the second cell."""
    if not pairs:
        return None
    before, after = max(pairs, key=lambda pair: (_auroc(pair[0]) or 0) - (_auroc(pair[1]) or 0))
    return {
        "detector": after.detector,
        "trained_on": after.trained_on,
        "tested_on": after.tested_on,
        "condition": after.condition,
        "from": _number(before.metrics["auroc"], level),
        "to": _number(after.metrics["auroc"], level),
    }


def _say_ranking(numbers: dict[str, Any]) -> str:
    ranking = numbers["ranking"]
    if ranking is None:
        return (
            "No detector was tested on a generator other than its own, so nothing here says how it does on "
            "new ones."
        )
    order = ranking["detectors"]
    first = numbers["detectors"][order[0]]
    text = (
        f"On generators it was not trained on, {order[0]} does best: AUROC "
        f"{shown(first[CROSS_GENERATOR]['clean']['auroc'])}, the mean over {ranking['num_cells']} pairs of "
        f"training and test generator; on its own generators it reaches "
        f"{shown((first[IN_DOMAIN]['clean'] or {}).get('auroc'))}."
    )
    if len(order) < 2:
        return text
    second = numbers["detectors"][order[1]][CROSS_GENERATOR]["clean"]["auroc"]
    lead = ranking["lead"]
    sure = lead["low"] is not None and lead["low"] > 0
    verdict = "a clear lead of" if sure else "too close to call, the lead being"
    return f"{text} Next comes {order[1]} with {shown(second)}: {verdict} {shown(lead)}."


def _say_untrusted(trust: Sequence[dict[str, Any]]) -> str:
    """Generators on which the best detector that has not seen them may be guessing."""
    best = [(row["tested_on"], row[CROSS_GENERATOR]) for row in trust if row[CROSS_GENERATOR] is not None]
    names = [name for name, one in best if one["auroc"]["low"] is not None and one["auroc"]["low"] <= 0.5]
    if not names:
        return ""
    return f"Trust none of them on {_listed(names)} without training on it: even the best may be guessing."


def _say_generator_drop(drop: dict[str, Any] | None) -> str:
    if drop is None or drop["from"]["value"] <= drop["to"]["value"]:
        return ""
    return (
        f"Worst drop across generators: {drop['detector']} trained on {drop['trained_on']} falls from "
        f"{shown(drop['from'])} there to {shown(drop['to'])} on {drop['tested_on']}{_guessing(drop['to'])}."
    )


def _say_condition_drop(drop: dict[str, Any] | None) -> str:
    if drop is None or drop["from"]["value"] <= drop["to"]["value"]:
        return ""
    return (
        f"Worst drop across conditions: {drop['detector']} falls from {shown(drop['from'])} on clean images "
        f"of its own generators to {shown(drop['to'])} under {drop['condition']}{_guessing(drop['to'])}."
    )


def _guessing(number: dict[str, float | None]) -> str:
    low, high = number["low"], number["high"]
    if low is None or high is None or low > 0.5:
        return ""
    return ", worse than guessing (0.5)" if high < 0.5 else ", no better than guessing (0.5)"


def _say_audit(params: Params, audits: Audits) -> str:
    leaks = [name for name in params.generators if audits[name]["verdict"] != "clean"]
    clean = [name for name in params.generators if name not in leaks]
    if not leaks:
        return (
            "The audit found no shortcut: format, size, length and JPEG settings of the files do not tell "
            f"real from generated images for {_listed(clean)}."
        )
    text = (
        f"The audit warns: file metadata alone tells real from generated images for {_listed(leaks)}; scores "
        "there may rest on how files were made, not on what they show."
    )
    return f"{text} No shortcut was found for {_listed(clean)}." if clean else text


def _numbers(cell: Cell | None, level: float) -> dict[str, Any] | None:
    if cell is None or _auroc(cell) is None:
        return None
    return {name: _number(cell.metrics[name], level) for name in _METRICS}


def _number(estimate: Estimate, level: float) -> dict[str, float | None]:
    low, high = interval(estimate.draws, level) or (None, None)
    values = {"value": estimate.value, "low": low, "high": high}
    return {name: None if value is None else round(value, 6) for name, value in values.items()}


def _auroc(cell: Cell) -> float | None:
    return cell.metrics["auroc"].value


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
