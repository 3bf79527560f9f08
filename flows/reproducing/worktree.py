"""A git worktree that holds a record: made, found again after an interruption, removed."""

import fcntl
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assets.dag import DVC_YAML, Dag, load_dag
from assets.errors import AssayError
from assets.lineage import LOCK, LineageError, read_lock
from assets.yaml12 import PARAMS_YAML
from flows.records.git import LINK, GitError, ask, entries, git
from flows.records.records import Record, unpack
from flows.reproducing.content import Output, outputs_of
from flows.reproducing.inside import files_of, pins_of, refuse_outside
from flows.running.dvc import WORKSPACE

_PLACE = WORKSPACE / "reproduce"
_STATE = "reproduce.json"
_KEPT = (DVC_YAML, PARAMS_YAML, LOCK)
_NOT_OURS = (LOCK, ".dvc/config")
"""Not checked out: what a run makes itself, and settings that are the clone's and not the record's."""


@dataclass(frozen=True)
class Desk:
    """A record that is laid out to be worked on."""

    record: Record
    top: Path
    """Of the git worktree."""
    root: Path
    """The workspace in it."""
    kept: Path
    """Where dvc.yaml, params.yaml and dvc.lock are as the record has them: runs rewrite the last."""
    dag: Dag
    recorded: dict[str, Any]
    """Stages of the record's dvc.lock."""
    pins: list[Output]
    """Raw inputs, as its .dvc files pin them."""
    files: list[str]
    """Files of the record in the workspace, without outputs of stages."""
    tables: list[str]
    """Files of the record that are outputs of stages."""

    def outputs(self, stages: Iterable[str] | None = None) -> list[Output]:
        """What the record says of the outputs of these stages, or of all, inputs first."""
        return outputs_of(self.recorded, self.dag.order if stages is None else stages)


def place_of(root: Path, record: Record, rerun: bool, into: Path | None) -> Path:
    """The folder for a record: `into`, or one a record and a way of reproducing it."""
    name = record.lineage[:16] + ("-rerun" if rerun else "")
    return (into or root / _PLACE / name).resolve()


def check_out(root: Path, record: Record, folder: Path, rerun: bool) -> Desk:
    """Check a record out into `folder`; one that an earlier call began goes on.

    The record's outputs (its tables) are left out of the worktree and of its index: DVC puts outputs there,
    and refuses those that git tracks. So is its dvc.lock, see `Desk.kept`.

    Raises:
        AssayError: the folder is something else, belongs to another record or the other way of
            reproducing, or its files were edited; the record reaches outside its folder.
    """
    with _one_at_a_time(root):
        listed = files_of(root, record)
        if not _is_ours(root, record, folder, rerun):
            _add(root, record, folder, rerun)
        desk = _desk(root, record, folder, listed)
        left_out = {record.folder + path for path in [*desk.tables, *_NOT_OURS]}
        tracked = [path for path in listed if path not in left_out]
        _fill(folder, record, tracked)
        _refuse_edited(desk, tracked)
        return desk


