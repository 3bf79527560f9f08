"""Images that are one though they are of two items: copies, near-duplicates, and leaks into the test."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from assets.audit.leaks import COLUMNS, EXACT, GROUP, NEAR
from assets.images.near import near_pairs

Confirm = Callable[[pd.DataFrame], pd.Series]
"""Pairs with near hashes -> whether each shows nearly the same."""

HASH = "near hash"
"""The kind of a pair whose hashes are near and whose pictures are not."""


def coded(texts: pd.Series) -> np.ndarray:
    """(N,) uint64: equal for equal texts. Two unlike texts among three million share one once in four million
    sets (2.4e-7)."""
    return pd.util.hash_array(texts.to_numpy(object), categorize=False)


def pairs(images: pd.DataFrame, radius: int, confirm: Confirm) -> pd.DataFrame:
    """All pairs of images whose perceptual hashes lie within `radius` bits.

    Args:
        images: `item`, `id`, `side`, `pixels` (uint64), `phash` (uint64), with index 0..N-1.
        confirm: tells near-duplicates from pictures whose hashes are near by chance.
    Returns:
        `one` < `other` (positions in `images`) and `kind`: EXACT (the same pixels), NEAR or HASH.
    """
    values, which = np.unique(images["phash"].to_numpy(np.uint64), return_inverse=True)
    shared = np.flatnonzero(np.bincount(which) > 1)  # values of several images
    found = [np.stack([shared, shared]), *(np.stack(pair[:2]) for pair in near_pairs(values, radius))]
    near_values = pd.DataFrame(np.concatenate(found, axis=1).T, columns=["value", "near"])
    members = pd.DataFrame({"value": which, "image": np.arange(len(images))})
    both = near_values.merge(members, on="value")
    both = both.merge(members, left_on="near", right_on="value", suffixes=("_one", "_other"))
    both = both[(both["value_one"] != both["near"]) | (both["image_one"] < both["image_other"])]
    ends = both[["image_one", "image_other"]].to_numpy()
    both = pd.DataFrame({"one": ends.min(axis=1), "other": ends.max(axis=1)})
    pixels = images["pixels"].to_numpy(np.uint64)
    both["kind"] = np.where(pixels[both["one"]] == pixels[both["other"]], EXACT, HASH)
    near = both["kind"] == HASH
    if near.any():
        both.loc[near[near].index[confirm(both[near]).to_numpy(bool)], "kind"] = NEAR
    return both.sort_values(["one", "other"], ignore_index=True)


def leaks(images: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """Test images that trainings may know: `assets.audit.leaks.COLUMNS`, once an image, kind and training
    item.

    Args: images: as for `pairs`, with `group` (uint64); found: what `pairs` gave.
    """
    parts = [_of_groups(images)]
    copies = found[found["kind"] != HASH]
    for tested, known in (("one", "other"), ("other", "one")):
        test = images.loc[copies[tested], ["item", "id", "side"]].reset_index(drop=True)
        train = images.loc[copies[known], ["item", "id", "side"]].reset_index(drop=True)
        part = pd.DataFrame(
            {
                "tested_on": test["item"],
                "id": test["id"],
                "kind": copies["kind"].to_numpy(),
                "trained_on": train["item"],
                "of": train["id"],
            }
        )
        parts.append(part[(test["side"] == "test") & (train["side"] != "test")])
    every = pd.concat(parts, ignore_index=True)[list(COLUMNS)].astype(str)
    return every.groupby(list(COLUMNS[:-1]))["of"].min().reset_index()


def _of_groups(images: pd.DataFrame) -> pd.DataFrame:
    test = images.loc[images["side"] == "test", ["item", "id", "group"]]
    known = images.loc[images["side"] != "test", ["item", "id", "group"]].sort_values("id")
    known = known.drop_duplicates(["item", "group"])
    both = test.merge(known, on="group", suffixes=("", "_known"))
    named = {"item": "tested_on", "item_known": "trained_on", "id_known": "of"}
    return both.rename(columns=named).assign(kind=GROUP)[list(COLUMNS)]
