"""Errands by way of the Prefect server: sent as runs of the deployment `stage`, followed, and called off."""

import json
import threading
import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    ArtifactFilterType,
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import State, StateType
from prefect.context import TaskRunContext
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings
from prefect.states import Cancelled, Cancelling

from assets.errors import AssayError

DEPLOYMENT = "stage/stage"
OUTCOME = "assay-outcome"
"""Type of the Prefect artifact that an errand's outcome comes back in."""
BEAT = "assay-beat"
"""Type of the one that a stage at work renews."""
_OPEN = [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING, StateType.PAUSED]
_QUICK, _SLOW = 0.4, 4.0
_YOUNG = 30.0
_PAGE = 200


class Post:
    """A Prefect server, as the sender of errands uses it; for several threads.

    Raises:
        AssayError: no server is configured, or it has no deployment `stage`.
    """

    def __init__(self) -> None:
        if not get_current_settings().api.url:
            raise AssayError(
                "stages on workers need a Prefect server that the workers reach, too: `assay serve` in "
                "another terminal, or export PREFECT_API_URL=http://machine:4200/api; see docs/workers.md"
            )
        self._open = ExitStack()
        self._client = self._open.enter_context(get_client(sync_client=True))
        try:
            found = self._client.read_deployment_by_name(DEPLOYMENT)
        except ObjectNotFound:
            raise AssayError(
                f"the Prefect server {get_current_settings().api.url} has no deployment '{DEPLOYMENT}'. "
                "That of `assay serve` has it: start it in this folder, in another terminal, or name its "
                "address in PREFECT_API_URL. Any other one gets it by `prefect deploy --all` in a checkout"
            ) from None
        self._deployment = found.id
        self.pool = found.work_pool_name or "assay"
        """The work pool that workers take errands from."""
        self._lock = threading.Lock()
        self._states: dict[UUID, State[Any]] = {}
        self._asked = 0.0
        self._since: dict[UUID, float] = {}

    def close(self) -> None:
        """Let go of the connection."""
        self._open.close()

    def send(self, stage: str, errand: dict[str, Any], key: str, queue: str) -> UUID:
        """Have an errand done by whoever polls a work queue; returns the flow run's id."""
        context = TaskRunContext.get()
        run = self._client.create_flow_run_from_deployment(
            self._deployment,
            parameters={"name": stage, "force": errand["force"], "errand": errand},
            name=stage,
            tags=["assay", key],
            work_queue_name=queue,
            parent_task_run_id=context.task_run.id if context else None,
        )
        return run.id

    def under_way(self, key: str) -> UUID | None:
        """A run of the errand with that key which is waiting or at work, if there is one."""
        runs = self._client.read_flow_runs(
            flow_run_filter=FlowRunFilter(
                tags=FlowRunFilterTags(all_=[key]),
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_OPEN)),
            ),
            limit=1,
        )
        return runs[0].id if runs else None

    def state(self, run: UUID) -> State[Any]:
        """State of a flow run, at most a few seconds old: all that are followed are asked for together.

        Raises:
            httpx.HTTPError: the server does not answer.
            AssayError: somebody deleted the run.
        """
        with self._lock:
            now = time.monotonic()
            self._since.setdefault(run, now)
            young = any(now - since < _YOUNG for since in self._since.values())
            if run not in self._states or now - self._asked > (_QUICK if young else _SLOW):
                self._ask()
            if run not in self._states:
                raise AssayError(f"the flow run {run} was deleted from the Prefect server")
            return self._states[run]

    def forget(self, run: UUID) -> None:
        """Follow a run no longer."""
        with self._lock:
            self._since.pop(run, None)
            self._states.pop(run, None)

    def _ask(self) -> None:
        followed = list(self._since)
        for at in range(0, len(followed), _PAGE):
            part = followed[at : at + _PAGE]
            chosen = FlowRunFilter(id=FlowRunFilterId(any_=part))
            for run in self._client.read_flow_runs(flow_run_filter=chosen, limit=_PAGE):
                if run.state:
                    self._states[run.id] = run.state
        self._asked = time.monotonic()

    def outcome(self, run: UUID) -> Any:
        """What a worker left as the outcome of a flow run, or None."""
        return self._left(run, OUTCOME)

    def beat(self, run: UUID) -> Any:
        """Something that changes as long as a flow run's worker is alive; None before it has begun."""
        return self._left(run, BEAT)

    def _left(self, run: UUID, kind: str) -> Any:
        wanted = ArtifactFilter(
            flow_run_id=ArtifactFilterFlowRunId(any_=[run]), type=ArtifactFilterType(any_=[kind])
        )
        found = self._client.read_artifacts(artifact_filter=wanted)
        if not found:
            return None
        newest = max(found, key=lambda one: one.created.timestamp() if one.created else 0.0)
        return json.loads(newest.data) if isinstance(newest.data, str) else newest.data

    def cancel(self, runs: Iterable[UUID]) -> None:
        """Call flow runs off; the workers end what is at work."""
        for run in runs:
            with suppress(httpx.HTTPError, ObjectNotFound):
                state = self._client.read_flow_run(run).state
                if state and not state.is_final():
                    begun = state.is_running() or state.is_pending()
                    self._client.set_flow_run_state(run, Cancelling() if begun else Cancelled())

    def polled(self, queue: str) -> float | None:
        """When a worker last asked a work queue for work, in seconds since the epoch; None: never."""
        try:
            found = self._client.read_work_queue_by_name(queue, work_pool_name=self.pool)
        except ObjectNotFound:
            return None
        return found.last_polled.timestamp() if found.last_polled else None
