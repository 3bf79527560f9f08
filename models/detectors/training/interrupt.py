"""Ctrl-C in the middle of a training: the step is finished and where it stands is kept."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Interrupt:
    """Whether somebody has pressed Ctrl-C."""

    asked = False


@contextmanager
def interruptible() -> Iterator[Interrupt]:
    """Within the block the first Ctrl-C is noted, the second one ends the program as usual."""
    noted = Interrupt()

    def note(*_: object) -> None:
        noted.asked = True
        signal.signal(signal.SIGINT, before)

    if threading.current_thread() is not threading.main_thread():  # only that one may listen to signals
        yield noted
        return
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, note)
    try:
        yield noted
    finally:
        signal.signal(signal.SIGINT, before)
