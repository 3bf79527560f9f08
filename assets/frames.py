"""Tables that pass between stages, as parquet."""

from collections.abc import Collection
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from assets.errors import AssayError
from assets.files import replacing


def read_frame(path: Path, columns: Collection[str], maker: str) -> pd.DataFrame:
    """Read a table that a stage wrote.

    Args:
        path: a parquet file.
        columns: names that it must have; the others are kept, too.
        maker: the stage that makes it, for the messages.

    Raises:
        AssayError: the table is not there, damaged, or of another version.
    """
    try:
        frame = pd.read_parquet(path)
    except FileNotFoundError:
        raise AssayError(f"{path} is not there: `assay run` (or `dvc repro {maker}`) makes it") from None
    except (OSError, ValueError) as error:
        raise AssayError(f"{path} is damaged: {str(error).splitlines()[0]}") from None
    if missing := [name for name in columns if name not in frame]:
        raise AssayError(f"{path}: column {missing[0]} is missing: `dvc repro {maker}` makes it anew")
    return frame


def write_frame(path: Path, frame: pd.DataFrame) -> None:
    """Write a table as parquet whose bytes depend on its content alone."""
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")
