"""Which trainings make a study: sources that differ in one thing, or follow each other in time.

Read off the parameters alone: what is trained on (`Params.sources`) and how samples are limited.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from assets.detection import Sample
from assets.params import Params, published_by

COUNTS = ("images", "classes", "per_class")
"""What a scale study varies."""
ALIGNING = ("real_sides", "real_quality", "balance", "prepare")
"""Limits of a sample that bring real and generated images into one form."""

_WHICH = ("of", "until")


@dataclass(frozen=True)
class Scale:
    """Trainings on the images of the same generators that differ in how many."""

    varied: str
    """Which of `COUNTS`."""
    steps: tuple[tuple[int | None, str], ...]
    """(how many, source), rising; None, the last one, is all there are."""


@dataclass(frozen=True)
class Step:
    """A training on every generator released up to some day."""

    source: str
    window: tuple[str, ...]
    """The generators released since the step before it, in order of release."""


@dataclass(frozen=True)
class Chronology:
    """Trainings that follow each other in time."""

    steps: tuple[Step, ...]
    later: tuple[str, ...]
    """Generators released after the last step; () if there are none."""

    @property
    def windows(self) -> tuple[tuple[str, ...], ...]:
        """Every window: that of each step, then `later` if it holds any."""
        return (*(step.window for step in self.steps), *([self.later] if self.later else []))


def limits(sample: Sample, without: Collection[str] = ()) -> dict[str, Any]:
    """How a sample is limited: field -> value, fields that limit nothing left out."""
    fields = Sample.model_fields
    return {
        name: value
        for name in fields
        if name not in (*_WHICH, *without) and (value := getattr(sample, name)) != fields[name].default
    }


def source_of(params: Params, generators: Collection[str], limited: dict[str, Any]) -> str | None:
    """What is trained on the images of exactly these generators, limited like this; None: nothing.

    Without limits it is a generator or a set, else (as with limits) the first sample that fits.
    """
    plain = {**{name: (name,) for name in params.train.generators}, **params.train.sets}
    for name, members in plain.items():
        if not limited and {*members} == {*generators}:
            return name
    for name, sample in params.train.samples.items():
        if {*params.samples[name]} == {*generators} and limits(sample) == limited:
            return name
    return None


def aligned_trainings(params: Params) -> list[tuple[str, str]]:
    """(raw, aligned): every sample whose images are brought into one form, and the same without that.

    Left out is a sample without such a counterpart. What only balances the classes aligns nothing.
    """
    pairs = []
    for name, sample in params.train.samples.items():
        if not {*limits(sample)} & {"real_sides", "real_quality", "prepare"}:
            continue
        raw = source_of(params, params.samples[name], limits(sample, ALIGNING))
        if raw is not None:
            pairs.append((raw, name))
    return pairs


def scales(params: Params) -> list[Scale]:
    """Every scale study: at least two trainings, one of them limited in what the study varies."""
    found: dict[str, Scale] = {}
    for varied in COUNTS:
        for name, sample in params.train.samples.items():
            if getattr(sample, varied) is None:
                continue
            others, generators = limits(sample, [varied]), params.samples[name]
            steps = [
                (getattr(other, varied), source)
                for source, other in params.train.samples.items()
                if getattr(other, varied) is not None
                and limits(other, [varied]) == others
                and {*params.samples[source]} == {*generators}
            ]
            steps.sort()
            everything = source_of(params, generators, others)
            if everything is not None:
                steps.append((None, everything))
            if len(steps) > 1:
                found.setdefault(f"{varied} {steps}", Scale(varied, tuple(steps)))
    return list(found.values())


def chronologies(params: Params) -> list[Chronology]:
    """Every chain of two or more trainings, limited alike, on all that had been released up to some day."""
    released = {name: spec.released for name, spec in params.generators.items()}
    in_order = sorted(released, key=lambda name: (released[name], name))
    chains: dict[str, dict[int, str]] = {}
    for source, members in params.sources.items():
        sample = params.train.samples.get(source)
        until = (sample and sample.until) or max(released[name] for name in members)
        if {*members} == {name for name in in_order if published_by(released[name], until)}:
            limited = limits(sample) if sample else {}
            chains.setdefault(str(limited), {}).setdefault(len(members), source)
    return [_chain(steps, params, in_order) for steps in chains.values() if len(steps) > 1]


def _chain(steps: dict[int, str], params: Params, in_order: list[str]) -> Chronology:
    made, before = [], set[str]()
    for num in sorted(steps):
        members = {*params.sources[steps[num]]}
        made.append(Step(steps[num], tuple(name for name in in_order if name in members - before)))
        before |= members
    return Chronology(tuple(made), tuple(name for name in in_order if name not in before))
