"""Which generator made it? How often attributors are right: numbers from their answers alone."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from assets.attributions import OK, UNKNOWN, AttributionsError
from assets.params import Params
from assets.seeds import derive_seed
from assets.statistics.averages import averaged, with_deviation
from assets.statistics.bootstrap import Counts, Sample, draw_groups, resampled_metrics
from assets.statistics.cells import Estimate
from assets.statistics.metrics import Floats, auroc

Reader = Callable[[str, str, str], pd.DataFrame]
"""(set, attributor, generator) -> the rows of that file; see `assets.attributions.attributions_path`."""

GENERATOR, KNOWN, OUTSIDE = "generator", "known", "outside"
_REPAIR = "remove the file and run `assay run` again"

KINDS = {
    GENERATOR: "the images of one generator",
    KNOWN: "mean over the generators of the set, each weighing the same (then `recall` is the balanced "
    "accuracy and `auroc` the macro average)",
    OUTSIDE: "mean over the generators that are not in the set",
}
DEFINITIONS = {
    "recall": "share of the images whose generator has the highest logit, when one must be named; empty for "
    "a generator that is not in the set",
    "right": "share answered rightly when `unknown` may be said too: the generator that made it, or "
    "`unknown` where it is not in the set",
    "unknown": "share called unknown",
    "auroc": "of a generator of the set: chance that its probability is higher on one of its images than "
    "on one of another generator of the set; of any other: chance that an image of it gets a lower "
    "score than one of the set's; a tie counts half, 0.5 is guessing",
}
"""Metric -> what it is; shares in [0, 1]."""


@dataclass(frozen=True)
class Row:
    """One row of the long table."""

    kind: str
    detector: str
    trained_on: str
    tested_on: str
    condition: str
    seed: str
    """A training seed, or "mean" over several."""
    num_seeds: int
    metrics: dict[str, Estimate]
    n: int | None = None
    n_unreadable: int | None = None
    groups: int | None = None

    @property
    def key(self) -> tuple[str, str, str, str, str]:
        """What tells rows apart, seeds aside."""
        return self.kind, self.detector, self.trained_on, self.tested_on, self.condition


@dataclass(frozen=True)
class Confusion:
    """What the images of each generator are taken for by one attributor, under one condition."""

    detector: str
    trained_on: str
    condition: str
    answers: tuple[str, ...]
    """Generators of the set, and unknown."""
    shares: dict[str, list[float | None]]
    """Generator -> the share of its images that gets each answer, mean over seeds; None: it has none."""


@dataclass(frozen=True)
class Attributed:
    """Everything the tables are made from."""

    per_seed: list[Row]
    rows: list[Row]
    """Over seeds (with a single seed, the same)."""
    confusions: list[Confusion]


@dataclass(frozen=True)
class _Shown:
    """What one training said about one generator's images under one condition.

    Images without an answer are left out.
    """

    logits: Floats
    """(N, K)."""
    unknown: NDArray[np.bool_]
    group: NDArray[np.intp]
    """(N,) rows of `counts`."""
    counts: Counts
    n_unreadable: int

    def share(self, counted: NDArray[np.bool_]) -> Estimate:
        """How many of the images are counted (N,), and in every resample."""
        if not counted.size:
            return Estimate(None)
        if np.unique(self.group).size < 2:
            return Estimate(float(counted.mean()))
        groups = len(self.counts)
        hits = np.bincount(self.group, counted, groups) @ self.counts
        with np.errstate(invalid="ignore"):
            draws = hits / (np.bincount(self.group, minlength=groups) @ self.counts)
        return Estimate(float(counted.mean()), draws)


Block = tuple[int, str]
"""Seed, condition."""


def tabulate_attributions(params: Params, read: Reader) -> Attributed:
    """Read every file that the parameters name and compute all rows; one set and attributor at a time.

    Raises:
        AttributionsError: files that are missing, malformed or at odds with each other or the parameters.
    """
    per_seed: list[Row] = []
    confusions: list[Confusion] = []
    draws = _Draws(params)
    for trained_on, members in params.train.sets.items():
        for detector in params.attributors:
            shown = {
                generator: _lay_out(
                    read(trained_on, detector, generator), (trained_on, detector, generator), params, draws
                )
                for generator in params.generators
            }
            for condition in params.conditions:
                about = (detector, trained_on, condition)
                blocks = [(seed, condition) for seed in params.train.seeds]
                for block in blocks:
                    here = {generator: of[block] for generator, of in shown.items()}
                    per_seed += _rows(here, members, about, str(block[0]))
                confusions.append(_confusion(shown, blocks, members, about))
    return Attributed(per_seed, _over_seeds(per_seed), confusions)


class _Draws:
    """How often every image's group is in every resample: once a generator, shared by all attributors."""

    def __init__(self, params: Params) -> None:
        self._params = params
        self._known: dict[str, tuple[list[str], NDArray[np.intp], Counts]] = {}

    def of(self, tested_on: str, rows: pd.DataFrame, where: str) -> tuple[NDArray[np.intp], Counts]:
        """(N,) the group of every image, as a row of (G, B) counts.

        Raises:
            AttributionsError: these are other images, or in other groups, than those before them.
        """
        shown = [*rows["id"].astype(str), *rows["group"].astype(str)]
        if tested_on not in self._known:
            group_N, groups = pd.factorize(rows["group"].astype(object), sort=True)
            seed = derive_seed(self._params.seed, "bootstrap", tested_on)
            drawn = draw_groups(len(groups), self._params.report.resamples, seed)
            self._known[tested_on] = shown, group_N, drawn
        known, group_N, drawn = self._known[tested_on]
        if known != shown:
            raise AttributionsError(
                f"{where}: it was shown {len(rows)} images, others {len(known) // 2}, or these are in other "
                f"groups; {_REPAIR}"
            )
        return group_N, drawn


