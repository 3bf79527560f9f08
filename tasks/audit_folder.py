"""The audit of any folders of pictures: what the files look like, and what tells real from generated."""

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from assets.audit.crossings import HASH, coded, pairs
from assets.audit.description import describe
from assets.audit.shortcuts import as_table, from_file, thumbnail
from assets.errors import AssayError
from assets.images.picture import PictureError, decode, examine
from assets.params import Audit, Dedupe
from assets.progress import progress
from assets.seeds import derive_seed
from tasks.audit import judge_rows
from tasks.audit_all import MOST_APART
from tasks.scoring.files import shown
from tasks.sources import polarity
from tasks.sources.names import walk
from tasks.sources.places import File, Unreadable

REAL, GENERATED, PICTURES = "real", "generated", "pictures"
_SEED = 1
_RESAMPLES, _LEVEL = 1000, 0.95
_EXAMPLES = 10
_BLOCK = 256
_THREADS = min(8, cpu_count() or 1)


class _Seen(NamedTuple):
    """One file: a manifest row, what stands in it, a thumbnail; or why it is no picture."""

    row: dict[str, object] | None
    inside: dict[str, object]
    small: np.ndarray
    reason: str | None


def audit_folders(folders: Sequence[Path], at_most: int) -> dict[str, Any]:
    """Look into one folder, or audit a folder of real pictures against one of generated ones.

    One folder whose subfolders' names say real and generated (`real`, `0_real`, `nature`; `fake`, `1_fake`,
    `ai`) is audited like two; the pictures of its other subfolders are counted and left out.

    Args:
        folders: one, or the real and the generated one.
        at_most: pictures a class that are looked at, chosen by a hash of their names; 0: all.
    Returns:
        `classes`: name -> folder, counts, unreadable files, `looks` (`assets.audit.description`); `copies`;
        `audit`: what `tasks.audit.judge_rows` finds, None for pictures of one kind; `notes`.
    Raises:
        AssayError: a folder that is none, without a picture, or without one that can be read.
    """
    classes, notes = _classes(folders)
    seen: dict[str, _Seen] = {}
    found: dict[str, Any] = {}
    for kind, (folder, files) in classes.items():
        chosen = _chosen(files, at_most)
        looked = dict(zip([shown(file.path) for file in chosen], _look(chosen, kind), strict=True))
        found[kind] = _told(folder, len(files), looked)
        if not any(one.row for one in looked.values()):
            reason = next(iter(found[kind]["unreadable_reasons"]))
            raise AssayError(f"{shown(folder)}: none of its {len(looked)} pictures can be read: {reason}")
        for name, one in looked.items():
            if one.row:
                seen[name] = one._replace(row={**one.row, "id": name, "kind": kind})
    rows = pd.DataFrame([one.row for one in seen.values()], index=list(seen))
    copies, group = _copies(rows, seen)
    opened = as_table({name: one.inside for name, one in seen.items()})
    verdict = None
    if len(classes) == 2:
        judged = rows.assign(label=(rows["kind"] == GENERATED).astype(int), group=group)
        verdict = judge_rows(judged, opened, Audit(), _SEED, _RESAMPLES, _LEVEL)
    for kind in classes:
        own = rows["kind"] == kind
        found[kind]["looks"] = describe(rows[own], opened[own])
    return {"classes": found, "copies": copies, "audit": verdict, "notes": notes}


def _classes(folders: Sequence[Path]) -> tuple[dict[str, tuple[Path, list[File]]], list[str]]:
    """The pictures of each class, and what has to be said about how they were found."""
    listed = [_pictures(folder) for folder in folders]
    if len(folders) == 2:
        notes = [
            f"the name of {shown(folder)} says {_word(said)}, and it was given as {_word(generated)}: the "
            "first folder is the real one"
            for folder, generated in zip(folders, (False, True), strict=True)
            if (said := polarity.hint(folder.resolve().name)) is (not generated)
        ]
        return {
            kind: (folder, files)
            for kind, folder, files in zip((REAL, GENERATED), folders, listed, strict=True)
        }, notes
    (folder,), (files,) = folders, listed
    by_hint: dict[bool | None, list[File]] = {True: [], False: [], None: []}
    names: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    for file in files:
        generated, name = _hint(file.folder.relative_to(folder).parts)
        by_hint[generated].append(file)
        if generated is not None:
            names[generated][name] += 1
    if not (by_hint[True] and by_hint[False]):
        return {PICTURES: (folder, files)}, []
    notes = []
    for label in (False, True):
        said_by = ", ".join(shown(Path(name)) for name in sorted(names[label]))
        notes.append(f"taken as {_word(label)}, by the names of folders: {said_by}")
    if by_hint[None]:
        notes.append(f"{len(by_hint[None])} pictures lie in folders whose names say neither: left out")
    return {REAL: (folder, by_hint[False]), GENERATED: (folder, by_hint[True])}, notes


