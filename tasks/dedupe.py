"""Copies: which images are kept, which are removed, and of what they are copies.

Exact copies share their decoded pixels (so a PNG of a JPEG is found); near-duplicates have perceptual
hashes a few bits apart and are joined into clusters. A real image wins over its copies; among equals
the first id wins. Real images are judged once, without any generator, so none of them depends on
which generators there are.
"""

from pathlib import Path

import pandas as pd

from assets.files import write_json
from assets.frames import write_frame
from assets.images.imageset import ImageSet
from assets.images.manifest import OK
from assets.images.near import clusters
from assets.items import image_folders
from assets.params import REAL, Params, load_params
from tasks.command import arguments_for, run_stage

CARRIED = ["id", "label", "generator", "content", "class_name", "class_index", "group", "pair_id"]
CARRIED += ["side", "sha256", "pixels", "phash", "status", "reason"]

EXACT = "exact-copy"
NEAR = "near-duplicate"


def dedupe(root: Path, params: Params, item: str) -> None:
    """Write artifacts/dedupe/`item`: decisions.parquet, one row per image, and summary.json."""
    out = root / "artifacts" / "dedupe" / item
    sets = [ImageSet(folder) for folder in image_folders(root, params, item)]
    rows = pd.concat([opened.rows[CARRIED] for opened in sets], ignore_index=True)
    kept = None
    if item != REAL:
        real = pd.read_parquet(root / "artifacts" / "dedupe" / REAL / "decisions.parquet")
        kept = real[real["keep"]]
    decided = decide(rows, kept, params.dedupe.radius)
    write_frame(out / "decisions.parquet", decided)
    write_json(out / "summary.json", summarise(item, decided))


def decide(rows: pd.DataFrame, real: pd.DataFrame | None, radius: int) -> pd.DataFrame:
    """Say of every row whether it is kept.

    Args:
        rows: the images to judge, with the columns `CARRIED`.
        real: real images that are kept already and win over any of `rows`; None if `rows` are real.
        radius: bits up to which two perceptual hashes are near.
    Returns:
        `rows` with `keep` (bool), `removed` (null, or `unreadable`, `exact-copy`,
        `exact-copy-of-real`, `near-duplicate`, `near-duplicate-of-real`), `copy_of` (id of the image
        that won) and `cluster` (id of the winner of its near-duplicate cluster).
    """
    result = rows.copy().reset_index(drop=True)
    result["removed"] = result["copy_of"] = result["cluster"] = pd.Series([None] * len(result), dtype=object)
    result.loc[result["status"] != OK, "removed"] = "unreadable"
    known = result.loc[result["status"] == OK, ["id", "pixels", "phash"]].assign(is_real=False)
    if real is not None:
        known = pd.concat([real[["id", "pixels", "phash"]].assign(is_real=True), known])
    known = known.sort_values(["is_real", "id"], ascending=[False, True], ignore_index=True)
    known["cluster"] = clusters(known["phash"], radius)
    # Sorted winners first: the first of a set of copies is the one that stays.
    for column, reason in (("cluster", NEAR), ("pixels", EXACT)):
        first = known.groupby(column, sort=False)[["id", "is_real"]].transform("first")
        loser = first["id"] != known["id"]
        kind = first["is_real"].map({True: f"{reason}-of-real", False: reason})
        known.loc[loser, "removed"] = kind[loser]
        known.loc[loser, "copy_of"] = first.loc[loser, "id"]
        if column == "cluster":
            known["cluster_of"] = first["id"]
    own = known[~known["is_real"]].set_index("id")
    judged = result["status"] == OK
    for column, found in (("removed", "removed"), ("copy_of", "copy_of"), ("cluster", "cluster_of")):
        result.loc[judged, column] = result.loc[judged, "id"].map(own[found])
    for column in ("removed", "copy_of", "cluster"):
        result[column] = result[column].where(result[column].notna(), None)
    result["keep"] = result["removed"].isna()
    return result


def summarise(item: str, decided: pd.DataFrame) -> dict[str, object]:
    """Counts for the report: every image is in `kept` or under one reason of `removed`."""
    removed = decided["removed"].value_counts()
    return {
        "item": item,
        "images": len(decided),
        "kept": int(decided["keep"].sum()),
        "unreadable": int((decided["status"] != OK).sum()),
        "removed": {str(reason): int(removed[reason]) for reason in sorted(removed.index)},
        "unreadable_reasons": {
            str(reason): int(count)
            for reason, count in sorted(decided.loc[decided["status"] != OK, "reason"].value_counts().items())
        },
    }


def main(arguments: list[str]) -> None:
    """python -m tasks.dedupe ITEM"""
    (item,) = arguments_for(arguments, "item")
    dedupe(Path(), load_params(), item)


if __name__ == "__main__":
    run_stage(main)
