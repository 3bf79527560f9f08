"""One shard of an image set as it is written: a tar of original bytes, and the rows beside it."""

import json
from pathlib import Path
from typing import Any, BinaryIO

from assets.files import sha256_of, write_json
from assets.images import shards
from assets.images.manifest import OK, UNREADABLE
from assets.images.picture import Examined, examine

Row = dict[str, object]

_ENDINGS = {"JPEG": "jpg", "MPO": "jpg", "TIFF": "tif"}


class ShardWriter:
    """Shard `number` in the folder `work`; it counts once `close` has written its rows, and not before."""

    def __init__(self, work: Path, number: int) -> None:
        self.rows: list[Row] = []
        self.num_bytes = 0
        """Bytes of the pictures in the shard."""
        self._work = work
        self._number = number
        self._open: BinaryIO | None = None

    def add(self, image: str, data: bytes, *, examined: Examined | None = None, **columns: Any) -> Examined:
        """Add one picture under its id; one that cannot be used becomes a row without bytes.

        `examined` spares a second decoding; `columns` are further manifest columns.
        """
        found = examined or examine(data)
        row: Row = {"id": image, **columns, "sha256": found.sha256, "size": len(data)}
        row |= {"pixels": found.pixels, "phash": found.phash, "reason": found.reason}
        row["status"] = OK if found.facts else UNREADABLE
        if found.facts:
            row |= found.facts._asdict()
            name = file_name(image, found.facts.format)
            if self._open is None:
                self._open = self._tar.open("wb")
            row["offset"] = shards.append(self._open, name, data)
            self.num_bytes += len(data)
        self.rows.append(row)
        return found

    def add_unreadable(self, image: str, reason: str, **columns: Any) -> None:
        """Add a row for a picture that could not even be read."""
        self.rows.append({"id": image, **columns, "status": UNREADABLE, "reason": reason})

    def close(self) -> list[Row]:
        """Make the shard final, named by number and content, and return its rows."""
        if self._open:
            shards.finish(self._open)
            self._open.close()
            self._open = None
            name = f"{self._number:05d}-{sha256_of(self._tar)[:12]}.tar"
            self._tar.replace(self._work / name)
            for row in self.rows:
                if row["status"] == OK:
                    row["shard"] = name
        # The rows are what makes the shard count as finished, so they come after it.
        write_json(rows_path(self._work, self._number), self.rows)
        return self.rows

    def abandon(self) -> None:
        """Stop writing; the shard is written anew another time."""
        if self._open:
            self._open.close()

    @property
    def _tar(self) -> Path:
        return self._work / f"{self._number:05d}.open"


def file_name(image: str, kind: str) -> str:
    """What a picture's file is called: its id, and the usual ending of its format as Pillow names it."""
    return f"{image}.{_ENDINGS.get(kind, kind.lower())}"


def rows_path(work: Path, number: int) -> Path:
    """Where the rows of a finished shard lie."""
    return work / f"{number:05d}.json"


def finished_rows(work: Path, number: int, placed: Path) -> list[Row] | None:
    """The rows of shard `number` if it is finished, with its tar in `work` or already in `placed`."""
    listed = rows_path(work, number)
    if not listed.exists():
        return None
    rows: list[Row] = json.loads(listed.read_text("utf-8"))
    names = {str(row["shard"]) for row in rows if row.get("shard")}
    # A kill while the set was being put in place leaves some shards already there.
    if not all((work / name).exists() or (placed / name).exists() for name in names):
        return None
    return rows
