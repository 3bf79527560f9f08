"""How every stage is started: `python -m tasks.<stage> ITEM ...`."""

import ctypes
import errno
import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress

from assets.errors import AssayError

TRY_AGAIN = 75
"""Exit status of a stage that may succeed the next time (EX_TEMPFAIL of sysexits.h)."""
_PASSING = {errno.EIO, errno.EAGAIN, errno.ETIMEDOUT, errno.ESTALE, errno.EHOSTUNREACH, errno.ENETUNREACH}
_OF_A_NETWORK = {"TransportError", "ConnectionError", "Timeout", "APIConnectionError", "ChunkedEncodingError"}
_ON_PURPOSE = {"OfflineModeIsEnabled"}


def run_stage(main: Callable[[list[str]], None]) -> None:
    """Run a stage's `main` with the command line's arguments and exit.

    A user's mistake ends with its message alone and status 2; what may be gone the next time (a network, a
    service or a disk that did not answer) with status 75. The stage dies with whoever started it:
    a killed run must not leave a stage behind that writes into a folder which the next run uses.
    """
    _die_with_parent()
    try:
        main(sys.argv[1:])
    except AssayError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(TRY_AGAIN if may_pass(error) else 2)
    except Exception as error:
        if not may_pass(error):
            raise
        traceback.print_exc()
        sys.exit(TRY_AGAIN)


def may_pass(error: BaseException) -> bool:
    """Whether an error, or what it came from, is of a kind that may be gone the next time.

    Errors of a network are told by their classes' names: httpx, requests and the hub's client each have
    their own, and none of them is loaded for this.
    """
    cause: BaseException | None = error
    while cause is not None:
        names = {kind.__name__ for kind in type(cause).__mro__}
        if names & _ON_PURPOSE:
            return False
        if isinstance(cause, ConnectionError | TimeoutError) or names & _OF_A_NETWORK:
            return True
        if isinstance(cause, OSError) and cause.errno in _PASSING:
            return True
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return False


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
