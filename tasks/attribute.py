"""Asking an attributor which generator made one generator's test images, under every condition."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from assets.attributions import OK, UNKNOWN, attributions_path, write_attributions
from assets.errors import AssayError, did_you_mean
from assets.machine import device, make_repeatable
from assets.params import Params, load_params
from models.detectors import attribution
from models.detectors.scoring import score_images
from models.detectors.trained import Trained, attributor_folder, load_trained
from tasks.command import arguments_for, run_stage
from tasks.evaluate import shown


def attribute(root: Path, params: Params, trained_on: str, name: str, tested_on: str) -> None:
    """Write artifacts/evaluate/attribution/`trained_on`/`name`/`tested_on`/attributions.parquet.

    Every test image under each condition is read, decoded and cropped once and shown to the attributor with
    each seed. One that cannot be decoded has rows without an answer, with the reason as their status.

    Args: trained_on: a set of generators; name: an attributor; tested_on: a generator, of the set or not: of
        one that is not, `unknown` is the right answer.
    Raises:
        AssayError: an attributor that is not there, was changed after its training or trained with other
            parameters or on other generators; an image set that is missing or lacks a test image.
    """
    make_repeatable()
    judges = [_judge(root, params, trained_on, name, seed) for seed in params.train.seeds]
    pairs = [(judge.detector, judge.spec) for judge in judges]
    frames: list[pd.DataFrame] = []
    with shown(root, params, trained_on, tested_on) as (conditions, bar):
        for pictures, about in conditions:
            readable = (about["status"] == OK).to_numpy(bool)
            logits = score_images(pairs, pictures, about["id"][readable].tolist(), bar)
            frames += [
                _rows(about, readable, judge.card, logits_NK)
                for judge, logits_NK in zip(judges, logits, strict=True)
            ]
    path = attributions_path(root, trained_on, name, tested_on)
    write_attributions(path, pd.concat(frames, ignore_index=True))


def _rows(
    about: pd.DataFrame, readable: np.ndarray, card: dict[str, Any], logits_NK: np.ndarray
) -> pd.DataFrame:
    """Rows about images with what was said of the readable ones, (N, K)."""
    answers = np.full(len(about), None, object)
    names = np.array([*card["classes"], UNKNOWN], object)  # the last one is at -1
    answers[readable] = names[attribution.answers(logits_NK, card["unknown_below"])]
    score = np.full(len(about), np.nan, np.float32)
    score[readable] = attribution.scores(logits_NK)
    logits = iter(logits_NK.tolist())
    return about.assign(
        **{column: card[column] for column in ("detector", "seed", "weights")},
        classes=[card["classes"]] * len(about),
        logits=pd.Series([next(logits) if ok else None for ok in readable], about.index, object),
        score=score,
        unknown_below=pd.Series(card["unknown_below"], about.index, "float64"),
        answer=answers,
    )


def _judge(root: Path, params: Params, trained_on: str, name: str, seed: int) -> Trained:
    trained = load_trained(root, trained_on, name, seed, attributor=True)
    folder = attributor_folder(root, trained_on, name, seed)
    if trained.spec != params.attributors[name]:
        raise AssayError(
            f"{folder} was trained with other parameters than attributors.{name} has now: "
            "`assay run` trains it"
        )
    if tuple(trained.card["classes"]) != params.train.sets[trained_on]:
        raise AssayError(
            f"{folder} knows {', '.join(trained.card['classes'])}, not the generators of "
            f"train.sets.{trained_on}: `assay run` trains it"
        )
    trained.detector.to(device())
    return trained


def main(arguments: list[str]) -> None:
    """python -m tasks.attribute SET ATTRIBUTOR TESTED_ON"""
    trained_on, name, tested_on = arguments_for(arguments, "set attributor tested_on")
    params = load_params()
    if trained_on not in params.train.sets:
        raise AssayError(f"unknown set '{trained_on}'; {did_you_mean(trained_on, params.train.sets)}")
    if name not in params.attributors:
        raise AssayError(f"unknown attributor '{name}'; {did_you_mean(name, params.attributors)}")
    if tested_on not in params.generators:
        raise AssayError(f"unknown generator '{tested_on}'; {did_you_mean(tested_on, params.generators)}")
    attribute(Path(), params, trained_on, name, tested_on)


if __name__ == "__main__":
    run_stage(main)
