"""`assay import`: a folder of pictures becomes an image set in data/, original bytes and no loose files."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

from assets.errors import AssayError
from assets.imageset import ImageSet, ImageSetWriter
from assets.machine import num_workers
from assets.picture import Examined, examine
from assets.progress import progress

ENDINGS = {".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".mpo"}
MAX_BYTES = 512 * 1024 * 1024
"""Larger files are counted as unreadable, not loaded."""


class Imported(NamedTuple):
    """What came of an import."""

    images: int
    unreadable: int
    ignored: int
    """Files whose ending is no picture's."""
    reasons: dict[str, int]
    """Why pictures are unreadable -> how many."""


class _Read(NamedTuple):
    data: bytes
    examined: Examined | None
    reason: str | None


def import_pictures(
    folder: Path,
    name: str,
    *,
    real: bool,
    content: str = "photo",
    family: str | None = None,
    released: str | None = None,
    out: Path | None = None,
) -> Imported:
    """Pack all pictures below `folder` into the image set data/`name`.

    Every file with a picture's ending becomes a row, also one that turns out to be unreadable. The
    name of the folder directly above a picture is its class, pictures directly in `folder` have
    none. A killed import goes on where it was when it is started again.

    Raises:
        AssayError: no such folder, or no picture in it.
    """
    if not folder.is_dir():
        raise AssayError(f"{folder} is not a folder: give the folder that holds the pictures")
    files, ignored = _list(folder)
    if not files:
        kinds = " ".join(sorted(ENDINGS))
        raise AssayError(f"{folder} holds no pictures (endings looked for: {kinds})")
    columns: dict[str, object] = {
        "label": 0 if real else 1,
        "generator": "real" if real else name,
        "family": None if real else family,
        "released": None if real else released,
        "content": content,
    }
    target = out or Path("data") / name
    with ImageSetWriter(target, resume=_listing_key(files, name, columns)) as writer:
        todo = files[writer.done :]
        for path, read in zip(todo, progress(_read_all(todo), f"import {name}", len(todo)), strict=True):
            _add(writer, folder, path, read, name, columns)
    # From the finished set, so that what a killed import had packed before is counted too.
    reasons = Counter(ImageSet(target).rows["reason"].dropna())
    return Imported(len(files), reasons.total(), ignored, dict(reasons))


def _add(
    writer: ImageSetWriter, folder: Path, path: Path, read: _Read, name: str, columns: dict[str, object]
) -> None:
    """Write one row."""
    relative = path.relative_to(folder).as_posix()
    # The id follows the path, so that a folder that gains a picture renames no other.
    image = f"{name}-{hashlib.blake2b(os.fsencode(relative), digest_size=8).hexdigest()}"
    above = path.parent.name if path.parent != folder else None
    printable = relative.encode("utf-8", "backslashreplace").decode()
    own = {**columns, "source": printable, "group": image, "class_name": above}
    if read.reason is not None:
        writer.add_unreadable(image, read.reason, **own)
    else:
        writer.add(image, read.data, examined=read.examined, **own)


def _list(folder: Path) -> tuple[list[Path], int]:
    """Pictures below `folder` in a fixed order, and how many other files there are."""
    files: list[Path] = []
    ignored = 0
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(parent) / name
            if path.suffix.lower() in ENDINGS:
                files.append(path)
            else:
                ignored += 1
    return files, ignored


def _listing_key(files: list[Path], name: str, columns: dict[str, object]) -> str:
    """Changes when a file is added, taken away or written to: then an import starts afresh."""
    digest = hashlib.sha256(repr((name, sorted(columns.items()))).encode())
    for path in files:
        try:
            stat = path.stat()
            digest.update(f"{path!r} {stat.st_size} {stat.st_mtime_ns}\n".encode("utf-8", "replace"))
        except OSError:
            digest.update(f"{path!r}\n".encode("utf-8", "replace"))
    return digest.hexdigest()


def _read_all(files: list[Path]) -> Iterator[_Read]:
    workers = num_workers()
    if not workers:
        yield from map(_read_one, files)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(_read_one, files, chunksize=16)


def _read_one(path: Path) -> _Read:
    try:
        if not path.is_file():
            link = "a link that leads nowhere" if path.is_symlink() else "not a regular file"
            return _Read(b"", None, link)
        if path.stat().st_size > MAX_BYTES:
            return _Read(b"", None, f"larger than {MAX_BYTES} bytes")
        data = path.read_bytes()
    except OSError as error:
        return _Read(b"", None, f"cannot be read: {error.strerror}")
    return _Read(data, examine(data), None)
