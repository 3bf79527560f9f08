"""Webdataset shards: SET-SIDE-000000.tar with ID.png and ID.json, a sample each."""

import json
from pathlib import Path
from typing import Any, BinaryIO

from assets.images import shards
from tasks.targets.picture import SIDES, Picture, Placed

PER_SHARD = 2000
SHARD_BYTES = 256 * 1024 * 1024
TOLD = ("label", "generator", "family", "content", "class_name", "class_index", "prompt", "seed", "group")
"""Columns of the manifest that stand in a sample's .json."""


class Target:
    """One run of shards for every set and side; equal pictures give equal bytes."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._open: BinaryIO | None = None
        self._run: tuple[str, str | None] | None = None
        self._count = self._bytes = self._number = 0
        self._name = ""

    def add(self, picture: Picture, data: bytes) -> Placed:
        """Append one sample."""
        run = picture.set, picture.side
        full = self._count >= PER_SHARD or self._bytes + len(data) > SHARD_BYTES
        if self._open is None or run != self._run or full:
            self.close()
            self._number = self._number + 1 if run == self._run else 0
            self._run = run
            prefix = "real_" if picture.row["label"] == 0 else ""
            self._name = f"{prefix}{picture.set}-{SIDES[picture.side]}-{self._number:06d}.tar"
            self._open = (self._out / f".{self._name}.tmp").open("wb")
            self._count = self._bytes = 0
        told: dict[str, Any] = {name: picture.row.get(name) for name in TOLD}
        text = json.dumps({**told, "side": picture.side}, ensure_ascii=False)
        shards.append(self._open, picture.file, data)
        shards.append(self._open, f"{picture.row['id']}.json", text.encode())
        self._count += 1
        self._bytes += len(data)
        return Placed(self._name, picture.file)

    def close(self) -> None:
        """Finish the shard that is open."""
        if self._open is not None:
            shards.finish(self._open)
            self._open.close()
            (self._out / f".{self._name}.tmp").replace(self._out / self._name)
            self._open = None
