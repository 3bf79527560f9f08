"""What a killed DVC leaves damaged is put back in order: dvc.lock, its table of paths in use, its run cache.

DVC rewrites the first two in place. None of this is DVC's own interface; version 3.67 is pinned.
"""

import configparser
import errno
import fcntl
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from assets.errors import AssayError
from assets.files import write_text
from assets.lineage import LOCK, LineageError, intact_stages, lock_text, read_lock

WORKSPACE = Path(".assay")
_LAST_GOOD = WORKSPACE / "dvc.lock.good"
_DVC_LOCK = Path(".dvc/tmp/lock")
_PATHS_IN_USE = Path(".dvc/tmp/rwlock")
_KEEPING = threading.Lock()
_DYING = 5.0
_OTHERS = 3600.0
"""Seconds for which what is unfinished in a shared cache may be what another workspace is writing."""


def heal_lock(root: Path) -> str | None:
    """Put what a killed DVC left damaged back in order; keep a copy of a dvc.lock that is whole.

    DVC writes the file in place, so a kill at the wrong moment leaves it empty or cut off, and every dvc
    command then fails. What the restored copy lacks DVC finds again in its run cache.

    Returns what was done, or None if nothing was needed.

    Raises:
        AssayError: dvc.lock holds both sides of a merge; which one is right is not for a program to say.
    """
    with suppress(LineageError):
        # a dvc that someone started by hand may be writing just now
        if read_lock(root, patience=1.0) or not (root / LOCK).exists():
            keep_lock(root)
            if (root / ".dvc").is_dir():
                mend(root)
            return None
    return mend(root)


def mend(root: Path) -> str | None:
    """`heal_lock` while stages may be running: nothing is touched while a dvc is at work on it.

    Raises:
        AssayError: see `heal_lock`.
    """
    with _dvc_is_held(root):
        _clear_paths_in_use(root)
        _clear_cache(root)
        if intact_stages(root / LOCK) or not (root / LOCK).exists():
            return None  # cut off behind the line "stages:", too, it stops DVC
        if "<<<<<<< " in (root / LOCK).read_text("utf-8", errors="replace"):
            raise AssayError(
                f"{root / LOCK} holds both sides of a merge: keep one (`git checkout --ours {LOCK}` or "
                f"`git checkout --theirs {LOCK}`), then `assay run`: stages of the other side come back from "
                "DVC's cache"
            )
        copy = root / _LAST_GOOD
        if intact_stages(copy):
            write_text(root / LOCK, copy.read_text("utf-8"))
            return f"{LOCK} was damaged by an interrupted run; the last whole copy was put back"
        write_text(copy, committed(root, LOCK) or "")
        if intact_stages(copy):
            write_text(root / LOCK, copy.read_text("utf-8"))
            return f"{LOCK} was damaged by an interrupted run; the one of the last commit was put back"
        copy.unlink()
        (root / LOCK).unlink()
        return f"{LOCK} was damaged by an interrupted run; it is made anew from DVC's run cache"


def await_end(root: Path, stage: str) -> None:
    """Wait until the dvc of a stage is gone that is noted in the table of paths in use, and was killed.

    With its guard it gets SIGKILL a moment after the guard has ended; until then it looks alive to `mend`.
    """
    deadline = time.monotonic() + _DYING
    while time.monotonic() < deadline and any(
        str(one["cmd"]).endswith(f" {stage}") and _is_dvc(one["pid"]) for one in _users(root)
    ):
        time.sleep(0.05)


def keep_lock(root: Path) -> None:
    """Copy dvc.lock aside if it is whole, and there is room for a copy."""
    copy = root / _LAST_GOOD
    copy.parent.mkdir(exist_ok=True)
    try:
        with suppress(LineageError), _KEEPING:
            if text := lock_text(root):
                write_text(copy, text)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise


def committed(root: Path, path: str) -> str | None:
    """Text of a file as the last commit has it, or None if it has no such file."""
    result = subprocess.run(
        ["git", "show", f"HEAD:./{path}"], cwd=root, capture_output=True, text=True, check=False
    )
    return result.stdout if result.returncode == 0 else None


@contextmanager
def _dvc_is_held(root: Path) -> Iterator[None]:
    """No dvc reads or writes its files meanwhile; the kernel frees this lock of theirs with its holder."""
    path = root / _DVC_LOCK
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _users(root: Path) -> list[dict[str, Any]]:
    try:
        table = json.loads((root / _PATHS_IN_USE).read_text("utf-8"))
        return [*table["write"].values(), *(one for users in table["read"].values() for one in users)]
    except (OSError, ValueError, AttributeError, TypeError, KeyError):
        return []


def _clear_paths_in_use(root: Path) -> None:
    """DVC notes here which process reads or writes which path, and rewrites the file in place, too.

    Cut off by a kill, it stops every dvc; a dead process's id that another program has got stops the stages
    whose paths it is said to use.
    """
    path = root / _PATHS_IN_USE
    try:
        table = {"write": {}, "read": {}, **json.loads(path.read_text("utf-8"))}
        write = {name: one for name, one in table["write"].items() if _is_dvc(one["pid"])}
        living = {
            name: [one for one in users if _is_dvc(one["pid"])] for name, users in table["read"].items()
        }
    except FileNotFoundError:
        return
    except (ValueError, AttributeError, TypeError, KeyError):
        path.unlink()
    else:
        kept = {"write": write, "read": {name: users for name, users in living.items() if users}}
        if kept != table:
            write_text(path, json.dumps(kept))


def _clear_cache(root: Path) -> None:
    """Remove what a dvc that was killed, or had no room, began to write there.

    Copies that were cut off only take room, but a folder without an entry in the run cache stops every later
    dvc at that stage ("join() argument must be str ...").
    """
    cache = cache_of(root)
    old = time.time() - (0 if root.resolve() in cache.parents else _OTHERS)
    for part in (*(cache / "files/md5").glob("??/.*.tmp"), *(cache / "runs").glob("??/*/.*.tmp")):
        with suppress(OSError):
            if part.stat().st_mtime <= old:
                part.unlink()
    for folder in (cache / "runs").glob("??/*"):
        with suppress(OSError):
            if folder.stat().st_mtime <= old:
                folder.rmdir()  # only if it is empty


def cache_of(root: Path) -> Path:
    """DVC's cache, which several workspaces may share."""
    settings = configparser.ConfigParser(interpolation=None, strict=False)
    settings.read([root / ".dvc/config", root / ".dvc/config.local"], "utf-8")
    folder = settings.get("cache", "dir", fallback="cache")
    return (root.resolve() / ".dvc" / folder).resolve()


def _is_dvc(process: int) -> bool:
    try:
        return b"dvc" in Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return not Path("/proc/self").exists()  # elsewhere than on Linux DVC judges for itself
