"""A Hugging Face dataset folder: data/SIDE-SET-00000.parquet with pictures in them, and features that
`datasets.load_dataset(FOLDER)` understands.

Source: https://huggingface.co/docs/hub/datasets-manual-configuration and the `huggingface` key that
`datasets` writes into a parquet schema.
"""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.targets.picture import SIDES, Picture, Placed

ROWS = 1000
"""Pictures of a file, at most."""
FILE_BYTES = 256 * 1024 * 1024
TEXT = ("id", "generator", "family", "released", "content", "class_name", "prompt", "group", "pair_id")
WHOLE = ("class_index", "seed")
SPLITS = {"train": "train", "val": "validation", "test": "test", None: "train"}
"""What the hub calls a side; pictures without a side are all `train` there."""

_FEATURES = {
    "image": {"_type": "Image"},
    "label": {"_type": "ClassLabel", "names": ["real", "generated"]},
    **{name: {"dtype": "string", "_type": "Value"} for name in TEXT},
    **{name: {"dtype": "int64", "_type": "Value"} for name in WHOLE},
}
_SCHEMA = pa.schema(
    [
        ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        ("label", pa.int64()),
        *((name, pa.string()) for name in TEXT),
        *((name, pa.int64()) for name in WHOLE),
    ],
    metadata={"huggingface": json.dumps({"info": {"features": _FEATURES}})},
)


class Target:
    """Files of one set and side each."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._rows: list[dict[str, Any]] = []
        self._run: tuple[str, str | None] | None = None
        self._bytes = self._number = 0
        self._name = ""
        self.splits: dict[str, list[str]] = {}
        """Split -> its files, for the README's configuration."""

    def add(self, picture: Picture, data: bytes) -> Placed:
        """Append one row."""
        run = picture.set, picture.side
        if run != self._run or len(self._rows) >= ROWS or self._bytes + len(data) > FILE_BYTES:
            self.close()
            self._number = self._number + 1 if run == self._run else 0
            self._run = run
            prefix = "real_" if picture.row["label"] == 0 else ""
            self._name = f"data/{SIDES[picture.side]}-{prefix}{picture.set}-{self._number:05d}.parquet"
            self.splits.setdefault(SPLITS[picture.side], []).append(self._name)
        row = picture.row
        self._rows.append(
            {
                "image": {"bytes": data, "path": picture.file},
                "label": row["label"],
                **{name: row.get(name) for name in (*TEXT, *WHOLE)},
            }
        )
        self._bytes += len(data)
        return Placed(self._name, str(len(self._rows) - 1))

    def close(self) -> None:
        """Write the rows that are waiting."""
        if self._rows:
            path = self._out / self._name
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_name(f".{path.name}.tmp")
            pq.write_table(pa.Table.from_pylist(self._rows, _SCHEMA), partial, compression="none")
            partial.replace(path)
        self._rows, self._bytes = [], 0
