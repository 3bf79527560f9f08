"""Places that are not this workspace: workers that take errands from a Prefect server, or a cluster.

This workspace is the coordinator's: it has dvc.lock, which grows with every stage that is done somewhere,
and needs neither inputs nor outputs, but for those of the report.
"""

import hashlib
import json
import logging
import threading
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

from assets.dag import DVC_YAML, Dag, load_dag, look_up
from assets.errors import AssayError
from assets.files import write_text
from assets.lineage import read_lock
from assets.yaml12 import PARAMS_YAML, parse_yaml
from flows.elsewhere import clone
from flows.elsewhere.errands import Errand, Outcome, code_deps, read_outcome
from flows.elsewhere.fetching import DATA_DVC, bring, has_remote, push_inputs
from flows.elsewhere.fragments import Entry, check_entry, from_text, merge, outs_behind, recorded_outs
from flows.elsewhere.post import Post
from flows.elsewhere.settled import made_elsewhere, note
from flows.planning.plan import Planned
from flows.running import dvc
from flows.running.places import Here, Ticket

QUEUES = ("cpu", "gpu")
LOST_SECONDS = 300.0
"""A stage whose worker gives no sign of life for so long is sent again."""
LONELY_SECONDS = 60.0
"""A queue that no worker has asked for work for so long is warned of."""
_TRIES = 3
_SERVER_PATIENCE = 900.0
_FIRST_POLL, _LAST_POLL = 0.3, 4.0
_GROWTH = 1.3
T = TypeVar("T")


class Away:
    """What all places elsewhere have in common: what is sent, and what is made of what comes back."""

    def __init__(self, root: Path, control: dvc.Control, limits: Mapping[str, float], share: bool) -> None:
        """Args: share: pass on through the remote even what is done in this very folder."""
        self._root = root
        self._control = control
        self._limits = limits
        self._share = share
        self._dag: Dag = load_dag(root)
        self._params = (root / PARAMS_YAML).read_text("utf-8")
        self._data = (root / DATA_DVC).read_text("utf-8") if (root / DATA_DVC).is_file() else None
        self._commit = clone.commit_of(root)
        self._token = clone.token(root)
        self._md5: dict[str, str] = {}
        self._outcomes: dict[str, tuple[Outcome, Entry]] = {}
        self._one = threading.Lock()
        if has_remote(root):
            push_inputs(root)

    def admit(self, planned: Planned) -> Ticket | None:
        """Whoever takes a stage sees for itself that it has what it needs."""
        return Ticket(planned)

    def settle(self, ran: dvc.Ran) -> None:
        """Put a stage's entry into dvc.lock, if whoever did it has not, and remember what it had read."""
        outcome, entry = self._outcomes.pop(ran.stage)
        with self._one:
            if not outcome.same:
                merge(self._root, {ran.stage: entry})
            dvc.keep_lock(self._root)
            note(self._root, self._dag, ran.stage, entry, elsewhere=not outcome.same)

    def _errand(self, planned: Planned) -> Errand:
        stage = planned.stage
        with self._one:
            recorded = read_lock(self._root)
            outs = outs_behind(self._dag, stage)
            return Errand(
                stage=stage,
                force=planned.force,
                params=self._params,
                data=self._data,
                code={path: self._code(path) for path in (DVC_YAML, *code_deps(self._dag, stage))},
                commit=self._commit,
                inputs=recorded_outs(self._dag, recorded, outs),
                elsewhere=tuple(made_elsewhere(self._root, self._dag, outs)),
                share=self._share,
                limit=self._limits.get(planned.family) or None,
                token=self._token,
            )

    def _code(self, path: str) -> str:
        if path not in self._md5:
            self._md5[path] = clone.md5_of(self._root / path)
        return self._md5[path]

    def _take(self, errand: Errand, document: Any, by: str) -> dvc.Ran:
        """What a stage's outcome means here.

        Raises:
            dvc.StageFailed: it failed, or it is not what was asked for.
        """
        stage = errand.stage
        log = self._root / dvc.LOGS / f"{stage}.log"
        outcome = read_outcome(document)
        write_text(log, f"{outcome.how} in {outcome.where}, {by}; the end of its output:\n{outcome.tail}\n")
        if outcome.how == "failed":
            raise dvc.StageFailed(stage, outcome.reason, log, outcome.tail, outcome.may_pass)
        entry = from_text(outcome.entry)
        made = {out: content["md5"] for out, content in errand.inputs.items()}
        if wrong := check_entry(self._root, self._dag, stage, entry, {**errand.code, **made}):
            reason = f"{outcome.where} gave back something else: {wrong}"
            raise dvc.StageFailed(stage, reason, log, outcome.tail)
        self._outcomes[stage] = (outcome, entry)
        how: Any = outcome.how  # read_outcome saw to it
        return dvc.Ran(stage, how, outcome.seconds, log)


