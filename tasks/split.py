"""Train, val and test: by group, stratified by content and class, the same whatever generators there are.

Real images are split once, on their own. A generator's images follow their real image where they share
its group or answer to it (`pair_id`); images of an imported release may stay on the side that it
published them on; images that share a prompt across generators follow a hash of the prompt; all others
are dealt out within their own set. Where two of these disagree the first holds, and a group is never
torn: it goes where the release put any of it into test, else into val.

Then every generated image may get a real one of its class that it is judged against
(`assets.splitting.pairs`).
"""

from pathlib import Path

import pandas as pd

from assets.errors import AssayError
from assets.files import write_json
from assets.frames import write_frame
from assets.params import REAL, Params, load_params
from assets.params import Split as Shares
from assets.splitting.dealing import SIDES, deal, hashed
from assets.splitting.groups import SHARED
from assets.splitting.pairs import paired
from assets.splitting.published import as_published, kept_sides, published_sides
from tasks.command import arguments_for, run_stage

COLUMNS = ["id", "label", "generator", "content", "class_name", "class_index", "group", "pair_id", "sha256"]


def split(root: Path, params: Params, item: str) -> None:
    """Write artifacts/split/`item`: split.parquet, one row per kept image, and summary.json.

    With `split.reals` other than `all`, `pair_id` is the real image that a generated one is judged
    against, and the summary's `pairs` says how many `came_with` theirs, how many were `dealt` one, and
    how many are left `without`, by side. With `split.published`, the summary's `published` counts
    `images` with a published side, those `carved` out of train for val, those `moved` to another side
    for their group's or real image's sake, and those whose prompt other generators have on another side
    (`prompts_apart`).

    Raises:
        AssayError: a side that should have images has none; none of the test images has a real one to be
            judged against; a published side that is none.
    """
    decided = pd.read_parquet(root / "artifacts" / "dedupe" / item / "decisions.parquet")
    decided = decided[decided["keep"]].reset_index(drop=True)
    kept = decided[COLUMNS].copy()
    published = published_sides(item, decided) if params.split.published else None
    real = None
    if item != REAL:
        real = pd.read_parquet(root / "artifacts" / "split" / REAL / "split.parquet")
    kept["side"] = assign(kept, params.split, params.seed, real, published)
    out = root / "artifacts" / "split" / item
    summary = summarise(item, kept)
    _refuse_empty(item, kept, params.split)
    if published is not None:
        summary["published"] = kept_sides(kept, published, params.split, params.seed)
    if real is not None and params.split.reals != "all":
        brought = int(kept["pair_id"].isin(real["id"]).sum())
        kept["pair_id"] = paired(kept, real, params.split, params.seed, item)
        summary["pairs"] = _paired(item, kept, brought)
    write_frame(out / "split.parquet", kept)
    write_json(out / "summary.json", summary)


def assign(
    rows: pd.DataFrame,
    shares: Shares,
    seed: int,
    real: pd.DataFrame | None = None,
    published: pd.Series | None = None,
) -> pd.Series:
    """The side of every row.

    Args:
        rows: kept images with `COLUMNS`; a missing group is the image's own.
        real: the real split (with `side`) that generated images may have to follow.
        published: the side that each image was published on, or null; None: that does not matter.
    Returns:
        `train`, `val` or `test` on the index of `rows`; one side per group, each side's count within
        one group (the largest) of its share of the images that are dealt out.
    """
    if rows.empty:
        return pd.Series([], index=rows.index, dtype=object)
    group = rows["group"].fillna(rows["id"])
    fixed = _followed(rows, group, real)
    if published is not None:
        fixed |= as_published(rows, group, published, set(fixed), shares, seed)
    for name in sorted(set(group) - set(fixed)):
        if name.startswith(SHARED):
            fixed[name] = hashed(name, shares, seed)
    free = ~group.isin(fixed)
    wanted = {side: getattr(shares, side) for side in SIDES}
    return group.map({**deal(rows[free], group[free], wanted, seed), **fixed})


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


def _paired(item: str, rows: pd.DataFrame, brought: int) -> dict[str, object]:
    """How many images have a real one to be judged against."""
    found, test = rows["pair_id"].notna(), rows["side"] == "test"
    if test.any() and not (found & test).any():
        raise AssayError(
            f"split of {item}: none of its {int(test.sum())} test images finds a real "
            "test image of its class (or, where classes are not known, of its content): import real images "
            "of the same classes, or set split.reals to 'all'"
        )
    without = {side: int((~found & (rows["side"] == side)).sum()) for side in SIDES}
    return {"came_with": brought, "dealt": int(found.sum()) - brought, "without": without}


def _refuse_empty(item: str, rows: pd.DataFrame, shares: Shares) -> None:
    for side in SIDES:
        if getattr(shares, side) > 0 and not (rows["side"] == side).any():
            groups = rows["group"].fillna(rows["id"]).nunique()
            raise AssayError(
                f"split of {item}: nothing is left for {side}: {len(rows)} images in {groups} groups; "
                "import more pictures, or change the shares under 'split'"
                + (", or set split.published to false" if shares.published else "")
            )


def main(arguments: list[str]) -> None:
    """python -m tasks.split ITEM"""
    (item,) = arguments_for(arguments, "item")
    split(Path(), load_params(), item)


if __name__ == "__main__":
    run_stage(main)
