"""A record is git content that somebody may have pushed: what reaches out of its folder is refused."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from assets.dag import DVC_YAML, Dag, normal_path
from assets.errors import AssayError
from assets.yaml12 import read_yaml
from flows.records.git import LINK, SUBMODULE, blobs, entries
from flows.records.records import Record
from flows.reproducing.content import Output

DATA = "data"
"""What stands in for the stage that makes an input."""
_TAKEN = {".git", ".dvc", ".assay"}
_PLAIN = {"outs", "meta", "desc"}


def files_of(root: Path, record: Record) -> list[str]:
    """Paths in a record's tree, from its top.

    Raises:
        AssayError: it holds a link that may lead anywhere, a submodule, or a second pipeline.
    """
    found = entries(root, record.commit, [""])
    for path, entry in found.items():
        if entry.mode == SUBMODULE or (entry.mode == LINK and not _stays(root, entry.blob)):
            raise AssayError(f"{record.tag} holds {path!r}, a way out of its folder: refused")
        if not path.isprintable():
            raise AssayError(f"{record.tag} holds a file with the name {path!r}: refused")
        inside = path.removeprefix(record.folder) if path.startswith(record.folder) else ""
        if Path(inside).name == DVC_YAML != inside:
            raise AssayError(f"{record.tag} holds a second pipeline, {path!r}: refused")
    return list(found)


def pins_of(folder: Path, files: Iterable[str]) -> list[Output]:
    """What a record's .dvc files pin: its raw inputs.

    Args:
        folder: where those files are.
        files: their paths in it.

    Raises:
        AssayError: one that does something else, such as to fetch from another repository.
    """
    pins = []
    for file in files:
        document = read_yaml(folder / file)
        outs = document.get("outs")
        if set(document) - _PLAIN or not isinstance(outs, list) or not all(map(_is_pin, outs)):
            raise AssayError(f"the record's {file} does more than pin an input: refused")
        for out in outs:
            path = (Path(file).parent / out["path"]).as_posix()
            _refuse(file, [out["path"], path])
            pins.append(Output(normal_path(path), str(out["md5"]), DATA, int(out.get("size") or 0)))
    return pins


def refuse_outside(dag: Dag, recorded: dict[str, Any]) -> None:
    """Refuse a pipeline that reads or writes outside its folder, or whose stages have names like paths.

    Args:
        dag: of the record's dvc.yaml.
        recorded: stages of its dvc.lock.

    Raises:
        AssayError: which stage, and the path.
    """
    for name in {*dag.stages, *recorded}:
        if name.startswith(("-", ".")) or "/" in name or not name.isprintable():
            raise AssayError(f"the record has a stage with the name {name!r}: refused")
    for stage in dag.stages.values():
        _refuse(f"dvc.yaml: {stage.name}", [*stage.deps, *stage.outs, *stage.params])
    for name, entry in recorded.items():
        files = [file["path"] for part in ("deps", "outs") for file in entry.get(part) or ()]
        _refuse(f"dvc.lock: {name}", [*files, *(entry.get("params") or ())])


def _stays(root: Path, blob: str) -> bool:
    """Whether a link leads down from where it is: '..' through other links could lead out."""
    target = blobs(root, [blob])[blob].decode("utf-8", "replace")
    return not target.startswith(("/", "~")) and not {"..", *_TAKEN} & set(Path(target).parts)


def _is_pin(out: Any) -> bool:
    return isinstance(out, dict) and isinstance(out.get("md5"), str) and isinstance(out.get("path"), str)


def _refuse(where: str, paths: Iterable[Any]) -> None:
    for path in map(str, paths):
        parts = Path(path).parts
        outside = not parts or path.startswith(("/", "~", "-")) or ".." in parts or "://" in path
        if outside or _TAKEN & set(parts) or not path.isprintable():
            raise AssayError(f"the record's {where} names {path!r}, which is outside its folder: refused")