def remove(root: Path, folder: Path) -> None:
    """Remove a record's worktree with all that was computed in it."""
    git(root, "worktree", "remove", "--force", "--force", "--", str(folder))
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _one_at_a_time(root: Path) -> Iterator[None]:
    """Making a worktree takes moments: a second `assay reproduce` waits that long."""
    path = root / _PLACE
    path.mkdir(parents=True, exist_ok=True)
    handle = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _is_ours(root: Path, record: Record, folder: Path, rerun: bool) -> bool:
    """Whether the folder is this record's worktree; False if there is nothing yet.

    Raises:
        AssayError: it is something else.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    if not _is_worktree(root, folder):
        raise AssayError(
            f"{folder} is there already and is no worktree of this clone; name another folder with --into"
        )
    state = folder / WORKSPACE / _STATE
    head = ask(folder, "rev-parse", "HEAD")
    if head == record.commit and {path.name for path in folder.iterdir()} <= {".git", WORKSPACE.name}:
        _note(state, rerun)  # we were killed as soon as it was made
    away = f"name another folder with --into, or remove it: git worktree remove --force {folder}"
    if head != record.commit or not state.is_file():
        raise AssayError(f"{folder} is a worktree, but not one of {record.tag} to reproduce it in; {away}")
    if json.loads(state.read_text("utf-8"))["rerun"] != rerun:
        was = "pulled, not computed anew" if rerun else "computed anew, not pulled"
        raise AssayError(f"the record in {folder} was {was}; {away}")
    return True


def _is_worktree(root: Path, folder: Path) -> bool:
    if not (folder / ".git").is_file():
        return False
    common = ("rev-parse", "--path-format=absolute", "--git-common-dir")
    try:
        return Path(ask(folder, "rev-parse", "--show-toplevel")) == folder and ask(folder, *common) == ask(
            root, *common
        )
    except GitError:
        return False


def _add(root: Path, record: Record, folder: Path, rerun: bool) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    # twice: also over what git still knows of a folder that was deleted by hand or left half-made by a kill
    forced = ("--force", "--force")
    git(root, "worktree", "add", "--quiet", *forced, "--detach", "--no-checkout", str(folder), record.commit)
    _note(folder / WORKSPACE / _STATE, rerun)


def _note(state: Path, rerun: bool) -> None:
    state.parent.mkdir(exist_ok=True)
    partial = state.with_suffix(".part")
    partial.write_text(json.dumps({"rerun": rerun}), "utf-8")
    partial.replace(state)


def _desk(root: Path, record: Record, folder: Path, listed: list[str]) -> Desk:
    """Lay the record's own dvc.lock aside, and look at all of its paths."""
    inside = [path.removeprefix(record.folder) for path in listed if path.startswith(record.folder)]
    kept = folder / WORKSPACE / "record"
    pinned = [path for path in inside if path.endswith(".dvc")]
    if missing := [path for path in _KEPT if path not in inside]:
        raise AssayError(f"{record.tag} holds no {missing[0]}: it is not the record of a benchmark")
    unpack(root, record, kept, [*_KEPT, *pinned])
    dag = load_dag(kept)
    try:
        recorded = read_lock(kept, patience=0)
    except LineageError:
        raise AssayError(f"the {LOCK} of {record.tag} is damaged: nothing can be made from it") from None
    refuse_outside(dag, recorded)
    tables = [path for path in inside if dag.made_by(path)]
    return Desk(
        record=record,
        top=folder,
        root=folder / record.folder,
        kept=kept,
        dag=dag,
        recorded=recorded,
        pins=pins_of(kept, pinned),
        files=[path for path in inside if not dag.made_by(path)],
        tables=tables,
    )


def _fill(folder: Path, record: Record, tracked: list[str]) -> None:
    """Write the files that are not there; what is there is compared afterwards."""
    git(folder, "read-tree", record.commit)
    wanted = set(tracked)
    others = [path for path in ask(folder, "ls-files", "-z").split("\0") if path and path not in wanted]
    git(folder, "update-index", "--force-remove", "-z", "--stdin", given=_given(others))
    missing = [path for path in tracked if not os.path.lexists(folder / path)]
    git(folder, "checkout-index", "-z", "--stdin", given=_given(missing))


def _given(paths: list[str]) -> bytes:
    return b"".join(os.fsencode(path) + b"\0" for path in paths)


def _refuse_edited(desk: Desk, tracked: list[str]) -> None:
    known = entries(desk.top, desk.record.commit, [""])
    files = [path for path in tracked if known[path].mode != LINK]
    hashed = git(
        desk.top, "hash-object", "--stdin-paths", given="".join(f"{path}\n" for path in files).encode()
    ).decode()
    edited = [path for path, blob in zip(files, hashed.split(), strict=True) if blob != known[path].blob]
    if edited:
        more = f" and {len(edited) - 3} more" if len(edited) > 3 else ""
        raise AssayError(
            f"{', '.join(edited[:3])}{more} in {desk.top}: not as {desk.record.tag} has it; to start "
            f"again: git worktree remove --force {desk.top}"
        )
