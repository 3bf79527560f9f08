"""Folders of pictures that were dropped into the incoming directory."""

import os
import re
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from assets.errors import AssayError
from assets.params import ATTRIBUTION, CLEAN, CONTENTS, ELSEWHERE, FAMILIES, REAL, Params
from assets.section import Section, checked_options
from assets.yaml12 import read_yaml
from flows.editing.adding import put_entries
from flows.editing.edits import ParamsFile
from flows.editing.importing import import_place
from flows.refreshing.cards import FOLDER
from flows.refreshing.findings import Finding
from flows.refreshing.put_back import put_back
from flows.refreshing.state import State, fingerprint, write_state

VARIABLE = "ASSAY_INCOMING"
ABOUT = "about.yaml"
_SETTLE = "ASSAY_SETTLE_SECONDS"
_COPYING = (".part", ".partial", ".crdownload", ".download", ".tmp")
"""Endings of files that a program is still writing."""
_RESERVED = {REAL, CLEAN, ELSEWHERE, ATTRIBUTION}


class About(Section):
    """about.yaml: what made the pictures of a dropped folder."""

    family: Literal[FAMILIES]  # type: ignore[valid-type]
    released: str = Field(pattern=r"^\d{4}-\d{2}(-\d{2})?$")
    """When the generator was published: YYYY-MM or YYYY-MM-DD."""
    content: Literal[CONTENTS] | None = None  # type: ignore[valid-type]
    """What the pictures show; `photo` where nothing is said."""
    count: int | None = Field(None, ge=1)
    """Pictures to take, evenly over classes; null: all."""
    train: bool = False
    """Train detectors on it, too."""
    layout: str | None = None
    """How the pictures lie, as `assay import --layout` calls it; null: it is looked at."""
    polarity_checked: bool = False
    """The pictures are generated, whatever their names say."""

    @field_validator("released", mode="before")
    @classmethod
    def _text(cls, value: Any) -> Any:
        return str(value)  # YAML reads 2022-08-22 as a date


def incoming(root: Path) -> Path:
    """The directory that folders are dropped into: ASSAY_INCOMING, or incoming/ in the checkout."""
    return root / os.environ.get(VARIABLE, "incoming")


def find_folders(
    root: Path, params: Params, state: State, again: frozenset[str], arrived: str | None = None
) -> Iterator[Finding]:
    """What lies in the incoming directory and is not taken in.

    Args:
        again: names whose pictures are taken anew though others are known under the name.
        arrived: the name of a folder that is said to be complete: it need not have rested.
    """
    place = incoming(root)
    paths = sorted(place.iterdir()) if place.is_dir() else []
    for path in paths:
        if not path.name.startswith("."):
            rest = 0.0 if path.name == arrived else _settle_seconds()
            found = _look(root, path, params, state, again, rest)
            if found is not None:
                yield found
    known = {*params.generators, *params.report.set_aside, *_cards(root), *(path.name for path in paths)}
    if arrived and arrived not in known:
        says = f"{arrived!a} is said to have arrived: there is no {place.name}/NAME and no card of that name"
        yield Finding("folder", arrived, says)


def _cards(root: Path) -> set[str]:
    return {path.stem for path in (root / FOLDER).glob("*.yaml")}


def _look(
    root: Path, path: Path, params: Params, state: State, again: frozenset[str], rest: float
) -> Finding | None:
    name, shown = path.name, f"{path.parent.name}/{ascii(path.name)[1:-1]}"
    if why := _refused(path):
        return Finding("folder", shown, f"{shown} is not taken in: {why}")
    if busy := _still_copied(path, rest):
        return Finding("folder", name, f"{shown} is left for the next time: {busy}")
    print_ = listing_of(path)
    if why := _taken(root, name, params, state):
        return Finding("folder", name, f"{shown} is not taken in: {why}")
    same = state.folders.get(name, state.taking.get(name)) == print_
    if same and name in params.report.set_aside:
        return None  # with its pictures; `find_again` sees to it
    if same and name not in again:
        if name in params.generators:
            return None
        if name in state.folders:
            says = f"{shown} was taken in before, and {name} is not in params.yaml any more"
            return Finding("folder", name, f"{says}; `assay refresh --retry {name}` takes it in again")
    elif name not in again and name in params.generators:
        which = "other pictures than it did" if name in state.folders else "pictures this clone has not seen"
        return Finding(
            "folder",
            name,
            f"{shown} holds {which}, and {name} is known already: give the folder another name, or "
            f"`assay refresh --retry {name}` takes these in the place of the known ones",
        )
    try:
        about = _about(path, shown)
    except AssayError as error:
        return Finding("folder", name, f"{shown} is not taken in: {error}")
    says = f"a new folder: {shown}, {about.family}, {about.released}"
    return Finding("folder", name, says, partial(_take, root, path, about, state, print_))


