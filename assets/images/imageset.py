"""An image set: one folder with manifest.parquet and tar shards of the original file bytes.

The manifest is written last and in one step, and shards carry their content hash in their names, so a
folder always holds one whole set: the old one until the new manifest stands, then the new one.
"""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pandas as pd

from assets.errors import AssayError
from assets.images.manifest import OK, read_manifest, write_manifest
from assets.images.packing import Row, ShardWriter, finished_rows
from assets.images.picture import Examined, Smaller, decode

MANIFEST = "manifest.parquet"
PER_SHARD = 2000
SHARD_BYTES = 256 * 1024 * 1024
PARTIAL = Path(".assay/partial")
"""Where sets that are being written keep finished shards, so that a restart goes on from them."""


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

    def pixels(self, image: str, smaller: Smaller | None = None) -> np.ndarray:
        """The decoded picture, (H, W, 3) uint8; `smaller` as in `decode`."""
        return decode(self.read(image), smaller)

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
        self._work = work_folder(path, f"{resume}\n{per_shard}")
        if resume is None:
            shutil.rmtree(self._work, ignore_errors=True)
        self._work.mkdir(parents=True, exist_ok=True)
        self._rows: list[Row] = []
        self._finished = 0
        while (rows := finished_rows(self._work, self._finished, path)) is not None:
            self._rows += rows
            self._finished += 1
        self.done = len(self._rows)
        """Images that finished shards of a killed run already hold."""
        self._shard = ShardWriter(self._work, self._finished)

    def __enter__(self) -> "ImageSetWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._shard.abandon()
            return
        if self._shard.rows:
            self._close_shard()
        place_set(self.path, self._work, self._rows)

    def add(self, image: str, data: bytes, *, examined: Examined | None = None, **columns: Any) -> Examined:
        """Add one picture under its id; see `ShardWriter.add`."""
        found = self._shard.add(image, data, examined=examined, **columns)
        if len(self._shard.rows) >= self._per_shard or self._shard.num_bytes >= SHARD_BYTES:
            self._close_shard()
        return found

    def add_unreadable(self, image: str, reason: str, **columns: Any) -> None:
        """Add a row for a picture that could not even be read."""
        self._shard.add_unreadable(image, reason, **columns)

    def _close_shard(self) -> None:
        self._rows += self._shard.close()
        self._finished += 1
        self._shard = ShardWriter(self._work, self._finished)


def work_folder(path: Path, key: str) -> Path:
    """Where the finished shards of the set at `path` lie until it is whole; another key is another set."""
    digest = hashlib.sha256(f"{path}\n{key}".encode()).hexdigest()[:16]
    return PARTIAL / f"{path.name}-{digest}"


def place_set(path: Path, work: Path, rows: list[Row]) -> None:
    """Make finished shards in `work` the set at `path`, in place of what was there, and remove `work`."""
    path.mkdir(parents=True, exist_ok=True)
    names = {str(row["shard"]) for row in rows if row.get("shard")}
    for name in sorted(names):
        if (work / name).exists():
            shutil.move(work / name, path / name)
    write_manifest(path / MANIFEST, rows)
    for stale in path.glob("*.tar"):
        if stale.name not in names:
            stale.unlink()
    shutil.rmtree(work)


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
