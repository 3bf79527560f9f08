"""Sides of the split as a release published them: which images keep theirs, and where val comes from."""

from collections.abc import Collection

import pandas as pd

from assets.errors import AssayError
from assets.params import Split
from assets.seeds import derive_seed
from assets.splitting.dealing import SIDES, deal, hashed
from assets.splitting.groups import SHARED


def published_sides(item: str, decided: pd.DataFrame) -> pd.Series:
    """The side each image was published on, or null."""
    sides = decided["side"]
    wrong = sides[sides.notna() & ~sides.isin(SIDES)]
    if len(wrong):
        raise AssayError(
            f"split of {item}: the image {decided['id'][wrong.index[0]]} was imported with the side "
            f"'{wrong.iloc[0]}', which is none of {', '.join(SIDES)}: import it anew"
        )
    return sides


def as_published(
    rows: pd.DataFrame,
    group: pd.Series,
    published: pd.Series,
    fixed: Collection[str],
    shares: Split,
    seed: int,
) -> dict[str, str]:
    """Sides of the groups that a release has put on one, and that are not `fixed`: group -> side.

    A release without a val side gives up a part of its train: val / (train + val).
    """
    free = ~group.isin(fixed)
    sides: dict[str, str] = {}
    for side in ("train", "val", "test"):  # the last one counts
        sides |= dict.fromkeys(group[free & (published == side)], side)
    both = shares.train + shares.val
    if (published == "val").any() or not both:
        return sides
    wanted = {"train": shares.train / both, "val": shares.val / both}
    train = group.map(sides) == "train"
    common = train & group.str.startswith(SHARED)
    for name in sorted(set(group[common])):
        # As other generators have this prompt, unless they have it in test.
        there = hashed(name, shares, seed)
        kept = derive_seed(seed, "carve", name) / 2**63 < wanted["train"]
        sides[name] = there if there != "test" else "train" if kept else "val"
    own = train & ~common
    return {**sides, **deal(rows[own], group[own], wanted, seed)}


def kept_sides(rows: pd.DataFrame, published: pd.Series, shares: Split, seed: int) -> dict[str, int]:
    """What became of the published sides."""
    there = published.notna()
    moved = there & (published != rows["side"])
    carved = 0
    if not (published == "val").any():
        carved = int((moved & (published == "train") & (rows["side"] == "val")).sum())
    common = rows[there & rows["group"].fillna("").str.startswith(SHARED)]
    apart = [
        hashed(name, shares, seed) != side for name, side in zip(common["group"], common["side"], strict=True)
    ]
    return {
        "images": int(there.sum()),
        "carved": carved,
        "moved": int(moved.sum()) - carved,
        "prompts_apart": sum(apart),
    }
