"""Tables that pass between stages, as parquet."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from assets.files import replacing


def write_frame(path: Path, frame: pd.DataFrame) -> None:
    """Write a table as parquet whose bytes depend on its content alone."""
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")
