"""What a user means by a hash, a path, a stage, a revision or `now`: a stage or a benchmark, and where.

It is looked for in this checkout first, then among the records, then in git.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from assets.dag import REPORT, normal_path
from assets.differing import Side
from assets.errors import AssayError
from assets.lineage import BENCHMARK, Lineage, LineageError
from flows.records import records
from flows.records.environment import environment
from flows.records.git import commit_of, repository
from flows.records.trees import file_in, lineage_in

NOW = ("now", ".")
_CELLS = "cells.csv"
_DIGITS = re.compile(r"[0-9a-fA-F]+")


@dataclass(frozen=True)
class Meant:
    """A stage or the benchmark, of this checkout, of a record or of another commit."""

    text: str
    """What the user typed."""
    lineage: Lineage
    name: str
    """A stage's name, or `benchmark`."""
    where: str
    """For a reader: `this checkout`, `the record assay/...`, `the commit ...`."""
    file: Callable[[str], bytes | None]
    """Reads a file of it by its path in the workspace."""
    environment: Callable[[], dict[str, Any] | None]
    revision: str | None = None
    """What git knows it by."""

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """It and all upstream of it, as `Lineage.tree` gives them."""
        return self.lineage.tree(self.name)

    def side(self) -> Side:
        """As one of two things that are compared."""
        cells = self._cells() if self.name == BENCHMARK else None
        return Side(self.text, self.rows, cells, self.environment())

    def _cells(self) -> str | None:
        content = self.file(f"{self.lineage.dag[REPORT].outs[0]}/{_CELLS}")
        return content.decode("utf-8") if content is not None else None


def meant(root: Path, text: str, checkout: Lineage) -> Meant:
    """What `text` means: `now` or `.`; a stage's name or a path of this checkout; a hash, or the beginning of
    one, of this checkout or of a record; a record's tag; a git revision. `REVISION:STAGE` (or a path) is a
    stage of another commit or record.

    Raises:
        AssayError: nothing of all that, or the beginning of several hashes.
    """
    here = _here(root, text, checkout)
    if text in NOW:
        return here
    if text in checkout.dag.stages or text == BENCHMARK:
        return replace(here, name=text)
    if checkout.dag.made_by(normal_path(text)) or Path(root, text).exists():
        return replace(here, name=checkout.of_path(text))
    if found := _by_hash(root, text, here):
        return found
    revision, colon, rest = text.partition(":")
    if found := _in_git(root, text, revision):
        return replace(found, name=_named(found.lineage, rest)) if colon else found
    raise AssayError(_unknown(root, text))


def _here(root: Path, text: str, checkout: Lineage) -> Meant:
    def read(path: str) -> bytes | None:
        return (root / path).read_bytes() if (root / path).is_file() else None

    def computed_with() -> dict[str, Any]:
        recorded = present(root, checkout)
        return recorded.environment if recorded else environment(root)

    return Meant(text, checkout, BENCHMARK, "this checkout", read, computed_with)


def present(root: Path, checkout: Lineage) -> records.Record | None:
    """The record of the benchmark that this checkout's dvc.lock holds."""
    try:
        hashes = checkout.recorded_benchmark()
    except LineageError:
        return None
    return next((one for one in records.records(root) if one.lineage == hashes.lineage), None)


def _by_hash(root: Path, text: str, here: Meant) -> Meant | None:
    """A hash that this checkout has, or one of a record."""
    digits = text.lower()
    if not _DIGITS.fullmatch(text) or len(text) < records.SHORTEST:
        return None
    if any(hash_.startswith(digits) for hash_ in _hashes(here.lineage)):
        return replace(here, name=here.lineage.find(text).name)
    if known := _recorded(root, digits):
        return of_record(root, known, text)
    if found := records.with_stage(root, text):
        record, stage = found
        there = of_record(root, record, text)
        if any(hash_.startswith(digits) for hash_ in there.lineage.stage(stage).as_dict().values()):
            return replace(there, name=stage)
    return None


def _recorded(root: Path, digits: str) -> records.Record | None:
    """The record whose lineage or recipe begins with these digits, if there is one."""
    known = (hash_ for one in records.records(root) for hash_ in (one.lineage, one.recipe))
    return records.find(root, digits) if any(hash_.startswith(digits) for hash_ in known) else None


def _hashes(lineage: Lineage) -> Iterator[str]:
    """Every hash that a lock gives; what has not run, or used inputs that have changed since, has none."""
    for name in (BENCHMARK, *lineage.dag.order):
        with suppress(LineageError):
            yield from lineage.of(name).as_dict().values()


def _in_git(root: Path, text: str, revision: str) -> Meant | None:
    """A record by its tag or hash, or any commit that has a dvc.lock."""
    where = repository(root)
    if where is None:
        return None
    if len(revision) >= records.SHORTEST and (known := _recorded(root, revision.lower())):
        return of_record(root, known, text)
    commit = commit_of(where.root, revision)
    if commit is None:
        return None
    if tagged := [one for one in records.records(root) if one.commit == commit]:
        return of_record(root, tagged[0], text)
    try:
        lineage = lineage_in(root, commit, where.folder)
    except AssayError as error:
        raise AssayError(f"{revision}: {error}") from None

    def read(path: str) -> bytes | None:
        return file_in(root, commit, where.folder + path)

    return Meant(text, lineage, BENCHMARK, f"the commit {commit[:12]}", read, lambda: None, commit)


def of_record(root: Path, record: records.Record, text: str) -> Meant:
    """The benchmark of a record."""

    def read(path: str) -> bytes | None:
        return records.file_of(root, record, path)

    lineage = records.lineage_of(root, record)
    where = f"the record {record.tag}"
    return Meant(text, lineage, BENCHMARK, where, read, lambda: record.environment, record.tag)


def _named(lineage: Lineage, rest: str) -> str:
    return rest if rest in lineage.dag.stages or rest == BENCHMARK else lineage.of_path(rest)


def _unknown(root: Path, text: str) -> str:
    count = len(records.records(root))
    if _DIGITS.fullmatch(text) and len(text) < records.SHORTEST:
        return f"'{text}' is too short to tell hashes apart: at least {records.SHORTEST} digits"
    if _DIGITS.fullmatch(text):
        return (
            f"no stage and no benchmark of this checkout, and none of the {count} records, has a hash that "
            f"begins with {text}; `assay lineage` and `assay lineage --list` list them. Records that others "
            f"have made since this clone: {records.FETCH}"
        )
    return f"'{text}' is neither a hash, a stage, a path that a stage makes, nor a git revision"
