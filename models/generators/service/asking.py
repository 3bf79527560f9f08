"""One image from a service, however often it has to be asked: retries, budget and pace."""

import random
import threading
from typing import Any
from urllib.parse import urlsplit

from assets.errors import AssayError
from assets.images.picture import examine
from models.generators import Drawn
from models.generators.options import ApiOptions
from models.generators.service.client import Refusal, Service, Trouble
from models.generators.service.download import DownloadError, download
from models.generators.service.pace import Pace
from models.generators.service.spending import Spending, dollars, usd
from models.generators.service.spool import Spool

LONGEST = 600.0
"""Seconds; a service that wants to be left alone for longer stops the run."""
BACK_OFF, MOST_BACK_OFF = 1.0, 60.0
BLANKS = 5
"""So many accepted requests in a row that bring no picture stop the run: each of them costs."""


class Asker:
    """Asks for images and keeps them; may be used by several threads."""

    def __init__(
        self, options: ApiOptions, service: Service, spool: Spool, spending: Spending, pace: Pace
    ) -> None:
        self._options, self._service, self._spool = options, service, spool
        self._spending, self._pace = spending, pace
        self._price, self._budget = usd(options.usd_per_image), usd(options.budget_usd)
        self._host = urlsplit(options.base_url).netloc
        self._blanks = 0

    def pay_for(self, name: str, prompt: str, asked: dict[str, Any], stop: threading.Event) -> None:
        """Have the answer to a request in the spool, unless `stop` is set before; sets `stop` when it fails.

        Args: name, asked: what the spool keeps it under.
        Raises:
            AssayError: the budget is reached, no answer after all tries, or one that a user has to mend.
        """
        try:
            drawn = self._had_before(name, stop) or self._ask(name, prompt, stop)
            if drawn is not None:
                self._spool.keep(name, asked, drawn)
                self._check_blanks(drawn)
        except OSError as error:
            stop.set()
            raise AssayError(f"{self._spool.folder} cannot be written: {error.strerror or error}") from None
        except BaseException:
            stop.set()  # here, not where it is waited for: this thread's next request comes before that
            raise

    def _had_before(self, name: str, stop: threading.Event) -> Drawn | None:
        """An image that was paid for, but not fetched before the process was killed."""
        before = self._spool.link(name)
        if before is None:
            return None
        try:
            return self._fetched(*before, stop)
        except DownloadError as error:
            if error.again:
                raise AssayError(f"{self._host}: {error}") from None
            return None  # links live for an hour or so: it has to be asked for again

    def _ask(self, name: str, prompt: str, stop: threading.Event) -> Drawn | None:
        """Ask until there is an answer; None once `stop` is set."""
        last = ""
        for attempt in range(self._options.retries + 1):
            if stop.is_set() or self._pause(self._pace.turn(), stop):
                return None
            charge = self._spending.reserve(self._price, self._budget)
            if charge is None:
                raise AssayError(f"the budget of {dollars(self._budget)} does not allow another request")
            try:
                answer = self._service.ask(prompt)
            except Refusal as refusal:
                self._spending.settle(charge, free=False)
                return Drawn(reason=f"refused: {refusal}")
            except Trouble as trouble:
                if trouble.free:
                    self._spending.settle(charge, free=True)
                if not trouble.again or (trouble.after or 0) > LONGEST:
                    raise AssayError(_final(trouble)) from None
                last = str(trouble)
                if attempt < self._options.retries and self._back_off(trouble, attempt, stop):
                    return None
                continue
            if answer.link is not None and not self._service.says_key(answer.link):
                self._spool.keep_link(name, answer.link, answer.note)
            self._spending.settle(charge, free=False)
            if answer.link is not None:
                try:
                    return self._fetched(answer.link, answer.note, stop)
                except DownloadError as error:
                    raise AssayError(f"{self._host}: {error}") from None
            if answer.data is None:
                return Drawn(reason="the service sent no image", note=answer.note)
            return _picture(answer.data, answer.note)
        times = self._options.retries + 1
        raise AssayError(f"gave up after {times} {'try' if times == 1 else 'tries'}: {last.rstrip('.')}")

    def _fetched(self, link: str, note: dict[str, Any], stop: threading.Event) -> Drawn | None:
        """Download what is paid for, where trying again costs nothing; None once `stop` is set."""
        attempt = 0
        while True:
            last = attempt >= self._options.retries
            try:
                drawn = _picture(download(link, self._options.base_url, self._options.timeout_s), note)
                if drawn.data is not None or last:
                    return drawn
            except DownloadError as error:
                if not error.again or last:
                    raise
            if self._pause(_back_off(attempt), stop):
                return None
            attempt += 1

    def _back_off(self, trouble: Trouble, attempt: int, stop: threading.Event) -> bool:
        """Wait before the next try; where the service says how long, every request waits."""
        if trouble.after is not None:
            self._pace.hold(trouble.after)
            return stop.is_set()
        return self._pause(_back_off(attempt), stop)

    def _pause(self, seconds: float, stop: threading.Event) -> bool:
        """Wait; returns whether to stop."""
        return stop.wait(seconds)

    def _check_blanks(self, drawn: Drawn) -> None:
        blank = drawn.data is None and not (drawn.reason or "").startswith("refused: ")
        self._blanks = self._blanks + 1 if blank else 0
        if self._blanks >= BLANKS:
            self._blanks = 0
            raise AssayError(
                f"{self._host} accepted {BLANKS} requests in a row and sent no picture, the last "
                f"time because: {drawn.reason}"
            )


def _picture(data: bytes, note: dict[str, Any]) -> Drawn:
    """The bytes as they came, where they are a picture."""
    reason = examine(data).reason
    return Drawn(data=data, note=note) if reason is None else Drawn(reason=f"no picture: {reason}", note=note)


def _back_off(attempt: int) -> float:
    """Seconds: twice as long each time, and not the same for all, so that they do not come back together."""
    return min(BACK_OFF * 2**attempt, MOST_BACK_OFF) * random.uniform(0.5, 1)


def _final(trouble: Trouble) -> str:
    said = str(trouble).rstrip(".")
    if trouble.again:
        return f"{said}; it asks to be left alone for {trouble.after:.0f} s"
    return said
