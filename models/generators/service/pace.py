"""When the next request may be sent: so many a minute, and none while the service wants to be left alone.

The next free moment stands in a file, so that all processes of a checkout keep one pace together.
"""

import fcntl
import time
from collections.abc import Callable
from pathlib import Path

MOST, AHEAD = 3600.0, 100
"""Seconds, and gaps on top; a moment further off was written under a clock that has been set back since."""


class Pace:
    """Hands out moments, `60 / per_minute` seconds apart; None leaves no gap."""

    def __init__(self, path: Path, per_minute: float | None, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._gap = 60 / per_minute if per_minute else 0.0
        self._clock = clock

    def turn(self) -> float:
        """Seconds to wait before sending; this moment is then taken."""
        now, free = self._change(lambda now, free: max(now, free) + self._gap)
        return max(0.0, free - now)

    def hold(self, seconds: float) -> None:
        """Let nobody take a moment before then."""
        self._change(lambda now, free: max(free, now + seconds))

    def _change(self, after: Callable[[float, float], float]) -> tuple[float, float]:
        """Replace the next free moment; returns the time now and the moment that was free."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a+") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            handle.seek(0)
            now = self._clock()
            try:
                free = float(handle.read())
            except ValueError:
                free = now
            free = free if free - now <= MOST + AHEAD * self._gap else now
            handle.truncate(0)
            handle.write(repr(after(now, free)))
            return now, free
