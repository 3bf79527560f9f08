"""The scores of one predictions file laid out for tables, and the checks that files do not contradict."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from assets.params import REAL, Params
from assets.predictions import PredictionsError
from assets.statistics.metrics import Floats
from assets.typed_table import coded

Strings = NDArray[np.object_]
Indices = NDArray[np.intp]
Block = tuple[str, int, str]
"""Detector, seed, condition."""
Model = tuple[str, int]
"""A detector trained on one generator: its name and its seed."""

ABOUT_IMAGES = ("group", "content", "class_name")
"""Columns that say something about an image, whoever looks at it."""
MANY_VALUES = 10
"""From so many different scores on, two detectors do not agree on every image by chance."""

_REPAIR = "remove the file and run `assay run` again"
_ONE = {"groups": "group", "contents": "content", "class_names": "class name"}


@dataclass(frozen=True)
class Scores:
    """What all detectors trained on one generator said about one image set."""

    trained_on: str
    tested_on: str
    ids: Strings
    """(N,) the images, sorted."""
    groups: Strings
    """(N,) the group of each."""
    contents: Strings
    """(N,) photo, painting, ...; None where unknown."""
    class_names: Strings
    """(N,) what is shown; None where unknown."""
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

    def without(self, images: frozenset[str]) -> "Scores":
        """The same but for these images.

        Raises:
            PredictionsError: as `which`.
        """
        if not images:
            return self
        kept = ~self.which(images)
        return replace(
            self,
            ids=self.ids[kept],
            groups=self.groups[kept],
            contents=self.contents[kept],
            class_names=self.class_names[kept],
            logits={block: logits[kept] for block, logits in self.logits.items()},
        )


def lay_out(
    frame: pd.DataFrame, trained_on: str, tested_on: str, params: Params, detectors: Collection[str]
) -> Scores:
    """Take what the parameters name out of the rows of one file (`assets.predictions`).

    Args: detectors: whose rows; all trained with the same seeds.

    Raises:
        PredictionsError: rows of another pair or class; a detector, seed or condition that is missing,
            or that was shown other images than the rest; two weights or thresholds of one detector.
    """
    where = f"predictions of {trained_on} on {tested_on}"
    seeds = params.seeds_of(next(iter(detectors)))
    wanted = [(d, s, c) for d in detectors for s in seeds for c in params.conditions]
    block_R = _place(frame, list(detectors), list(seeds), list(params.conditions))
    if (block_R < 0).any():
        frame, block_R = frame[block_R >= 0], block_R[block_R >= 0]
    _check_pair(frame, trained_on, tested_on, where)
    image_R, ids = coded(frame["id"])
    order = np.argsort(block_R.astype(np.int64) * (ids.size + 1) + image_R, kind="stable")
    ends = np.cumsum(np.bincount(block_R, minlength=len(wanted)))
    rows = dict(zip(wanted, np.split(order, ends[:-1]), strict=True))
    if len(frame):
        _check_blocks(frame, rows, image_R, ids, where)
    first = rows[wanted[0]]
    logit_R = frame["logit"].to_numpy(np.float64)
    return Scores(
        trained_on,
        tested_on,
        ids=ids[image_R[first]],
        groups=_known(frame["group"].iloc[first]),
        contents=_known(frame["content"].iloc[first]),
        class_names=_known(frame["class_name"].iloc[first]),
        logits={block: logit_R[chosen] for block, chosen in rows.items()},
        models=_models(frame, rows, where) if len(frame) else {},
    )


@dataclass
class Ledger:
    """Everything seen so far, to notice what cannot be: see `admit` and `close`."""

    _sets: dict[str, Scores] = field(default_factory=dict)
    _weights: dict[str, tuple[str, Model]] = field(default_factory=dict)
    _models: dict[tuple[str, Model], tuple[str, float]] = field(default_factory=dict)
    _blocks: dict[bytes, tuple[str, Model]] = field(default_factory=dict)
    _prints: dict[tuple[str, Model], "hashlib._Hash"] = field(default_factory=dict)
    _values: dict[tuple[str, Model], set[float]] = field(default_factory=dict)

    def admit(self, scores: Scores) -> Scores:
        """Take note of one file's scores and pass them on.

        Raises:
            PredictionsError: its images are not those that other detectors were tested on; a detector's
                weights or threshold differ from file to file; one weights file under two names; two
                weights files gave the same logit on every image of a test set, under one condition, though
                these logits have `MANY_VALUES` different values (so that they are no hard decisions, and
                no constant, on which two detectors may well agree).
        """
        self._check_images(scores)
        for model, (weights, threshold) in scores.models.items():
            self._check_model((scores.trained_on, model), weights, threshold, scores.tested_on)
        for block, logits in scores.logits.items():
            self._take_print(scores, block, logits)
        return scores

    def close(self) -> None:
        """After the last file (every detector has seen the same ones, in the same order).

        Raises:
            PredictionsError: two weights files gave the same logit on every row, so one of them was
                scored twice and the other never; unless both always say the same (a detector that learnt
                nothing can end in a constant), which is no sign of one taken for the other.
        """
        seen: dict[bytes, tuple[str, Model]] = {}
        for name in self._prints:
            if len(self._values.get(name, ())) < 2:
                continue
            other = seen.setdefault(self._prints[name].digest(), name)
            if other != name:
                raise PredictionsError(self._twice(name, other, "on every row"))

    def _take_print(self, scores: Scores, block: Block, logits: Floats) -> None:
        detector, seed, condition = block
        name = (scores.trained_on, (detector, seed))
        print_ = hashlib.sha256(f"{scores.tested_on}/{condition}/".encode() + logits.tobytes()).digest()
        self._prints.setdefault(name, hashlib.sha256()).update(print_)
        values = self._values.setdefault(name, set())
        if len(values) < 2:  # enough to know that it is no constant
            values |= {*_different(logits)[:2].tolist()}
        other = self._blocks.setdefault(print_, name)
        if other != name and _different(logits).size >= MANY_VALUES:
            raise PredictionsError(
                self._twice(name, other, f"on every image of {scores.tested_on} ({condition})")
            )

    def _twice(self, name: tuple[str, Model], other: tuple[str, Model], where: str) -> str:
        return (
            f"{_called(*name)} and {_called(*other)} have different weights ({self._models[name][0][:12]}, "
            f"{self._models[other][0][:12]}) but the same logit {where}: one of them was scored under the "
            f"other's name; {_REPAIR}"
        )

    def _check_images(self, scores: Scores) -> None:
        known = self._sets.get(scores.tested_on)
        if known is None:
            self._check_new_images(scores)
            return
        if not np.array_equal(known.ids, scores.ids):
            raise PredictionsError(
                f"{scores.tested_on}: the detectors trained on {known.trained_on} and on "
                f"{scores.trained_on} were tested on different images "
                f"({known.ids.size} and {scores.ids.size}{_odd_one(known.ids, scores.ids)}); {_REPAIR}"
            )
        for what in ("groups", "contents", "class_names"):
            one, other = getattr(known, what), getattr(scores, what)
            if not np.array_equal(one, other):
                at = int(np.argmax(one != other))
                raise PredictionsError(
                    f"{scores.tested_on}: image {scores.ids[at]} has the {_ONE[what]} {one[at]} for the "
                    f"detectors trained on {known.trained_on} and {other[at]} for those trained on "
                    f"{scores.trained_on}; {_REPAIR}"
                )

    def _check_new_images(self, scores: Scores) -> None:
        for name, other in self._sets.items():
            if both := {*scores.ids} & {*other.ids}:
                raise PredictionsError(
                    f"image {min(both)} is a test image of {scores.tested_on} and of {name}: it would count "
                    f"twice; {_REPAIR}"
                )
        self._sets[scores.tested_on] = scores

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


def _place(frame: pd.DataFrame, detectors: list[str], seeds: list[int], conditions: list[str]) -> Indices:
    """(R,) the number of each row's block among detectors x seeds x conditions; -1: none of them."""
    detector_R, names = coded(frame["detector"])
    condition_R, called = coded(frame["condition"])
    seed_R = frame["seed"].to_numpy(np.int64)
    detector_R = _positions(names, detectors)[detector_R]
    condition_R = _positions(called, conditions)[condition_R]
    number = np.full(len(frame), -1, np.intp)
    for at, seed in enumerate(seeds):
        number[seed_R == seed] = at
    inside = (detector_R >= 0) & (number >= 0) & (condition_R >= 0)
    placed: Indices = np.where(inside, (detector_R * len(seeds) + number) * len(conditions) + condition_R, -1)
    return placed