def _lay_out(
    frame: pd.DataFrame, names: tuple[str, str, str], params: Params, draws: _Draws
) -> dict[Block, _Shown]:
    """The answers of one file for each seed and condition, all about the same images."""
    trained_on, detector, tested_on = names
    where = f"attributions of {detector}, trained on {trained_on}, on {tested_on}"
    for column, value in zip(("trained_on", "detector", "tested_on"), names, strict=True):
        if len(other := frame[frame[column] != value]):
            raise AttributionsError(f"{where}: a row has {column} {other[column].iloc[0]}; {_REPAIR}")
    members = list(params.train.sets[trained_on])
    if len(frame) and (known := list(frame["classes"].iloc[0])) != members:
        raise AttributionsError(
            f"{where}: it knows {', '.join(known)}, not the generators of train.sets.{trained_on}; {_REPAIR}"
        )
    blocks: dict[Block, pd.DataFrame] = {}
    grouped: Any = frame.groupby(["seed", "condition"], observed=True)
    for (seed, condition), rows in grouped:
        blocks[int(seed), str(condition)] = rows.sort_values("id", key=lambda ids: ids.astype(object))
    found = {}
    for seed in params.train.seeds:
        for condition in params.conditions:
            rows = blocks.get((seed, condition), frame.iloc[:0])
            group, drawn = draws.of(tested_on, rows, f"{where}, seed {seed}, {condition}")
            scored = (rows["status"] == OK).to_numpy(bool)
            logits = [np.asarray(logits, np.float64) for logits in rows["logits"][scored]]
            found[seed, condition] = _Shown(
                np.stack(logits) if logits else np.empty((0, len(members))),
                (rows["answer"][scored] == UNKNOWN).to_numpy(bool),
                group[scored],
                drawn,
                int(np.sum(~scored)),
            )
    return found


