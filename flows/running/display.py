"""What a person sees of a run: one moving line on a terminal, one line a finished stage elsewhere."""

import shutil
import sys
import time
from collections.abc import Sequence
from typing import TextIO

from flows.planning.plan import Planned

_REFRESH = 0.25


class Display:
    """Stages done out of all, the current ones, and the time left as earlier runs suggest it."""

    def __init__(self, planned: Sequence[Planned], jobs: int, stream: TextIO = sys.stderr) -> None:
        self._expected = {stage.stage: stage.seconds for stage in planned}
        self._total = len(planned)
        self._jobs = jobs
        self._stream = stream
        self._moving = stream.isatty()
        self._running: dict[str, float] = {}
        self._done = 0
        self._drawn = 0.0

    def started(self, stage: str) -> None:
        """A stage has begun."""
        self._running[stage] = time.monotonic()

    def finished(self, stage: str, word: str) -> None:
        """A stage has ended; `word` says how, e.g. `ran` or `FAILED`."""
        begun = self._running.pop(stage, time.monotonic())
        self._expected.pop(stage, None)
        self._done += 1
        self._erase()
        took = in_words(time.monotonic() - begun)
        width = len(str(self._total))
        print(f"[{self._done:{width}}/{self._total}] {stage}: {word} ({took})", file=self._stream, flush=True)
        self._drawn = 0.0

    def tick(self) -> None:
        """Draw the moving line again if it is time to."""
        now = time.monotonic()
        if not self._moving or now - self._drawn < _REFRESH:
            return
        self._drawn = now
        current = ", ".join(f"{stage} {in_words(now - begun)}" for stage, begun in self._running.items())
        left = self._left(now)
        tail = f", about {in_words(left)} left" if left is not None else ""
        width = shutil.get_terminal_size().columns - 1
        line = f"{self._done}/{self._total} done{tail} | {current}"[:width]
        self._stream.write(f"\r\x1b[K{line}")
        self._stream.flush()

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._erase()

    def _left(self, now: float) -> float | None:
        """Seconds to go; None while too little is known."""
        known = [seconds for seconds in self._expected.values() if seconds is not None]
        if not known or len(known) < len(self._expected) / 2:
            return None
        mean = sum(known) / len(known)
        whole = sum(mean if seconds is None else seconds for seconds in self._expected.values())
        spent = sum(
            min(now - begun, self._expected.get(stage) or mean) for stage, begun in self._running.items()
        )
        return max(whole - spent, 0.0) / max(self._jobs, 1)

    def _erase(self) -> None:
        if self._moving:
            self._stream.write("\r\x1b[K")
            self._stream.flush()


def in_words(seconds: float) -> str:
    """`0.8 s`, `42 s`, `3 min 05 s`, `2 h 10 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def in_units(bytes_: float) -> str:
    """`210 kB`, `1.6 GB`, `13.9 GB`, `1.2 TB`."""
    for unit, one in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if bytes_ >= one:
            return f"{bytes_ / one:.3g} {unit}"
    return f"{bytes_:.0f} B"
