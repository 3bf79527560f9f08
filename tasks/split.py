"""Train, val and test: by group, stratified by content and class, the same whatever generators there are.

Real images are split once, on their own. A generator's images follow their real image where they share
its group or answer to it (`pair_id`); images that share a prompt across generators follow a hash of
the prompt; all others are dealt out within their own set.
"""

from pathlib import Path

import pandas as pd

from assets.errors import AssayError
from assets.files import write_json
from assets.frames import write_frame
from assets.params import REAL, Params, load_params
from assets.params import Split as Shares
from assets.seeds import derive_seed
from tasks.command import arguments_for, run_stage

SIDES = ("train", "val", "test")
COLUMNS = ["id", "label", "generator", "content", "class_name", "class_index", "group", "pair_id", "sha256"]
SHARED = "prompt:"
"""Groups whose names begin so occur in several generators and need a side that all agree on."""


def split(root: Path, params: Params, item: str) -> None:
    """Write artifacts/split/`item`: split.parquet, one row per kept image, and summary.json.

    Raises:
        AssayError: a side that should have images has none.
    """
    decided = pd.read_parquet(root / "artifacts" / "dedupe" / item / "decisions.parquet")
    kept = decided.loc[decided["keep"], COLUMNS].reset_index(drop=True)
    real = None
    if item != REAL:
        real = pd.read_parquet(root / "artifacts" / "split" / REAL / "split.parquet")
    kept["side"] = assign(kept, params.split, params.seed, real)
    out = root / "artifacts" / "split" / item
    summary = summarise(item, kept)
    _refuse_empty(item, kept, params.split)
    write_frame(out / "split.parquet", kept)
    write_json(out / "summary.json", summary)


def assign(rows: pd.DataFrame, shares: Shares, seed: int, real: pd.DataFrame | None = None) -> pd.Series:
    """The side of every row.

    Args:
        rows: kept images with `COLUMNS`; a missing group is the image's own.
        real: the real split (with `side`) that generated images may have to follow.
    Returns:
        `train`, `val` or `test` on the index of `rows`; one side per group, each side's count within
        one group (the largest) of its share of the images that are dealt out.
    """
    if rows.empty:
        return pd.Series([], index=rows.index, dtype=object)
    group = rows["group"].fillna(rows["id"])
    fixed = _followed(rows, group, real)
    for name in sorted(set(group) - set(fixed)):
        if name.startswith(SHARED):
            fixed[name] = _hashed(name, shares, seed)
    return group.map({**deal(rows, group, set(fixed), shares, seed), **fixed})


def deal(rows: pd.DataFrame, group: pd.Series, fixed: set[str], shares: Shares, seed: int) -> dict[str, str]:
    """Deal the groups that are not fixed out to the sides: group -> side.

    Groups are lined up stratum by stratum, in hash order within one, and each goes to the side that
    lies furthest behind its share (error diffusion): every stratum, a run of this line, is split in
    proportion, and rounding never adds up over strata with one image.
    """
    free = pd.DataFrame({"group": group, "content": rows["content"], "class": rows["class_name"]})
    free = free[~group.isin(fixed)].fillna("")
    if free.empty:
        return {}
    counts = free.groupby("group", as_index=False).agg(
        images=("group", "size"), content=("content", "min"), class_name=("class", "min")
    )
    counts["key"] = [derive_seed(seed, "split", name) for name in counts["group"]]
    line = counts.sort_values(["content", "class_name", "key"])
    wanted = [shares.train, shares.val, shares.test]
    given = [0, 0, 0]
    total = 0
    sides: dict[str, str] = {}
    for name, images in zip(line["group"], line["images"].tolist(), strict=True):
        total += images
        behind = [share * total - got for share, got in zip(wanted, given, strict=True)]
        side = max(range(3), key=lambda index: (behind[index], wanted[index]))
        given[side] += images
        sides[name] = SIDES[side]
    return sides


def summarise(item: str, rows: pd.DataFrame) -> dict[str, object]:
    """Images and groups on each side."""
    group = rows["group"].fillna(rows["id"])
    return {
        "item": item,
        "images": {side: int((rows["side"] == side).sum()) for side in SIDES},
        "groups": {side: int(group[rows["side"] == side].nunique()) for side in SIDES},
    }


def _followed(rows: pd.DataFrame, group: pd.Series, real: pd.DataFrame | None) -> dict[str, str]:
    """Sides that real images dictate: group -> side."""
    if real is None:
        return {}
    by_group = dict(zip(real["group"].fillna(real["id"]), real["side"], strict=True))
    by_id = dict(zip(real["id"], real["side"], strict=True))
    sides = {name: by_group[name] for name in set(group) if name in by_group}
    for name, pair in zip(group, rows["pair_id"], strict=True):
        if pair in by_id and sides.setdefault(name, by_id[pair]) != by_id[pair]:
            raise AssayError(f"the group {name} answers to real images on two sides of the split")
    return sides


def _hashed(name: str, shares: Shares, seed: int) -> str:
    place = derive_seed(seed, "split", name) / 2**63
    return "train" if place < shares.train else "val" if place < shares.train + shares.val else "test"


def _refuse_empty(item: str, rows: pd.DataFrame, shares: Shares) -> None:
    for side in SIDES:
        if getattr(shares, side) > 0 and not (rows["side"] == side).any():
            groups = rows["group"].fillna(rows["id"]).nunique()
            raise AssayError(
                f"split of {item}: nothing is left for {side}: {len(rows)} images in {groups} groups; "
                "import more pictures, or change the shares under 'split'"
            )


def main(arguments: list[str]) -> None:
    """python -m tasks.split ITEM"""
    (item,) = arguments_for(arguments, "item")
    split(Path(), load_params(), item)


if __name__ == "__main__":
    run_stage(main)
