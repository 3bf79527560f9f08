"""`assay import`: pictures in any layout become image sets in data/, original bytes and no loose files."""

import hashlib
import json
import os
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import PIL

from assets.errors import AssayError
from assets.files import full_disk_told, sha256_of, write_json
from assets.images.imageset import MANIFEST, ImageSet, ImageSetWriter
from assets.images.manifest import COLUMNS, UNREADABLE
from assets.images.picture import Examined, examine
from assets.machine import num_workers
from assets.progress import progress
from tasks.sources import folder as plain
from tasks.sources.entry import Entry, Source, Wanted
from tasks.sources.names import printable
from tasks.sources.places import Place, Unreadable, neighbours, stamp

FINISHED = Path(".assay/imported")
"""What tells a finished set from one that its source has changed under."""
_CHUNK = 16
_CHUNK_OF_NEIGHBOURS = 64


@dataclass(frozen=True)
class Imported:
    """What came of an import."""

    images: int
    unreadable: int
    ignored: int
    """Files that are no pictures."""
    reasons: dict[str, int]
    """Why pictures are unreadable -> how many."""
    sides: dict[str, int] = field(default_factory=dict)
    """Published side -> images."""
    remarks: list[str] = field(default_factory=list)
    """What is known about the unreadable ones."""
    kept: bool = False
    """Nothing had changed since it was imported."""


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

    Every file with a picture's ending becomes a row, also one that turns out to be unreadable. A killed
    import goes on where it was when it is started again.

    Raises:
        AssayError: no such folder, no picture in it, names that contradict `real`, a full disk.
    """
    wanted = Wanted(name, real, content, family, released)
    found = plain.find(folder, wanted)
    return pack(found.sources[0], out or Path("data") / name, found.ignored)


def pack(source: Source, out: Path, ignored: int = 0) -> Imported:
    """Write one image set; a killed one goes on where it was, and a finished one is not packed again.

    Args:
        out: folder of the set.
        ignored: files that the layout left alone, passed on.
    Raises:
        AssayError: a full disk, a worker process that died.
    """
    key = _listing_key(source)
    kept = _is_finished(out, key)
    if not kept:
        told = f"shards of {source.name} that are finished are kept; free some space and start it again"
        with full_disk_told(f"{told}: it goes on"):
            _write(source, out, key)
            _finish(out, key)
    # From the finished set, so that what a killed import had packed before is counted too.
    rows = ImageSet(out).rows
    bad = rows[rows["status"] == UNREADABLE]
    reasons = Counter(bad["reason"].dropna())
    sides = {str(side): int(count) for side, count in rows["side"].value_counts().sort_index().items()}
    remarks = source.remarks(bad)
    return Imported(len(rows), len(bad), ignored, dict(reasons), sides, remarks, kept)


def _write(source: Source, out: Path, key: str) -> None:
    entries = source.entries
    assert len({entry.key for entry in entries}) == len(entries), "keys are unique"
    columns: dict[str, object] = {
        "label": 0 if source.real else 1,
        "generator": "real" if source.real else source.name,
        "family": None if source.real else source.family,
        "released": None if source.real else source.released,
        "content": source.content,
    }
    with ImageSetWriter(out, resume=key) as writer:
        todo = entries[writer.done :]
        read = _read_all([entry.place for entry in todo])
        bar = progress(read, f"import {source.name}", len(todo))
        for entry, one in zip(todo, bar, strict=True):
            _add(writer, source, entry, one, columns)


def _add(
    writer: ImageSetWriter, source: Source, entry: Entry, read: _Read, columns: dict[str, object]
) -> None:
    """Write one row."""
    # The id follows the key, so that a folder that gains a picture renames no other.
    image = entry.id or f"{source.name}-{hashlib.blake2b(os.fsencode(entry.key), digest_size=8).hexdigest()}"
    own = {**columns, "source": printable(entry.key), "group": image, **entry.columns}
    if entry.id is not None:  # it was an image of ours before: nothing is filled in
        own = {**dict.fromkeys((*columns, "source", "group")), **entry.columns}
    elif source.real:  # nobody asked for it: a caption is no prompt
        own |= {"group": image, "prompt": None}
    if entry.sha256 is not None and read.reason is None:
        found = hashlib.sha256(read.data).hexdigest()
        if found != entry.sha256:
            raise AssayError(
                f"{image} has SHA-256 {found[:12]}, its manifest says {entry.sha256[:12]}: the picture was "
                "changed after it was exported; export it again"
            )
    if read.reason is not None:
        writer.add_unreadable(image, read.reason, **own)
    else:
        writer.add(image, read.data, examined=read.examined, **own)


def _listing_key(source: Source) -> str:
    """Changes when a picture is added, taken away or written to, or Pillow changes: it starts afresh."""
    facts = (source.name, source.real, source.family, source.released, source.content)
    digest = hashlib.sha256(repr((facts, tuple(COLUMNS), PIL.__version__)).encode())
    sizes: dict[Path, str] = {}
    for entry in source.entries:
        told = f"{entry.key} {sorted(entry.columns.items())} {stamp(entry.place, sizes)}\n"
        digest.update(told.encode("utf-8", "backslashreplace"))
    return digest.hexdigest()


def _finished_path(out: Path) -> Path:
    return FINISHED / f"{out.name}-{hashlib.sha256(os.fsencode(out)).hexdigest()[:8]}.json"


def _is_finished(out: Path, key: str) -> bool:
    """Whether the set was packed from the same listing and is still whole."""
    try:
        told = json.loads(_finished_path(out).read_text("utf-8"))
        if told != {"key": key, "manifest": sha256_of(out / MANIFEST)}:
            return False
    except (OSError, ValueError):
        return False
    return all((out / shard).is_file() for shard in ImageSet(out).rows["shard"].dropna().unique())


def _finish(out: Path, key: str) -> None:
    write_json(_finished_path(out), {"key": key, "manifest": sha256_of(out / MANIFEST)})


def _read_all(places: list[Place]) -> Iterator[_Read]:
    """Read and decode in order; with workers side by side, and no more than they can hold in memory.

    Raises:
        AssayError: a worker died.
    """
    workers = num_workers()
    if not workers:
        yield from map(_read_one, places)
        return
    waiting: deque[Future[list[_Read]]] = deque()
    try:
        with ProcessPoolExecutor(workers) as pool:
            for chunk in _chunks(places):
                waiting.append(pool.submit(_read_chunk, chunk))
                if len(waiting) > 2 * workers:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
    except BrokenProcessPool:
        raise AssayError(
            "a worker process was ended from outside, as happens when memory runs out: start it again with "
            f"fewer than ASSAY_WORKERS={workers}; it goes on where it was"
        ) from None


def _chunks(places: Iterable[Place]) -> Iterator[list[Place]]:
    """Pieces of work; places that are best read together stay together."""
    chunk: list[Place] = []
    for place in places:
        limit = _CHUNK_OF_NEIGHBOURS if chunk and neighbours(chunk[0], place) else _CHUNK
        if len(chunk) >= limit:
            yield chunk
            chunk = []
        chunk.append(place)
    if chunk:
        yield chunk


def _read_chunk(places: list[Place]) -> list[_Read]:
    return [_read_one(place) for place in places]


def _read_one(place: Place) -> _Read:
    try:
        data = place.read()
    except Unreadable as error:
        return _Read(b"", None, str(error))
    return _Read(data, examine(data), None)
