"""What an `assay serve` leaves in the workspace for commands in other terminals: where its server is."""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from assets.errors import AssayError
from assets.files import write_json
from flows.running.dvc import WORKSPACE

_LOCK = WORKSPACE / "serve.lock"
_NOTICE = WORKSPACE / "server.json"


@dataclass(frozen=True)
class Notice:
    """Where the server is. No secret stands here."""

    url: str
    """Of its API."""
    process: int


@contextmanager
def only_serve(root: Path) -> Iterator[None]:
    """Hold the workspace for one `assay serve`. The kernel lets go when its process is gone, however.

    Raises:
        AssayError: another one is at work here.
    """
    path = root / _LOCK
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as handle:
        if not _held(handle.fileno()):
            known = _read(root)
            where = f", at {known.url.removesuffix('/api')} (process {known.process})" if known else ""
            raise AssayError(
                f"another `assay serve` is at work in {root.resolve()}{where}; use that one, or stop it "
                "with Ctrl-C"
            )
        (root / _NOTICE).unlink(missing_ok=True)  # of one that was killed: that server is gone
        try:
            yield
        finally:
            (root / _NOTICE).unlink(missing_ok=True)


def leave_notice(root: Path, url: str) -> None:
    """Write down where the server is, for other terminals."""
    write_json(root / _NOTICE, asdict(Notice(url, os.getpid())))


def read_notice(root: Path) -> Notice | None:
    """Where the server of this workspace is; None if no `assay serve` is at work."""
    try:
        with (root / _LOCK).open() as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(root)  # somebody holds it
    except FileNotFoundError:
        return None
    return None


def _held(handle: int) -> bool:
    """Take the lock; somebody who only looks at it has it for no longer than a moment."""
    for _ in range(5):
        with suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(0.1)
    return False


def _read(root: Path) -> Notice | None:
    try:
        return Notice(**json.loads((root / _NOTICE).read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None  # it is just starting