def _positions(names: Strings, chosen: list[str]) -> Indices:
    """(n,) where each name stands among the chosen ones; -1: it does not."""
    return np.array([chosen.index(name) if name in chosen else -1 for name in names], np.intp)


def _check_blocks(
    frame: pd.DataFrame, rows: dict[Block, Indices], image_R: Indices, ids: Strings, where: str
) -> None:
    about = {column: coded(frame[column])[0] for column in ABOUT_IMAGES}
    begun = next(iter(rows))
    first = rows[begun]
    for block, here in rows.items():
        if not here.size:
            raise PredictionsError(f"{where}: nothing from {_block(block)}; {_REPAIR}")
        if not np.array_equal(image_R[here], image_R[first]):
            odd = _odd_one(ids[image_R[first]], ids[image_R[here]])
            raise PredictionsError(
                f"{where}: {_block(begun)} and {_block(block)} were shown different images "
                f"({first.size} and {here.size}{odd}); {_REPAIR}"
            )
        for column, value_R in about.items():
            if not np.array_equal(value_R[here], value_R[first]):
                odd_id = ids[image_R[here[np.argmax(value_R[here] != value_R[first])]]]
                raise PredictionsError(
                    f"{where}: image {odd_id} has one {column} for {_block(begun)} and another for "
                    f"{_block(block)}; {_REPAIR}"
                )


