"""Scoring one item's test images under every condition, by a detector that was made elsewhere."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from assets.detection import SCORES
from assets.errors import AssayError, did_you_mean
from assets.machine import make_repeatable
from assets.params import ELSEWHERE, REAL, Params, load_params
from assets.predictions import OK, given_source, predictions_path, write_predictions
from models.detectors.given import load_given, read_given
from tasks.command import arguments_for, run_stage
from tasks.evaluate import OF_CARD, judged_rows, shown

NO_CONDITION = "no score for this condition"
NO_SCORE = "no score in the file"


def evaluate_given(root: Path, params: Params, name: str, tested_on: str) -> None:
    """Write artifacts/evaluate/elsewhere/`name`/`tested_on`/predictions.parquet.

    As `tasks.evaluate.evaluate`, with `trained_on` elsewhere and the seed 0. Of a table of scores, an image
    that it does not have has rows without a score, whose status says so; they are counted on stderr.

    Raises:
        AssayError: it was not taken in, or with other parameters; an image set that is missing.
    """
    make_repeatable()
    if params.given[name].kind == SCORES:
        rows = _looked_up(root, params, name, tested_on)
    else:
        rows = judged_rows(root, params, ELSEWHERE, tested_on, [load_given(root, params, name)])
    write_predictions(predictions_path(root, given_source(name), tested_on), rows)


def _looked_up(root: Path, params: Params, name: str, tested_on: str) -> pd.DataFrame:
    """What a table of scores says of all test images."""
    card, file = read_given(root, params, name)
    parts = pd.read_parquet(file).groupby("condition")
    table = {str(condition): rows.set_index("id")["logit"] for condition, rows in parts}
    frames = []
    with shown(root, params, ELSEWHERE, tested_on) as (conditions, bar):
        for condition, (_, about) in zip(params.conditions, conditions, strict=True):
            there = table.get(condition, pd.Series(dtype=np.float32))
            readable = (about["status"] == OK).to_numpy(bool)
            logit = np.array(about["id"].map(there), np.float32)
            missing = readable & np.isnan(logit)
            logit[~readable] = np.nan  # whatever was scored elsewhere, no other detector could see it
            reason = NO_SCORE if condition in table else NO_CONDITION
            about = about.assign(status=about["status"].mask(missing, reason), logit=logit)
            frames.append(about.assign(**{column: card[column] for column in OF_CARD}))
            bar.update(int(readable.sum()))
            if missing.any():
                _tell(name, tested_on, condition, about["id"][missing].tolist(), len(about))
    return pd.concat(frames, ignore_index=True)


def _tell(name: str, tested_on: str, condition: str, missing: list[str], count: int) -> None:
    print(
        f"given.{name}: {len(missing)} of {count} test images of {tested_on} ({condition}) have no score, "
        f"first {missing[0]}",
        file=sys.stderr,
    )


def main(arguments: list[str]) -> None:
    """python -m tasks.evaluate_given NAME TESTED_ON"""
    name, tested_on = arguments_for(arguments, "name tested_on")
    params = load_params()
    if name not in params.given:
        raise AssayError(f"unknown given detector '{name}'; {did_you_mean(name, params.given)}")
    if tested_on not in (known := [REAL, *params.generators]):
        raise AssayError(f"unknown item '{tested_on}'; {did_you_mean(tested_on, known)}")
    evaluate_given(Path(), params, name, tested_on)


if __name__ == "__main__":
    run_stage(main)
