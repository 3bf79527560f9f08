"""`assay import`: pack pictures of any layout, pin them, and say how to put them to use."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from assets.errors import AssayError, did_you_mean
from assets.params import CONTENTS, FAMILIES, REAL
from flows.running import dvc

if TYPE_CHECKING:
    from tasks.importing import Imported
    from tasks.sources.entry import Source, Wanted


def import_place(
    root: Path, place: str, layout: str | None, wanted: "Wanted", say_next: bool = True
) -> Iterator[str]:
    """Pack what lies at `place` as image sets in data/ and pin data/; yields lines for the user as it goes.

    Args:
        place: a folder, a file or `hf:owner/name@revision`.
        layout: how to read it; None looks.
        say_next: end with how to put the sets to use.
    Raises:
        AssayError: a name, content, family or date that is not allowed; a place that cannot be told or
            read; no pictures; names that contradict the label; a full disk.
    """
    _check_values(wanted)
    from tasks.importing import pack
    from tasks.sources import layouts

    if layout is None:
        layout, why = layouts.recognise(place)
        yield f"layout: {layout} ({why})"
    _check_needs(layout, layouts.LAYOUTS[layout].TAKES if layout in layouts.LAYOUTS else set(), wanted)
    found = layouts.find(place, layout, wanted)
    yield from found.notes
    packed = {}
    for source in found.sources:
        done = packed[source.name] = pack(source, root / "data" / source.name)
        yield from _about(source, done)
    dvc.add(root)
    yield "pinned in data.dvc"
    if found.ignored:
        yield f"{found.ignored:,} other files were left out: they are no pictures of this layout"
    if say_next:
        yield from _next(found.sources, packed)


def _about(source: "Source", done: "Imported") -> Iterator[str]:
    """What one set came out as."""
    sides = ", ".join(f"{count:,} {side}" for side, count in done.sides.items())
    kept = "; unchanged since it was imported, not packed again" if done.kept else ""
    what = "real" if source.real else "generated"
    yield f"data/{source.name}: {done.images:,} {what} pictures{f' ({sides})' if sides else ''}{kept}"
    if done.unreadable:
        why = "; ".join(f"{count:,} {reason}" for reason, count in _most(done.reasons))
        yield f"  {done.unreadable:,} of them cannot be read and are kept as such rows: {why}"
    for remark in done.remarks:
        yield f"  {remark}"


def _most(reasons: dict[str, int]) -> list[tuple[str, int]]:
    """The commonest reasons; the others in one."""
    ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    rest = sum(count for _, count in ordered[10:])
    return [*ordered[:10], *([("for other reasons", rest)] if rest else [])]


def _next(sources: list["Source"], packed: dict[str, Any]) -> Iterator[str]:
    """How to put the sets to use."""
    yield ""
    yield "next: `assay use folder` benchmarks all image sets in data/; or put this into params.yaml:"
    yield ""
    yield _entries(sources)
    if any(done.sides for done in packed.values()):
        yield ""
        yield "train and test as published: `published: true` under `split`; otherwise all are split anew"


def _check_values(wanted: "Wanted") -> None:
    """Refuse values that no layout allows, before anything is read."""
    name = wanted.name
    if name is not None and (not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name == REAL):
        raise AssayError(f"--as {name}: lower-case letters, digits and _, a letter first, and not 'real'")
    if wanted.content is not None and wanted.content not in CONTENTS:
        raise AssayError(f"--content {wanted.content}: {did_you_mean(wanted.content, CONTENTS)}")
    if wanted.family is not None and wanted.family not in FAMILIES:
        raise AssayError(f"--family {wanted.family}: {did_you_mean(wanted.family, FAMILIES)}")
    if wanted.real and (wanted.family or wanted.released):
        raise AssayError("--family and --released describe a generator; leave them out with --real")
    if wanted.released is not None and not re.fullmatch(r"\d{4}-\d{2}(-\d{2})?", wanted.released):
        raise AssayError(f"--released {wanted.released}: write YYYY-MM or YYYY-MM-DD, e.g. 2023-07")
    if wanted.real and (wanted.label_column is not None or wanted.generated):
        raise AssayError("--real calls all pictures real; leave it out with --label-column or --generated")


def _check_needs(layout: str, takes: set[str], wanted: "Wanted") -> None:
    """Ask for what a layout that brings no names of its own needs."""
    if "label_column" in takes and wanted.generated and wanted.label_column is None:
        raise AssayError("--generated says which values mean generated: of which column? add --label-column")
    if "name" not in takes:
        return
    if wanted.name is None:
        raise AssayError(f"--as NAME is missing: what shall the image set be called? (layout {layout})")
    if not wanted.real and wanted.family is None:
        allowed = did_you_mean("", FAMILIES)
        raise AssayError(f"--family is missing: what made the pictures (--real: a camera)? {allowed}")


def _entries(sources: list["Source"]) -> str:
    document: dict[str, dict[str, Any]] = {}
    for source in sources:
        facts: dict[str, Any] = {"from": f"data/{source.name}"}
        if not source.real:
            facts |= {"family": source.family, "released": source.released or "YYYY-MM"}
        document.setdefault("real" if source.real else "generators", {})[source.name] = facts
    return yaml.safe_dump(document, sort_keys=False).rstrip()
