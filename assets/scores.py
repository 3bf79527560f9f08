"""The scores of one predictions file laid out for tables, and the checks that files do not contradict."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from assets.metrics import Floats
from assets.params import REAL, Params
from assets.predictions import PredictionsError

Strings = NDArray[np.object_]
Block = tuple[str, int, str]
"""Detector, seed, condition."""
Model = tuple[str, int]
"""A detector trained on one generator: its name and its seed."""

_REPAIR = "remove the file and run `assay run` again"


@dataclass(frozen=True)
class Scores:
    """What all detectors trained on one generator said about one image set."""

    trained_on: str
    tested_on: str
    ids: Strings
    """(N,) the images, sorted."""
    groups: Strings
    """(N,) the group of each."""
    logits: dict[Block, Floats]
    """(N,) each, NaN for an image without a score."""
    models: dict[Model, tuple[str, float]]
    """Weights hash and threshold (logits); empty where there is no image."""

    def which(self, images: frozenset[str] | None) -> NDArray[np.bool_]:
        """(N,) whether each image is one of these; None stands for all.

        Raises:
            PredictionsError: one of them is not here.
        """
        if images is None:
            return np.ones(self.ids.size, bool)
        found = pd.Index(self.ids).isin(list(images))
        if int(found.sum()) < len(images):
            missing = min(images - {*self.ids})
            raise PredictionsError(
                f"predictions of {self.trained_on} on {self.tested_on}: nothing about {missing}, which "
                f"split says is to be tested; {_REPAIR}"
            )
        return np.asarray(found)


def lay_out(
    frame: pd.DataFrame, trained_on: str, tested_on: str, params: Params, detectors: Collection[str]
) -> Scores:
    """Take what the parameters name out of the rows of one file (`assets.predictions`).

    Args: detectors: whose rows.

    Raises:
        PredictionsError: rows of another pair or class; a detector, seed or condition that is missing,
            or that was shown other images than the rest; two weights or thresholds of one detector.
    """
    where = f"predictions of {trained_on} on {tested_on}"
    wanted = [(d, s, c) for d in detectors for s in params.seeds_of(d) for c in params.conditions]
    frame = frame[
        frame["detector"].isin(list(detectors))
        & frame["seed"].isin({seed for _, seed, _ in wanted})
        & frame["condition"].isin(list(params.conditions))
    ]
    _check_pair(frame, trained_on, tested_on, where)
    image_R, ids = pd.factorize(frame["id"], sort=True)
    group_R, groups = pd.factorize(frame["group"], sort=True)
    rows = _sorted_blocks(frame, image_R)
    if len(frame):
        _check_blocks(rows, wanted, image_R, group_R, np.asarray(ids, object), where)
    none = np.array([], np.intp)
    first = rows.get(wanted[0], none)
    logit_R = frame["logit"].to_numpy(np.float64)
    return Scores(
        trained_on,
        tested_on,
        np.asarray(ids, object)[image_R[first]],
        np.asarray(groups, object)[group_R[first]],
        {block: logit_R[rows.get(block, none)] for block in wanted},
        _models(frame, where),
    )


@dataclass
class Ledger:
    """Everything seen so far, to notice what cannot be: see `admit` and `close`."""

    _sets: dict[str, Scores] = field(default_factory=dict)
    _weights: dict[str, tuple[str, Model]] = field(default_factory=dict)
    _models: dict[tuple[str, Model], tuple[str, float]] = field(default_factory=dict)
    _prints: dict[tuple[str, Model], "hashlib._Hash"] = field(default_factory=dict)
    _scored: set[tuple[str, Model]] = field(default_factory=set)

    def admit(self, scores: Scores) -> Scores:
        """Take note of one file's scores and pass them on.

        Raises:
            PredictionsError: its images are not those that other detectors were tested on; a detector's
                weights or threshold differ from file to file; one weights file under two names.
        """
        self._check_images(scores)
        for model, (weights, threshold) in scores.models.items():
            self._check_model((scores.trained_on, model), weights, threshold, scores.tested_on)
        for (detector, seed, _), logits in scores.logits.items():
            name = (scores.trained_on, (detector, seed))
            self._prints.setdefault(name, hashlib.sha256()).update(logits.tobytes())
            if np.isfinite(logits).any():
                self._scored.add(name)
        return scores

    def close(self) -> None:
        """After the last file (every detector has seen the same ones, in the same order).

        Raises:
            PredictionsError: two weights files gave the same logit on every row, so one of them was
                scored twice and the other never.
        """
        seen: dict[bytes, tuple[str, Model]] = {}
        for name in self._prints:
            if name not in self._scored:
                continue
            other = seen.setdefault(self._prints[name].digest(), name)
            if other != name:
                raise PredictionsError(
                    f"{_called(*name)} and {_called(*other)} have different weights "
                    f"({self._models[name][0][:12]}, {self._models[other][0][:12]}) but the same logit on "
                    f"every row: one of them was scored under the other's name; {_REPAIR}"
                )

    def _check_images(self, scores: Scores) -> None:
        known = self._sets.setdefault(scores.tested_on, scores)
        same = np.array_equal(known.ids, scores.ids) and np.array_equal(known.groups, scores.groups)
        if not same:
            raise PredictionsError(
                f"{scores.tested_on}: the detectors trained on {known.trained_on} and on "
                f"{scores.trained_on} were tested on different images or groups "
                f"({known.ids.size} and {scores.ids.size}{_odd_one(known.ids, scores.ids)}); {_REPAIR}"
            )

    def _check_model(self, name: tuple[str, Model], weights: str, threshold: float, tested_on: str) -> None:
        if self._models.setdefault(name, (weights, threshold)) != (weights, threshold):
            raise PredictionsError(
                f"{_called(*name)} has other weights or another threshold on {tested_on} than on the test "
                f"sets before it; {_REPAIR}"
            )
        if self._weights.setdefault(weights, name) != name:
            raise PredictionsError(
                f"{_called(*name)} and {_called(*self._weights[weights])} have the same weights "
                f"({weights[:12]}): one detector under two names is no second opinion"
            )


def _check_pair(frame: pd.DataFrame, trained_on: str, tested_on: str, where: str) -> None:
    expected: dict[str, str | int] = {
        "trained_on": trained_on,
        "tested_on": tested_on,
        "label": int(tested_on != REAL),
    }
    for column, value in expected.items():
        wrong = (frame[column] != value).to_numpy(bool)
        if wrong.any():
            row = frame.iloc[int(np.argmax(wrong))]
            raise PredictionsError(f"{where}: image {row['id']} has {column} {row[column]}, expected {value}")


def _sorted_blocks(frame: pd.DataFrame, image_R: NDArray[np.intp]) -> dict[Block, NDArray[np.intp]]:
    """Row numbers of every detector, seed and condition, sorted by image."""
    keys = ["detector", "seed", "condition"]
    grouped: dict[Any, NDArray[np.intp]] = frame.groupby(keys, observed=True).indices  # type: ignore[assignment]
    return {
        (str(detector), int(seed), str(condition)): rows[np.argsort(image_R[rows], kind="stable")]
        for (detector, seed, condition), rows in grouped.items()
    }


def _check_blocks(
    rows: dict[Block, NDArray[np.intp]],
    wanted: list[Block],
    image_R: NDArray[np.intp],
    group_R: NDArray[np.intp],
    ids: Strings,
    where: str,
) -> None:
    for block in wanted:
        if block not in rows:
            raise PredictionsError(f"{where}: nothing from {_block(block)}; {_REPAIR}")
    first = rows[wanted[0]]
    for block in wanted[1:]:
        here = rows[block]
        if not np.array_equal(image_R[here], image_R[first]):
            odd = _odd_one(ids[image_R[first]], ids[image_R[here]])
            raise PredictionsError(
                f"{where}: {_block(wanted[0])} and {_block(block)} were shown different images "
                f"({first.size} and {here.size}{odd}); {_REPAIR}"
            )
        if not np.array_equal(group_R[here], group_R[first]):
            odd_id = ids[image_R[here[np.argmax(group_R[here] != group_R[first])]]]
            raise PredictionsError(
                f"{where}: image {odd_id} is in one group for {_block(wanted[0])} and in another for "
                f"{_block(block)}; {_REPAIR}"
            )


def _models(frame: pd.DataFrame, where: str) -> dict[Model, tuple[str, float]]:
    models = {}
    grouped: Any = frame.groupby(["detector", "seed"], observed=True)
    for (detector, seed), rows in grouped:
        found = rows[["weights", "threshold"]].drop_duplicates()
        if len(found) > 1:
            raise PredictionsError(
                f"{where}: {len(found)} weights or thresholds for {detector}, seed {seed}; {_REPAIR}"
            )
        models[str(detector), int(seed)] = (str(found["weights"].iloc[0]), float(found["threshold"].iloc[0]))
    return models


def _odd_one(one: Strings, other: Strings) -> str:
    odd = sorted({*one} ^ {*other})
    return f"; {odd[0]} is in one of them only" if odd else ""


def _called(trained_on: str, model: Model) -> str:
    return f"{model[0]} (seed {model[1]}) trained on {trained_on}"


def _block(block: Block) -> str:
    return f"{block[0]}, seed {block[1]}, {block[2]}"
