"""Scoring one item's test images under every condition, by all detectors trained on one source."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from assets.errors import AssayError, did_you_mean
from assets.images.loader import Pictures, read_side
from assets.items import image_folders
from assets.machine import device, make_repeatable
from assets.params import REAL, Params, load_params
from assets.predictions import OK, predictions_path, write_predictions
from assets.progress import counter
from models.detectors.given import Adopted
from models.detectors.scoring import score_images
from models.detectors.trained import Trained, load_trained, trained_folder
from tasks.command import arguments_for, run_stage

CARRIED = ["id", "label", "generator", "group", "class_name", "content"]
"""Columns that predictions take from the split table."""
OF_CARD = ("detector", "seed", "weights", "threshold")
"""Columns that they take from a detector's card."""


def evaluate(root: Path, params: Params, trained_on: str, tested_on: str) -> None:
    """Write artifacts/evaluate/`trained_on`/`tested_on`/predictions.parquet.

    Every test image of `tested_on` (a generator or `real`) under each condition is read, decoded and
    cropped once and scored by each detector with each seed. One that cannot be decoded has rows without
    a score, with the reason as their status.

    Raises:
        AssayError: a detector that is not there, was changed after its training or trained with other
            parameters; an image set that is missing or lacks a test image.
    """
    make_repeatable()
    judges = [
        _judge(root, params, trained_on, name, seed)
        for name in params.detectors
        for seed in params.train.seeds
    ]
    rows = judged_rows(root, params, trained_on, tested_on, judges)
    write_predictions(predictions_path(root, trained_on, tested_on), rows)


def judged_rows(
    root: Path, params: Params, trained_on: str, tested_on: str, judges: Sequence[Trained | Adopted]
) -> pd.DataFrame:
    """The rows of a predictions file: what detectors, on this machine's device, say of all test images."""
    pairs = [(judge.detector.to(device()), judge.spec) for judge in judges]
    frames: list[pd.DataFrame] = []
    with shown(root, params, trained_on, tested_on) as (conditions, bar):
        for pictures, about in conditions:
            readable = (about["status"] == OK).to_numpy(bool)
            logits = np.full((len(judges), len(about)), np.nan, np.float32)
            logits[:, readable] = score_images(pairs, pictures, about["id"][readable].tolist(), bar)
            frames += [
                about.assign(**{name: judge.card[name] for name in OF_CARD}, logit=row)
                for judge, row in zip(judges, logits, strict=True)
            ]
    return pd.concat(frames, ignore_index=True)


Shown = tuple[Iterator[tuple[Pictures, pd.DataFrame]], Any]
"""For each condition the pictures and a row a test image, with all but the answers; a progress bar."""


@contextmanager
def shown(root: Path, params: Params, trained_on: str, tested_on: str) -> Iterator[Shown]:
    """What detectors are shown of an item; `status` says why an image cannot be decoded.

    Raises:
        AssayError: an image set is missing or lacks a test image.
    """
    test = read_side(root / "artifacts" / "split" / tested_on, "test")
    test["group"] = test["group"].fillna(test["id"])
    with counter(f"evaluate {trained_on} on {tested_on}", len(test) * len(params.conditions)) as bar:

        def conditions() -> Iterator[tuple[Pictures, pd.DataFrame]]:
            for condition in params.conditions:
                pictures = Pictures(image_folders(root, params, tested_on, condition))
                reasons = [pictures.reason(image) for image in test["id"]]
                bar.update(len(test) - reasons.count(None))
                about = {"condition": condition, "trained_on": trained_on, "tested_on": tested_on}
                yield pictures, test[CARRIED].assign(**about, status=[reason or OK for reason in reasons])

        yield conditions(), bar


def _judge(root: Path, params: Params, trained_on: str, name: str, seed: int) -> Trained:
    trained = load_trained(root, trained_on, name, seed)
    if trained.spec != params.detectors[name]:
        raise AssayError(
            f"{trained_folder(root, trained_on, name, seed)} was trained with other parameters than "
            f"detectors.{name} has now: `assay run` trains it"
        )
    return trained


def main(arguments: list[str]) -> None:
    """python -m tasks.evaluate TRAINED_ON TESTED_ON"""
    trained_on, tested_on = arguments_for(arguments, "trained_on tested_on")
    params = load_params()
    if trained_on not in params.sources:
        hint = did_you_mean(trained_on, params.sources)
        raise AssayError(f"no detector is trained on '{trained_on}'; {hint}")
    if tested_on not in (known := [REAL, *params.generators]):
        raise AssayError(f"unknown item '{tested_on}'; {did_you_mean(tested_on, known)}")
    evaluate(Path(), params, trained_on, tested_on)


if __name__ == "__main__":
    run_stage(main)