def _rows(
    shown: Mapping[str, _Shown], members: Sequence[str], about: tuple[str, str, str], seed: str
) -> list[Row]:
    """Every generator's row, the mean of the set's and that of the others', for one training."""
    detector, trained_on, condition = about
    rows = []
    for generator, said in shown.items():
        metrics = (
            _known(shown, members, generator) if generator in members else _outside(shown, members, generator)
        )
        tally = len(said.logits), said.n_unreadable, int(np.unique(said.group).size)
        rows.append(Row(GENERATOR, detector, trained_on, generator, condition, seed, 1, metrics, *tally))
    for kind, among in ((KNOWN, members), (OUTSIDE, [name for name in shown if name not in members])):
        chosen = [row for row in rows if row.tested_on in among]
        means = {name: averaged([row.metrics[name] for row in chosen]) for name in DEFINITIONS}
        if chosen:
            rows.append(Row(kind, detector, trained_on, "", condition, seed, 1, means))
    return rows


def _known(shown: Mapping[str, _Shown], members: Sequence[str], generator: str) -> dict[str, Estimate]:
    said, label = shown[generator], members.index(generator)
    named = said.logits.argmax(1) == label
    odds = {name: _log_odds(shown[name].logits, label) for name in members}
    others = [name for name in members if name != generator]
    return {
        "recall": said.share(named),
        "right": said.share(named & ~said.unknown),
        "unknown": said.share(said.unknown),
        "auroc": _auroc(_samples(shown, others, odds), _samples(shown, [generator], odds)),
    }


def _outside(shown: Mapping[str, _Shown], members: Sequence[str], generator: str) -> dict[str, Estimate]:
    said = shown[generator]
    strangeness = {name: -shown[name].logits.max(1) for name in [*members, generator]}
    unknown = said.share(said.unknown)
    return {
        "recall": Estimate(None),
        "right": unknown,
        "unknown": unknown,
        "auroc": _auroc(_samples(shown, members, strangeness), _samples(shown, [generator], strangeness)),
    }


def _log_odds(logits: Floats, label: int) -> Floats:
    """log(p / (1 - p)) of the softmax of (N, K): it rises with p and has no end where p rounds to 1."""
    others = np.delete(logits, label, 1)
    odds: Floats = logits[:, label] - np.logaddexp.reduce(others, 1)
    return odds


def _samples(shown: Mapping[str, _Shown], names: Iterable[str], values: Mapping[str, Floats]) -> list[Sample]:
    """The images of several generators; the groups of each are drawn by themselves."""
    return [Sample(values[name], shown[name].group, shown[name].counts) for name in names]


def _auroc(lower: Sequence[Sample], higher: Sequence[Sample]) -> Estimate:
    logits = [np.concatenate([sample.logits for sample in samples]) for samples in (lower, higher)]
    value = auroc(np.repeat([0, 1], [part.size for part in logits]), np.concatenate(logits))
    if value is None:
        return Estimate(None)
    return Estimate(value, resampled_metrics(lower, higher, 0.0, ["auroc"])["auroc"])


def _over_seeds(per_seed: Sequence[Row]) -> list[Row]:
    together: dict[tuple[str, ...], list[Row]] = {}
    for row in per_seed:
        together.setdefault(row.key, []).append(row)
    return [rows[0] if len(rows) == 1 else _seed_mean(rows) for rows in together.values()]


def _seed_mean(rows: Sequence[Row]) -> Row:
    first = rows[0]
    metrics = {name: with_deviation([row.metrics[name] for row in rows]) for name in DEFINITIONS}
    return Row(*first.key, "mean", len(rows), metrics, first.n, first.n_unreadable, first.groups)


def _confusion(
    shown: Mapping[str, Mapping[Block, _Shown]],
    blocks: Sequence[Block],
    members: Sequence[str],
    about: tuple[str, str, str],
) -> Confusion:
    shares: dict[str, list[float | None]] = {}
    for generator, of in shown.items():
        per_seed = []
        for block in blocks:
            said = of[block]
            if len(said.logits):
                answer = np.where(said.unknown, len(members), said.logits.argmax(1))
                per_seed.append(np.bincount(answer, minlength=len(members) + 1) / len(answer))
        mean = np.mean(per_seed, axis=0).tolist() if per_seed else [None] * (len(members) + 1)
        shares[generator] = mean
    return Confusion(*about, (*members, UNKNOWN), shares)
