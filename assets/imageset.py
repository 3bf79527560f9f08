"""An image set: one folder with manifest.parquet and tar shards of the original file bytes.

The manifest is written last and in one step, and shards carry their content hash in their names, so a
folder always holds one whole set: the old one until the new manifest stands, then the new one.
"""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
import pandas as pd

from assets import shards
from assets.errors import AssayError
from assets.files import sha256_of, write_json
from assets.manifest import OK, UNREADABLE, read_manifest, write_manifest
from assets.picture import Examined, decode, examine

MANIFEST = "manifest.parquet"
PER_SHARD = 2000
SHARD_BYTES = 256 * 1024 * 1024
PARTIAL = Path(".assay/partial")
"""Where sets that are being written keep finished shards, so that a restart goes on from them."""

_ENDINGS = {"JPEG": "jpg", "MPO": "jpg", "PNG": "png", "WEBP": "webp", "TIFF": "tif"}


class ImageSetError(AssayError):
    """An image set that is missing, incomplete or not what its manifest says."""


class ImageSet:
    """A set that is read. Random access by row, streaming by `stream`; safe to use in forked workers."""

    def __init__(self, path: Path) -> None:
        """Open the set in folder `path`.

        Raises:
            ImageSetError: there is no such folder.
            ManifestError: the folder's manifest is missing, damaged or of another version.
        """
        if not path.is_dir():
            raise ImageSetError(
                f"{path} is not there: `dvc pull {path}` brings it back, or `assay run` makes it"
            )
        self.path = path
        self.rows: pd.DataFrame = read_manifest(path / MANIFEST)
        self._position = {name: index for index, name in enumerate(self.rows["id"])}
        self._shard = self.rows["shard"].tolist()
        self._offset = self.rows["offset"].fillna(-1).to_numpy(np.int64)
        self._size = self.rows["size"].fillna(-1).to_numpy(np.int64)
        self._files: dict[tuple[int, str], int] = {}

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def usable(self) -> pd.DataFrame:
        """The rows whose pictures can be used."""
        return self.rows[self.rows["status"] == OK]

    def read(self, image: str) -> bytes:
        """The original bytes of the image with this id.

        Raises:
            ImageSetError: no such image, an unreadable one, a shard that is missing or too short.
        """
        if image not in self._position:
            raise ImageSetError(f"{self.path} has no image {image}")
        index = self._position[image]
        shard = self._shard[index]
        if not isinstance(shard, str):
            raise ImageSetError(f"{self.path}: {image} is unreadable: {self.rows['reason'].iloc[index]}")
        size = int(self._size[index])
        data = os.pread(self._file(shard), size, int(self._offset[index]))
        if len(data) != size:
            raise ImageSetError(
                f"{self.path}/{shard} is cut short: {image} lies beyond its end{self._mend()}"
            )
        return data

    def pixels(self, image: str) -> np.ndarray:
        """The decoded picture, (H, W, 3) uint8."""
        return decode(self.read(image))

    def stream(self) -> Iterator[tuple[str, bytes]]:
        """Yield (id, bytes) of all usable images in shard order: one front-to-back read."""
        ordered = self.usable.sort_values(["shard", "offset"], kind="stable")
        for image in ordered["id"]:
            yield image, self.read(image)

    def verify(self) -> None:
        """Read everything and compare it with the manifest.

        Raises:
            ImageSetError: the first shard that is missing, or image whose bytes differ.
        """
        wanted = dict(zip(self.rows["id"], self.rows["sha256"], strict=True))
        for image, data in self.stream():
            found = hashlib.sha256(data).hexdigest()
            if found != wanted[image]:
                raise ImageSetError(
                    f"{self.path}/{self._shard[self._position[image]]}: {image} has checksum {found[:12]}, "
                    f"the manifest says {wanted[image][:12]}{self._mend()}"
                )

    def _file(self, shard: str) -> int:
        key = (os.getpid(), shard)  # a forked worker opens its own
        if key not in self._files:
            try:
                self._files[key] = os.open(self.path / shard, os.O_RDONLY)
            except FileNotFoundError:
                raise ImageSetError(f"{self.path}/{shard} is missing{self._mend()}") from None
        return self._files[key]

    def _mend(self) -> str:
        return f": `dvc checkout --force {self.path.parts[0]}` or `dvc pull` brings the right bytes back"

    def __del__(self) -> None:
        for (process, _), handle in getattr(self, "_files", {}).items():
            if process == os.getpid():
                with contextlib.suppress(OSError):
                    os.close(handle)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_files": {}}


