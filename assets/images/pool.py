"""images.parquet of a pool: the train and val images of a set or a sample, pinned by their hashes."""

from pathlib import Path

import pandas as pd
import pyarrow as pa

from assets.images.loader import read_rows

POOL = "images.parquet"
SUMMARY = "summary.json"
COLUMNS = [
    ("id", pa.string()),
    ("generator", pa.string()),
    ("side", pa.string()),
    ("label", pa.int8()),
    ("group", pa.string()),
    ("pair_id", pa.string()),
    ("sha256", pa.string()),
    ("class_name", pa.string()),
    ("content", pa.string()),
]
"""`generator` is `real` for the real images, which only a sample lists. `sha256` is that of the file which is
trained on, as in its image set's manifest; null for an image that could not be read."""


def read_pool(root: Path, name: str, side: str) -> pd.DataFrame:
    """The rows of one side (`train` or `val`), sorted by id.

    Raises:
        AssayError: it is not there or damaged.
    """
    return read_rows(root / "artifacts" / "pool" / name / POOL, side, "pool")
