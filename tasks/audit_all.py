"""The audit of the whole set: shortcuts over all generators together, balance, damage, copies, and leaks.

A leak is a test image of any item that a training may know: it shares a group with, is an exact copy of, or
is a near-duplicate of an image that is on the train or val side of any item. Near-duplicates have perceptual
hashes within `dedupe.radius` bits and are then looked at: their thumbnails of 32 x 32 averaged colours
differ by no more than `MOST_APART` of 255 on the average. Among millions of images, and among portraits of
one composition, hashes are near by chance.
"""

from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from assets.audit.balance import balance, damaged, removed_copies
from assets.audit.crossings import HASH, coded, leaks, pairs
from assets.audit.leaks import EXACT, NEAR, write_leaks
from assets.audit.shortcuts import thumbnail
from assets.files import write_json
from assets.images.loader import Pictures
from assets.images.near import as_bits
from assets.items import image_folders
from assets.params import REAL, Params, load_params
from assets.progress import progress
from assets.seeds import derive_seed
from tasks.audit import MOST_ROWS, Material, judge, material, split_column
from tasks.command import arguments_for, run_stage

MOST_APART = 8.0
"""Mean difference of two thumbnails. Measured: copies at JPEG quality 10 lie up to 7.4 apart, different
portraits with hashes 4 bits apart 9 to 30."""


def audit_all(root: Path, params: Params) -> None:
    """Write artifacts/audit_all: audit.json and leaks.parquet.

    audit.json has what `tasks.audit.judge_rows` finds in all generators pooled, and, by item, `balance`
    and `corrupt`; `near_duplicates`: by item those that were removed, and `across` items the pairs of kept
    images; and `leaks`, counted.
    """
    items = (REAL, *params.generators)
    folder = root / "artifacts"
    decided = {item: folder / "dedupe" / item / "decisions.parquet" for item in items}
    splits = {item: folder / "split" / item / "split.parquet" for item in items}
    images = _images(decided, splits)
    found = pairs(images, params.dedupe.radius, lambda near: _look_alike(root, params, images, near))
    leaking = leaks(images, found)
    columns = ["id", "status", "reason", "removed", "cluster"]
    by_item = {item: pd.read_parquet(path, columns=columns) for item, path in decided.items()}
    document = {
        **_pooled(root, params),
        "balance": {item: balance(pd.read_parquet(path)) for item, path in splits.items()},
        "corrupt": {item: damaged(rows) for item, rows in by_item.items()},
        "near_duplicates": {
            "radius": params.dedupe.radius,
            "most_apart": MOST_APART,
            "compared": len(images),
            "by_chance": by_chance(len(images), params.dedupe.radius),
            "items": {item: removed_copies(rows) for item, rows in by_item.items()},
            "across": _across(images, found, items),
        },
        "leaks": _counted(leaking),
    }
    write_leaks(root, leaking)
    write_json(folder / "audit_all" / "audit.json", document)


def by_chance(images: int, radius: int) -> float:
    """Pairs within `radius` bits to be expected among so many hashes if all 64 bits were thrown coins."""
    near = sum(comb(64, bits) for bits in range(radius + 1)) / 2**64
    return images * (images - 1) / 2 * near


def _images(decided: dict[str, Path], splits: dict[str, Path]) -> pd.DataFrame:
    """Every kept image of every item, as `assets.audit.crossings` takes them: 50 bytes each and its id."""
    parts = []
    for item, path in splits.items():
        rows = pd.read_parquet(path, columns=["id", "side", "group"])
        hashes = pd.read_parquet(decided[item], columns=["id", "pixels", "phash"])
        rows = rows.merge(hashes, on="id", validate="one_to_one")
        own = item + "/" + rows["id"].astype(object)
        part = rows[["id", "side"]].assign(item=item)
        part["group"] = coded(rows["group"].astype(object).fillna(own))
        part["pixels"] = coded(rows["pixels"])
        part["phash"] = as_bits(rows["phash"])
        parts.append(part.astype({"item": "category", "side": "category"}))
    images = pd.concat(parts, ignore_index=True)
    return images.astype({"item": str, "side": str})


def _look_alike(root: Path, params: Params, images: pd.DataFrame, near: pd.DataFrame) -> pd.Series:
    """Whether the thumbnails of each pair differ by no more than `MOST_APART`."""
    needed = images.loc[sorted({*near["one"], *near["other"]}), ["item", "id"]]
    small: dict[int, np.ndarray] = {}
    for item, rows in needed.groupby("item", sort=True):
        pictures = Pictures(image_folders(root, params, str(item)))
        named = zip(rows.index.tolist(), rows["id"], strict=True)
        for place, name in progress(named, f"compare {item}", len(rows)):
            small[place] = thumbnail(pictures.pixels(name)).round().astype(np.uint8)
    apart = [
        np.abs(small[one].astype(float) - small[other]).mean()
        for one, other in zip(near["one"], near["other"], strict=True)
    ]
    return pd.Series(np.array(apart) <= MOST_APART, index=near.index)


def _pooled(root: Path, params: Params) -> dict[str, Any]:
    """The audit of all generators together, as many images of each, against all real images."""
    paired = None
    if params.split.reals != "all":
        paired = {name for item in params.generators for name in split_column(root, item, "pair_id").dropna()}
    share = len(params.generators)
    most, look = -(-MOST_ROWS // share), -(-params.audit.look // share)
    made = [material(root, params, item, None, most, look) for item in params.generators]
    generated = Material(
        pd.concat([one.rows for one in made]),
        pd.concat([one.opened for one in made]),
        sum(one.total for one in made),
    )
    real = material(root, params, REAL, paired, MOST_ROWS, params.audit.look)
    return judge([real, generated], params, derive_seed(params.seed, "audit-all"))


def _across(images: pd.DataFrame, found: pd.DataFrame, items: tuple[str, ...]) -> list[dict[str, Any]]:
    """Pairs of kept images by the two items they are of: exact copies, near-duplicates, hashes alone."""
    of = images["item"].to_numpy()
    kinds = found.assign(one=of[found["one"]], other=of[found["other"]])
    counts = kinds.value_counts(["one", "other", "kind"]).to_dict()
    return [
        {
            "one": one,
            "other": other,
            "exact": int(counts.get((one, other, EXACT), 0)),
            "near": int(counts.get((one, other, NEAR), 0)),
            "hash_alone": int(counts.get((one, other, HASH), 0)),
        }
        for place, one in enumerate(items)
        for other in items[place:]
        if any((one, other, kind) in counts for kind in (EXACT, NEAR, HASH))
    ]


def _counted(leaking: pd.DataFrame) -> dict[str, Any]:
    """How many test images leak, in all and by where from."""
    keys = ["tested_on", "trained_on", "kind"]
    counts = leaking.groupby(keys).size().rename("images").reset_index()
    return {
        "images": len(leaking.drop_duplicates(["tested_on", "id"])),
        "by": counts.to_dict("records"),
    }


def main(arguments: list[str]) -> None:
    """python -m tasks.audit_all"""
    if arguments:
        arguments_for(arguments, "")
    audit_all(Path(), load_params())


if __name__ == "__main__":
    run_stage(main)
