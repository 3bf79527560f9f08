"""Drawing an image again from its generation record alone."""

import json
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from assets.errors import AssayError
from assets.images.imageset import ImageSet
from assets.images.manifest import OK
from assets.images.picture import encode, examine
from assets.machine import device
from assets.params import Sampler
from models import generators
from models.generators import Request


class Redrawn(NamedTuple):
    """An image that was drawn again."""

    pixels: np.ndarray
    """(H, W, 3) uint8."""
    same: bool
    """Whether every pixel is that of the image in the set."""
    record: dict[str, Any]
    """The generation record."""


def redraw(root: Path, image: str) -> Redrawn:
    """Draw the generated image with this id again; nothing is read from params.yaml.

    On another device, or with other versions of the libraries (the record names them), an image can
    differ in its last bits.

    Raises:
        AssayError: no such image, one that was imported or never drawn, a model that is not there or is
            another one than the record's.
    """
    row = _row(root, image)
    record = json.loads(row["record"])
    if record.get("repeatable") is False:
        raise AssayError(f"{image} was drawn by {record['model_id']}, a service that draws nothing twice")
    settings = {**record["sampler"], "batch": record["batch"]}
    request = Request(
        seed=int(row["seed"]),
        prompt=_known(row["prompt"]),
        class_index=_known(row["class_index"]),
        negative_prompt=record.get("negative_prompt"),
        number=int(image.rpartition("-")[2]),
    )
    with tempfile.TemporaryDirectory() as folder:
        model = _model(root, record, Path(folder))
        (drawn,) = generators.open_model(model, Sampler(**settings), device()).draw([request])
    if drawn.pixels is None:
        raise AssayError(f"{image} was drawn, and this time there is none: {drawn.reason}")
    return Redrawn(drawn.pixels, examine(encode(drawn.pixels)).pixels == row["pixels"], record)


def _row(root: Path, image: str) -> "pd.Series[Any]":
    folder = root / "artifacts" / "generate" / image.rpartition("-")[0]
    if not folder.is_dir():
        raise AssayError(
            f"{image}: there is no {folder}; an image's id is GENERATOR-NUMBER, as in a manifest"
        )
    rows = ImageSet(folder).rows.set_index("id")
    if image not in rows.index:
        raise AssayError(f"{folder} has no image {image}")
    row = rows.loc[image]
    if row["status"] != OK:
        raise AssayError(f"there never was an image {image}: {row['reason']}")
    if pd.isna(row["record"]):
        raise AssayError(f"{image} was imported: nothing is known of how it was drawn")
    return row


def _model(root: Path, record: dict[str, Any], spare: Path) -> Path:
    """The folder of the model that drew it: the one in artifacts, or a pointer to weights made anew."""
    folder = root / str(record["from"])
    fit = record["fit"]
    if (folder / generators.MODEL_FILE).is_file():
        now = json.loads((folder / generators.MODEL_FILE).read_text("utf-8"))
        if (now["kind"], now["options"], now["sha256"]) == (fit["kind"], fit["options"], record["sha256"]):
            return folder
    if generators.reals_for(fit["kind"]) != "none":
        raise AssayError(
            f"{folder} is not the model that the record names (sha256 {record['sha256'][:12]}): "
            f"`dvc checkout {folder}` or `dvc repro fit@{folder.name}` may bring it back"
        )
    pointer = spare / folder.name
    generators.fit(fit["kind"], np.empty((0, 1, 1, 3), np.uint8), pointer, fit["options"], 0, device())
    return pointer


def _known(value: Any) -> Any:
    """A manifest value, None if it is missing."""
    return None if pd.isna(value) else value if isinstance(value, str) else int(value)
