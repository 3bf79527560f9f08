"""The only place that talks to DVC, through its command line: what is out of date, run a stage, pin data.

`dvc` runs as a child process: its Python interface depends on the working directory and cannot be shared
by threads. `--wait-for-lock` lets several of them work in one repository.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

from assets.errors import AssayError
from assets.lineage import LOCK, LineageError, intact_stages, read_lock
from tasks.command import TRY_AGAIN

WORKSPACE = Path(".assay")
LOGS = WORKSPACE / "logs"
_DVC = [sys.executable, "-m", "dvc"]
_GUARD = [sys.executable, "-I", "-S", str(Path(__file__).with_name("guard.py"))]
_LAST_GOOD = WORKSPACE / "dvc.lock.good"
_BUSY = re.compile(r"is busy, it is being blocked by|Unable to acquire lock|failed to lock")
_SAID = re.compile(r"^ERROR: (?:failed to reproduce '.*?': )?(.+)$", re.MULTILINE)
_PASSING = re.compile(
    rf"exited with (?:{TRY_AGAIN}|-9)$|failed to (?:pull|push|transfer|connect)"
    "|Some of the cache files do not exist",
    re.MULTILINE,
)
_POLL = 0.05
_BUSY_PATIENCE = 60.0
_TAIL = 15

How = Literal["ran", "restored", "skipped"]


class StageFailed(Exception):
    """A stage's command, or DVC around it, did not succeed."""

    def __init__(self, stage: str, reason: str, log: Path, tail: str, may_pass: bool = False) -> None:
        super().__init__(f"{stage}: {reason}")
        self.stage = stage
        self.reason = reason
        self.log = log
        self.tail = tail
        """The last lines of its output."""
        self.may_pass = may_pass
        """Whether it may succeed if it is tried again: a network or a remote that did not answer."""


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
    log.parent.mkdir(parents=True, exist_ok=True)
    options = [*(["--force"] if force else []), *(["--pull"] if pull else [])]
    command = [*_DVC, "--wait-for-lock", "repro", "--single-item", *options, stage]
    begun = time.monotonic()
    end = begun + timeout if timeout else None
    for pause in _pauses():
        with log.open("wb") as output, _started(root, command, output, environment, control) as child:
            status = _wait(child, stage, end, control, log)
        text = _read(log)
        if status == 0:
            return Ran(stage, _how(text, stage), round(time.monotonic() - begun, 2), log)
        if not _BUSY.search(text) or pause is None:
            break
        control.stop.wait(pause)  # another dvc holds a path of ours for the moment
    said = _SAID.findall(text)
    reason = said[-1] if said else f"dvc ended with status {status}"
    raise StageFailed(stage, reason, log, _tail(text), may_pass=bool(_PASSING.search(text)))


def push(root: Path, stage: str) -> None:
    """Put a stage's outputs, and what the run cache knows of it, into DVC's remote.

    Raises:
        StageFailed: the remote did not take them; it may the next time.
    """
    try:
        _ask(root, "push", "--quiet", "--run-cache", stage)
    except AssayError as error:
        raise StageFailed(stage, "its outputs could not be pushed", Path("-"), str(error), True) from None


def heal_lock(root: Path) -> str | None:
    """Put a dvc.lock that was cut off back in order; keep a copy of one that is whole.

    DVC writes the file in place, so a kill at the wrong moment leaves it empty or cut off, and every dvc
    command then fails. What the restored copy lacks DVC finds again in its run cache.

    Returns what was done, or None if nothing was needed.
    """
    with suppress(LineageError):
        read_lock(root, patience=1.0)  # a dvc that someone started by hand may be writing just now
        keep_lock(root)
        return None
    copy = root / _LAST_GOOD
    if intact_stages(copy):
        shutil.copyfile(copy, root / LOCK)
        return f"{LOCK} was damaged by an interrupted run; the last whole copy was put back"
    (root / LOCK).unlink()
    return f"{LOCK} was damaged by an interrupted run; it is made anew from DVC's run cache"


def keep_lock(root: Path) -> None:
    """Copy dvc.lock aside if it is whole at this moment."""
    copy = root / _LAST_GOOD
    copy.parent.mkdir(exist_ok=True)
    partial = copy.with_suffix(".part")
    try:
        shutil.copyfile(root / LOCK, partial)
    except FileNotFoundError:
        return
    if intact_stages(partial):
        partial.replace(copy)


def committed(root: Path, path: str) -> str | None:
    """Text of a file as the last commit has it, or None if it has no such file."""
    result = subprocess.run(
        ["git", "show", f"HEAD:./{path}"], cwd=root, capture_output=True, text=True, check=False
    )
    return result.stdout if result.returncode == 0 else None


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
    child: "subprocess.Popen[bytes]", stage: str, end: float | None, control: Control, log: Path
) -> int:
    """Poll rather than wait: a blocked thread could not be told to stop."""
    while True:
        status = child.poll()
        if status is not None:
            return status
        if control.stop.is_set():
            raise Stopped(stage)
        if end is not None and time.monotonic() > end:
            raise StageFailed(stage, "not done in the time allowed", log, _tail(_read(log)))
        time.sleep(_POLL)


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


def _read(log: Path) -> str:
    return log.read_text("utf-8", errors="replace")


def _tail(text: str) -> str:
    lines = [line for line in text.rstrip().splitlines() if not line.startswith("ERROR: failed to repro")]
    return "\n".join(lines[-_TAIL:])
