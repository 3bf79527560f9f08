"""Run a command and end it, with everything it started, when whoever asked for it is gone.

Started by path, on its own, with nothing but the standard library: `python -I -S guard.py COMMAND...`.
Its standard input is a pipe that nobody writes to. Once the other end is closed, on purpose or because
the process that held it was killed (even by SIGKILL), the command's process group gets SIGINT and, five
seconds later, SIGKILL. `dvc` alone would leave its stage running and writing when it is killed.
"""

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress

GRACE = 5.0
"""Seconds between asking and killing."""


def main(command: list[str]) -> int:
    """Run `command` in a process group of its own; return its exit status."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell passes on 'ignore'
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    threading.Thread(target=_end_on_hangup, args=(child,), daemon=True).start()
    return child.wait()


def _end_on_hangup(child: "subprocess.Popen[bytes]") -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    _signal(child, signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        child.wait(GRACE)
    _signal(child, signal.SIGKILL)  # also what outlived a leader that did stop


def _signal(child: "subprocess.Popen[bytes]", number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
