"""Tar shards of original file bytes: any tar and webdataset read them; equal images give equal bytes."""

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

_BLOCK = 512


class Member(NamedTuple):
    """One file of a shard, as found by walking the tar."""

    name: str
    offset: int
    """Of the first data byte."""
    size: int


def append(shard: BinaryIO, name: str, data: bytes) -> int:
    """Append a file and return the offset of its first data byte.

    Owner, times and mode are fixed, and the header is plain ustar, so that the bytes depend on name and
    data alone.
    """
    info = tarfile.TarInfo(name)
    info.size = len(data)
    info.mode = 0o644
    header = info.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")
    offset = shard.tell() + len(header)
    shard.write(header)
    shard.write(data)
    shard.write(b"\0" * (-len(data) % _BLOCK))
    return offset


def finish(shard: BinaryIO) -> None:
    """Write the end-of-archive marker, padded to a tar record."""
    shard.write(b"\0" * (2 * _BLOCK))
    shard.write(b"\0" * (-shard.tell() % tarfile.RECORDSIZE))


def members(path: Path) -> Iterator[Member]:
    """Walk a shard from front to back."""
    with tarfile.open(path, "r:") as archive:
        for info in archive:
            yield Member(info.name, info.offset_data, info.size)
