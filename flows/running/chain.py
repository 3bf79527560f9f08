"""The chain of a benchmark as Prefect tasks, one a family of stages:

    collect -> fit -> generate -> dedupe -> split -> audit, spectrum -> degrade -> train -> evaluate
            -> gallery -> report

One task run is one stage of dvc.yaml. Prefect decides when it starts and records what happened; DVC alone
decides what is up to date.
"""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Protocol

from prefect.assets import materialize
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import MaterializingTask, Task

from flows.running import dvc
from flows.running.limits import RETRIES

Facts = dict[str, Any]
Parcel = dict[str, Any] | None
StageTask = MaterializingTask[[str, Parcel], Facts]
ASSET = "assay://"
"""Prefix of the key of every Prefect asset: the rest is the path of an output."""


class Doer(Protocol):
    """What a run has for its tasks."""

    def do(self, stage: str) -> Facts:
        """Run a stage; returns what is known about it then."""
        ...


RUN: ContextVar[Doer] = ContextVar("run")
"""The run that this process's tasks belong to."""


def _do(stage: str, parcel: Parcel) -> Facts:
    """The body of every task. With a parcel it is in a process of a cluster, which knows of no run."""
    if parcel is None:
        return RUN.get().do(stage)
    from flows.elsewhere.errands import do_parcel

    return do_parcel(parcel)


def _may_pass(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Whether a failed stage is worth another attempt."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, dvc.StageFailed) and error.may_pass


def _stage_task(function: Callable[[str, Parcel], Facts]) -> StageTask:
    """What a task run is called, makes and reads is set for each stage."""
    decorate = materialize(
        f"{ASSET}{function.__name__}",
        by="dvc",
        name=function.__name__,
        task_run_name="{stage}",
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=RETRIES,
        retry_condition_fn=_may_pass,
    )
    return decorate(function)


@_stage_task
def collect(stage: str, parcel: Parcel = None) -> Facts:
    """Choose and crop the real images of one source."""
    return _do(stage, parcel)


@_stage_task
def fit(stage: str, parcel: Parcel = None) -> Facts:
    """Train, or take over, one model that draws images."""
    return _do(stage, parcel)


@_stage_task
def generate(stage: str, parcel: Parcel = None) -> Facts:
    """Draw, or pass on, one generator's images."""
    return _do(stage, parcel)


@_stage_task
def dedupe(stage: str, parcel: Parcel = None) -> Facts:
    """Find images that are one and the same."""
    return _do(stage, parcel)


@_stage_task
def split(stage: str, parcel: Parcel = None) -> Facts:
    """Part the kept images into train, val and test, by group."""
    return _do(stage, parcel)


@_stage_task
def audit(stage: str, parcel: Parcel = None) -> Facts:
    """See what gives a generator, or the whole set, away; and find what leaks from train to test."""
    return _do(stage, parcel)


@_stage_task
def spectrum(stage: str, parcel: Parcel = None) -> Facts:
    """Average the Fourier spectra of one item's images."""
    return _do(stage, parcel)


@_stage_task
def degrade(stage: str, parcel: Parcel = None) -> Facts:
    """Make the test images under every condition."""
    return _do(stage, parcel)


@_stage_task
def start(stage: str, parcel: Parcel = None) -> Facts:
    """Pin what one detector starts from: its code and its weights."""
    return _do(stage, parcel)


@_stage_task
def pool(stage: str, parcel: Parcel = None) -> Facts:
    """List the training images of several generators."""
    return _do(stage, parcel)


@_stage_task
def train(stage: str, parcel: Parcel = None) -> Facts:
    """Train one detector on one generator, or on several together, with one seed."""
    return _do(stage, parcel)


@_stage_task
def adopt(stage: str, parcel: Parcel = None) -> Facts:
    """Take in one detector that was made elsewhere, and choose its threshold."""
    return _do(stage, parcel)


@_stage_task
def evaluate(stage: str, parcel: Parcel = None) -> Facts:
    """Score one set of test images with all detectors trained on the same."""
    return _do(stage, parcel)


@_stage_task
def attribute(stage: str, parcel: Parcel = None) -> Facts:
    """Ask one attributor which generator made the test images of one."""
    return _do(stage, parcel)


@_stage_task
def gallery(stage: str, parcel: Parcel = None) -> Facts:
    """Pick out the test images that detectors get wrong most."""
    return _do(stage, parcel)


@_stage_task
def report(stage: str, parcel: Parcel = None) -> Facts:
    """Make the tables."""
    return _do(stage, parcel)


CHAIN: dict[str, StageTask] = {
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
"""Family -> task."""
