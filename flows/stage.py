"""One stage as a Prefect flow: what a worker does for a run elsewhere, or when a person asks for it."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
from prefect import flow, get_run_logger
from prefect.artifacts import Artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactUpdate

from assets.dag import load_dag
from flows.elsewhere.arrivals import read_errand
from flows.elsewhere.errand import ErrandFailed
from flows.elsewhere.errands import free_gpu, perform
from flows.elsewhere.post import BEAT, OUTCOME
from flows.running import dvc, slots
from flows.running.limits import time_limits
from flows.running.workspace import only_run


@flow(name="stage", flow_run_name="{name}", persist_result=False)
def stage(name: str, force: bool = False, errand: dict[str, Any] | None = None) -> str:
    """Bring one stage up to date, in the workspace of the worker that takes this run.

    Args:
        name: The stage, as dvc.yaml names it, such as train@dcgan-resnet18-0. Its inputs have to be there.
        force: Run its command even if nothing has changed.
        errand: Leave this empty. A run of the benchmark that has its stages done by workers fills it in.

    Returns what was done: `ran`, `restored` from the cache, or `skipped`.

    Raises:
        AssayError: there is no such stage; another run is at work in the workspace.
        StageFailed: it failed.
    """
    root = Path.cwd()
    if errand is None:
        return _own(root, name, force)
    asked = read_errand(errand)
    with _heart(asked.beat):
        outcome = perform(root, asked)
    get_run_logger().info(outcome.tail)
    Artifact(type=OUTCOME, description=f"{name}: {outcome.how}", data=outcome.as_dict()).create()
    if outcome.how == "failed":
        raise ErrandFailed(outcome)
    return outcome.how


def _own(root: Path, name: str, force: bool) -> str:
    with only_run(root) as lock, ExitStack() as stack:
        if mended := dvc.heal_lock(root):
            get_run_logger().warning(mended)
        wanted = load_dag(root)[name]
        environment: dict[str, str] | None = None
        held: tuple[int, ...] = (lock,)
        if wanted.gpu and (gpus := slots.devices()):
            slot = free_gpu(gpus)
            stack.callback(slot.release)
            environment, held = slot.environment, (lock, slot.handle)
        limit = time_limits()[wanted.family]
        control = dvc.Control(held=held)
        try:
            ran = dvc.repro(root, name, force=force, timeout=limit, environment=environment, control=control)
        except dvc.StageFailed as failure:
            get_run_logger().error(failure.tail)
            raise
        get_run_logger().info(ran.log.read_text("utf-8", errors="replace"))
        dvc.keep_lock(root)
        return ran.how


@contextmanager
def _heart(seconds: float) -> Iterator[None]:
    """Renew a Prefect artifact while the block runs, so that whoever waits knows this machine is alive."""
    artifact: Any = Artifact(type=BEAT, description="the worker is alive", data=0).create()
    over = threading.Event()

    def beat() -> None:
        count = 0
        while not over.wait(seconds):
            count += 1
            with suppress(httpx.HTTPError), get_client(sync_client=True) as client:
                client.update_artifact(artifact.id, ArtifactUpdate(data=str(count)))

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(10)
