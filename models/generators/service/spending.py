"""What a model's requests may have cost so far, on disk: a budget has to outlive a killed run.

A request is written down before it is sent and crossed out only when it surely cost nothing. What was sent
and never answered therefore stays counted, whether the process was killed, the answer timed out or the
connection was lost: the service may have charged for it.
"""

import fcntl
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4


class Spending:
    """A list of charges that the threads and processes of one checkout share."""

    def __init__(self, path: Path) -> None:
        """Read the list at `path`; without one nothing has been spent."""
        self.path = path
        self.spent = Decimal(0)
        """US dollars, the unanswered requests among them."""
        self._open: dict[str, Decimal] = {}
        self._read_to = 0
        self._thread = threading.Lock()
        if path.exists():
            with self._locked():
                pass

    @property
    def unanswered(self) -> tuple[int, Decimal]:
        """How many requests have (so far) had no answer, and what they may have cost."""
        return len(self._open), sum(self._open.values(), Decimal(0))

    def reserve(self, price: Decimal, budget: Decimal) -> str | None:
        """Write down a request that is about to be sent.

        Returns: what to call it in `settle`, or None where it would exceed the budget.
        """
        with self._locked() as handle:
            if self.spent + price > budget:
                return None
            charge = uuid4().hex
            self._append(handle, {"charge": charge, "usd": str(price)})
            return charge

    def settle(self, charge: str, *, free: bool) -> None:
        """Note that a request was answered: it cost its price, or (`free`) surely nothing."""
        with self._locked() as handle:
            self._append(handle, {"charge": charge, "answered": True, "free": free})

    @contextmanager
    def _locked(self) -> Iterator[BinaryIO]:
        """The file, with all that others have written to it taken in."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._thread, self.path.open("a+b") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            handle.seek(self._read_to)
            new = handle.read()
            for line in new.splitlines():
                self._take_in(line)
            self._read_to += len(new)
            if new and not new.endswith(b"\n"):
                self._read_to += handle.write(b"\n")  # a power cut tore the last line; it was not sent yet
            yield handle

    def _append(self, handle: BinaryIO, event: dict[str, object]) -> None:
        line = json.dumps(event).encode()
        handle.write(line + b"\n")
        handle.flush()
        os.fsync(handle.fileno())  # before the request is sent
        self._read_to += len(line) + 1
        self._take_in(line)

    def _take_in(self, line: bytes) -> None:
        try:
            event = json.loads(line)
        except ValueError:
            return  # torn
        charge = event["charge"]
        if "usd" in event:
            self._open[charge] = Decimal(event["usd"])
            self.spent += self._open[charge]
        elif charge in self._open:
            price = self._open.pop(charge)
            self.spent -= price if event["free"] else 0


def usd(amount: float) -> Decimal:
    """Exactly what was written: as floats, 0.1 three times is more than 0.3."""
    return Decimal(repr(amount))


def dollars(amount: Decimal) -> str:
    """For people, with as many digits as there are but no fewer than two: `$0.80`, `$0.005`."""
    cents = amount.quantize(Decimal("0.01"))
    return f"${cents if cents == amount else amount.normalize():f}"
