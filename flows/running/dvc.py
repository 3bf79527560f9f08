"""The only place that talks to DVC, through its command line: what is out of date, run a stage, pin data.

`dvc` runs as a child process: its Python interface depends on the working directory and cannot be shared
by threads. `--wait-for-lock` lets several of them work in one repository.
"""

import errno
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, Any, Literal

from assets.errors import AssayError
from assets.lineage import LOCK, intact_stages
from flows.running.failures import StageFailed as StageFailed
from flows.running.failures import failure, is_damaged, is_in_the_way, read, tail, was_killed
from flows.running.mending import WORKSPACE as WORKSPACE
from flows.running.mending import await_end, mend
from flows.running.mending import committed as committed
from flows.running.mending import heal_lock as heal_lock
from flows.running.mending import keep_lock as keep_lock

LOGS = WORKSPACE / "logs"
_UNPUSHED = WORKSPACE / "unpushed"
"""A file a stage that was begun and whose outputs are not known to be in the remote."""
_DVC = [sys.executable, "-m", "dvc"]
_GUARD = [sys.executable, "-I", "-S", str(Path(__file__).with_name("guard.py"))]
_CONFIG = (Path(".dvc/config"), Path(".dvc/config.local"))
_POLL = 0.05
_BUSY_PATIENCE = 60.0

How = Literal["ran", "restored", "skipped"]


class Stopped(Exception):
    """The run was told to stop while this stage was running."""


@dataclass(frozen=True)
class Ran:
    """One finished stage."""

    stage: str
    how: How
    """`ran`, `restored` from DVC's run cache, or `skipped` because nothing had changed after all."""
    seconds: float
    log: Path


@dataclass
class Control:
    """How a run reaches into its stages' processes."""

    stop: threading.Event = field(default_factory=threading.Event)
    """Set it, and every child process is ended."""
    held: tuple[int, ...] = ()
    """File descriptors of locks that must stay held until the last child is gone, come what may."""


def status(root: Path) -> dict[str, list[Any]]:
    """`dvc status`: what differs from dvc.lock and from the .dvc files, by stage; {} if nothing does.

    Raises:
        AssayError: DVC cannot read the repository; its own words are passed on.
    """
    return dict(json.loads(_ask(root, "status", "--json") or "{}"))


def add(root: Path, path: str = "data") -> None:
    """`dvc add`: pin the content of an input folder in PATH.dvc, whatever it holds now.

    Raises:
        AssayError: DVC refuses.
    """
    _ask(root, "add", "--quiet", path)


def repro(
    root: Path,
    stage: str,
    *,
    force: bool = False,
    pull: bool = False,
    timeout: float | None = None,
    environment: dict[str, str] | None = None,
    control: Control | None = None,
) -> Ran:
    """Bring one stage, and none of those before it, up to date. Its output goes to .assay/logs/STAGE.log.

    Args:
        force: run the command even if nothing changed.
        pull: fetch inputs, and what the remote's run cache knows, from DVC's remote.
        timeout: seconds after which the stage is ended.
        environment: variables set for the command beside the present ones.
        control: see `Control`.

    Raises:
        StageFailed: the command failed, DVC did, or the time was up.
        Stopped: `control.stop` was set.
    """
    control = control or Control()
    log = root / LOGS / f"{stage}.log"
    options = [*(["--force"] if force else []), *(["--pull"] if pull else [])]
    command = [*_DVC, "--wait-for-lock", "repro", "--single-item", *options, stage]
    begun = time.monotonic()
    end = begun + timeout if timeout else None
    if pull:
        _find_remote(root, stage)
        (root / _UNPUSHED).mkdir(parents=True, exist_ok=True)
        (root / _UNPUSHED / stage).touch()
    for pause in _pauses():
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("wb") as output, _started(root, command, output, environment, control) as child:
                status = _wait(child, stage, begun, end, control, log)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise StageFailed(stage, f"the disk is full at {error.filename or log.parent}", log, "") from None
        text = read(log)
        if status == 0:
            return Ran(stage, _how(text, stage), round(time.monotonic() - begun, 2), log)
        if was_killed(status):
            await_end(root, stage)
        if was_killed(status) or is_damaged(text):
            mend(root)
        if pause is None or was_killed(status) or not is_in_the_way(text):
            break
        control.stop.wait(pause)
    raise failure(root, stage, status, log, (_directory_remote(root) or "://") if pull else None)


