"""images.parquet of a pool: the train and val images of several generators, pinned by their hashes."""

from pathlib import Path

import pandas as pd
import pyarrow as pa

from assets.errors import AssayError

POOL = "images.parquet"
COLUMNS = [
    ("id", pa.string()),
    ("generator", pa.string()),
    ("side", pa.string()),
    ("label", pa.int8()),
    ("group", pa.string()),
    ("pair_id", pa.string()),
    ("sha256", pa.string()),
]
"""Of the encoded file, as in the image set's manifest; null for an image that could not be read."""


def read_pool(root: Path, name: str, side: str) -> pd.DataFrame:
    """The rows of one side (`train` or `val`), sorted by id.

    Raises:
        AssayError: it is not there or damaged.
    """
    path = root / "artifacts" / "pool" / name / POOL
    try:
        table = pd.read_parquet(path)
    except FileNotFoundError:
        raise AssayError(f"{path} is not there: `assay run` (or `dvc repro`) makes it") from None
    except (OSError, ValueError) as error:
        raise AssayError(f"{path} is damaged: {str(error).splitlines()[0]}") from None
    return table[table["side"] == side].sort_values("id", kind="stable").reset_index(drop=True)
