"""Bytes on the disk against the md5 that a dvc.lock has of them, hashed anew.

DVC itself believes a file whose time and inode it knows, and its cache altogether.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_BLOCK = 1 << 20
_DIR = ".dir"

Listing = dict[str, str]
"""Path inside a folder -> md5."""


@dataclass(frozen=True)
class Finding:
    """Something that is not what was recorded."""

    path: str
    stage: str
    """The stage that makes it, or `data` or `record`."""
    expected: str | None
    """md5; None: not recorded."""
    found: str | None
    """md5; None: not there."""

    def as_dict(self) -> dict[str, str | None]:
        """For JSON."""
        return asdict(self)

    def __str__(self) -> str:
        if self.found is None:
            return f"{self.path} ({self.stage}) is missing; recorded: md5 {self.expected}"
        if self.expected is None:
            return f"{self.path} ({self.stage}) is not in the record; md5 {self.found}"
        return f"{self.path} ({self.stage}) has md5 {self.found}; recorded: {self.expected}"


@dataclass(frozen=True)
class Output:
    """One output of a stage, as recorded."""

    path: str
    md5: str
    stage: str
    bytes: int = 0
    """As DVC counted them."""


@dataclass
class Count:
    """How much was looked at."""

    files: int = 0
    bytes: int = 0


class Content:
    """What lies in a worktree, hashed; listings of folders come from caches, if they are what they say."""

    def __init__(self, root: Path, caches: Sequence[Path], threads: int) -> None:
        self._root = root
        self._caches = caches
        self._threads = threads
        self.count = Count()

    def compare(self, outputs: Iterable[Output]) -> tuple[dict[str, str | None], list[Finding]]:
        """Hash outputs.

        Returns each path's md5 (None: not there), and what differs from the record, file by file where
        the recorded listing of a folder is known.
        """
        found: dict[str, str | None] = {}
        differing: list[Finding] = []
        for output in outputs:
            md5, listing = self._hash(output.path)
            found[output.path] = md5
            if md5 != output.md5:
                differing += self._differences(output, md5, listing)
        return found, differing

    def listing(self, md5: str) -> Listing | None:
        """What a folder with that md5 holds; None if no cache knows it, or what it has was changed."""
        if not md5.endswith(_DIR):
            return None
        for cache in self._caches:
            path = cache / "files" / "md5" / md5[:2] / md5[2:]
            try:
                text = path.read_bytes()
                listed = {str(entry["relpath"]): str(entry["md5"]) for entry in json.loads(text)}
            except (OSError, ValueError, KeyError, TypeError):
                continue
            if md5_of_listing(listed) == md5:
                return listed
        return None

    def _hash(self, path: str) -> tuple[str | None, Listing | None]:
        here = self._root / path
        if here.is_dir():
            files = dict(sorted(_files(here)))
            with ThreadPoolExecutor(self._threads) as pool:
                listing = dict(zip(files, pool.map(md5_of, files.values()), strict=True))
            self._add(files.values())
            return md5_of_listing(listing), listing
        if here.is_file():
            self._add([here])
            return md5_of(here), None
        return None, None

    def _add(self, files: Iterable[Path]) -> None:
        for file in files:
            self.count.files += 1
            self.count.bytes += file.stat().st_size

    def _differences(self, output: Output, md5: str | None, listing: Listing | None) -> Iterator[Finding]:
        recorded = self.listing(output.md5)
        if md5 is None or listing is None or recorded is None:
            yield Finding(output.path, output.stage, output.md5, md5)
            return
        for name in sorted({*listing, *recorded}):
            if listing.get(name) != recorded.get(name):
                path = f"{output.path}/{name}"
                yield Finding(path, output.stage, recorded.get(name), listing.get(name))


def md5_of(path: Path) -> str:
    """md5 of a file's bytes."""
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def md5_of_bytes(content: bytes) -> str:
    """md5 of bytes."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def md5_of_listing(listing: Mapping[str, str]) -> str:
    """What DVC calls a folder with these files."""
    entries = [{"md5": listing[name], "relpath": name} for name in sorted(listing)]
    text = json.dumps(entries, sort_keys=True)
    return md5_of_bytes(text.encode()) + _DIR


def part_of(listing: Listing, folder: str) -> str | None:
    """md5 of a file or a folder inside a listed folder; None if it is not there."""
    if folder in listing:
        return listing[folder]
    inside = {name[len(folder) + 1 :]: md5 for name, md5 in listing.items() if name.startswith(f"{folder}/")}
    return md5_of_listing(inside) if inside else None


def outputs_of(recorded: Mapping[str, Any], stages: Iterable[str]) -> list[Output]:
    """Outputs of these stages, as a dvc.lock has them."""
    return [
        Output(str(out["path"]), str(out["md5"]), stage, int(out.get("size") or 0))
        for stage in stages
        for out in recorded.get(stage, {}).get("outs") or ()
    ]


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Files as DVC counts them: without what .dvcignore names."""
    for here, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        for name in names:
            if name != ".DS_Store" and not name.endswith(".pyc"):
                path = Path(here) / name
                yield path.relative_to(folder).as_posix(), path
