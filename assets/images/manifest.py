"""The columns of manifest.parquet: one row an image, no pixels."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from assets.errors import AssayError, did_you_mean
from assets.files import replacing

COLUMNS: dict[str, tuple[pa.DataType, str]] = {
    "id": (pa.string(), "unique name; stable under re-import: letters, digits, - and _"),
    "label": (pa.int8(), "0 real, 1 generated"),
    "generator": (pa.string(), "what made it; `real` for real images"),
    "family": (pa.string(), "family of the generator; null for real images"),
    "released": (pa.string(), "when the generator was published: YYYY-MM, or YYYY-MM-DD"),
    "content": (pa.string(), "photo, painting, face or other"),
    "class_name": (pa.string(), "what is shown, where known"),
    "class_index": (pa.int32(), "0-based ImageNet-1k index, where known"),
    "prompt": (pa.string(), "what the generator was asked for"),
    "seed": (pa.int64(), "seed it was drawn with"),
    "group": (pa.string(), "images that must never be split apart share a group"),
    "pair_id": (pa.string(), "id of the real image it answers to, where there is one"),
    "source": (pa.string(), "where the picture came from: a path in the imported folder, or a crop box"),
    "side": (pa.string(), "side of the split its release published it on: train, val or test"),
    "shard": (pa.string(), "tar file in the image set; null if the picture cannot be used"),
    "offset": (pa.int64(), "of the first byte of the file inside the shard"),
    "size": (pa.int64(), "bytes of the file"),
    "width": (pa.int32(), "pixels, as stored"),
    "height": (pa.int32(), "pixels, as stored"),
    "format": (pa.string(), "container: JPEG, PNG, WEBP, ..."),
    "mode": (pa.string(), "Pillow mode of the stored pixels"),
    "frames": (pa.int32(), "frames of an animation; the first is used"),
    "jpeg_quality": (pa.int16(), "nearest IJG quality; null if not a JPEG"),
    "jpeg_subsampling": (pa.string(), "4:4:4, 4:2:2, 4:2:0 or other; null if not a JPEG"),
    "jpeg_tables": (pa.string(), "hash of the quantisation tables; null if not a JPEG"),
    "sha256": (pa.string(), "of the file's bytes"),
    "pixels": (pa.string(), "SHA-256 of the decoded RGB pixels and their shape"),
    "phash": (pa.string(), "64-bit perceptual hash, 16 hex digits"),
    "status": (pa.string(), "`ok` or `unreadable`"),
    "reason": (pa.string(), "why the picture cannot be used; null if ok"),
    "record": (pa.string(), "JSON: the constant part of the generation record; null for real images"),
}
"""Name -> type and meaning."""

SCHEMA = pa.schema([(name, kind) for name, (kind, _) in COLUMNS.items()])

OK = "ok"
UNREADABLE = "unreadable"

_PANDAS = {
    pa.int8(): pd.Int8Dtype(),
    pa.int16(): pd.Int16Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
}


class ManifestError(AssayError):
    """A manifest that is missing, of another shape, or damaged."""


def write_manifest(path: Path, rows: list[dict[str, object]]) -> None:
    """Write rows (missing columns become null) whole or not at all; equal rows give equal bytes.

    Raises:
        ManifestError: a row has a column that manifests do not have.
    """
    for name in sorted({name for row in rows for name in row} - set(COLUMNS)):
        raise ManifestError(f"{path}: '{name}' is not a manifest column; {did_you_mean(name, COLUMNS)}")
    with replacing(path) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), temporary, compression="zstd")


def read_manifest(path: Path) -> pd.DataFrame:
    """Read a manifest; integers are nullable.

    Raises:
        ManifestError: not there, not parquet, a column unknown or missing, an id twice.
    """
    try:
        table = pq.read_table(path, partitioning=None)
    except FileNotFoundError:
        raise ManifestError(
            f"{path} is not there: this is no image set, or its writing never ended"
        ) from None
    except (pa.ArrowInvalid, OSError) as error:
        raise ManifestError(f"{path} is damaged: {str(error).splitlines()[0]}") from None
    for name in table.column_names:
        if name not in COLUMNS:
            raise ManifestError(f"{path}: unknown column '{name}'; {did_you_mean(name, COLUMNS)}")
    if missing := [name for name in COLUMNS if name not in table.column_names]:
        raise ManifestError(f"{path}: column {missing[0]} is missing: it was written by another version")
    frame: pd.DataFrame = table.to_pandas(types_mapper=_PANDAS.get)
    if frame["id"].duplicated().any():
        twice = frame.loc[frame["id"].duplicated(), "id"].iloc[0]
        raise ManifestError(f"{path}: the id {twice} stands twice")
    return frame
