"""One run a workspace: two would write the same folders."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from assets.errors import AssayError
from assets.files import full_disk_told
from flows.running.dvc import WORKSPACE
from flows.running.guard import GRACE

_LOCK = WORKSPACE / "run.lock"


@contextmanager
def only_run(root: Path) -> Iterator[int]:
    """Hold the workspace for one run; gives the lock's descriptor.

    Children that inherit the descriptor keep the workspace held until they are gone, so a restart right
    after a kill waits for what the killed run left behind.

    Raises:
        AssayError: another run is at work here; its process id.
    """
    path = root / _LOCK
    with full_disk_told("nothing was started; make room, then start again"):
        path.parent.mkdir(exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _acquire(handle, root)
        os.ftruncate(handle, 0)
        with full_disk_told("nothing was started; make room, then start again"):
            os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield handle
    finally:
        os.close(handle)


def _acquire(handle: int, root: Path) -> None:
    deadline = time.monotonic() + 2 * GRACE
    while True:
        with suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        owner = os.pread(handle, 32, 0).decode()
        if _alive(owner) or time.monotonic() > deadline:
            raise AssayError(
                f"another run is at work in {root.resolve()} (process {owner or 'unknown'}); "
                "wait for it, or stop it with Ctrl-C"
            )
        time.sleep(0.1)


def _alive(process: str) -> bool:
    """Whether it may still hold the lock: not so if it is dead and its parent has only not heard of it."""
    if not process.isdecimal():
        return False
    try:
        os.kill(int(process), 0)
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except ProcessLookupError:
        return False
    except OSError:  # another user's, or there is no /proc
        return True
    return state != "Z"
