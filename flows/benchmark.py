"""The benchmark as a Prefect flow: what is out of date is brought up to date, and nothing else.

What the stages are is in `flows/running/chain.py`, how they are run in `flows/running/run.py`, where in
`flows/running/places.py`.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger
from prefect.artifacts import create_table_artifact
from prefect.exceptions import TerminationSignal as TerminationSignal
from prefect.task_runners import ThreadPoolTaskRunner

from assets.dag import REPORT, load_dag
from assets.errors import AssayError
from assets.lineage import Hashes
from flows.elsewhere.sending import IN_FLIGHT, Where, execute_on_cluster, places, to_do
from flows.records import records
from flows.records.finished import hashes_of_tables
from flows.running import dvc
from flows.running.limits import time_limits
from flows.running.openlineage import openlineage_events
from flows.running.publishing import publish_report
from flows.running.run import Run, execute, known_families
from flows.running.workspace import only_run

_POOL: ThreadPoolTaskRunner[Any] = ThreadPoolTaskRunner()  # `jobs` bounds what is submitted at a time


class RunFailed(Exception):
    """Stages failed; the message lists each with the end of its output and where the rest is."""

    def __init__(
        self, message: str, failed: dict[str, str] | None = None, done: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.failed = failed or {}
        """Stage -> what went wrong, in a line."""
        self.done = dict(done or {})
        """Stage -> what it did, of those that did not fail."""


@flow(name="benchmark", task_runner=_POOL)  # type: ignore[arg-type]  # its runners are invariant
def benchmark(
    jobs: int | None = None,
    targets: list[str] | None = None,
    remote: bool = False,
    limits: dict[str, float] | None = None,
    where: Where = "here",
    cluster: str | None = None,
) -> dict[str, Any]:
    """Bring the benchmark in the working directory up to date.

    Args:
        jobs: Stages that run side by side. A stage uses one core, and one that wants a GPU has one to
            itself. Empty: as many as there are cores; elsewhere, 64 that are waited for at a time.
        targets: Stages, families or paths to bring up to date, with all they need, e.g. ["train"]. Empty:
            everything.
        remote: Fetch what somebody else has already computed from DVC's remote, and push what is computed
            here. Workers in clones of their own do so anyway.
        limits: Hours after which a stage of a family is ended, e.g. {"train": 48}; 0: never. Families that
            are not named keep their own limits.
        where: Who does the stages. "here": this workspace. "workers": Prefect workers that poll the work
            queues cpu and gpu, on this machine or on others. "cluster": processes of a Dask or Ray cluster.
            The report is always made here.
        cluster: Address of that cluster, such as dask://host:8786 or ray://host:10001. Empty: what the
            variable ASSAY_CLUSTER says.

    Returns `lineage` and `recipe` that the tables print (None while there are no tables of what there is
    now), and `stages`: what each stage that was looked at did (`ran`, `restored`, `skipped`).

    Raises:
        AssayError: a mistake in params.yaml or dvc.yaml, a missing input, another run in this workspace.
        RunFailed: stages failed. What does not depend on them was finished first.
    """
    jobs = (cores() if where == "here" else IN_FLIGHT) if jobs is None else jobs
    if jobs < 1:
        raise AssayError(f"jobs is {jobs}: expected at least 1")
    seconds = time_limits(limits)
    root = Path.cwd()
    with only_run(root) as lock:
        if mended := dvc.heal_lock(root):
            get_run_logger().warning(mended)
        if remote:
            dvc.push_left(root)
        planned = {stage.stage: stage for stage in to_do(root, targets, where)}
        control = dvc.Control(held=(lock,))
        dag = known_families(load_dag(root))
        with (
            places(root, where, control, seconds, jobs, remote) as (here, away),
            openlineage_events(root, dag, get_run_logger().warning) as watchers,
        ):
            run = Run(root, dag, planned, control, here, away, watchers)
            if where == "cluster":
                execute_on_cluster(run, jobs, cluster or os.environ.get("ASSAY_CLUSTER"))
            else:
                execute(run, jobs)
        did = {stage: ran.how for stage, ran in run.done.items()}
        hashes = hashes_of_tables(root)
        _publish(run, hashes)
        if run.failed:
            why = {name: failure.reason for name, failure in run.failed.items()}
            raise RunFailed(_account(run), why, did)
        if hashes and not targets:
            _record(root)
    return {**(hashes.as_dict() if hashes else {"lineage": None, "recipe": None}), "stages": did}


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _record(root: Path) -> None:
    """Keep a finished benchmark in git; one that cannot be kept is a finished benchmark all the same."""
    try:
        records.record(root)
    except AssayError as error:
        get_run_logger().warning("this benchmark is not recorded: %s", error)


def _publish(run: Run, hashes: Hashes | None) -> None:
    """Leave the run's account with Prefect and, if there is a new report, what it says."""
    rows = [_row(run, name) for name in run.planned]
    known = f"lineage `{hashes.lineage}`, recipe `{hashes.recipe}`" if hashes else "no report yet"
    create_table_artifact(table=rows, key="benchmark-stages", description=known)
    if REPORT in run.done:
        publish_report(run.root / run.dag[REPORT].outs[0], known)


def _row(run: Run, name: str) -> dict[str, Any]:
    ran = run.done.get(name)
    how = ran.how if ran else "failed" if name in run.failed else "not run"
    return {
        "stage": name,
        "how": how,
        "seconds": ran.seconds if ran else None,
        "why": run.planned[name].why[0],
    }


def _account(run: Run) -> str:
    lost = len(run.planned) - len(run.done) - len(run.failed)
    lines = [f"{len(run.failed)} of {len(run.planned)} stages failed"]
    if lost:
        lines[0] += f"; {lost} more that depend on them did not run"
    for failure in run.failed.values():
        where = failure.log.relative_to(run.root) if failure.log.is_relative_to(run.root) else failure.log
        tail = "".join(f"\n    {line}" for line in failure.tail.splitlines())
        lines.append(f"\n{failure.stage}: {failure.reason}{tail}\n  all of its output: {where}")
    return "\n".join(lines)
