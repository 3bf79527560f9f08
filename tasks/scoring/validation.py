"""How a trained detector scores the validation images: scored once, kept under .assay/score."""

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from assets.code import code_digest
from assets.errors import AssayError
from assets.files import replacing
from assets.images.loader import Pictures, read_side
from assets.items import image_folders
from assets.params import REAL, Params
from assets.progress import counter
from assets.seeds import rng
from assets.verdict import IMAGES_PER_ALARM
from models.detectors.given import Adopted
from models.detectors.scoring import score_images
from models.detectors.trained import Trained
from tasks.scoring.choice import Choice

USUAL = 2000
"""Images of a class that are scored, where no rate asks for more."""
FEW = 500
"""The same for detectors that are only asked what a picture resembles."""


class Val(NamedTuple):
    """Logits of val images."""

    real: np.ndarray
    """(N,); of all real images of the benchmark's val side, or a random choice of them."""
    generated: np.ndarray
    """(M,); of the generators that it was trained on, or, if it was made elsewhere, that others were."""
    groups: int
    """Of the real ones: photographs that they are from."""


def enough(fpr: float | None) -> int:
    """How many images of a class are scored for a rate of false alarms."""
    return USUAL if fpr is None else max(USUAL, math.ceil(IMAGES_PER_ALARM / fpr))


def val_scores(root: Path, params: Params, choice: Choice, trained: Trained | Adopted, most: int) -> Val:
    """Score at most `most` readable val images of each class, or read what was kept of the last time.

    Raises:
        AssayError: the images or their split are not there; a score that is not finite.
    """
    items = (REAL, *_generators(params, choice))
    pictures = Pictures([folder for item in items for folder in image_folders(root, params, item)])
    real = _some(params, [_side(root, REAL)], pictures, most)
    generated = _some(params, [_side(root, item) for item in items[1:]], pictures, most)
    if not real["id"].size:
        raise AssayError("val has no real image that can be read")
    rows = pd.concat([real, generated], ignore_index=True)
    kept = _kept_at(root, choice, trained, rows)
    logits = _read_kept(kept, rows)
    if logits is None:
        logits = _scored(choice, trained, pictures, rows["id"].tolist())
        with replacing(kept) as temporary:
            rows.assign(logit=logits).to_parquet(temporary)
    return Val(logits[: len(real)], logits[len(real) :], int(real["group"].nunique()))


def _generators(params: Params, choice: Choice) -> list[str]:
    if choice.trained_on in params.sources:
        return list(params.sources[choice.trained_on])
    trained = {member for members in params.sources.values() for member in members}
    return [name for name in params.generators if name in trained or not trained]


def _side(root: Path, item: str) -> pd.DataFrame:
    rows = read_side(root / "artifacts" / "split" / item, "val")[["id", "group"]]
    return rows.assign(group=rows["group"].fillna(rows["id"]))


def _some(params: Params, tables: Sequence[pd.DataFrame], pictures: Pictures, most: int) -> pd.DataFrame:
    """At most so many readable images of several tables, the same ones every time."""
    rows = pd.concat(tables, ignore_index=True)
    rows = rows[[pictures.reason(image) is None for image in rows["id"]]]
    if len(rows) <= most:
        return rows
    chosen = rng(params.seed, "score").permutation(len(rows))[:most]
    return rows.iloc[np.sort(chosen)]


def _scored(choice: Choice, trained: Trained | Adopted, pictures: Pictures, images: list[str]) -> np.ndarray:
    label = f"calibrate {choice.detector} on val ({choice.trained_on})"
    with counter(label, len(images)) as bar:
        (logits,) = score_images([(trained.detector, trained.spec)], pictures, images, bar)
    if bad := int(np.sum(~np.isfinite(logits))):
        raise AssayError(f"{bad} of {len(images)} val images get a score that is not finite")
    return logits


def _kept_at(root: Path, choice: Choice, trained: Trained | Adopted, rows: pd.DataFrame) -> Path:
    """A name for these weights on these images, as this code computes them."""
    code = code_digest(["detectors.scoring", f"detectors.kinds.{trained.spec.kind}"])
    spec = json.dumps(trained.spec.model_dump(mode="json"), sort_keys=True)
    known = "\0".join([trained.card["weights"], spec, code, *rows["id"]])
    digest = hashlib.sha256(known.encode()).hexdigest()[:16]
    name = f"{choice.trained_on}-{choice.detector}-s{choice.seed}-{digest}.parquet"
    return root / ".assay" / "score" / name


def _read_kept(path: Path, rows: pd.DataFrame) -> np.ndarray | None:
    """The logits (N,) of these rows, if the file has them."""
    try:
        kept = pd.read_parquet(path)
        logits = kept["logit"].to_numpy(np.float32)
    except (OSError, ValueError, KeyError):
        return None
    same = kept["id"].tolist() == rows["id"].tolist() and bool(np.isfinite(logits).all())
    return logits if same else None
