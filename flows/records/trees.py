"""Reading a commit's tree without checking it out: single files, several of them, the lineage in it."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from assets.dag import DVC_YAML
from assets.errors import AssayError
from assets.lineage import LOCK, Lineage
from assets.yaml12 import PARAMS_YAML
from flows.records.git import LINK, SUBMODULE, blobs, entries

_LINEAGE = (DVC_YAML, PARAMS_YAML, LOCK)
"""All that hashes are computed from."""


def file_in(root: Path, commit: str, path: str) -> bytes | None:
    """One file of a commit's tree, by its path from the top; None if it has no such file."""
    name = f"{commit}:{path}"
    return blobs(root, [name]).get(name)


def lineage_in(root: Path, commit: str, folder: str) -> Lineage:
    """Hashes of every stage that a commit's dvc.lock records.

    Raises:
        AssayError: it has no dvc.yaml, params.yaml or dvc.lock.
    """
    with tempfile.TemporaryDirectory(prefix="assay-lineage-") as scratch:
        unpack_from(root, commit, folder, Path(scratch), _LINEAGE)
        return Lineage(Path(scratch))


def unpack_from(root: Path, commit: str, folder: str, target: Path, paths: Sequence[str]) -> None:
    """Put some files of a commit's tree into the folder `target`, byte for byte.

    Args:
        folder: the workspace inside the tree: '' or `sub/folder/`.
        paths: files or folders in the workspace; "." is all of it.

    Raises:
        AssayError: the commit has no such path, or one that would lie outside `target`.
    """
    asked = [PurePosixPath(path).as_posix() for path in paths]
    asked = ["" if path == "." else path for path in asked]
    found = entries(root, commit, [folder + path for path in asked])
    for path in asked:
        start = f"{folder}{path}/" if path else folder
        if f"{folder}{path}" not in found and not any(name.startswith(start) for name in found):
            raise AssayError(f"{commit[:12]} has no {path or folder}")
    found = {name: entry for name, entry in found.items() if entry.mode != SUBMODULE}
    contents = blobs(root, (entry.blob for entry in found.values()))
    if lost := [name for name, entry in found.items() if entry.blob not in contents]:
        raise AssayError(f"git has lost {lost[0]} of {commit[:12]}; fetch it again, or look at `git fsck`")
    links = {}
    for name, entry in found.items():
        parts = PurePosixPath(name.removeprefix(folder)).parts
        if ".." in parts or ".git" in parts or name.startswith("/"):
            raise AssayError(f"{commit[:12]} holds {name!r}, which lies outside of it: it was made up")
        place = target.joinpath(*parts)
        if entry.mode == LINK:
            links[place] = os.fsdecode(contents[entry.blob])
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(contents[entry.blob])
            place.chmod(0o755 if entry.mode == "100755" else 0o644)
    for place, to in links.items():  # last: nothing is written through a link
        _link(target, place, to)


def _link(target: Path, place: Path, to: str) -> None:
    meant = Path(os.path.normpath(place.parent / to))
    if Path(to).is_absolute() or not meant.is_relative_to(os.path.normpath(target)):
        raise AssayError(f"{place.name} is a link to {to!r}, outside of the record: it is not followed")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(to)
