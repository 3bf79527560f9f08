"""Which stages are done as far as dvc.lock tells, in a clone that need not hold any of their files.

`dvc status` compares with files that were made here. Where stages are done by other machines they are not
here, or are older ones, so all that counts is whether dvc.lock agrees with parameters, code, inputs, and
with itself.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from assets.dag import Dag
from assets.files import write_json
from assets.lineage import Lineage, LineageError, read_lock
from flows.elsewhere.code import md5_of
from flows.elsewhere.fetching import DATA_DVC
from flows.elsewhere.fitting import is_data
from flows.elsewhere.fragments import Entry, outs_behind
from flows.planning.plan import Planned
from flows.running import dvc

_NOTES = dvc.WORKSPACE / "away.json"


def still_open(root: Path, dag: Dag, planned: Sequence[Planned]) -> list[Planned]:
    """Those of `planned` that would run even if every file that dvc.lock tells of were here."""
    names = {stage.stage for stage in planned}
    recorded, status = read_lock(root), dvc.status(root)
    lineage, notes = Lineage(root), _Notes(root)
    stale = {
        name
        for name in names
        if name not in recorded
        or _changed(dag, name, status.get(name, []))
        or not _agrees(lineage, name)
        or notes.contradict(dag, name, recorded)
    }
    stale |= {stage.stage for stage in planned if stage.force or _is_absent_result(root, dag, stage)}
    dirty = dag.descendants(stale)
    return [stage for stage in planned if stage.stage in dirty]


def note(root: Path, dag: Dag, stage: str, entry: Entry, elsewhere: bool) -> None:
    """Remember what a stage that was just done had read: dvc.lock does not tell it of whole folders.

    Args:
        elsewhere: whether its outputs are on another machine rather than here.
    """
    _Notes(root).put(dag, stage, entry, elsewhere)


def made_elsewhere(root: Path, dag: Dag, outs: Sequence[str]) -> list[str]:
    """Those of some outputs whose present version was made in another folder, as far as is known."""
    notes = _Notes(root)
    return [out for out in outs if notes.is_elsewhere(dag.out_of[out])]


def _is_absent_result(root: Path, dag: Dag, planned: Planned) -> bool:
    """The report is for reading here."""
    return planned.family == "report" and not all((root / out).exists() for out in dag[planned.stage].outs)


def _changed(dag: Dag, name: str, found: Sequence[Any]) -> bool:
    """Whether `dvc status` sees a difference that is not one of files that stages make."""
    for change in found:
        if not isinstance(change, dict):
            return True  # "changed command", "always changed"
        for path, how in change.get("changed deps", {}).items():
            absent = is_data(path) and how == "deleted"
            if not absent and not dag.outs_behind(path):
                return True
    return False


def _agrees(lineage: Lineage, name: str) -> bool:
    try:
        lineage.stage(name)
    except LineageError:
        return False
    return True


class _Notes:
    """.assay/away.json: stage -> [hash of its entry, hash of what it read, whether it was made elsewhere]."""

    def __init__(self, root: Path) -> None:
        self._root = root
        try:
            self._known: dict[str, list[Any]] = json.loads((root / _NOTES).read_text("utf-8"))
        except (FileNotFoundError, ValueError):
            self._known = {}

    def put(self, dag: Dag, stage: str, entry: Entry, elsewhere: bool) -> None:
        read = self._read(dag, stage, read_lock(self._root))
        self._known[stage] = [_digest(entry), read, elsewhere]
        write_json(self._root / _NOTES, self._known)

    def contradict(self, dag: Dag, stage: str, recorded: Mapping[str, Entry]) -> bool:
        """Whether a stage's entry is the one that was noted, but what it reads is not."""
        entry, read, _ = self._known.get(stage, ["", "", False])
        return entry == _digest(recorded[stage]) and read != self._read(dag, stage, recorded)

    def is_elsewhere(self, stage: str) -> bool:
        entry, _, elsewhere = self._known.get(stage, ["", "", False])
        return bool(elsewhere) and entry == _digest(read_lock(self._root).get(stage, {}))

    def _read(self, dag: Dag, stage: str, recorded: Mapping[str, Entry]) -> str:
        contents = {
            file["path"]: file["md5"]
            for out in outs_behind(dag, stage)
            for file in recorded.get(dag.out_of[out], {}).get("outs") or ()
            if file["path"] == out
        }
        if any(is_data(dep) for dep in dag[stage].deps):
            contents[DATA_DVC] = md5_of(self._root / DATA_DVC)
        return _digest(contents)


def _digest(document: Any) -> str:
    text = json.dumps(document, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
