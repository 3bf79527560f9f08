"""How every stage is started: `python -m tasks.<stage> ITEM ...`."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress

from assets.errors import AssayError


def run_stage(main: Callable[[list[str]], None]) -> None:
    """Run a stage's `main` with the command line's arguments and exit.

    A user's mistake ends with its message alone and status 2. The stage dies with whoever started it:
    a killed run must not leave a stage behind that writes into a folder which the next run uses.
    """
    _die_with_parent()
    try:
        main(sys.argv[1:])
    except AssayError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def arguments_for(arguments: list[str], names: str) -> list[str]:
    """Check that the command line has one value for each of the space-separated `names`; return them."""
    wanted = names.split()
    if len(arguments) != len(wanted):
        raise AssayError(f"usage: python -m {_module()} {names.upper()}")
    return arguments


def _module() -> str:
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec.name if spec else "tasks.STAGE"


def _die_with_parent() -> None:
    parent = os.getppid()
    with suppress(OSError, AttributeError):  # Linux only; elsewhere the stage outlives a killed parent
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != parent:  # it died between the two calls
        os.kill(os.getpid(), signal.SIGKILL)
