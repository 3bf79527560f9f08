"""Where the bytes of a picture are: a file, a stretch of a tar, a cell of a parquet file, or nowhere."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import pyarrow as pa

MAX_BYTES = 512 * 1024 * 1024
"""Larger pictures are counted as unreadable, not loaded."""
MAX_GROUP_BYTES = 4 * 1024**3
"""Of one row group of a parquet file, uncompressed."""


class Unreadable(Exception):
    """These bytes cannot be had; the message is the reason kept in the manifest."""


class File(NamedTuple):
    """A whole file. The folder is kept apart, so that the files of one share it: there are millions."""

    folder: Path
    name: str
    """Or a path below the folder."""

    @property
    def path(self) -> Path:
        """Where it is."""
        return self.folder / self.name

    def read(self) -> bytes:
        """Raises: Unreadable."""
        path = self.path
        try:
            if not path.is_file():
                raise Unreadable(_no_file(path))
            _refuse_large(path.stat().st_size)
            return path.read_bytes()
        except (OSError, ValueError) as error:  # ValueError: a null byte in the name
            raise Unreadable(f"cannot be read: {getattr(error, 'strerror', None) or error}") from None


class Span(NamedTuple):
    """A stretch of an uncompressed tar."""

    path: Path
    offset: int
    length: int

    def read(self) -> bytes:
        """Raises: Unreadable."""
        _refuse_large(self.length)
        try:
            with self.path.open("rb") as handle:
                handle.seek(self.offset)
                data = handle.read(self.length)
        except OSError as error:
            raise Unreadable(f"{self.path.name} cannot be read: {error.strerror}") from None
        if len(data) < self.length:
            raise Unreadable(f"{self.path.name} is cut short here")
        return data


class Cell(NamedTuple):
    """A value of a parquet file: bytes, or a struct with a field `bytes`."""

    path: Path
    column: str
    group: int
    row: int
    """Within the row group."""

    def read(self) -> bytes:
        """Raises: Unreadable."""
        try:
            value = _row_group(self.path, self.column, self.group)[self.row].as_py()
        except (ValueError, IndexError) as error:  # text that is no UTF-8; fewer rows than announced
            raise Unreadable(f"{self.path.name} is damaged here: {str(error).splitlines()[0]}") from None
        data = value.get("bytes") if isinstance(value, dict) else value
        if data is None:
            beside = value.get("path") if isinstance(value, dict) else None
            raise Unreadable(f"the row names a file ({beside}) but holds no bytes" if beside else "empty row")
        _refuse_large(len(data))
        return bytes(data)


class Lost(NamedTuple):
    """Bytes that are known to be out of reach."""

    reason: str

    def read(self) -> bytes:
        """Raises: Unreadable."""
        raise Unreadable(self.reason)


Place = File | Span | Cell | Lost


def stamp(place: Place, sizes: dict[Path, str]) -> str:
    """Changes when the bytes may have: the file's size and time (remembered in `sizes`), and the place."""
    if isinstance(place, Lost):
        return repr(place)
    if isinstance(place, File):
        return f"{place!r} {_facts(place.path)}"
    if place.path not in sizes:
        sizes[place.path] = _facts(place.path)
    return f"{place!r} {sizes[place.path]}"


def _facts(path: Path) -> str:
    try:
        stat = path.stat()
    except (OSError, ValueError):
        return "none"
    return f"{stat.st_size} {stat.st_mtime_ns}"


def neighbours(one: Place, other: Place) -> bool:
    """Whether two places are best read together."""
    return isinstance(one, Cell) and isinstance(other, Cell) and one[:3] == other[:3]


def _no_file(path: Path) -> str:
    if path.is_symlink() and not path.exists():
        return "a link that leads nowhere"
    return "not a regular file" if path.exists() else "missing"


def _refuse_large(size: int) -> None:
    if size > MAX_BYTES:
        raise Unreadable(f"larger than {MAX_BYTES} bytes")


@lru_cache(maxsize=1)
def _row_group(path: Path, column: str, group: int) -> "pa.ChunkedArray[Any]":
    """One column of one row group; the last one stays in memory.

    Raises:
        Unreadable: damaged, or too large to be loaded.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            # Not of the column alone: asking a damaged file for that ends the process in Arrow's C++.
            if file.metadata.row_group(group).total_byte_size > MAX_GROUP_BYTES:
                raise Unreadable(f"its row group is larger than {MAX_GROUP_BYTES} bytes")
            # No threads: this may run in a process that was forked from one in which Arrow had some.
            return file.read_row_group(group, columns=[column], use_threads=False).column(0)
    except (pa.ArrowException, OSError) as error:
        raise Unreadable(f"{path.name} is damaged here: {str(error).splitlines()[0]}") from None
