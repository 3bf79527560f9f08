"""The images that a set or a sample of generators is trained on, as one list."""

import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from assets.errors import AssayError, did_you_mean
from assets.files import replacing, write_json
from assets.images.degradations import Recipe, parse
from assets.images.imageset import ImageSet, ImageSetWriter, open_sets, to_records
from assets.images.loader import read_side
from assets.images.picture import PictureError, decode
from assets.images.pool import COLUMNS, POOL, SUMMARY
from assets.images.prepared import preparation, prepared_folder
from assets.items import image_folders
from assets.params import REAL, Params, load_params
from assets.progress import progress
from assets.seeds import rng
from tasks.command import arguments_for, run_stage
from tasks.sampling import SIDES, Step, choose, shortfalls, summary

CARRIED = ["label", "generator", "content", "class_name", "class_index", "group", "pair_id"]
"""Columns that prepared images take along."""
FACTS = ["sha256", "reason", "width", "height", "jpeg_quality"]
"""Columns that come from the manifests."""


def pool(root: Path, params: Params, name: str) -> None:
    """Write artifacts/pool/`name`: images.parquet and summary.json (see `tasks.sampling.summary`).

    Of a set, the table lists all train and val images of its members. Of a sample, it lists those that the
    sample takes, the real ones among them; with `prepare`, prepared/ITEM holds them after its recipe, under
    the same ids, each drawn from the benchmark seed and its id alone.

    A sample takes its real images from those that the generated ones are paired with (`split.reals`), but
    with `balance`, which pairs anew, from all.

    The stage looks at all generators there are, because dvc.yaml cannot list the members of a set; what it
    writes depends on the members alone. So a new generator runs this again, and no training on the set.

    Raises:
        AssayError: a split or an image set is missing, or a split names an image that the set has not; a
            sample of which nothing is left.
    """
    generators, sample = params.pooled[name], params.train.samples.get(name)
    where = f"train.samples.{name}"
    recipes = [parse(recipe, f"{where}.prepare") for recipe in preparation(sample)]
    rows = pd.concat([_item(root, params, item) for item in generators], ignore_index=True)
    steps: list[Step] = []
    if sample is not None:
        real = _item(root, params, REAL)
        if params.split.reals != "all" and not sample.balance:
            real = real[real["id"].isin(rows["pair_id"])]
        both = pd.concat([real, rows], ignore_index=True)
        rows, steps = choose(both, sample, generators, params.seed, where)
        for line in shortfalls(sample, steps):
            print(f"{where}: {line}", file=sys.stderr)
    if any(recipe.steps for recipe in recipes):
        rows = rows.assign(sha256=_prepared(root, params, name, rows, recipes))
    table = pa.Table.from_pandas(
        rows[[column for column, _ in COLUMNS]], pa.schema(COLUMNS), preserve_index=False
    )
    folder = root / "artifacts" / "pool" / name
    write_json(folder / SUMMARY, summary(rows, generators, steps))
    with replacing(folder / POOL) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def _item(root: Path, params: Params, item: str) -> pd.DataFrame:
    """Train and val rows of a generator or of `real`, sorted by side and id."""
    folder = root / "artifacts" / "split" / item
    rows = pd.concat([read_side(folder, side) for side in SIDES], ignore_index=True)
    folders = image_folders(root, params, item)
    known = pd.concat([ImageSet(path).rows for path in folders]).set_index("id")
    if missing := [image for image in rows["id"] if image not in known.index]:
        raise AssayError(
            f"{' + '.join(map(str, folders))} has no image {missing[0]}: `assay run` makes it anew"
        )
    found = known.loc[rows["id"], FACTS].reset_index(drop=True)
    return pd.concat([rows.drop(columns="sha256", errors="ignore"), found], axis=1).assign(generator=item)


def _prepared(
    root: Path, params: Params, name: str, rows: pd.DataFrame, recipes: Sequence[Recipe]
) -> pd.Series:
    """Write the images of a sample after its recipes; returns the SHA-256 of every new file, None if none."""
    hashes: dict[str, str] = {}
    for item, some in rows.groupby("generator", sort=False):
        holder = open_sets(image_folders(root, params, str(item)))
        recipe = recipes[int(item != REAL)]
        some = some.sort_values("id")
        about = to_records(some.reindex(columns=CARRIED))
        with ImageSetWriter(prepared_folder(root, name, str(item))) as writer:
            images = progress(some["id"].tolist(), f"prepare {name}: {item}", len(some))
            for image, row, reason in zip(images, about, some["reason"], strict=True):
                if pd.notna(reason):
                    writer.add_unreadable(image, reason, **row)
                    continue
                file = holder[image].read(image)
                try:
                    if recipe.steps:
                        file = recipe.encode(decode(file), rng(params.seed, "prepare", image))
                except PictureError as error:  # too large for a codec: a counted row, no replacement
                    writer.add_unreadable(image, str(error), **row, source=str(recipe))
                    continue
                hashes[image] = writer.add(image, file, **row, source=str(recipe)).sha256
    return rows["id"].map(hashes).astype(object)


def main(arguments: list[str]) -> None:
    """python -m tasks.pool NAME"""
    (name,) = arguments_for(arguments, "name")
    params = load_params()
    if name not in params.pooled:
        raise AssayError(f"unknown set or sample '{name}'; {did_you_mean(name, params.pooled)}")
    pool(Path(), params, name)


if __name__ == "__main__":
    run_stage(main)
