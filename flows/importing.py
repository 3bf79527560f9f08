"""`assay import`: pack a folder of pictures, pin it, and say how to put it to use."""

import re
from pathlib import Path

import yaml

from assets.errors import AssayError, did_you_mean
from assets.params import CONTENTS, FAMILIES, REAL
from flows import dvc


def import_folder(
    root: Path,
    folder: Path,
    name: str,
    real: bool,
    content: str,
    family: str | None,
    released: str | None,
) -> list[str]:
    """Pack the pictures below `folder` as data/NAME and pin data/; returns lines for the user.

    Raises:
        AssayError: a name, content, family or date that is not allowed; no pictures.
    """
    _check(name, real, content, family, released)
    from tasks.importing import import_pictures

    packed = import_pictures(
        folder, name, real=real, content=content, family=family, released=released, out=root / "data" / name
    )
    dvc.add(root)
    lines = [f"data/{name}: {packed.images} pictures, pinned in data.dvc"]
    if packed.unreadable:
        why = "; ".join(f"{count} {reason}" for reason, count in sorted(packed.reasons.items()))
        lines.append(f"{packed.unreadable} of them cannot be read and are kept as such rows: {why}")
    if packed.ignored:
        lines.append(f"{packed.ignored} other files were left out: their endings are no picture's")
    how = "next: `assay use folder` benchmarks all image sets in data/; or put this into params.yaml:"
    return [*lines, "", how, "", _entry(name, real, family, released)]


def _check(name: str, real: bool, content: str, family: str | None, released: str | None) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name == REAL:
        raise AssayError(f"--as {name}: lower-case letters, digits and _, a letter first, and not 'real'")
    if content not in CONTENTS:
        raise AssayError(f"--content {content}: {did_you_mean(content, CONTENTS)}")
    if family is not None and family not in FAMILIES:
        raise AssayError(f"--family {family}: {did_you_mean(family, FAMILIES)}")
    if real and (family or released):
        raise AssayError("--family and --released describe a generator; leave them out with --real")
    if not real and family is None:
        raise AssayError(f"--family is missing: what made the pictures? {did_you_mean('', FAMILIES)}")
    if released is not None and not re.fullmatch(r"\d{4}-\d{2}(-\d{2})?", released):
        raise AssayError(f"--released {released}: write YYYY-MM or YYYY-MM-DD, e.g. 2023-07")


def _entry(name: str, real: bool, family: str | None, released: str | None) -> str:
    if real:
        entry: dict[str, object] = {"real": {name: {"from": f"data/{name}"}}}
    else:
        facts = {"from": f"data/{name}", "family": family, "released": released or "YYYY-MM"}
        entry = {"generators": {name: facts}}
    return yaml.safe_dump(entry, sort_keys=False).rstrip()
