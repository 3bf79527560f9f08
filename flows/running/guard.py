"""Run a command and end it, with everything it started, when whoever asked for it is gone.

Started by path, on its own, with nothing but the standard library: `python -I -S guard.py COMMAND...`.
Its standard input is a pipe that nobody writes to. Once the other end is closed, on purpose or because
the process that held it was killed (even by SIGKILL), the command's process group gets SIGINT and, five
seconds later, SIGKILL. `dvc` alone would leave its stage running and writing when it is killed.

The guard is two processes that watch each other: this one, and the leader of the command's process group.
Whichever of them, or of the command's own processes, is killed: nothing of the group goes on.
"""

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from types import FrameType

GRACE = 5.0
"""Seconds between asking and killing."""


def main(command: list[str]) -> int:
    """Run `command` in a process group of its own; return its exit status, 128 + N if signal N ended it."""
    watched, alive = os.pipe()  # `alive` is closed when this process is gone, `told` when the leader is
    status, told = os.pipe()
    leader = os.fork()
    if leader == 0:
        os.close(alive)
        os.close(status)
        _lead(command, watched, told)
    os.close(watched)
    os.close(told)
    ended = threading.Event()
    threading.Thread(target=_end_on_hangup, args=(leader, ended), daemon=True).start()
    said = os.read(status, 1)  # nothing, if the leader was killed
    ended.set()
    _signal(leader, signal.SIGKILL)  # what outlived the command; before the leader is reaped, and its id free
    os.waitpid(leader, 0)
    return said[0] if said else 128 + signal.SIGKILL


def _lead(command: list[str], watched: int, told: int) -> None:
    """Be the leader of the command's group: run it, and end the whole group once the guard is gone."""
    signal.signal(signal.SIGINT, _pass)  # it is for the command, which gets back the default as it starts
    os.setsid()
    threading.Thread(target=_die_with_guard, args=(watched,), daemon=True).start()
    code = 127
    try:
        code = subprocess.Popen(command, stdin=subprocess.DEVNULL).wait()
    except OSError as error:
        print(f"ERROR: {command[0]}: {error.strerror}", file=sys.stderr, flush=True)
    finally:
        os.write(told, bytes([code if code >= 0 else 128 - code]))
        os._exit(0)


def _pass(number: int, frame: FrameType | None) -> None:
    """A handler, and not SIG_IGN, because the command would inherit that."""


def _die_with_guard(watched: int) -> None:
    while os.read(watched, 1):
        pass
    os.killpg(0, signal.SIGKILL)


def _end_on_hangup(leader: int, ended: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    _signal(leader, signal.SIGINT)
    if not ended.wait(GRACE):
        _signal(leader, signal.SIGKILL)


def _signal(group: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
