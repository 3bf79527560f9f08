"""Generators that are set aside, and bringing them back."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from assets.errors import AssayError, did_you_mean
from assets.files import sha256_of
from assets.images.imageset import MANIFEST
from assets.params import Params, SetAside
from flows.editing.edits import ParamsFile
from flows.refreshing.cards import FOLDER
from flows.refreshing.findings import Finding
from flows.refreshing.state import State, fingerprint

ALL = "all"
_ASIDE = ("report", "set_aside")
_TRAINED = "train.generators"


def wanted_again(params: Params, retry: str | None, folders: set[str]) -> frozenset[str]:
    """Names that `retry` means: generators that are set aside, or whose dropped pictures are to be replaced.

    Raises:
        AssayError: it is neither.
    """
    aside = set(params.report.set_aside)
    if retry is None:
        return frozenset()
    if retry == ALL:
        return frozenset(aside)
    if retry not in aside | folders:
        known = did_you_mean(retry, {ALL, *aside} if aside else folders)
        raise AssayError(f"--retry {retry}: that generator is not set aside in params.yaml. {known}")
    return frozenset({retry})


def find_again(root: Path, params: Params, state: State, again: frozenset[str]) -> Iterator[Finding]:
    """Generators that are set aside and are tried again: asked for, or made from something else now."""
    for name, aside in params.report.set_aside.items():
        if name in again:
            says = f"tried again, as you ask: it was set aside ({aside.why})"
        elif name in state.failed and state.failed[name] != made_from(root, name, aside):
            says = f"tried again, its card, entry or pictures have changed: it was set aside ({aside.why})"
        else:
            continue
        yield Finding("retry", name, says, partial(_todo, root, name))


def made_from(root: Path, name: str, aside: SetAside) -> str:
    """Fingerprint of what a generator that is set aside is made from: its entries, card and pictures."""
    facts: list[Any] = [aside.entries]
    for path in (root / FOLDER / f"{name}.yaml", root / "data" / name / MANIFEST):
        facts.append(sha256_of(path) if path.is_file() else None)
    return fingerprint(facts)


def put_back(file: ParamsFile, name: str) -> None:
    """Put a generator's entries back where they stood, and forget that it was set aside.

    Raises:
        AssayError: an entry is taken by something else now.
    """
    asides = file.get(".".join(_ASIDE))
    entries = asides[name].get("entries", {})
    if len(asides) > 1:
        file.remove(_ASIDE, name)
    else:
        file.remove(_ASIDE[:1], _ASIDE[1])
    for dotted, value in entries.items():
        section, _, key = dotted.rpartition(".")
        path = tuple(section.split("."))
        if section == _TRAINED:
            file.insert_item(path, value, int(key))
        elif file.get(dotted) != value:  # a model that two generators share came back with the other
            file.insert(path, key, value)


def _todo(root: Path, name: str) -> list[str]:
    file = ParamsFile(root)
    put_back(file, name)
    file.save()
    return [f"{name} is back in params.yaml"]
