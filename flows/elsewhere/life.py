"""Signs of life: how a coordinator sees that whoever has an errand is gone."""

import time
from collections.abc import Callable
from typing import Any

LOST_SECONDS = 300.0
"""A stage whose worker gives no sign of life for so long is sent again."""
BEATS = 10
"""Signs of life that a worker gives in that time."""


class Life:
    """Whether signs of life of one worker keep coming, by this machine's clock alone."""

    def __init__(self) -> None:
        self._asked = self._changed = 0.0
        self._last: Any = None

    def is_over(self, beat: Callable[[], Any]) -> bool:
        """Whether it is long ago that `beat` gave something new; to be called from when a worker has it."""
        now = time.monotonic()
        if not self._changed:
            self._asked = self._changed = now
        if now - self._asked < LOST_SECONDS / 5:
            return False
        self._asked = now
        last = beat()
        if last != self._last:
            self._last, self._changed = last, now
        return now - self._changed > LOST_SECONDS
