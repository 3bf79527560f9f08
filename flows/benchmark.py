"""The benchmark as a Prefect flow:

    collect -> fit -> generate -> dedupe -> split -> audit, spectrum -> degrade -> train -> evaluate
            -> gallery -> report

One task run is one stage of dvc.yaml, run by DVC in a child process. Prefect decides when a stage starts
(as soon as its own inputs are there) and records what happened; DVC alone decides what is up to date.
"""

import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger
from prefect.artifacts import create_table_artifact
from prefect.assets import Asset, add_asset_metadata, materialize
from prefect.cache_policies import NO_CACHE
from prefect.exceptions import TerminationSignal as TerminationSignal
from prefect.futures import PrefectFuture
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.tasks import MaterializingTask

from assets.dag import REPORT, Dag, load_dag
from assets.errors import AssayError
from assets.lineage import Hashes, Lineage, LineageError, is_current, printed
from flows import dvc, slots
from flows.display import Display
from flows.estimates import record_seconds
from flows.plan import Planned, check_inputs, plan
from flows.publishing import publish_report
from flows.workspace import only_run

Task = MaterializingTask[[str], dict[str, Any]]

_POOL: ThreadPoolTaskRunner[Any] = ThreadPoolTaskRunner()  # `jobs` bounds what is submitted at a time
_TICK = 0.2
_ASSET = "assay://"


class RunFailed(Exception):
    """Stages failed; the message lists each with the end of its output and where the rest is."""


@dataclass
class _Run:
    """What the tasks of one flow run share."""

    root: Path
    dag: Dag
    control: dvc.Control
    planned: dict[str, Planned]
    gpus: dict[str, slots.Slot] = field(default_factory=dict)
    done: dict[str, dvc.Ran] = field(default_factory=dict)
    failed: dict[str, dvc.StageFailed] = field(default_factory=dict)
    futures: dict[str, PrefectFuture[Any]] = field(default_factory=dict)


_RUN: ContextVar[_Run] = ContextVar("run")


def _stage_task(function: Callable[[str], dict[str, Any]]) -> Task:
    """One Prefect task a family; what a task run is called, makes and reads is set for each stage."""
    decorate = materialize(
        f"{_ASSET}{function.__name__}",
        by="dvc",
        name=function.__name__,
        task_run_name="{stage}",
        cache_policy=NO_CACHE,
        persist_result=False,
    )
    return decorate(function)


@_stage_task
def collect(stage: str) -> dict[str, Any]:
    """Choose and crop the real images of one source."""
    return _run_stage(stage)


@_stage_task
def fit(stage: str) -> dict[str, Any]:
    """Train, or take over, one model that draws images."""
    return _run_stage(stage)


@_stage_task
def generate(stage: str) -> dict[str, Any]:
    """Draw, or pass on, one generator's images."""
    return _run_stage(stage)


@_stage_task
def dedupe(stage: str) -> dict[str, Any]:
    """Find images that are one and the same."""
    return _run_stage(stage)


@_stage_task
def split(stage: str) -> dict[str, Any]:
    """Part the kept images into train, val and test, by group."""
    return _run_stage(stage)


@_stage_task
def audit(stage: str) -> dict[str, Any]:
    """See what gives a generator, or the whole set, away; and find what leaks from train to test."""
    return _run_stage(stage)


@_stage_task
def spectrum(stage: str) -> dict[str, Any]:
    """Average the Fourier spectra of one item's images."""
    return _run_stage(stage)


@_stage_task
def degrade(stage: str) -> dict[str, Any]:
    """Make the test images under every condition."""
    return _run_stage(stage)


@_stage_task
def start(stage: str) -> dict[str, Any]:
    """Pin what one detector starts from: its code and its weights."""
    return _run_stage(stage)


@_stage_task
def pool(stage: str) -> dict[str, Any]:
    """List the training images of several generators."""
    return _run_stage(stage)


@_stage_task
def train(stage: str) -> dict[str, Any]:
    """Train one detector on one generator, or on several together, with one seed."""
    return _run_stage(stage)


@_stage_task
def adopt(stage: str) -> dict[str, Any]:
    """Take in one detector that was made elsewhere, and choose its threshold."""
    return _run_stage(stage)


@_stage_task
def evaluate(stage: str) -> dict[str, Any]:
    """Score one set of test images with all detectors trained on the same."""
    return _run_stage(stage)


@_stage_task
def attribute(stage: str) -> dict[str, Any]:
    """Ask one attributor which generator made the test images of one."""
    return _run_stage(stage)


