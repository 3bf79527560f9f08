"""What `assay export` wrote: the same image sets come back, row by row, whatever the layout was.

Every picture is compared with the SHA-256 that the export's manifest has: one that was changed since is an
error, not another picture.
"""

import json
from pathlib import Path, PurePosixPath
from typing import Any

from assets.errors import AssayError
from assets.images.manifest import COLUMNS, OK
from tasks.sources.entry import Entry, Found, Source, Wanted, named
from tasks.sources.places import Cell, File, Lost, Place, Span

TAKES = {"only"}
ABOUT, LISTED = "assay.json", "manifest.parquet"
VERSION = 1

_MEASURED = ("size", "width", "height", "format", "mode", "frames", "jpeg_quality", "jpeg_subsampling")
_MADE_ANEW = {*_MEASURED, "jpeg_tables", "sha256", "pixels", "phash", "status", "reason", "shard", "offset"}
"""Columns that an import finds out from the bytes."""


def recognise(folder: Path) -> str | None:
    """Why this is an export; None if it is not."""
    return f"{ABOUT} says that `assay export` wrote it" if (folder / ABOUT).is_file() else None


def find(folder: Path, wanted: Wanted) -> Found:
    """The image sets of an export.

    Raises:
        AssayError: an export that never ended, a damaged manifest, paths that lead out of the folder.
    """
    about = _about(folder)
    rows = _rows(folder)
    places = _Places(folder)
    entries: dict[str, list[Entry]] = {name: [] for name in about}
    for row in rows:
        if row["set"] not in entries:
            raise AssayError(f"{folder / LISTED} names the set {row['set']}, which {ABOUT} does not")
        entries[row["set"]].append(_entry(row, places))
    sources = [
        Source(name, bool(one["real"]), entries[name], "photo", one.get("family"), one.get("released"))
        for name, one in about.items()
    ]
    return Found(named(sources, wanted.only), [f"{len(rows):,} images in {len(about)} sets"])


def _about(folder: Path) -> dict[str, dict[str, Any]]:
    path = folder / ABOUT
    try:
        document = json.loads(path.read_text("utf-8"))
        version, finished = document["assay_export"], document["finished"]
        sets: dict[str, dict[str, Any]] = document.get("sets", {})
    except (OSError, ValueError, KeyError, TypeError):
        raise AssayError(f"{path} is damaged: export again") from None
    if version != VERSION:
        raise AssayError(f"{path} is of version {version}, this Assay reads {VERSION}")
    if not finished:
        raise AssayError(f"{folder}: the export never ended; `assay export` with the same words goes on")
    return sets


def _rows(folder: Path) -> list[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = folder / LISTED
    try:
        table = pq.read_table(path, partitioning=None)
        wanted = ["set", "file", "member", *(name for name in COLUMNS if name not in ("shard", "offset"))]
        rows: list[dict[str, Any]] = table.select(wanted).to_pylist()
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise AssayError(f"{path} is missing or damaged ({str(error).splitlines()[0]})") from None
    return rows


def _entry(row: dict[str, Any], places: "_Places") -> Entry:
    known = {name: value for name, value in row.items() if name in COLUMNS and value is not None}
    if row["status"] != OK:  # its bytes are not in the export
        columns = {name: value for name, value in known.items() if name not in ("id", "status", "reason")}
        return Entry(row["id"], Lost(row["reason"] or "unreadable"), columns, row["id"])
    columns = {name: value for name, value in known.items() if name != "id" and name not in _MADE_ANEW}
    return Entry(row["id"], places.of(row), columns, row["id"], row["sha256"])


class _Places:
    """Where the pictures of an export are; every tar is walked once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._members: dict[str, dict[str, Span]] = {}

    def of(self, row: dict[str, Any]) -> Place:
        """Where one picture is."""
        file, member = str(row["file"]), row["member"]
        inside = PurePosixPath(file)
        if inside.is_absolute() or ".." in inside.parts or not inside.parts:
            raise AssayError(f"{self._folder / LISTED}: the path {file!r} leads out of the folder")
        path = self._folder / inside
        if file.endswith(".tar") and member is not None:
            return self._in_tar(path, file).get(member) or Lost(f"{file} has no {member}")
        if file.endswith(".parquet") and member is not None:
            return Cell(path, "image", 0, int(member))
        return File(path.parent, path.name)

    def _in_tar(self, path: Path, file: str) -> dict[str, Span]:
        from assets.images import shards

        if file not in self._members:
            import tarfile

            try:
                found = {one.name: Span(path, one.offset, one.size) for one in shards.members(path)}
            except (OSError, tarfile.TarError) as error:
                raise AssayError(f"{path} is missing or damaged ({error})") from None
            self._members[file] = found
        return self._members[file]
