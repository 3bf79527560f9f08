"""What a Prefect server has to have before a run: work pool, queues, deployments; and no run of the dead."""

import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import flows
from assets.errors import AssayError

POOL = "assay"
COORDINATORS = "flows"
QUEUES = {
    COORDINATORS: "Whole runs: benchmark, refresh, reproduce. One at a time.",
    "cpu": "Single stages of runs that are spread over several machines.",
    "gpu": "Single stages that want a GPU; a worker here has one GPU and takes one stage at a time.",
}
"""Queue -> what it is for. A run waits for its stages: in one queue, they might wait for its end."""


def deployments_file(root: Path) -> Path:
    """The workspace's prefect.yaml, or the one beside this code."""
    own = root / "prefect.yaml"
    found = own if own.exists() else Path(flows.__file__).parents[1] / "prefect.yaml"
    if not found.exists():
        raise AssayError(f"{own.resolve()} is missing: serve from an Assay checkout")
    return found.resolve()


def make_pool() -> None:
    """Create the work pool and its queues, unless they are there; on the server that prefect talks to."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists
    from prefect.workers.process import ProcessWorker

    with get_client(sync_client=True) as client:
        pool = WorkPoolCreate(
            name=POOL, type="process", base_job_template=ProcessWorker.get_default_base_job_template()
        )
        with suppress(ObjectAlreadyExists):
            client.create_work_pool(pool)
        for name, purpose in QUEUES.items():
            with suppress(ObjectAlreadyExists):
                client.create_work_queue(name=name, description=purpose, work_pool_name=POOL)


def deploy(root: Path, environment: Mapping[str, str]) -> None:
    """`prefect deploy --all`.

    Raises:
        AssayError: it failed; its own words.
    """
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    done = subprocess.run(
        [*command, "--prefect-file", str(deployments_file(root))],
        cwd=root,
        # with the variable set, its value would be written into the deployments, for all workers
        env={name: value for name, value in environment.items() if name != "ASSAY_REPO"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise AssayError(f"`prefect deploy --all` failed:\n{(done.stderr + done.stdout).strip()}")


def end_orphans() -> list[str]:
    """Mark runs as crashed whose process went down with their worker; their names.

    Called when the one worker for whole runs is about to start: what is still called running then is not.
    Such a run would otherwise hold its deployment's place, and the next one would wait for it.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas import filters
    from prefect.client.schemas.objects import State, StateType
    from prefect.states import Crashed

    wanted = filters.FlowRunFilter(
        state=filters.FlowRunFilterState(
            type=filters.FlowRunFilterStateType(
                any_=[StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
            )
        )
    )
    queue = filters.WorkQueueFilter(name=filters.WorkQueueFilterName(any_=[COORDINATORS]))
    ended = []
    with get_client(sync_client=True) as client:
        for run in client.read_flow_runs(flow_run_filter=wanted, work_queue_filter=queue):
            if _alive(run.infrastructure_pid):
                continue  # it outlived its worker and will say itself how it ended
            gone: State[None] = Crashed(
                message="Its process ended together with `assay serve`; start it again."
            )
            client.set_flow_run_state(run.id, gone, force=True)
            ended.append(run.name)
    return ended


def _alive(process: str | None) -> bool:
    if not process or not process.isdecimal():
        return False
    try:
        command = Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return False
    return b"prefect" in command and Path(f"/proc/{process}").stat().st_uid == os.getuid()
