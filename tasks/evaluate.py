"""Scoring one item's test images under every condition, by all detectors trained on one generator."""

from pathlib import Path

import numpy as np
import pandas as pd

from assets.errors import AssayError, did_you_mean
from assets.loader import Pictures, read_side
from assets.machine import device, make_repeatable
from assets.params import CLEAN, REAL, Params, load_params
from assets.predictions import OK, predictions_path, write_predictions
from assets.progress import counter
from models.detectors.scoring import score_images
from models.detectors.trained import Trained, load_trained, trained_folder
from tasks.command import arguments_for, run_stage

CARRIED = ["id", "label", "generator", "group", "class_name", "content"]
"""Columns that predictions take from the split table."""


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
        _judge(trained_folder(root, trained_on, name, seed), params, name)
        for name in params.detectors
        for seed in params.train.seeds
    ]
    test = read_side(root / "artifacts" / "split" / tested_on, "test")
    test["group"] = test["group"].fillna(test["id"])
    frames = []
    with counter(f"evaluate {trained_on} on {tested_on}", len(test) * len(params.conditions)) as bar:
        for condition in params.conditions:
            pictures = Pictures(_folders(root, params, tested_on, condition))
            reasons = [pictures.reason(image) for image in test["id"]]
            readable = [image for image, bad in zip(test["id"], reasons, strict=True) if bad is None]
            bar.update(len(test) - len(readable))
            logits = np.full((len(judges), len(test)), np.nan, np.float32)
            scored = np.array([bad is None for bad in reasons], bool)
            logits[:, scored] = score_images(
                [(judge.detector, judge.spec.crop) for judge in judges], pictures, readable, bar
            )
            about = test[CARRIED].assign(
                condition=condition, tested_on=tested_on, status=[bad or OK for bad in reasons]
            )
            frames += [
                _said(about, judge, row, trained_on) for judge, row in zip(judges, logits, strict=True)
            ]
    write_predictions(predictions_path(root, trained_on, tested_on), pd.concat(frames, ignore_index=True))


def _judge(folder: Path, params: Params, name: str) -> Trained:
    trained = load_trained(folder)
    if trained.spec != params.detectors[name]:
        raise AssayError(
            f"{folder} was trained with other parameters than detectors.{name} has now: `assay run` trains it"
        )
    trained.detector.to(device())
    return trained


def _folders(root: Path, params: Params, item: str, condition: str) -> list[Path]:
    artifacts = root / "artifacts"
    if condition != CLEAN:
        return [artifacts / "degrade" / item / condition]
    if item == REAL:
        return [artifacts / "collect" / name for name in params.real]
    return [artifacts / "generate" / item]


def _said(about: pd.DataFrame, judge: Trained, logits: np.ndarray, trained_on: str) -> pd.DataFrame:
    """What one detector said about the images of one condition."""
    return about.assign(
        detector=judge.card["detector"],
        seed=judge.card["seed"],
        trained_on=trained_on,
        weights=judge.card["weights"],
        threshold=judge.card["threshold"],
        logit=logits,
    )


def main(arguments: list[str]) -> None:
    """python -m tasks.evaluate TRAINED_ON TESTED_ON"""
    trained_on, tested_on = arguments_for(arguments, "trained_on tested_on")
    params = load_params()
    if trained_on not in params.train.generators:
        hint = did_you_mean(trained_on, params.train.generators)
        raise AssayError(f"no detector is trained on '{trained_on}'; {hint}")
    if tested_on not in (known := [REAL, *params.generators]):
        raise AssayError(f"unknown item '{tested_on}'; {did_you_mean(tested_on, known)}")
    evaluate(Path(), params, trained_on, tested_on)


if __name__ == "__main__":
    run_stage(main)