def _refused(path: Path) -> str:
    """Why a folder is not to be touched at all; '' if it may be."""
    if path.is_symlink():
        return "it is a link; put the folder itself there, or use `assay import`"
    if not path.is_dir():
        return f"it is no folder: put the pictures, and {ABOUT}, into one that is called as the generator"
    if not re.fullmatch(r"[a-z][a-z0-9_]*", path.name) or path.name in _RESERVED:
        reserved = ", ".join(sorted(_RESERVED))
        return f"a name is lower-case letters, digits and _, a letter first, and not {reserved}; rename it"
    inside = path.resolve()
    for parent, folders, files in os.walk(path):
        for name in (*folders, *files):
            one = Path(parent) / name
            if one.is_symlink() and not one.resolve().is_relative_to(inside):
                return f"{one.relative_to(path).as_posix()!a} is a link that leads out of it"
    return ""


def _still_copied(path: Path, rest: float) -> str:
    """Whether somebody is still writing into a folder: a half file, or a change less than `rest` seconds ago.

    The time is the kernel's (ctime): copying programs set the other one back.
    """
    newest = path.stat().st_ctime
    for parent, folders, files in os.walk(path):
        for name in (*folders, *files):
            if name.lower().endswith(_COPYING):
                return f"{name!a} is still being written"
            newest = max(newest, (Path(parent) / name).lstat().st_ctime)
    age = time.time() - newest
    if age >= rest or not rest:
        return ""
    return (
        f"its last change was {max(age, 0):.0f} s ago; it has to rest for {rest:g} s, unless you say that "
        f"it is complete: `assay refresh --arrived {path.name}`"
    )


def _settle_seconds() -> float:
    text = os.environ.get(_SETTLE, "60")
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e6:
        raise AssayError(f"{_SETTLE} is {text!r}: expected seconds, such as 60")
    return seconds


def listing_of(path: Path) -> str:
    """Fingerprint of a folder: over names, sizes and times of all files."""
    facts = []
    for parent, folders, files in os.walk(path):
        folders.sort()
        for name in sorted(files):
            one = Path(parent) / name
            stat = one.stat() if one.exists() else one.lstat()
            facts.append([os.fsencode(one.relative_to(path)).hex(), stat.st_size, stat.st_mtime_ns])
    return fingerprint(facts)


def _taken(root: Path, name: str, params: Params, state: State) -> str:
    """Why a name is not free; '' if it is, or if it was this folder's before."""
    if name in params.generators and params.generators[name].from_ != f"data/{name}":
        return f"'{name}' is another generator in params.yaml; rename the folder"
    if name in {*params.generators, *params.report.set_aside, *state.folders, *state.taking}:
        return ""
    if name in {*params.train.sets, *params.train.samples}:
        return f"'{name}' is a set or a sample in params.yaml; rename the folder"
    if (root / "data" / name).exists():
        return f"data/{name} is there already, from elsewhere; rename the folder"
    return ""


def _about(path: Path, shown: str) -> About:
    """Raises: AssayError: not there, or a key that is missing, unknown or wrong."""
    file, where = path / ABOUT, f"{shown}/{ABOUT}"
    if not file.is_file():
        raise AssayError(
            f"{where} is missing. It says what made the pictures, e.g.: family: gan, released: 2017-10"
        )
    document = read_yaml(file)
    about: About = checked_options(About, document, where)
    return about


def _take(root: Path, path: Path, about: About, state: State, print_: str) -> list[str]:
    """Import the pictures and write their entry.

    Raises:
        AssayError: nothing that can be imported. params.yaml is then as it was.
    """
    from tasks.sources.entry import Wanted
    from tasks.sources.layouts import LAYOUTS, recognise

    name, place = path.name, str(path.resolve())
    layout = about.layout or recognise(place)[0]
    if layout in LAYOUTS and "name" not in LAYOUTS[layout].TAKES:
        raise AssayError(f"it is a release with names of its own ({layout}): `assay import {path}`")
    wanted = Wanted(
        name=name,
        family=about.family,
        released=about.released,
        content=about.content,
        polarity_checked=about.polarity_checked,
    )
    state.taking[name] = print_
    write_state(root, state)  # so that a killed import knows its own half-made set again
    try:
        said = [line for line in import_place(root, place, layout, wanted, say_next=False) if line]
        _enter(root, name, about)
        state.folders[name] = print_
    finally:
        del state.taking[name]
    return said


def _enter(root: Path, name: str, about: About) -> None:
    """Write the generator's entry, or what about.yaml says otherwise than the one that is there."""
    facts = about.model_dump(
        mode="json", include={"family", "released", "content", "count"}, exclude_none=True
    )
    file = ParamsFile(root)
    if file.get(f"report.set_aside.{name}") is not None:
        put_back(file, name)
    known = file.get(f"generators.{name}")
    if known is None:
        put_entries(file, name, None, {"from": f"data/{name}", **facts}, about.train)
    elif not facts.items() <= known.items():
        file.insert(("generators",), name, {**file.remove(("generators",), name), **facts})
    file.save()
