"""A run whose stages are done elsewhere: what is to do, by whom, and what is left to do here."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Literal

from prefect import flow
from prefect.task_runners import TaskRunner

from assets.dag import REPORT, load_dag
from assets.errors import AssayError
from assets.params import load_params
from assets.yaml12 import PARAMS_YAML
from flows.elsewhere.cluster import Cluster
from flows.elsewhere.gathering import Gathering
from flows.elsewhere.post import Post
from flows.elsewhere.settled import still_open
from flows.elsewhere.workers import Workers
from flows.planning.checks import check_params
from flows.planning.plan import Planned, check_inputs, plan
from flows.running import dvc
from flows.running.places import Here, Place
from flows.running.run import Run, execute

Where = Literal["here", "workers", "cluster"]
IN_FLIGHT = 64
"""Stages that are out at a time, if nothing else is said."""
_RUN: ContextVar[tuple[Run, int]] = ContextVar("run-on-cluster")


def to_do(root: Path, targets: Collection[str] | None, where: Where) -> list[Planned]:
    """What has to be brought up to date; elsewhere, what is not here does not count.

    Raises:
        AssayError: a mistake in params.yaml or dvc.yaml; an input that has to be here and is not.
    """
    planned = plan(root, targets)
    if where == "here":
        check_inputs(root, planned)
        return planned
    check_params(load_params(root / PARAMS_YAML), root)
    return still_open(root, load_dag(root), planned)


@contextmanager
def places(
    root: Path, where: Where, control: dvc.Control, limits: dict[str, float], jobs: int, remote: bool
) -> Iterator[tuple[Here, Place | None]]:
    """Where the report is made, and where everything else is if that is not here, too.

    Raises:
        AssayError: no Prefect server that has the deployment `stage`.
    """
    if where == "here":
        yield Here(root, control, limits, jobs, remote), None
        return
    here = Gathering(root, control, limits, 1)
    if where == "cluster":
        yield here, Cluster(root, control, limits)
        return
    post = Post()
    try:
        yield here, Workers(root, control, limits, post)
    finally:
        post.close()


def execute_on_cluster(run: Run, jobs: int, address: str | None) -> None:
    """Run all stages but the report in a cluster's processes, then the report in this one.

    Args:
        address: `dask://HOST:PORT` or `ray://HOST:PORT`.

    Raises:
        AssayError: another address, or the integration for it is not installed.
    """
    runner = task_runner(address)
    others = {name: planned for name, planned in run.planned.items() if name != REPORT}
    control = dvc.Control(held=run.control.held)
    token = _RUN.set((_part(run, others, control), jobs))
    try:
        _on_cluster.with_options(task_runner=runner)()
    finally:
        _RUN.reset(token)
    if REPORT in run.planned and not run.failed:
        execute(_part(run, {REPORT: run.planned[REPORT]}, run.control), 1)


def _part(run: Run, planned: dict[str, Planned], control: dvc.Control) -> Run:
    return Run(
        run.root,
        run.dag,
        planned,
        control,
        run.here,
        run.away,
        run.watchers,
        done=run.done,
        failed=run.failed,
    )


@flow(name="benchmark-stages", persist_result=False)
def _on_cluster() -> None:
    """The stages of a benchmark, in the processes of a cluster. Started by the flow `benchmark`."""
    _execute_here()


def _execute_here() -> None:
    """The flow itself goes to the cluster's processes with every task, and has to do without `_RUN`."""
    run, jobs = _RUN.get()
    execute(run, jobs)


def task_runner(address: str | None) -> TaskRunner[Any]:
    """Prefect's task runner for the cluster at an address.

    Raises:
        AssayError: no such kind of cluster, or its integration is not installed.
    """
    kind, _, rest = (address or "").partition("://")
    if kind not in ("dask", "ray") or not rest:
        raise AssayError(
            f"cluster is {address!r}: expected dask://HOST:PORT or ray://HOST:PORT, as a parameter of the "
            "run or in ASSAY_CLUSTER"
        )
    try:
        if kind == "dask":
            from prefect_dask import DaskTaskRunner

            return DaskTaskRunner(address=f"tcp://{rest}")
        from prefect_ray import RayTaskRunner

        ray: TaskRunner[Any] = RayTaskRunner(address=f"ray://{rest}")
        return ray
    except ImportError:
        raise AssayError(f"prefect-{kind} is not installed: pip install 'assay-benchmark[{kind}]'") from None
