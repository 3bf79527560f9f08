"""The hardest images: clean test images that most detectors get wrong, with what each detector said."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from assets.files import write_bytes, write_json
from assets.gallery import GALLERY, gallery_folder
from assets.images.imageset import MANIFEST
from assets.images.loader import Pictures, read_side
from assets.images.picture import encode
from assets.items import image_folders
from assets.params import CLEAN, ELSEWHERE, REAL, Params, load_params
from assets.predictions import given_source, predictions_path, read_predictions
from assets.progress import progress
from assets.statistics.metrics import Floats
from assets.statistics.scores import lay_out
from tasks.command import arguments_for, run_stage

Judge = tuple[str, str]
"""Detector and what it was trained on."""


@dataclass(frozen=True)
class Opinions:
    """What all detectors said about the clean test images of one item; N images, J judges."""

    ids: np.ndarray
    """(N,)"""
    groups: np.ndarray
    """(N,)"""
    judges: list[Judge]
    p_NJ: np.ndarray
    """P(generated), mean over seeds; NaN for an image that somebody could not read."""
    wrong_NJ: np.ndarray
    """Share of seeds that call it wrongly, each at the threshold it chose on val."""


def gallery(root: Path, params: Params) -> None:
    """Write artifacts/gallery: gallery.json (see `assets.gallery`) and a JPEG for every image in it.

    Raises:
        AssayError: predictions, splits or images are missing or at odds.
    """
    folder = gallery_folder(root)
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("*.jpg"):
        stale.unlink()
    items = [
        _item(root, params, item) for item in progress([REAL, *params.generators], "gallery", unit="items")
    ]
    write_json(folder / GALLERY, {"items": items})


def asked(params: Params, judges: list[Judge], item: str) -> list[int]:
    """Positions of the judges whose opinion makes an image of `item` hard.

    Only trainings that means are over count, so that a scale study of ten samples has no ten votes. For
    a generator: those that did not see it; if there are none, those of which it is not known; else all.
    """
    voting = [at for at, (name, source) in enumerate(judges) if source in params.averaged_rows(name)]
    if item == REAL:
        return voting
    for answer in (False, None):
        if found := [at for at in voting if params.seen(*judges[at], item) is answer]:
            return found
    return voting


def hardest(opinions: Opinions, asked: list[int], label: int, count: int) -> list[int]:
    """Positions of the hardest images, the hardest first, at most one of a group.

    Ordered by the share of the asked judges that call it wrongly. Of equal ones first the image that,
    on average over those judges, ranks worst among the item's images: ranks, for a logit of one
    detector is worth nothing beside that of another. Then by id.
    """
    readable = np.flatnonzero(np.isfinite(opinions.p_NJ).all(axis=1))
    if not (readable.size and asked):
        return []
    wrong = opinions.wrong_NJ[readable][:, asked].mean(axis=1).round(9)
    towards_wrong = opinions.p_NJ[readable][:, asked] * (1 if label == 0 else -1)
    rank = pd.DataFrame(towards_wrong).rank(method="average").mean(axis=1).round(6).to_numpy()
    order = readable[np.lexsort((opinions.ids[readable].astype(str), -rank, -wrong))]
    first_of_group = ~pd.Series(opinions.groups[order]).duplicated().to_numpy()
    return [int(at) for at in order[first_of_group][:count]]


def thumbnail(pixels: np.ndarray, side: int) -> np.ndarray:
    """Shrink so that the longest side is at most `side`; a picture that is smaller stays as it is."""
    height, width = pixels.shape[:2]
    factor = side / max(height, width)
    if factor >= 1:
        return pixels
    target = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(Image.fromarray(pixels).resize(target, Image.Resampling.LANCZOS))


def _item(root: Path, params: Params, item: str) -> dict[str, Any]:
    label = int(item != REAL)
    found: dict[str, Any] = {"item": item, "label": label, "images": []}
    if not params.gallery.hardest:
        return found
    opinions = _opinions(root, params, item)
    voting = asked(params, opinions.judges, item)
    chosen = hardest(opinions, voting, label, params.gallery.hardest)
    if not chosen:
        return found
    about = read_side(root / "artifacts" / "split" / item, "test").set_index("id")
    prompts = _prompts(root, params, item)
    pictures = Pictures(image_folders(root, params, item))
    for number, at in enumerate(chosen, 1):
        image = str(opinions.ids[at])
        pixels = thumbnail(pictures.pixels(image), params.gallery.side)
        name = f"{item}-{number:02d}.jpg"  # an id is a stranger's text, and no name of a file
        data = encode(pixels, "JPEG", quality=85, subsampling="4:4:4")
        write_bytes(gallery_folder(root) / name, data)
        found["images"].append(
            {
                "id": image,
                "file": name,
                "width": pixels.shape[1],
                "height": pixels.shape[0],
                "content": _text(about["content"].get(image)),
                "class_name": _text(about["class_name"].get(image)),
                "prompt": _text(prompts.get(image)),
                "group": str(opinions.groups[at]),
                "wrong": round(float(opinions.wrong_NJ[at, voting].mean()), 4),
                "asked": len(voting),
                "scores": [
                    {
                        "detector": judge[0],
                        "trained_on": judge[1],
                        "seen": None if item == REAL else params.seen(*judge, item),
                        "p": round(float(opinions.p_NJ[at, column]), 4),
                    }
                    for column, judge in enumerate(opinions.judges)
                ],
            }
        )
    return found


def _opinions(root: Path, params: Params, item: str) -> Opinions:
    """Read the predictions about one item, file by file; of each only the clean images are kept."""
    files = [(source, source, [*params.detectors]) for source in params.sources]
    files += [(given_source(name), ELSEWHERE, [name]) for name in params.given]
    judges: list[Judge] = []
    columns: list[tuple[np.ndarray, np.ndarray]] = []
    ids = groups = np.array([], object)
    for path, source, detectors in files:
        frame = read_predictions(predictions_path(root, path, item))
        scores = lay_out(frame, source, item, params, detectors)
        ids, groups = scores.ids, scores.groups
        for detector in detectors:
            judges.append((detector, source))
            seeds = params.seeds_of(detector)
            logit_NS = np.stack([scores.logits[detector, seed, CLEAN] for seed in seeds], axis=1)
            thresholds = np.array([scores.models.get((detector, seed), ("", 0.0))[1] for seed in seeds])
            called_generated = logit_NS > thresholds
            wrong = called_generated if item == REAL else ~called_generated
            means = _probability(logit_NS).mean(axis=1), wrong.mean(axis=1)
            columns.append((means[0].astype(np.float32), means[1].astype(np.float32)))
    p_NJ, wrong_NJ = (np.stack(part, axis=1) for part in zip(*columns, strict=True))
    return Opinions(ids, groups, judges, p_NJ, wrong_NJ)


def _probability(logits: Floats) -> Floats:
    p: Floats = 1 / (1 + np.exp(-np.clip(logits, -60, 60)))
    return p


def _prompts(root: Path, params: Params, item: str) -> "pd.Series[Any]":
    """Id -> prompt, or null."""
    folders = image_folders(root, params, item)
    rows = [pd.read_parquet(folder / MANIFEST, columns=["id", "prompt"]) for folder in folders]
    return pd.concat(rows).set_index("id")["prompt"]


def _text(value: Any) -> str | None:
    return None if value is None or pd.isna(value) else str(value)


def main(arguments: list[str]) -> None:
    """python -m tasks.gallery"""
    arguments_for(arguments, "")
    gallery(Path(), load_params())


if __name__ == "__main__":
    run_stage(main)
