"""Taking in one detector that was made elsewhere: its files, and the threshold that is best on val."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import timm
import torch

from assets.detection import SCORES
from assets.errors import AssayError, did_you_mean
from assets.files import sha256_of, write_json
from assets.images.imageset import PARTIAL
from assets.images.loader import Pictures, read_side
from assets.images.manifest import read_manifest
from assets.items import image_folders
from assets.machine import device, make_repeatable
from assets.params import CLEAN, ELSEWHERE, REAL, Params, load_params
from assets.progress import counter
from assets.score_table import by_id, read_table
from assets.statistics import metrics
from models import detectors
from models.detectors.given import (
    CARD,
    TABLE,
    adopted_folder,
    check_given,
    decided_by,
    network,
    scores_options,
    take_in,
)
from models.detectors.scoring import score_images
from tasks.command import arguments_for, run_stage

CLASSES = ("real", "generated")
_SCHEMA = pa.schema([("id", pa.string()), ("condition", pa.string()), ("logit", pa.float32())])


class Val(NamedTuple):
    """The val images of the benchmark and what was said of them."""

    labels: np.ndarray
    """(N,) 0 real, 1 generated."""
    logits: np.ndarray
    """(N,) float32, of those that have a score."""
    left_out: list[int]
    """Images without a score, a class."""


def adopt(root: Path, params: Params, name: str) -> None:
    """Write artifacts/adopt/`name`: card.json and the one file that decides the scores.

    That file is weights.safetensors, model.onnx, or, of a table of scores, scores.parquet (`id`,
    `condition`, `logit`). card.json: `detector`, `trained_on` (elsewhere), `seed` (0), `spec`, `weights`
    (SHA-256 over all that decides the scores), `file` (its name and SHA-256), `code` (hash of the code
    that is this kind's alone), `threshold` (logits), `images` and `unscored` (of val, a class), `val`
    (metrics) and `versions`.

    Raises:
        AssayError: it cannot be taken in, or its threshold cannot be chosen; nothing is written then.
    """
    make_repeatable()
    check_given(params, name)
    spec, where = params.given[name], f"given.{name}"
    folder = adopted_folder(root, name)
    with _workplace(root, name) as place:
        if spec.kind == SCORES:
            file, code = _table(root, params, name, place), None
            val = _val_of_table(root, params, pd.read_parquet(file))
        else:
            file, code = take_in(spec, place, where), detectors.code_of(spec.kind)
            val = _val_of_network(root, params, name, file)
        card = {
            "detector": name,
            "trained_on": ELSEWHERE,
            "seed": 0,
            "spec": spec.model_dump(mode="json"),
            "weights": decided_by(spec, file),
            "file": {"name": file.name, "sha256": sha256_of(file)},
            "code": code,
            **_judged(val, spec.threshold, where),
            "versions": {"torch": torch.__version__, "timm": timm.__version__},
        }
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        shutil.move(file, folder / file.name)
    write_json(folder / CARD, card)  # last: a folder with a card is complete


@contextmanager
def _workplace(root: Path, name: str) -> Iterator[Path]:
    """A folder for what is not finished; it is gone afterwards."""
    place = root / PARTIAL / f"adopt-{name}"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _table(root: Path, params: Params, name: str, place: Path) -> Path:
    """Bring a table of scores to the ids of this benchmark."""
    where = f"given.{name}.options"
    options = scores_options(params.given[name], f"given.{name}")
    folders = [path for item in (REAL, *params.generators) for path in image_folders(root, params, item)]
    known = pd.concat([read_manifest(path / "manifest.parquet")[["id", "source"]] for path in folders])
    rows = by_id(read_table(options, where), known, options, where)
    pq.write_table(pa.Table.from_pandas(rows, _SCHEMA, preserve_index=False), place / TABLE)
    return place / TABLE


def val_images(root: Path, params: Params) -> pd.DataFrame:
    """`id`, `label` and item of the val images that thresholds are chosen on, sorted by id.

    They are the real ones and those of all generators that are trained on here; of all generators if nothing
    is trained here. With `split.reals` other than `all`, only real images that they are paired with.
    """
    trained = {member for members in params.sources.values() for member in members}
    chosen = [name for name in params.generators if name in trained or not trained]
    tables = {item: read_side(root / "artifacts" / "split" / item, "val") for item in (REAL, *chosen)}
    if params.split.reals != "all":
        answered = pd.concat([tables[item]["pair_id"] for item in chosen])
        tables[REAL] = tables[REAL][tables[REAL]["id"].isin(answered)]
    rows = [table.assign(item=item)[["id", "label", "item"]] for item, table in tables.items()]
    return pd.concat(rows).sort_values("id", kind="stable").reset_index(drop=True)


def _val_of_table(root: Path, params: Params, table: pd.DataFrame) -> Val:
    clean = table[table["condition"] == CLEAN].set_index("id")["logit"]
    images = val_images(root, params)
    return _val(images["label"], images["id"].map(clean).to_numpy(np.float32))


def _val_of_network(root: Path, params: Params, name: str, file: Path) -> Val:
    spec, where = params.given[name], f"given.{name}"
    detector = network(spec, file, where).to(device())
    images = val_images(root, params)
    items = list(dict.fromkeys(images["item"]))
    pictures = Pictures([path for item in items for path in image_folders(root, params, item)])
    readable = np.array([pictures.reason(image) is None for image in images["id"]], bool)
    logits = np.full(len(images), np.nan, np.float32)
    chosen = images["id"][readable].tolist()
    with counter(f"adopt {name}", len(chosen)) as bar:
        (logits[readable],) = score_images([(detector, spec)], pictures, chosen, bar)
    bad = images["id"][readable & ~np.isfinite(logits)].tolist()
    if bad:
        raise AssayError(f"{where}: the scores of {len(bad)} val images are not finite, first {bad[0]}")
    return _val(images["label"], logits)


def _val(labels: "pd.Series[int]", logits: np.ndarray) -> Val:
    scored = np.isfinite(logits)
    label_N = labels.to_numpy(int)
    left_out = np.bincount(label_N[~scored], minlength=2).tolist()
    return Val(label_N[scored], logits[scored], left_out)


def _judged(val: Val, rule: str, where: str) -> dict[str, Any]:
    """`threshold`, `val`, `images` and `unscored` of a card."""
    counts = np.bincount(val.labels, minlength=2).tolist()
    threshold = 0.0
    if rule == "val":
        best = metrics.best_threshold(val.labels, val.logits)
        if best is None:
            empty = counts.index(0)
            raise AssayError(
                f"{where}.threshold is 'val', and none of {val.left_out[empty]} {CLASSES[empty]} val images "
                "has a score: add them, or write `threshold: half`"
            )
        threshold = best
    return {
        "threshold": threshold,
        "val": metrics.all_metrics(val.labels, val.logits, threshold),
        "images": {"val": dict(zip(CLASSES, counts, strict=True))},
        "unscored": {"val": dict(zip(CLASSES, val.left_out, strict=True))},
    }


def main(arguments: list[str]) -> None:
    """python -m tasks.adopt NAME"""
    (name,) = arguments_for(arguments, "name")
    params = load_params()
    if name not in params.given:
        raise AssayError(f"unknown given detector '{name}'; {did_you_mean(name, params.given)}")
    adopt(Path(), params, name)


if __name__ == "__main__":
    run_stage(main)