class ImageSetWriter:
    """Writes a set image by image; use it as a context manager.

    With `resume`, a key over everything that decides what is written, finished shards survive a kill:
    `done` says how many images they hold, and the caller goes on with the next one. Shards are cut by
    count and bytes alone, so a resumed set is byte-identical to an undisturbed one.
    """

    def __init__(self, path: Path, resume: str | None = None, per_shard: int = PER_SHARD) -> None:
        self.path = path
        self._per_shard = per_shard
        key = hashlib.sha256(f"{path}\n{resume}\n{per_shard}".encode()).hexdigest()[:16]
        self._work = PARTIAL / f"{path.name}-{key}"
        if resume is None:
            shutil.rmtree(self._work, ignore_errors=True)
        self._work.mkdir(parents=True, exist_ok=True)
        self._rows: list[dict[str, object]] = []
        self._finished = 0
        self._recover()
        self.done = len(self._rows)
        """Images that finished shards of a killed run already hold."""
        self._pending: list[dict[str, object]] = []
        self._shard: BinaryIO | None = None
        self._in_shard = 0
        self._bytes = 0

    def __enter__(self) -> "ImageSetWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._commit()
        elif self._shard:
            self._shard.close()

    def add(self, image: str, data: bytes, *, examined: Examined | None = None, **columns: Any) -> Examined:
        """Add one picture under its id; one that cannot be used becomes a row without bytes.

        `examined` spares a second decoding; `columns` are further manifest columns.
        """
        found = examined or examine(data)
        row: dict[str, object] = {"id": image, **columns, "sha256": found.sha256, "size": len(data)}
        row |= {"pixels": found.pixels, "phash": found.phash, "reason": found.reason}
        row["status"] = OK if found.facts else UNREADABLE
        if found.facts:
            row |= found.facts._asdict()
            name = f"{image}.{_ENDINGS.get(found.facts.format, found.facts.format.lower())}"
            row["offset"] = shards.append(self._open(), name, data)
        self._pending.append(row)
        self._in_shard += 1
        self._bytes += len(data) if found.facts else 0
        if self._in_shard >= self._per_shard or self._bytes >= SHARD_BYTES:
            self._close_shard()
        return found

    def add_unreadable(self, image: str, reason: str, **columns: Any) -> None:
        """Add a row for a picture that could not even be read."""
        self._pending.append({"id": image, **columns, "status": UNREADABLE, "reason": reason})
        self._in_shard += 1

    def _open(self) -> BinaryIO:
        if self._shard is None:
            self._shard = (self._work / "open.tar").open("wb")
        return self._shard

    def _close_shard(self) -> None:
        """Make the open shard final: named by number and content, its rows beside it."""
        number = f"{self._finished:05d}"
        if self._shard:
            shards.finish(self._shard)
            self._shard.close()
            self._shard = None
            name = f"{number}-{sha256_of(self._work / 'open.tar')[:12]}.tar"
            (self._work / "open.tar").replace(self._work / name)
            for row in self._pending:
                if row["status"] == OK:
                    row["shard"] = name
        # The rows are what makes the shard count as finished, so they come after it.
        write_json(self._work / f"{number}.json", self._pending)
        self._rows += self._pending
        self._pending, self._in_shard, self._bytes = [], 0, 0
        self._finished += 1

    def _recover(self) -> None:
        """Take over finished shards; what a kill tore apart is written again."""
        while (listed := self._work / f"{self._finished:05d}.json").exists():
            rows = json.loads(listed.read_text("utf-8"))
            names = {row["shard"] for row in rows if row.get("shard")}
            # A kill while the set was being put in place leaves some shards already there.
            if not all((self._work / name).exists() or (self.path / name).exists() for name in names):
                return
            self._rows += rows
            self._finished += 1

    def _commit(self) -> None:
        if self._pending:
            self._close_shard()
        self.path.mkdir(parents=True, exist_ok=True)
        names = {str(row["shard"]) for row in self._rows if row.get("shard")}
        for name in sorted(names):
            if (self._work / name).exists():
                shutil.move(self._work / name, self.path / name)
        write_manifest(self.path / MANIFEST, self._rows)
        for stale in self.path.glob("*.tar"):
            if stale.name not in names:
                stale.unlink()
        shutil.rmtree(self._work)


def link_set(source: ImageSet, target: Path, rows: pd.DataFrame, **columns: object) -> None:
    """Make a set of some rows of another without copying pixels: its shards are linked (or copied).

    Args: rows: rows of `source.rows`; columns: manifest columns to overwrite in all of them.
    """
    target.mkdir(parents=True, exist_ok=True)
    for name in sorted(set(rows["shard"].dropna())):
        place = target / name
        place.unlink(missing_ok=True)
        try:
            os.link(source.path / name, place)
        except FileNotFoundError:
            raise ImageSetError(f"{source.path}/{name} is missing: `dvc pull` brings it back") from None
        except OSError:  # another file system
            shutil.copyfile(source.path / name, place)
    write_manifest(target / MANIFEST, [{**row, **columns} for row in to_records(rows)])


def to_records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as plain dictionaries, missing values as None."""
    plain = rows.astype(object).where(rows.notna(), None)
    return [{str(key): value for key, value in row.items()} for row in plain.to_dict("records")]


def open_sets(paths: Iterable[Path]) -> dict[str, "ImageSet"]:
    """Open several sets and say for every image id which set holds it.

    Raises:
        ImageSetError: an id stands in two of the sets.
    """
    holder: dict[str, ImageSet] = {}
    for path in paths:
        opened = ImageSet(path)
        for image in opened.rows["id"]:
            if image in holder:
                raise ImageSetError(f"the image id {image} stands in {holder[image].path} and in {path}")
            holder[image] = opened
    return holder
