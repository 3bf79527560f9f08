"""The training images of several generators as one list, for detectors that are trained on all of them."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from assets.errors import AssayError, did_you_mean
from assets.files import replacing
from assets.imageset import ImageSet
from assets.items import image_folders
from assets.loader import read_side
from assets.params import Params, load_params
from assets.pool import COLUMNS, POOL
from tasks.command import arguments_for, run_stage


def pool(root: Path, params: Params, name: str) -> None:
    """Write artifacts/pool/`name`/images.parquet: the train and val images of the members of a set.

    The stage looks at all generators there are, because dvc.yaml cannot list the members of a set; what it
    writes depends on the members alone. So a new generator runs this again, and no training on the set.

    Raises:
        AssayError: a split or an image set is missing, or a split names an image that the set has not.
    """
    frames = [_member(root, params, generator) for generator in params.train.sets[name]]
    table = pa.Table.from_pandas(
        pd.concat(frames, ignore_index=True), pa.schema(COLUMNS), preserve_index=False
    )
    with replacing(root / "artifacts" / "pool" / name / POOL) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def _member(root: Path, params: Params, generator: str) -> pd.DataFrame:
    """Rows of one generator, sorted by side and id."""
    folder = root / "artifacts" / "split" / generator
    rows = pd.concat([read_side(folder, side) for side in ("train", "val")], ignore_index=True)
    (images,) = (ImageSet(path) for path in image_folders(root, params, generator))
    known = images.rows.set_index("id")["sha256"]
    if missing := [image for image in rows["id"] if image not in known.index]:
        raise AssayError(f"{images.path} has no image {missing[0]}: `assay run` makes it anew")
    return rows.assign(generator=generator, sha256=rows["id"].map(known))[[name for name, _ in COLUMNS]]


def main(arguments: list[str]) -> None:
    """python -m tasks.pool SET"""
    (name,) = arguments_for(arguments, "set")
    params = load_params()
    if name not in params.train.sets:
        raise AssayError(f"unknown set '{name}'; {did_you_mean(name, params.train.sets)}")
    pool(Path(), params, name)


if __name__ == "__main__":
    run_stage(main)