@_stage_task
def gallery(stage: str) -> dict[str, Any]:
    """Pick out the test images that detectors get wrong most."""
    return _run_stage(stage)


@_stage_task
def report(stage: str) -> dict[str, Any]:
    """Make the tables."""
    return _run_stage(stage)


CHAIN: dict[str, Task] = {
    task.name: task
    for task in (
        collect,
        fit,
        generate,
        dedupe,
        split,
        audit,
        spectrum,
        degrade,
        start,
        pool,
        train,
        adopt,
        evaluate,
        attribute,
        gallery,
        report,
    )
}


@flow(name="benchmark", task_runner=_POOL)  # type: ignore[arg-type]  # its runners are invariant
def benchmark(jobs: int = 2, targets: list[str] | None = None) -> dict[str, Any]:
    """Bring the benchmark in the working directory up to date.

    Args:
        jobs: stages that run side by side. Stages that want a GPU also wait for a free one.
        targets: stages, families or paths to bring up to date, with all they need; None: everything.

    Returns `lineage` and `recipe` that the tables print (None while there are no tables of what there is
    now), and `stages`: what each stage that was looked at did (`ran`, `restored`, `skipped`).

    Raises:
        AssayError: a mistake in params.yaml or dvc.yaml, a missing input, another run in this workspace.
        RunFailed: stages failed. What does not depend on them was finished first.
    """
    if jobs < 1:
        raise AssayError(f"jobs is {jobs}: expected at least 1")
    root = Path.cwd()
    with only_run(root) as lock:
        if mended := dvc.heal_lock(root):
            get_run_logger().warning(mended)
        planned = plan(root, targets)
        check_inputs(root, planned)
        control = dvc.Control(held=(lock,))
        run = _Run(root, _known_families(load_dag(root)), control, {stage.stage: stage for stage in planned})
        _execute(run, jobs)
        hashes = _printed(root)
        _publish(run, hashes)
        if run.failed:
            raise RunFailed(_account(run))
    return {
        **(hashes.as_dict() if hashes else {"lineage": None, "recipe": None}),
        "stages": {stage: ran.how for stage, ran in run.done.items()},
    }


def _known_families(dag: Dag) -> Dag:
    for stage in dag.stages.values():
        if stage.family not in CHAIN:
            raise AssayError(
                f"dvc.yaml has a stage '{stage.name}', but flows/benchmark.py has no task named "
                f"'{stage.family}': add one to the chain"
            )
    return dag


def _execute(run: _Run, jobs: int) -> None:
    """Run every planned stage that can be, each as soon as its own inputs are there."""
    waiting = {name: set(run.dag.upstream[name]) & set(run.planned) for name in run.planned}
    ended: queue.SimpleQueue[str] = queue.SimpleQueue()
    running: set[str] = set()
    token = _RUN.set(run)
    gpus = slots.devices()
    with _shown(run, jobs) as display:
        try:
            while waiting or running:
                for name in _startable(run, waiting, gpus, jobs - len(running)):
                    running.add(name)
                    display.started(name)
                    _submit(run, name, ended)
                for name in _ended(ended):
                    running.discard(name)
                    _settle(run, name, waiting)
                    display.finished(name, run.done[name].how if name in run.done else "FAILED")
                display.tick()
        finally:
            run.control.stop.set()  # nothing is running any more, or all of it has to end
            _RUN.reset(token)
            for slot in run.gpus.values():
                slot.release()


@contextmanager
def _shown(run: _Run, jobs: int) -> Iterator[Display]:
    display = Display(list(run.planned.values()), jobs)
    try:
        yield display
    finally:
        display.close()


def _startable(run: _Run, waiting: dict[str, set[str]], gpus: list[str], room: int) -> Iterator[str]:
    """Take stages out of `waiting` that may start now; a GPU stage takes its GPU along."""
    for name in [name for name, needs in waiting.items() if not needs]:
        if room < 1:
            return
        if run.planned[name].gpu and gpus:
            slot = slots.take(gpus)
            if slot is None:
                continue  # a stage further down may do without
            run.gpus[name] = slot
        del waiting[name]
        room -= 1
        yield name


def _submit(run: _Run, name: str, ended: "queue.SimpleQueue[str]") -> None:
    stage = run.dag[name]
    task = CHAIN[stage.family].with_options(
        assets=[_ASSET + out for out in stage.outs],
        asset_deps=[Asset(key=_ASSET + dep) for dep in stage.deps],
    )
    upstream = [run.futures[needed] for needed in run.dag.upstream[name] if needed in run.futures]
    future = task.submit(name, return_state=False, wait_for=upstream)
    run.futures[name] = future
    future.add_done_callback(lambda _: ended.put(name))


