"""Real images: which pictures of an image set are taken, and how they are cropped.

The source photograph is the group: all crops of one photograph stay on one side of every split.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from assets.choose import take
from assets.errors import AssayError
from assets.images.imageset import ImageSet, ImageSetWriter, link_set
from assets.images.manifest import OK
from assets.images.near import clusters
from assets.images.picture import encode
from assets.params import Params, Real, load_params
from assets.progress import progress
from assets.seeds import rng
from tasks.command import arguments_for, run_stage

DECODED = 64
"""Pictures kept in memory while crops are cut: a source may have a million."""


def collect(root: Path, params: Params, name: str) -> None:
    """Write the image set artifacts/collect/`name` from the source `params.real[name]`.

    Raises:
        AssayError: the source holds generated images, or none that can be used.
    """
    spec = params.real[name]
    source = ImageSet(root / spec.from_)
    if (source.rows["label"] != 0).any():
        raise AssayError(f"real.{name}: {spec.from_} holds generated images; import it with --real")
    if source.usable.empty:
        raise AssayError(f"real.{name}: no picture in {spec.from_} can be used")
    source.rows["group"] = merged_groups(source.rows, params.dedupe.radius)
    out = root / "artifacts" / "collect" / name
    if spec.crop is None:
        link_set(source, out, take(source.rows, spec.count, params.seed), generator="real", label=0)
    else:
        _write_crops(source, out, spec, params.seed, name)


def merged_groups(rows: pd.DataFrame, radius: int) -> pd.Series:
    """Groups of source pictures, joined where two pictures are near-duplicates of one another.

    Crops of a photograph that came in twice under two names look nothing like each other, so this
    leak can only be found before cropping.
    """
    usable = rows[rows["status"] == OK]
    cluster = clusters(usable["phash"], radius)
    group = rows["group"].fillna(rows["id"]).copy()
    parent: dict[str, str] = {}

    def find(name: str) -> str:
        while parent.setdefault(name, name) != name:
            name = parent[name]
        return name

    for members in group.loc[usable.index].groupby(cluster.to_numpy()):
        names = sorted({find(name) for name in members[1]})
        for name in names[1:]:
            parent[name] = names[0]
    return group.map(find)


def crop_box(
    width: int, height: int, side: int, scales: tuple[float, ...], random: np.random.Generator
) -> tuple[float, int, int]:
    """Draw (scale, left, top) of one square crop of a width x height picture that is at least `side`.

    Scales that would make the picture smaller than the crop are not drawn.
    """
    fitting = [scale for scale in scales if int(min(width, height) * scale) >= side] or [1.0]
    scale = fitting[random.integers(len(fitting))]
    left = random.integers(int(width * scale) - side + 1)
    top = random.integers(int(height * scale) - side + 1)
    return scale, int(left), int(top)


def _write_crops(source: ImageSet, out: Path, spec: Real, seed: int, name: str) -> None:
    side = spec.crop or 0
    usable = source.usable
    fitting = usable[usable[["width", "height"]].min(axis=1) >= side]
    if fitting.empty:
        raise AssayError(f"real.{name}: no picture in {spec.from_} is as large as the crop of {side} px")
    rows = source.rows.set_index("id")
    large = take(fitting, spec.count, seed)["id"].tolist()
    total = spec.count or len(large)
    pixels_of = lru_cache(DECODED)(source.pixels)
    with ImageSetWriter(out) as writer:
        for image in rows.index[(rows["status"] != OK)]:
            writer.add_unreadable(image, str(rows["reason"][image]), **_about(rows, image))
        for image in sorted(set(usable["id"]) - set(fitting["id"])):
            writer.add_unreadable(image, f"smaller than the crop of {side} px", **_about(rows, image))
        for index in progress(range(total), f"collect {name}", total):
            image = large[index % len(large)]
            crop = f"{image}-{index // len(large):05d}"
            pixels = pixels_of(image)
            box = crop_box(pixels.shape[1], pixels.shape[0], side, spec.scales, rng(seed, "collect", crop))
            place = f"{rows['source'][image]} x{box[0]:g} +{box[1]}+{box[2]}"
            data = encode(_cut(pixels, side, *box))
            writer.add(crop, data, **{**_about(rows, image), "source": place})


def _cut(pixels: np.ndarray, side: int, scale: float, left: int, top: int) -> np.ndarray:
    if scale == 1:
        return pixels[top : top + side, left : left + side]
    box = (left / scale, top / scale, (left + side) / scale, (top + side) / scale)
    crop = Image.fromarray(pixels).resize((side, side), Image.Resampling.LANCZOS, box=box)
    return np.asarray(crop)


def _about(rows: pd.DataFrame, image: str) -> dict[str, Any]:
    row = rows.loc[image]
    known = ["content", "class_name", "class_index", "group", "source", "side"]
    values = {key: (None if pd.isna(row[key]) else row[key]) for key in known}
    return {"label": 0, "generator": "real", **values}


def main(arguments: list[str]) -> None:
    """python -m tasks.collect NAME"""
    (name,) = arguments_for(arguments, "name")
    collect(Path(), load_params(), name)


if __name__ == "__main__":
    run_stage(main)
