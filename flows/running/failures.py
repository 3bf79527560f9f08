"""Why a stage failed, in a line, and whether it may succeed if it is tried again: from what DVC wrote."""

import os
import re
import signal
import tempfile
from contextlib import suppress
from pathlib import Path

from assets.lineage import LOCK
from flows.running.mending import WORKSPACE, cache_of
from tasks.command import TRY_AGAIN

_BUSY = re.compile(r"is busy, it is being blocked by|Unable to acquire lock|failed to lock")
_DAMAGED = re.compile(
    rf"'[./]*{LOCK}' (?:validation failed|is invalid)|RWLock-file .* (?:corrupted|format error)"
)
_SAID = re.compile(r"^ERROR: (?:failed to reproduce '.*?': )?(.+)$", re.MULTILINE)
_EXITED = re.compile(r"exited with (-?\d+)\s*$")
"""What DVC's last word ends with when the stage's own command failed, and not DVC around it."""
_PASSING = {TRY_AGAIN, -signal.SIGKILL, 128 + signal.SIGKILL}
"""Statuses of a command that may succeed the next time; a machine short of memory ends one by SIGKILL."""
_REMOTE_AWAY = re.compile(
    r"(?:could not|failed to|cannot) connect|connection (?:refused|reset|closed|aborted|lost|error)"
    r"|timed? ?out|name resolution|name or service not known|network is unreachable|no route to host"
    r"|service unavailable|slow ?down|bad gateway|too many requests|internal server error"
    r"|stale file handle|input/output error|failed to transfer"
    r"|Some of the cache files do not exist|Checkout failed",
    re.IGNORECASE,
)
"""What DVC passes on of a network or a remote; the last line: a file that its owner has not pushed yet."""
_FULL = re.compile(r"No space left on device|Disk quota exceeded|database or disk is full")
_SCARCE = 1 << 20
"""Bytes; a disk with less than that is called full."""
_TAIL = 15


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


def failure(root: Path, stage: str, status: int, log: Path, remote: str | None) -> StageFailed:
    """What went wrong, told by DVC's last words: the stage's own output, in the same log, may hold any.

    Args:
        status: dvc's exit status.
        log: its output and the stage's.
        remote: a word that is in what DVC says of the remote; None if none was asked.
    """
    text = read(log)
    said = _SAID.findall(text)
    exited = _EXITED.search(text)
    reason = said[-1] if said else f"dvc ended with status {status}"
    if was_killed(status):
        reason, may_pass = f"dvc was killed (status {status})", True
    elif exited:
        may_pass = int(exited[1]) in _PASSING
    else:
        may_pass = is_in_the_way(text) or (remote is not None and (_is_away(text) or remote in reason))
    if full := full_disks(root) or ("it says so itself" if _FULL.search(text) else ""):
        reason, may_pass = f"{reason}; the disk is full ({full})", False
    return StageFailed(stage, reason, log, tail(text), may_pass)


def was_killed(status: int) -> bool:
    """Whether a signal ended dvc (as its guard passes it on), or the guard itself."""
    return status < 0 or status in (128 + signal.SIGKILL, 128 + signal.SIGTERM)


def is_in_the_way(text: str) -> bool:
    """Whether DVC could not begin because of another dvc: one at work, or one that was killed."""
    return not _EXITED.search(text) and bool(_BUSY.search(text) or is_damaged(text))


def is_damaged(text: str) -> bool:
    """Whether DVC found a file of its own cut off (`flows.running.mending`)."""
    return bool(_DAMAGED.search(text))


def full_disks(root: Path) -> str:
    """Where a run writes and there is no room, one folder a disk; "" if there is room everywhere."""
    places = (root, root / WORKSPACE, cache_of(root), root / ".dvc/tmp", Path(tempfile.gettempdir()))
    full: dict[int, str] = {}
    for place in places:
        with suppress(OSError):
            left = os.statvfs(place)
            if left.f_bavail * left.f_frsize < _SCARCE or (left.f_files and not left.f_favail):
                full.setdefault(place.stat().st_dev, str(place))
    return ", ".join(full.values())


def read(log: Path) -> str:
    """A log's text, whatever bytes a stage wrote into it."""
    return log.read_text("utf-8", errors="replace")


def tail(text: str) -> str:
    """The last lines, without those that say again what `failure` says."""
    lines = [line for line in text.rstrip().splitlines() if not line.startswith("ERROR: failed to repro")]
    return "\n".join(lines[-_TAIL:])


def _is_away(text: str) -> bool:
    lines = [line for line in text.splitlines() if line.startswith(("ERROR:", "WARNING:"))]
    return bool(_REMOTE_AWAY.search("\n".join(lines)))
