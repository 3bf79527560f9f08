"""Entries of dvc.lock that travel between clones: taken out here, checked, and put in there."""

import fcntl
import math
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from assets.dag import Dag, look_up, normal_path
from assets.errors import AssayError
from assets.files import write_text
from assets.lineage import LOCK, read_lock
from assets.yaml12 import parse_yaml, read_yaml

Entry = dict[str, Any]
Outs = dict[str, dict[str, Any]]
"""Path of an output -> what dvc.lock says of its content: `md5`, `size`, `nfiles`, ..."""

_CONTENT = ("hash", "md5", "size", "nfiles", "isexec")
_MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")
_PATIENCE = 600.0


def outs_behind(dag: Dag, stage: str) -> list[str]:
    """Outputs of other stages that a stage reads, sorted."""
    return sorted({out for dep in dag[stage].deps for out in dag.outs_behind(dep)})


def recorded_outs(dag: Dag, recorded: Mapping[str, Entry], outs: list[str]) -> Outs:
    """What dvc.lock says of some outputs.

    Raises:
        AssayError: one has not been made.
    """
    found: Outs = {}
    for out in outs:
        maker = dag.out_of[out]
        files = {normal_path(file["path"]): file for file in recorded.get(maker, {}).get("outs") or ()}
        if out not in files:
            raise AssayError(f"{LOCK} does not say what {maker} made; `assay run {maker}`")
        found[out] = {key: files[out][key] for key in _CONTENT if key in files[out]}
    return found


def makers(dag: Dag, outs: Outs) -> dict[str, Entry]:
    """Entries of dvc.lock that say of `outs` no more than what DVC needs to fetch them.

    Raises:
        AssayError: a path that no stage makes, or a content that is none.
    """
    entries: dict[str, Entry] = {}
    for out, content in outs.items():
        maker = dag.out_of.get(out)
        if maker is None:
            raise AssayError(f"no stage makes {out!r:.120}, which was to be an input")
        if not sound_content(content):
            raise AssayError(f"{out} was to be an input, with the content {content!r:.120}")
        entry = entries.setdefault(maker, {"cmd": dag[maker].cmd, "outs": []})
        entry["outs"].append({"path": out, **content})
    return entries


def sound_content(content: Any) -> bool:
    """Whether this may stand in dvc.lock as what a path holds."""
    if not isinstance(content, dict) or not set(content) <= set(_CONTENT):
        return False
    counts = [content.get(key, 0) for key in ("size", "nfiles")]
    return (
        isinstance(content.get("md5"), str)
        and bool(_MD5.fullmatch(content["md5"]))
        and content.get("hash", "md5") == "md5"
        and isinstance(content.get("isexec", False), bool)
        and all(isinstance(count, int) and count >= 0 for count in counts)
    )


def check_entry(root: Path, dag: Dag, stage: str, entry: Any, expected: Mapping[str, str]) -> str | None:
    """What is wrong with an entry that came from elsewhere, in words; None if it is what was asked for.

    Args:
        expected: path -> md5, of what the stage was to read: its code, and outputs of other stages.
    """
    wanted = dag[stage]
    if not isinstance(entry, dict) or entry.get("cmd") != wanted.cmd:
        return "it ran another command"
    read, made = _files(entry.get("deps")), _files(entry.get("outs"))
    if read is None or set(read) != set(wanted.deps):
        return "it read other files"
    if made is None or set(made) != set(wanted.outs):
        return "it wrote other files"
    for file, keys in wanted.params.items():
        document = read_yaml(root / file)
        values = {key: look_up(document, key) for key in keys} if keys else document
        if (entry.get("params") or {}).get(file, {}) != values:
            return f"it ran with other parameters than {file} has"
    for path, md5 in expected.items():
        if path in read and read[path] != md5:
            return f"it read another {path}: {read[path][:12]}, expected {md5[:12]}"
    return None


def _files(files: Any) -> dict[str, str] | None:
    if files is None:
        return {}
    if not isinstance(files, list) or not all(isinstance(file, dict) for file in files):
        return None
    if not all(
        isinstance(file.get("path"), str)
        and sound_content({key: value for key, value in file.items() if key != "path"})
        for file in files
    ):
        return None
    return {normal_path(file["path"]): file["md5"] for file in files}


def merge(root: Path, entries: Mapping[str, Entry]) -> None:
    """Put entries into dvc.lock, in place of older ones of the same stages; dvc waits meanwhile."""
    with dvc_waits(root):
        write_lock(root, {**read_lock(root, held=True), **entries})


def write_lock(root: Path, entries: Mapping[str, Entry]) -> None:
    """Write dvc.lock whole, in DVC's form."""
    write_text(root / LOCK, _text({"schema": "2.0", "stages": dict(entries)}))


def as_text(entry: Entry) -> str:
    """An entry as YAML: JSON would make words of keys that are numbers."""
    return _text(entry)


def from_text(text: Any) -> Entry:
    """What `as_text` made.

    Raises:
        AssayError: no YAML, no mapping.
    """
    return parse_yaml(str(text), "an entry of dvc.lock that came from another machine")


def _text(document: dict[str, Any]) -> str:
    return str(yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True))


@contextmanager
def dvc_waits(root: Path) -> Iterator[None]:
    """Hold DVC's own lock on the repository, under which every dvc reads and writes dvc.lock.

    Raises:
        AssayError: a dvc has held it for ten minutes.
    """
    path = root / ".dvc" / "tmp" / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _acquire(handle, path)
        yield
    finally:
        os.close(handle)


def _acquire(handle: int, path: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise AssayError(f"a dvc has held {path} for {_PATIENCE / 60:.0f} minutes; end it") from None
            time.sleep(0.05)


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Puts words in quotes that YAML 1.1, or 1.2, would take for something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def write_float(self, value: float) -> yaml.Node:
        """`1e-05` as DVC writes it; PyYAML alone makes `1.0e-05` of it."""
        if not math.isfinite(value):
            return self.represent_float(value)
        return self.represent_scalar("tag:yaml.org,2002:float", repr(value))


_Dumper.add_representer(float, _Dumper.write_float)

# PyYAML knows what YAML 1.1 takes for a number; these are numbers to YAML 1.2, which DVC reads, alone
_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"[-+]?(?:0o[0-7_]+|[0-9][0-9_]*(?:\.[0-9_]*)?[eE][-+]?[0-9]+|\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?)$"
    ),
    list("-+0123456789."),
)
