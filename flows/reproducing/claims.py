"""Whether a record agrees with itself: its hash, dvc.lock, parameters, code, inputs, tables."""

from collections.abc import Iterator
from typing import Any

from assets.dag import DVC_YAML, REPORT, look_up
from assets.errors import AssayError
from assets.lineage import LOCK, Hashes, Lineage, LineageError
from assets.yaml12 import read_yaml
from flows.records.records import ABOUT, file_of
from flows.reproducing.content import Content, Finding, Listing, Output, md5_of_bytes, part_of
from flows.reproducing.inside import DATA
from flows.reproducing.worktree import Desk

RECORD = "record"
"""What stands in for a stage where the record itself is at fault."""


def claims(desk: Desk, content: Content) -> Iterator[Finding]:
    """What in the record contradicts the rest of it; needs none of its outputs."""
    yield from _hashes(desk)
    yield from _declared(desk)
    yield from _code(desk, content)


def inputs(desk: Desk, content: Content) -> Iterator[Finding]:
    """Inputs that stages read otherwise than its .dvc files pin them, where listings of these are known."""
    for pin in desk.pins:
        listing = content.listing(pin.md5)
        for stage, path, md5 in _read(desk, pin):
            pinned = pin.md5 if path == pin.path else _part(listing, path[len(pin.path) + 1 :])
            if pinned not in (None, md5):
                yield Finding(path, stage, md5, pinned)


def tables(desk: Desk, content: Content) -> Iterator[Finding]:
    """Tables of the record that are not the bytes which its dvc.lock has of them, where that is known."""
    for output in desk.outputs([REPORT]):
        listing = content.listing(output.md5)
        for path in desk.tables:
            name = path.removeprefix(f"{output.path}/")
            held = file_of(desk.record.root, desk.record, path)
            if listing is not None and name != path and held is not None:
                found = md5_of_bytes(held)
                if listing.get(name) != found:
                    yield Finding(f"{path} in {desk.record.tag}", RECORD, listing.get(name), found)


def _hashes(desk: Desk) -> Iterator[Finding]:
    record = desk.record
    asserted = Hashes(record.lineage, record.recipe)
    try:
        found = Lineage(desk.kept).recorded_benchmark()
    except LineageError as error:
        raise AssayError(f"the {LOCK} of {record.tag} contradicts itself: {error}") from None
    if found.lineage != asserted.lineage:
        yield Finding(f"the lineage of {LOCK}", RECORD, asserted.lineage, found.lineage)
    if found.recipe != asserted.recipe:
        yield Finding(f"the recipe of {LOCK}", RECORD, asserted.recipe, found.recipe)
    about = record.about
    for kind, value in asserted.as_dict().items():
        if about.get(kind) != value:
            yield Finding(f"{ABOUT}: {kind}", RECORD, value, str(about.get(kind)))


def _declared(desk: Desk) -> Iterator[Finding]:
    """Commands and parameters: dvc.lock's are hashed, dvc.yaml's and params.yaml's are run."""
    documents: dict[str, Any] = {}
    for name, stage in desk.dag.stages.items():
        entry: dict[str, Any] = desk.recorded.get(name, {})
        if entry and entry.get("cmd") != stage.cmd:
            yield Finding(f"{DVC_YAML}: command of {name}", RECORD, entry.get("cmd"), stage.cmd)
        for file, keys in stage.params.items():
            if entry and file in desk.files:
                document = documents.setdefault(file, read_yaml(desk.root / file))
                held = {key: _value(document, key) for key in keys} if keys else document
                known = (entry.get("params") or {}).get(file, {})
                for key in sorted(map(str, {*held, *known})):
                    if held.get(key) != known.get(key):
                        yield Finding(f"{file}: {key}", name, str(known.get(key)), str(held.get(key)))


def _code(desk: Desk, content: Content) -> Iterator[Finding]:
    """Files that stages read and no stage makes, as they lie in the worktree."""
    read: dict[str, Output] = {}
    for name in desk.dag.order:
        entry: dict[str, Any] = desk.recorded.get(name, {})
        for dep in entry.get("deps") or ():
            path = str(dep["path"])
            pinned = any(path == pin.path or path.startswith(f"{pin.path}/") for pin in desk.pins)
            if not pinned and not desk.dag.outs_behind(path):
                read.setdefault(path, Output(path, str(dep["md5"]), name))
    left_out = set(desk.record.left_out)
    for finding in content.compare(read.values())[1]:
        if finding.path not in left_out:
            yield finding


def _read(desk: Desk, pin: Output) -> Iterator[tuple[str, str, str]]:
    """(stage, path, md5) of what stages read of an input."""
    for name in desk.dag.order:
        entry: dict[str, Any] = desk.recorded.get(name, {})
        for dep in entry.get("deps") or ():
            path = str(dep["path"])
            if path == pin.path or path.startswith(f"{pin.path}/"):
                yield name, path, str(dep["md5"])


def _part(listing: Listing | None, path: str) -> str | None:
    return None if listing is None else part_of(listing, path) or f"nothing in {DATA}"


def _value(document: Any, dotted: str) -> Any:
    try:
        return look_up(document, dotted)
    except KeyError:
        return None