class Workers(Away):
    """Prefect workers: each stage is a run of the deployment `stage`, in the work queue `cpu` or `gpu`."""

    def __init__(
        self, root: Path, control: dvc.Control, limits: Mapping[str, float], share: bool, post: Post
    ) -> None:
        super().__init__(root, control, limits, share)
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
        key = _key(self._dag, errand)
        for attempt in range(_TRIES):
            run = self._reach(lambda: self._post.under_way(key)) if attempt == 0 else None
            if run:
                self._log.info("%s: is at work already, for a run that was ended", errand.stage)
            else:
                run = self._reach(lambda: self._post.send(errand.stage, errand.as_dict(), key, queue))
            ran = self._wait(errand, run, queue)
            if ran:
                return ran
            self._log.warning("%s: its worker was lost (attempt %d of %d)", errand.stage, attempt + 1, _TRIES)
        raise self._failed(errand.stage, f"{_TRIES} workers in a row were lost while they were at it")

    def _wait(self, errand: Errand, run: UUID, queue: str) -> dvc.Ran | None:
        """Follow a flow run to its end; None if whoever had it is gone."""
        pause, life = _FIRST_POLL, _Life()
        try:
            while True:
                if self._control.stop.is_set():
                    self._post.cancel([run])
                    raise dvc.Stopped(errand.stage)
                state = self._reach(lambda: self._post.state(run))
                if state.is_final():
                    return self._ended(errand, run, state.type, state.message or "")
                if state.is_running():
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
            self._log.warning(
                "stages wait in the work queue '%s', which no worker polls: on a machine with a clone, "
                "`ASSAY_REPO=$PWD prefect worker start --pool %s --work-queue %s --limit 1`",
                queue,
                self._post.pool,
                queue,
            )


class Cluster(Away):
    """Processes of a Dask or Ray cluster, which do errands in the clones that ASSAY_REPO names there."""

    def parcel(self, planned: Planned) -> dict[str, Any]:
        """The errand."""
        return self._errand(planned).as_dict()

    def run(self, ticket: Ticket) -> dvc.Ran:
        """Never called: a cluster's process does the errand with `flows.elsewhere.errands.do_parcel`."""
        raise NotImplementedError

    def unpack(self, planned: Planned, document: Any) -> dvc.Ran:
        """What a process of the cluster gave back; `settle` it then.

        Raises:
            dvc.StageFailed: it is not what was asked for.
        """
        return self._take(self._errand(planned), document, "a process of the cluster")


class Gathering(Here):
    """This workspace, for the report: what it reads is fetched first, whatever lies here."""

    def __init__(self, root: Path, control: dvc.Control, limits: Mapping[str, float], jobs: int) -> None:
        self._fetches = has_remote(root)
        super().__init__(root, control, limits, jobs, remote=self._fetches)

    def run(self, ticket: Ticket) -> dvc.Ran:
        """Fetch what the stage reads, then as in `Here`."""
        dag = load_dag(self._root)
        stage = ticket.planned.stage
        try:
            bring(self._root, outs_behind(dag, stage), [], self._fetches)
        except AssayError as error:
            log = self._root / dvc.LOGS / f"{stage}.log"
            raise dvc.StageFailed(stage, "what it reads cannot be fetched", log, str(error), True) from None
        return super().run(ticket)


class _Life:
    """Whether signs of life of one worker keep coming, by this machine's clock alone."""

    def __init__(self) -> None:
        self._asked = self._changed = time.monotonic()
        self._last: Any = None

    def is_over(self, beat: Callable[[], Any]) -> bool:
        now = time.monotonic()
        if now - self._asked < LOST_SECONDS / 5:
            return False
        self._asked = now
        last = beat()
        if last != self._last:
            self._last, self._changed = last, now
        return now - self._changed > LOST_SECONDS


def _key(dag: Dag, errand: Errand) -> str:
    """Under which an errand is found again: what is asked for and what is read, in this folder's name."""
    wanted = dag[errand.stage]
    document = parse_yaml(errand.params, PARAMS_YAML)
    params = {
        file: [[key, look_up(document, key)] for key in keys] if file == PARAMS_YAML else []
        for file, keys in wanted.params.items()
    }
    read = [dict(errand.code), errand.inputs, errand.data]
    text = json.dumps(
        [errand.token, errand.stage, errand.force, wanted.cmd, params, read], sort_keys=True, default=str
    )
    return f"errand:{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def _logger() -> Any:
    with suppress(MissingContextError):
        return get_run_logger()
    return logging.getLogger(__name__)