def _ended(ended: "queue.SimpleQueue[str]") -> Iterator[str]:
    """Names that have come in, after waiting a moment for the first."""
    try:
        yield ended.get(timeout=_TICK)
        while True:
            yield ended.get_nowait()
    except queue.Empty:
        return


def _settle(run: _Run, name: str, waiting: dict[str, set[str]]) -> None:
    """Let go of what a finished stage held and held up."""
    slot = run.gpus.pop(name, None)
    if slot:
        slot.release()
    dvc.keep_lock(run.root)
    if name in run.done:
        if run.done[name].how == "ran":
            record_seconds(run.root, name, run.done[name].seconds)
        for needs in waiting.values():
            needs.discard(name)
        return
    if name not in run.failed:  # not the stage's fault but Prefect's, or ours
        error = run.futures[name].result(raise_on_failure=False)
        run.failed[name] = dvc.StageFailed(name, f"{type(error).__name__}: {error}", Path("-"), "")
    for lost in run.dag.descendants([name]):
        waiting.pop(lost, None)


def _run_stage(stage: str) -> dict[str, Any]:
    """The body of every task."""
    run = _RUN.get()
    log = run.root / dvc.LOGS / f"{stage}.log"
    try:
        ran = _repro(run, stage)
    except dvc.StageFailed as failure:
        run.failed[stage] = failure
        raise
    finally:
        if log.is_file():
            get_run_logger().info(log.read_text("utf-8", errors="replace"))
    metadata = _describe(run, ran)
    run.done[stage] = ran
    return metadata


def _repro(run: _Run, stage: str) -> dvc.Ran:
    slot = run.gpus.get(stage)
    held = (*run.control.held, *((slot.handle,) if slot else ()))

    def repro(force: bool) -> dvc.Ran:
        return dvc.repro(
            run.root,
            stage,
            force=force,
            environment=slot.environment if slot else None,
            control=dvc.Control(run.control.stop, held),
        )

    ran = repro(force=run.planned[stage].force)
    if stage == REPORT and not is_current(run.root):
        ran = repro(force=True)  # the run cache gave back tables that print another hash
        if not is_current(run.root):
            tail = "its tables print another hash than assets.lineage.benchmark() gives"
            raise dvc.StageFailed(stage, "the printed lineage hash is wrong", ran.log, tail)
    return ran


def _describe(run: _Run, ran: dvc.Ran) -> dict[str, Any]:
    """Attach to the stage's assets where they come from; returns the same for the task's result."""
    lineage = Lineage(run.root)
    facts = {**lineage.stage(ran.stage).as_dict(), "how": ran.how, "seconds": ran.seconds}
    for path, md5 in lineage.outputs(ran.stage).items():
        if path in run.dag[ran.stage].outs:
            add_asset_metadata(_ASSET + path, {**facts, "md5": md5})
    return {"stage": ran.stage, **facts}


def _printed(root: Path) -> Hashes | None:
    """Hashes on the tables, if they are those of what there is now."""
    try:
        on_paper = printed(root)
        return on_paper if on_paper == Lineage(root).benchmark() else None
    except LineageError:
        return None


def _publish(run: _Run, hashes: Hashes | None) -> None:
    """Leave the run's account with Prefect and, if there is a new report, what it says."""
    rows = [_row(run, name) for name in run.planned]
    known = f"lineage `{hashes.lineage}`, recipe `{hashes.recipe}`" if hashes else "no report yet"
    create_table_artifact(table=rows, key="benchmark-stages", description=known)
    if REPORT in run.done:
        publish_report(run.root / run.dag[REPORT].outs[0], known)


def _row(run: _Run, name: str) -> dict[str, Any]:
    ran = run.done.get(name)
    how = ran.how if ran else "failed" if name in run.failed else "not run"
    return {
        "stage": name,
        "how": how,
        "seconds": ran.seconds if ran else None,
        "why": run.planned[name].why[0],
    }


def _account(run: _Run) -> str:
    lost = len(run.planned) - len(run.done) - len(run.failed)
    lines = [f"{len(run.failed)} of {len(run.planned)} stages failed"]
    if lost:
        lines[0] += f"; {lost} more that depend on them did not run"
    for failure in run.failed.values():
        where = failure.log.relative_to(run.root) if failure.log.is_relative_to(run.root) else failure.log
        tail = "".join(f"\n    {line}" for line in failure.tail.splitlines())
        lines.append(f"\n{failure.stage}: {failure.reason}{tail}\n  all of its output: {where}")
    return "\n".join(lines)
