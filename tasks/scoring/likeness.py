"""Which generator a picture resembles: an attributor says so, or the trainings on single generators do."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import Tensor

from assets.attributions import UNKNOWN
from assets.errors import AssayError
from assets.machine import device
from assets.params import Params
from assets.verdict import RATE, at_rate, smallest_rate
from models.detectors import attribution
from models.detectors.given import Adopted
from models.detectors.scoring import Look
from models.detectors.trained import CARD, Trained, attributor_folder, load_trained
from tasks.scoring.choice import Choice, card_path, trainings
from tasks.scoring.validation import FEW, val_scores

Looked = Mapping[Look, Tensor]
"""Pictures as (B, 3, S, S) uint8, for every way that a detector looks at them."""


class Likeness(NamedTuple):
    """Which generator a picture resembles."""

    generator: str
    """Or `(unknown)`: an attributor takes it for none that it knows."""
    value: float
    """See `how` of who says so."""


class ByAttributor:
    """An attributor's answer, for pictures that the detector calls generated."""

    def __init__(self, trained: Trained) -> None:
        self._trained = trained
        self.generators: list[str] = trained.card["classes"]
        self.how = (
            f"the attributor {trained.card['detector']} trained on {trained.card['trained_on']}: the "
            "generator that it takes a picture for which is called generated, and its probability; "
            f"{UNKNOWN}: none that it knows"
        )

    @property
    def looks(self) -> list[Look]:
        """What it has to be shown."""
        return [(self._trained.spec.crop, self._trained.spec.view)]

    def of(self, looked: Looked, generated: np.ndarray) -> list[Likeness | None]:
        """Args: generated: (B,) bool, which pictures are called generated; the others get no answer."""
        logits = self._trained.detector.score(looked[self.looks[0]])
        answers = attribution.answers(logits, self._trained.card["unknown_below"])
        chances = np.exp(logits - logits.max(1, keepdims=True))
        chances /= chances.sum(1, keepdims=True)
        return [
            Likeness(UNKNOWN if answer < 0 else self.generators[answer], float(chance.max()))
            if called
            else None
            for answer, chance, called in zip(answers, chances, generated, strict=True)
        ]


class _Single(NamedTuple):
    """A training on one generator alone."""

    trained: Trained | Adopted
    generator: str
    threshold: float
    typical: float
    """Median logit of the generator's own val images; above the threshold."""


class ByTrainings:
    """The training whose detector is the most alarmed, in units of what its own generator does to it."""

    def __init__(self, singles: list[_Single]) -> None:
        self._singles = singles
        self.generators = [single.generator for single in singles]
        self.how = (
            "the training on a single generator that the picture alarms most: 0 at that training's "
            "threshold, 1 like half of the generator's own val images; it says which of these detectors "
            "knows such traces, not what made the picture"
        )

    @property
    def looks(self) -> list[Look]:
        """What they have to be shown."""
        return [(single.trained.spec.crop, single.trained.spec.view) for single in self._singles]

    def of(self, looked: Looked, generated: np.ndarray) -> list[Likeness | None]:
        """None where no training is alarmed, whatever `generated` says."""
        relative = np.stack([self._relative(single, looked) for single in self._singles])
        rows = relative.argmax(axis=0)
        values = relative.max(axis=0)
        return [
            Likeness(self.generators[row], float(value)) if value > 0 else None
            for row, value in zip(rows, values, strict=True)
        ]

    def _relative(self, single: _Single, looked: Looked) -> np.ndarray:
        logits = single.trained.detector.score(looked[single.trained.spec.crop, single.trained.spec.view])
        return (logits - single.threshold) / (single.typical - single.threshold)


def likeness(
    root: Path, params: Params, choice: Choice, trained: Trained | Adopted
) -> ByAttributor | ByTrainings | None:
    """Who says which generator a picture resembles; None where nobody can.

    Args: choice, trained: the detector that judges.
    """
    return _attributor(root, params) or _singles(root, params, choice, trained)


def _attributor(root: Path, params: Params) -> ByAttributor | None:
    """The attributor that knows most generators; of several, the one with the best accuracy on val."""
    found: list[tuple[int, float, str, str, int]] = []
    for name in params.attributors:
        for source, members in params.train.sets.items():
            for seed in params.train.seeds:
                path = attributor_folder(root, source, name, seed) / CARD
                if path.is_file():
                    found.append((len(members), _accuracy(path), source, name, seed))
    if not found:
        return None
    source, name, seed = max(found, key=lambda one: one[:2])[2:]
    trained = load_trained(root, source, name, seed, attributor=True)
    trained.detector.to(device())
    return ByAttributor(trained)


def _accuracy(path: Path) -> float:
    try:
        return float(json.loads(path.read_text("utf-8"))["val"]["accuracy"])
    except (ValueError, KeyError, TypeError):
        raise AssayError(f"{path} is no card of an attributor: `assay run` makes it") from None


def _singles(root: Path, params: Params, choice: Choice, trained: Trained | Adopted) -> ByTrainings | None:
    """The trainings of the same detector with the same seed on one generator, where there are two."""
    wanted = [
        one
        for one in trainings(params)
        if (one.detector, one.seed) == (choice.detector, choice.seed)
        and one.trained_on in params.train.generators
        and card_path(root, one).is_file()
    ]
    if len(wanted) < 2:
        return None
    found = []
    for one in wanted:
        if one[:3] == choice[:3]:
            judge = trained
        else:
            judge = load_trained(root, one.trained_on, one.detector, one.seed)
            judge.detector.to(device())
        val = val_scores(root, params, one, judge, FEW)
        least = smallest_rate(len(val.real))
        if least is None or not len(val.generated):
            continue
        threshold = at_rate(val.real, max(RATE, least)).threshold
        typical = float(np.median(val.generated))
        if typical > threshold:  # else it does not know its own generator
            found.append(_Single(judge, one.trained_on, threshold, typical))
    return ByTrainings(found) if len(found) > 1 else None