def _hint(parts: Sequence[str]) -> tuple[bool | None, str]:
    """What the innermost telling folder's name says: generated, real or nothing; and that name."""
    for name in reversed(parts):
        generated = polarity.hint(name)
        if generated is not None:
            return generated, name
    return None, ""


def _word(generated: bool | None) -> str:
    return GENERATED if generated else REAL


def _pictures(folder: Path) -> list[File]:
    if not folder.is_dir():
        raise AssayError(f"{shown(folder)} is not a folder: give a folder that holds pictures")
    files = [file for file, is_picture in walk(folder) if is_picture]
    if not files:
        raise AssayError(f"{shown(folder)} holds no pictures")
    return files


def _chosen(files: list[File], at_most: int) -> list[File]:
    if not at_most or len(files) <= at_most:
        return files
    ordered = sorted(files, key=lambda file: (derive_seed(_SEED, shown(file.path)), str(file.path)))
    return sorted(ordered[:at_most], key=lambda file: str(file.path))


def _look(files: list[File], kind: str) -> Iterator[_Seen]:
    """In the order given; Pillow decodes in threads beside each other."""
    with ThreadPoolExecutor(_THREADS) as pool:

        def looked() -> Iterator[_Seen]:
            for start in range(0, len(files), _BLOCK):
                yield from pool.map(_see, files[start : start + _BLOCK])

        yield from progress(looked(), kind, len(files))


def _see(file: File) -> _Seen:
    nothing = np.empty(0)
    try:
        data = file.read()
        found = examine(data)
        if found.facts is None:
            return _Seen(None, {}, nothing, shown(Path(found.reason or "damaged")))
        pixels = decode(data)
    except (Unreadable, PictureError) as error:
        return _Seen(None, {}, nothing, shown(Path(str(error))))
    row = {**found.facts._asdict(), "size": len(data), "pixels": found.pixels, "phash": found.phash}
    return _Seen(row, from_file(data, pixels), thumbnail(pixels).round().astype(np.uint8), None)


def _told(folder: Path, files: int, looked: dict[str, _Seen]) -> dict[str, Any]:
    bad = {name: one.reason for name, one in looked.items() if one.reason is not None}
    reasons = Counter(str(reason) for reason in bad.values())
    return {
        "folder": shown(folder),
        "pictures": files,
        "looked_at": len(looked),
        "unreadable": len(bad),
        "unreadable_reasons": dict(sorted(reasons.items(), key=lambda one: (-one[1], one[0]))),
        "unreadable_files": [{"picture": name, "reason": bad[name]} for name in sorted(bad)[:_EXAMPLES]],
    }


def _copies(rows: pd.DataFrame, seen: dict[str, _Seen]) -> tuple[dict[str, Any], pd.Series]:
    """Copies and near-duplicates, and the group of every picture: it and its copies are one."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    small = [one.small for one in seen.values()]

    def alike(near: pd.DataFrame) -> pd.Series:
        ends = zip(near["one"], near["other"], strict=True)
        apart = [np.abs(small[one].astype(float) - small[other]).mean() for one, other in ends]
        return pd.Series(np.array(apart) <= MOST_APART, index=near.index)

    bits = np.array([int(text, 16) for text in rows["phash"]], np.uint64)
    images = pd.DataFrame({"pixels": coded(rows["pixels"]), "phash": bits})
    found = pairs(images, Dedupe().radius, alike)
    found = found[found["kind"] != HASH]
    one, other = found["one"].to_numpy(), found["other"].to_numpy()
    joined = coo_matrix((np.ones(len(found), bool), (one, other)), shape=(len(rows),) * 2)
    group = pd.Series(connected_components(joined, directed=False)[1], rows.index).astype(str)
    sizes = group.value_counts()
    kind, names = rows["kind"].to_numpy(), rows.index.to_numpy()
    across = kind[one] != kind[other]
    return {
        "pairs": {name: int(count) for name, count in sorted(found["kind"].value_counts().items())},
        "clusters": int((sizes > 1).sum()),
        "largest": int(sizes.max()) if (sizes > 1).any() else 0,
        "pairs_across": int(across.sum()),
        "examples": [
            {"kind": what, "one": str(names[first]), "other": str(names[second])}
            for first, second, what in zip(one[:_EXAMPLES], other[:_EXAMPLES], found["kind"], strict=False)
        ],
    }, group
