"""Judging people's pictures with a detector of this benchmark.

No stage: it writes no artifact. What a score means is worked out on the validation images
(assets/verdict.py); which generator a picture resembles is asked of an attributor, if there is one, else of
the same detector's trainings on single generators.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from assets.errors import AssayError
from assets.images.picture import PictureError, decode
from assets.lineage import Lineage
from assets.machine import device
from assets.params import ELSEWHERE, Params
from assets.verdict import (
    IMAGES_PER_ALARM,
    RATE,
    Platt,
    Rate,
    at_rate,
    check_rate,
    fit_platt,
    sigmoid,
    smallest_rate,
)
from models.detectors.given import Adopted, load_given
from models.detectors.heat import heat_of, write_heat
from models.detectors.scoring import Look
from models.detectors.trained import Trained, load_trained
from tasks.scoring.choice import Choice, card_path
from tasks.scoring.files import shown
from tasks.scoring.likeness import ByAttributor, ByTrainings, Likeness, likeness
from tasks.scoring.looking import Seen, load
from tasks.scoring.validation import Val, enough, val_scores
from tasks.sources.places import File, Unreadable

GENERATED = "generated"
NO_SIGN = "no sign"
"""Below the threshold there is nothing that this detector knows: it does not say that a picture is real."""
WARNING = (
    "A score is no proof. It says how much a picture is like what this detector was trained on; new "
    "generators, compression, resizing, screenshots and edits change it, in both directions."
)
_SMALL = 0.5
"""A picture whose shorter side is below this share of what a detector sees is told apart."""


class Asked(NamedTuple):
    """What the user wants."""

    fpr: float | None = None
    """Share of real pictures that may be called generated; None: `assets.verdict.RATE`, or the smallest
    that val supports."""
    resemblance: bool = True
    heat_maps: Path | None = None
    """A folder for them."""


class Answer(NamedTuple):
    """What is said about one picture."""

    picture: Path
    logit: float | None = None
    probability: float | None = None
    verdict: str | None = None
    resembles: Likeness | None = None
    note: str | None = None
    heat_map: Path | None = None
    reason: str | None = None
    """Why it cannot be judged; the fields above are then None."""


class Scorer:
    """A detector that is ready to judge, and what its scores mean."""

    def __init__(self, root: Path, params: Params, choice: Choice, asked: Asked) -> None:
        """Load the detector that was chosen (`tasks.scoring.choice.choose`) and calibrate it on val.

        Raises:
            AssayError: weights that are not those of the training, a rate that val does not support, no
                heat maps from this kind of detector.
        """
        if asked.fpr is not None:
            check_rate(asked.fpr, "--fpr")
        self.asked = asked
        self.choice = choice
        self.trained = _load(root, params, choice)
        if asked.heat_maps is not None and not hasattr(self.trained.detector, "heat_map"):
            raise AssayError(
                f"--heat-map: {self.choice.detector} (kind {self.trained.spec.kind}) judges a picture as a "
                "whole; detectors of kind ladeda have a map (`assay add ladeda --quick`)"
            )
        self.rate: Rate | None = None
        self.platt: Platt | None = None
        self.val: Val | None = None
        self.notes: list[str] = []
        known = params.judges[self.choice.detector]
        if self.trained.spec != known:
            self.notes.append("it was trained with other parameters than params.yaml has now: `assay run`")
        self._calibrate(root, params)
        self._likeness: ByAttributor | ByTrainings | None = None
        if asked.resemblance and self.val is not None:
            self._likeness = likeness(root, params, self.choice, self.trained)
            if self._likeness is None:
                self.notes.append(
                    "what a picture resembles is not said: that takes a trained attributor, or trainings of "
                    f"{self.choice.detector} on two generators which it then tells from real images"
                )
        self._hashes = _hashes(root, self.choice)
        own: list[Look] = [(self.trained.spec.crop, self.trained.spec.view)]
        others: list[Look] = self._likeness.looks if self._likeness is not None else []
        self._looks = tuple(dict.fromkeys([*own, *others]))

    @property
    def threshold(self) -> float:
        """In logits: of the rate, or (without val images) the training card's."""
        return self.rate.threshold if self.rate is not None else float(self.trained.card["threshold"])

    def about(self) -> dict[str, Any]:
        """Which detector, from which lineage, and what its numbers mean; ready for JSON."""
        spec = self.trained.spec
        val = self.val
        return {
            "detector": self.choice.detector,
            "trained_on": self.choice.trained_on,
            "seed": self.choice.seed,
            "why": self.choice.why,
            "kind": spec.kind,
            "model": spec.model,
            "crop": spec.crop,
            "weights": self.trained.card["weights"],
            **self._hashes,
            "threshold": self.threshold,
            "fpr": self.rate.fpr if self.rate is not None else None,
            "probability": "sigmoid of the logit, not calibrated"
            if self.platt is None
            else "calibrated on val (Platt), as if half of all pictures were generated; it may disagree with "
            "the verdict, which only keeps false alarms rare",
            "val": None
            if val is None
            else {"real": len(val.real), "groups": val.groups, "generated": len(val.generated)},
            "resembles": None
            if self._likeness is None
            else {"how": self._likeness.how, "among": self._likeness.generators},
            "notes": self.notes,
            "warning": WARNING,
        }

    def answers(self, paths: Sequence[Path]) -> Iterator[Answer]:
        """Judge files, in the order given, as they are read."""
        names: set[str] = set()
        for batch in load(paths, self._looks):
            good = [seen for seen in batch if seen.reason is None]
            judged = iter(self._judge(good, names)) if good else iter(())
            for seen in batch:
                yield Answer(seen.path, reason=seen.reason) if seen.reason is not None else next(judged)

    def _judge(self, batch: list[Seen], names: set[str]) -> list[Answer]:
        looked = {
            look: torch.from_numpy(np.stack([seen.crops[place] for seen in batch]))
            for place, look in enumerate(self._looks)
        }
        own = looked[self.trained.spec.crop, self.trained.spec.view]
        logits = self.trained.detector.score(own)
        chances = sigmoid(logits) if self.platt is None else self.platt(logits)
        generated = logits > self.threshold
        alike: list[Likeness | None] = [None] * len(batch)
        if self._likeness is not None:
            alike = self._likeness.of(looked, generated)
        answers = []
        for place, seen in enumerate(batch):
            if not np.isfinite(logits[place]):
                answers.append(Answer(seen.path, reason="its score is not finite"))
                continue
            answers.append(
                Answer(
                    seen.path,
                    float(logits[place]),
                    float(chances[place]),
                    GENERATED if generated[place] else NO_SIGN,
                    alike[place],
                    self._note(seen),
                    self._heat_map(seen.path, names),
                )
            )
        return answers

    def _note(self, seen: Seen) -> str | None:
        side = self.trained.spec.view.resize or self.trained.spec.crop
        if min(seen.width, seen.height) >= _SMALL * side:
            return None
        return f"small: {seen.width} x {seen.height} px, and it looks at {side} px: the score means little"

    def _calibrate(self, root: Path, params: Params) -> None:
        """Threshold and probability from val; from the card, with a note, where val is not there."""
        asked = self.asked.fpr
        try:
            self.val = val_scores(root, params, self.choice, self.trained, enough(asked))
        except AssayError as error:
            if asked is not None:
                raise AssayError(f"--fpr needs the scores of the val images: {error}") from None
            self.notes.append(
                f"the val images cannot be scored ({error}), so the rate of false alarms is not known; the "
                "threshold is the one of the training's card, the best balanced accuracy on val"
            )
            return
        least = smallest_rate(len(self.val.real))
        if asked is None and least is None:
            self.notes.append(
                f"val has {len(self.val.real)} real images, too few for a rate of false alarms; the "
                "threshold is the one of the training's card, the best balanced accuracy on val"
            )
        else:
            usual = max(RATE, least or RATE)
            self.rate = at_rate(self.val.real, usual if asked is None else asked, "--fpr")
            if asked is None and self.rate.fpr > RATE:
                self.notes.append(
                    f"a rate of {RATE:g} takes more real val images than there are ({len(self.val.real)}): "
                    f"{self.rate.fpr:g} is the smallest they allow"
                )
            if self.val.groups * self.rate.fpr < IMAGES_PER_ALARM and self.val.groups < len(self.val.real):
                self.notes.append(
                    f"the {len(self.val.real)} real val images are of {self.val.groups} photographs: the "
                    "rate is rough"
                )
        self.platt = fit_platt(self.val.real, self.val.generated)
        if self.platt is None:
            self.notes.append("P is not calibrated: on val, higher scores do not go with 'generated'")

    def _heat_map(self, path: Path, names: set[str]) -> Path | None:
        """Draw the heat map of a whole picture; None where none is asked for, or it is too small for one.

        Args: names: of the files that were written before; equal ones get a number.
        """
        if self.asked.heat_maps is None:
            return None
        try:
            picture = decode(File(path.parent, path.name).read())
            heat = heat_of(self.trained.detector, picture, self.choice.detector)
        except (AssayError, Unreadable, PictureError):
            return None
        stem, number = shown(Path(path.stem)), 1
        while (name := f"{stem}{'' if number == 1 else f'-{number}'}.png") in names:
            number += 1
        names.add(name)
        write_heat(picture, heat, self.asked.heat_maps / name)
        return self.asked.heat_maps / name


def _load(root: Path, params: Params, one: Choice) -> Trained | Adopted:
    loaded: Trained | Adopted
    if one.trained_on == ELSEWHERE:
        loaded = load_given(root, params, one.detector)
    else:
        loaded = load_trained(root, one.trained_on, one.detector, one.seed)
    loaded.detector.to(device())
    return loaded


def _hashes(root: Path, one: Choice) -> dict[str, str | None]:
    """The stage that made the weights, and its hashes; null where dvc.lock does not tell."""
    folder = card_path(Path(), one).parent
    try:
        lineage = Lineage(root)
        stage = lineage.of_path(folder.as_posix())
        return {"stage": stage, **lineage.stage(stage).as_dict(), "lineage_note": None}
    except AssayError as error:
        return {"stage": None, "lineage": None, "recipe": None, "lineage_note": str(error)}
