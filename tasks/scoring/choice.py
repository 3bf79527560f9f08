"""Which of the trained detectors judges people's pictures, and why that one."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from assets.detection import SCORES
from assets.errors import AssayError, did_you_mean
from assets.lineage import is_current
from assets.params import CLEAN, ELSEWHERE, Params
from assets.statistics.means import CROSS_GENERATOR, IN_DOMAIN

_TABLE = Path("results") / "cross_generator.json"
_WORDS = {
    CROSS_GENERATOR: "on generators that it was not trained on",
    IN_DOMAIN: "on the generators that it was trained on, the only ones tested",
}


class Choice(NamedTuple):
    """One training of one detector."""

    detector: str
    trained_on: str
    seed: int
    why: str = ""
    """In words, for whoever wonders."""


def choose(
    root: Path,
    params: Params,
    detector: str | None = None,
    trained_on: str | None = None,
    seed: int | None = None,
) -> Choice:
    """The training that was asked for, or the best of those that fit what was asked for.

    Sets of generators come before single ones, the largest first: who asks about a picture does not know
    what made it. Among the rest the AUROC decides, as the tables of results/ have it for generators that the
    detector was not trained on; else the one on the val images.

    Args: detector, trained_on, seed: what is settled already; None: open.
    Raises:
        AssayError: a name that is not in the parameters, or nothing that fits has been trained yet.
    """
    _check(params, detector, trained_on, seed)
    if detector in params.given or not params.detectors:
        return _given(root, params, detector)
    asked = {"detector": detector, "trained_on": trained_on, "seed": seed}
    wanted = [one for one in trainings(params) if _fits(one, asked)]
    there = [one for one in wanted if card_path(root, one).is_file()]
    if not there:
        source = wanted[0].trained_on
        kinds = {**dict.fromkeys(params.train.sets, "-set"), **dict.fromkeys(params.samples, "-sample")}
        stage = f"train{kinds.get(source, '')}@{source}-{wanted[0].detector}-{wanted[0].seed}"
        raise AssayError(
            f"{card_path(root, wanted[0])} is not there: nothing has been trained that fits; "
            f"`assay run {stage}` trains it, `assay detectors` lists what there is"
        )
    if len({(one.detector, one.trained_on) for one in there}) == 1:
        why = "as asked for" if detector and trained_on else "the only one that is trained"
        return there[0]._replace(why=why)
    largest = max(len(params.sources[one.trained_on]) for one in there)
    best = [one for one in there if len(params.sources[one.trained_on]) == largest]
    chosen, reason = _best(root, best)
    of_set = (
        f"trained on most generators ({largest}), and of these " if largest > 1 and not trained_on else ""
    )
    return chosen._replace(why=f"{of_set}{reason}")


def _given(root: Path, params: Params, detector: str | None) -> Choice:
    """A detector that was made elsewhere: the one that was asked for, or the only one."""
    able = [name for name, spec in params.given.items() if spec.kind != SCORES]
    if detector is not None and detector not in able:
        raise AssayError(f"--detector {detector} is a table of scores: it cannot judge other pictures")
    if detector is None and len(able) != 1:
        raise AssayError(f"say which one: `--detector NAME`; {did_you_mean('', able)}")
    chosen = Choice(detector or able[0], ELSEWHERE, 0, "as asked for" if detector else "the only one")
    if not card_path(root, chosen).is_file():
        raise AssayError(
            f"{card_path(root, chosen)} is not there: `assay run adopt@{chosen.detector}` makes it"
        )
    return chosen


def trainings(params: Params) -> list[Choice]:
    """Every training of a detector that the parameters ask for."""
    return [
        Choice(name, source, seed)
        for name in params.detectors
        for source in params.sources
        for seed in params.train.seeds
    ]


def card_path(root: Path, one: Choice) -> Path:
    """What tells that a training is finished, or a detector from elsewhere taken in."""
    if one.trained_on == ELSEWHERE:
        return root / "artifacts" / "adopt" / one.detector / "card.json"
    return root / "artifacts" / "train" / one.trained_on / f"{one.detector}-s{one.seed}" / "card.json"


def _check(params: Params, detector: str | None, trained_on: str | None, seed: int | None) -> None:
    if detector is not None and detector not in params.scorers:
        known = "says which generator" if detector in params.attributors else "is not in params.yaml"
        raise AssayError(f"--detector {detector} {known}; {did_you_mean(detector, params.scorers)}")
    if detector in params.given or not params.detectors:
        if trained_on is not None or seed is not None:
            raise AssayError("--trained-on and --seed are for detectors that are trained here")
        return
    if trained_on is not None and trained_on not in params.sources:
        raise AssayError(f"--trained-on {trained_on}: {did_you_mean(trained_on, params.sources)}")
    if seed is not None and seed not in params.train.seeds:
        raise AssayError(f"--seed {seed}: {did_you_mean(str(seed), map(str, params.train.seeds))}")


def _fits(one: Choice, asked: Mapping[str, Any]) -> bool:
    return all(value is None or getattr(one, name) == value for name, value in asked.items())


def _best(root: Path, there: list[Choice]) -> tuple[Choice, str]:
    """The one with the highest AUROC of the first kind that any has, and that in words."""
    tables = _tables(root)
    for kind, words in _WORDS.items():
        known = {one: auroc for one in there if (auroc := tables.get((kind, *one[:2]))) is not None}
        if known:
            best = max(known, key=lambda one: known[one])
            return best, f"the best AUROC {words}, {known[best]:.2f} ({_TABLE}{_age(root)})"
    on_val = {one: _val_auroc(root, one) for one in there}
    best = max(there, key=lambda one: on_val[one])
    return best, f"the best AUROC on val, {on_val[best]:.2f}; there are no tables in results/ yet"


def _tables(root: Path) -> dict[tuple[str, str, str], float]:
    """(kind of mean, detector, trained on) -> AUROC on clean test images; {} without readable tables."""
    try:
        rows: Iterable[dict[str, Any]] = json.loads((root / _TABLE).read_text("utf-8"))["rows"]
        return {
            (row["kind"], row["detector"], row["trained_on"]): float(row["auroc"])
            for row in rows
            if row["kind"] in _WORDS
            and row["condition"] == CLEAN
            and row["trained_on"]
            and not row["tested_on"]
            and row["auroc"] is not None
        }
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _age(root: Path) -> str:
    try:
        return "" if is_current(root) else ", from before something was changed"
    except AssayError:  # no dvc.yaml beside the tables, or one that cannot be read
        return ", of unknown age"


def _val_auroc(root: Path, one: Choice) -> float:
    path = card_path(root, one)
    try:
        return float(json.loads(path.read_text("utf-8"))["val"]["auroc"])
    except (OSError, ValueError, KeyError, TypeError):
        raise AssayError(f"{path} is no card of a trained detector: `assay run` makes it") from None