def push(root: Path, stage: str) -> None:
    """Put a stage's outputs, and what the run cache knows of it, into DVC's remote.

    Raises:
        StageFailed: the remote did not take them; it may the next time.
    """
    _find_remote(root, stage)
    try:
        _ask(root, "push", "--run-cache", stage)  # not --quiet, under which DVC gives no reason either
    except AssayError as error:
        raise StageFailed(stage, "its outputs could not be pushed", Path("-"), str(error), True) from None
    (root / _UNPUSHED / stage).unlink(missing_ok=True)


def push_left(root: Path) -> None:
    """Push what earlier runs made and did not: their remote was away, or they were killed before it.

    Raises:
        AssayError: the remote did not take it.
    """
    noted = {note.name for note in (root / _UNPUSHED).glob("*")}
    for stage in sorted(noted & set(intact_stages(root / LOCK) or ())):
        try:
            push(root, stage)
        except StageFailed as failed:
            raise AssayError(f"{failed}\n{failed.tail}") from None


def _ask(root: Path, *arguments: str) -> str:
    if not (root / ".dvc").is_dir():
        raise AssayError(f"{root.resolve()} is not an Assay checkout: it has no .dvc folder; cd into one")
    result = subprocess.run(
        [*_DVC, "--wait-for-lock", *arguments],
        cwd=root,
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        said = result.stderr.strip() or result.stdout.strip()
        raise AssayError(f"`dvc {' '.join(arguments)}` failed:\n{said}")
    return result.stdout.strip()


def _environment(extra: dict[str, str] | None = None) -> dict[str, str]:
    """`python` in a stage's command is the interpreter that runs us, activated environment or not."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {**os.environ, "PATH": path, "DVC_NO_ANALYTICS": "1", "PYTHONUNBUFFERED": "1", **(extra or {})}


@contextmanager
def _started(
    root: Path,
    command: Sequence[str],
    output: IO[bytes],
    environment: dict[str, str] | None,
    control: Control,
) -> Iterator["subprocess.Popen[bytes]"]:
    child = subprocess.Popen(
        [*_GUARD, *command],
        cwd=root,
        env=_environment(environment),
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C reaches us alone; we end the children in order
        pass_fds=control.held,
    )
    assert child.stdin is not None
    try:
        yield child
    finally:
        child.stdin.close()  # the guard's signal to end a command that is still running
        child.wait()


def _wait(
    child: "subprocess.Popen[bytes]",
    stage: str,
    begun: float,
    end: float | None,
    control: Control,
    log: Path,
) -> int:
    """Poll rather than wait: a blocked thread could not be told to stop."""
    while True:
        status = child.poll()
        if status is not None:
            return status
        if control.stop.is_set():
            raise Stopped(stage)
        if end is not None and time.monotonic() > end:
            reason = (
                f"not done in the time allowed, {end - begun:,.0f} s; it was ended (`limits` allows more)"
            )
            raise StageFailed(stage, reason, log, tail(read(log)))
        time.sleep(_POLL)


def _find_remote(root: Path, stage: str) -> None:
    """Make sure that a folder which serves as remote is there.

    DVC takes one that is not, a disk that is not mounted, for an empty remote: it would compute everything
    anew, and then make that folder and fill it.

    Raises:
        StageFailed: it is not there; it may be the next time.
    """
    folder = _directory_remote(root)
    if folder and not Path(folder).is_dir():
        reason = f"DVC's remote {folder} is away"
        raise StageFailed(
            stage, reason, Path("-"), f"is it mounted? A new one is made by `mkdir -p {folder}`", True
        )


def _directory_remote(root: Path) -> str | None:
    """The default remote's path, if it is a folder."""
    changed = tuple(
        file.stat().st_mtime_ns if file.exists() else 0 for file in (root / one for one in _CONFIG)
    )
    return _read_directory_remote(root.resolve(), changed)


@cache
def _read_directory_remote(root: Path, changed: tuple[int, ...]) -> str | None:
    settings = dict(line.split("=", 1) for line in _ask(root, "config", "--list").splitlines() if "=" in line)
    url = settings.get(f"remote.{settings.get('core.remote')}.url", "")
    return url if Path(url).is_absolute() else None


def _pauses() -> Iterator[float | None]:
    """Seconds to wait before each new attempt, longer every time; None after the last."""
    pause, total = 0.5, 0.0
    while total < _BUSY_PATIENCE:
        yield pause
        total += pause
        pause = min(2 * pause, 8.0)
    yield None


def _how(text: str, stage: str) -> How:
    if f"Running stage '{stage}'" in text:
        return "ran"
    if f"Stage '{stage}' is cached" in text:
        return "restored"
    return "skipped"