def _models(frame: pd.DataFrame, rows: dict[Block, Indices], where: str) -> dict[Model, tuple[str, float]]:
    weights_R, weights = coded(frame["weights"])
    threshold_R = frame["threshold"].to_numpy(np.float64)
    found: dict[Model, set[tuple[str, float]]] = {}
    for (detector, seed, _), chosen in rows.items():
        weight, threshold = weights_R[chosen], threshold_R[chosen]
        changes = (np.diff(weight) != 0) | (np.diff(threshold) != 0)
        for at in (0, *(np.flatnonzero(changes) + 1)):
            pair = str(weights[weight[at]]), float(threshold[at])
            found.setdefault((detector, seed), set()).add(pair)
    for (detector, seed), kinds in found.items():
        if len(kinds) > 1:
            raise PredictionsError(
                f"{where}: {len(kinds)} weights or thresholds for {detector}, seed {seed}; {_REPAIR}"
            )
    return {model: next(iter(kinds)) for model, kinds in found.items()}


def _known(values: pd.Series) -> Strings:
    """As objects, None for a null."""
    kept: Strings = values.astype(object).where(values.notna(), None).to_numpy(object)
    return kept


def _different(logits: Floats) -> Floats:
    """The different scores there are."""
    return np.unique(logits[np.isfinite(logits)])


def _odd_one(one: Strings, other: Strings) -> str:
    odd = sorted({*one} ^ {*other})
    return f"; {odd[0]} is in one of them only" if odd else ""


def _called(trained_on: str, model: Model) -> str:
    return f"{model[0]} (seed {model[1]}) trained on {trained_on}"


def _block(block: Block) -> str:
    return f"{block[0]}, seed {block[1]}, {block[2]}"
