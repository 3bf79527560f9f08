"""Sides of the split: groups dealt out to them in proportion, or sent to one by a hash of their name."""

from collections.abc import Mapping

import pandas as pd

from assets.params import Split
from assets.seeds import derive_seed

SIDES = ("train", "val", "test")


def deal(rows: pd.DataFrame, group: pd.Series, wanted: Mapping[str, float], seed: int) -> dict[str, str]:
    """Deal groups out to sides that want a share each: group -> side.

    Groups are lined up stratum by stratum, in hash order within one, and each goes to the side that
    lies furthest behind its share (error diffusion): every stratum, a run of this line, is split in
    proportion, and rounding never adds up over strata with one image.
    """
    if rows.empty:
        return {}
    known = pd.DataFrame({"group": group, "content": rows["content"], "class": rows["class_name"]})
    counts = (
        known.fillna("")
        .groupby("group", as_index=False)
        .agg(images=("group", "size"), content=("content", "min"), class_name=("class", "min"))
    )
    counts["key"] = [derive_seed(seed, "split", name) for name in counts["group"]]
    line = counts.sort_values(["content", "class_name", "key"])
    names, shares = list(wanted), list(wanted.values())
    given = [0] * len(names)
    total = 0
    sides: dict[str, str] = {}
    for name, images in zip(line["group"], line["images"].tolist(), strict=True):
        total += images
        behind = [share * total - got for share, got in zip(shares, given, strict=True)]
        side = max(range(len(names)), key=lambda index: (behind[index], shares[index]))
        given[side] += images
        sides[name] = names[side]
    return sides


def hashed(name: str, shares: Split, seed: int) -> str:
    """The side of a group that several generators share, whatever else they draw."""
    place = derive_seed(seed, "split", name) / 2**63
    return "train" if place < shares.train else "val" if place < shares.train + shares.val else "test"
