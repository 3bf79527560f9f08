"""Prefect workers as a place for stages: errands go out by a queue, and are followed until they are done."""

import logging
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import httpx
from prefect import get_run_logger
from prefect.client.schemas.objects import StateType
from prefect.exceptions import MissingContextError

from assets.errors import AssayError
from flows.elsewhere.away import Away
from flows.elsewhere.errand import Errand
from flows.elsewhere.life import Life
from flows.elsewhere.names import name_of
from flows.elsewhere.post import Post
from flows.planning.plan import Planned
from flows.running import dvc
from flows.running.places import Ticket

QUEUES = ("cpu", "gpu")
LONELY_SECONDS = 60.0
"""A queue that no worker has asked for work for so long is warned of."""
_TRIES = 3
_SERVER_PATIENCE = 900.0
_FIRST_POLL, _LAST_POLL = 0.3, 4.0
_GROWTH = 1.3
T = TypeVar("T")


class Workers(Away):
    """Prefect workers: each stage is a run of the deployment `stage`, in the work queue `cpu` or `gpu`."""

    def __init__(self, root: Path, control: dvc.Control, limits: Mapping[str, float], post: Post) -> None:
        super().__init__(root, control, limits)
        self._post = post
        self._log = _logger()
        self._warned: dict[str, float] = dict.fromkeys(QUEUES, time.monotonic())

    def parcel(self, planned: Planned) -> None:
        """Sent by `run`."""

    def unpack(self, planned: Planned, document: Any) -> dvc.Ran:
        """Nothing is packed."""
        raise NotImplementedError

    def run(self, ticket: Ticket) -> dvc.Ran:
        """Send a stage and wait for it; one that is at work for a run that was killed is waited for.

        Raises:
            dvc.StageFailed: it failed, or three workers in a row were lost with it.
            dvc.Stopped: the run was told to stop; the stage was called off.
        """
        errand = self._errand(ticket.planned)
        queue = "gpu" if ticket.planned.gpu else "cpu"
        key = name_of(self._dag, errand)
        for attempt in range(_TRIES):
            run = self._reach(lambda: self._post.under_way(key)) if attempt == 0 else None
            if run:
                self._log.info("%s: is at work already, for a run that was ended", errand.stage)
            else:
                run = self._reach(lambda: self._post.send(errand.stage, errand.as_dict(), key, queue))
            ran = self._wait(errand, run, queue)
            if ran:
                return ran
            self._warn(f"{errand.stage}: its worker was lost (attempt {attempt + 1} of {_TRIES})")
        raise self._failed(errand.stage, f"{_TRIES} workers in a row were lost while they were at it")

    def _wait(self, errand: Errand, run: UUID, queue: str) -> dvc.Ran | None:
        """Follow a flow run to its end; None if whoever had it is gone."""
        pause, life = _FIRST_POLL, Life()
        try:
            while True:
                if self._control.stop.is_set():
                    self._post.cancel([run])
                    raise dvc.Stopped(errand.stage)
                state = self._reach(lambda: self._post.state(run))
                if state.is_final():
                    return self._ended(errand, run, state.type, state.message or "")
                if state.is_running() or state.is_pending():  # a worker has it
                    if life.is_over(lambda: self._reach(lambda: self._post.beat(run))):
                        self._post.cancel([run])
                        return None
                else:
                    self._warn_if_lonely(queue)
                self._control.stop.wait(pause)
                pause = min(pause * _GROWTH, _LAST_POLL)
        finally:
            self._post.forget(run)

    def _ended(self, errand: Errand, run: UUID, kind: StateType, message: str) -> dvc.Ran | None:
        document = self._reach(lambda: self._post.outcome(run))
        if document is not None:
            return self._take(errand, document, f"flow run {run}")
        if kind == StateType.CRASHED:
            return None
        how = {
            StateType.CANCELLED: "it was cancelled in Prefect",
            StateType.COMPLETED: "its worker left no outcome; bring its clone to the run's commit",
        }.get(kind, message)
        raise self._failed(errand.stage, how)

    def _failed(self, stage: str, reason: str) -> dvc.StageFailed:
        return dvc.StageFailed(stage, reason, self._root / dvc.LOGS / f"{stage}.log", "")

    def _reach(self, ask: Callable[[], T]) -> T:
        """Ask the server, with patience: it may be started anew while stages are at work.

        Raises:
            AssayError: it has not answered for a quarter of an hour.
        """
        end = time.monotonic() + _SERVER_PATIENCE
        while True:
            try:
                return ask()
            except httpx.HTTPError as error:
                if time.monotonic() > end or self._control.stop.is_set():
                    raise AssayError(f"the Prefect server does not answer: {type(error).__name__}") from None
                self._control.stop.wait(_LAST_POLL)

    def _warn_if_lonely(self, queue: str) -> None:
        with self._one:
            if time.monotonic() - self._warned[queue] < LONELY_SECONDS:
                return
            self._warned[queue] = time.monotonic()
        polled = self._reach(lambda: self._post.polled(queue))
        if polled is None or time.time() - polled > LONELY_SECONDS:
            self._warn(
                f"stages wait in the work queue '{queue}', which no worker polls: `assay worker --queue "
                f"{queue}` in a clone on another machine, with PREFECT_API_URL set to this server's address"
            )

    def _warn(self, message: str) -> None:
        """Into the run's log, and to a person at a terminal, where Prefect's log is kept quiet."""
        self._log.warning(message)
        print(f"\nwarning: {message}", file=sys.stderr, flush=True)


def _logger() -> Any:
    with suppress(MissingContextError):
        return get_run_logger()
    return logging.getLogger(__name__)
