"""`assay serve` and `assay worker`: what is needed for runs from Prefect's UI, by schedule and by event.

One machine: a server, one worker for whole runs, one for single stages, one more for each GPU. Every one of
them is a child process that is started again when it dies and that does not outlive this one.
"""

import os
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from assets.errors import AssayError
from flows.elsewhere.fetching import has_remote
from flows.running import dvc, slots
from flows.serving.children import Child, Keeper, path_with_ours
from flows.serving.notice import leave_notice, only_serve
from flows.serving.server import (
    PREFECT,
    await_health,
    is_healthy,
    own_environment,
    require_free,
    server,
    used,
)
from flows.serving.setup import COORDINATORS, POOL, QUEUES, deploy, deployments_file, end_orphans, make_pool

LOGS = dvc.WORKSPACE / "serve"
STAGE_QUEUES = tuple(name for name in QUEUES if name != COORDINATORS)
_TICK = 0.5
Say = Callable[[str], None]


def serve(root: Path, host: str, port: int, say: Say, until: Callable[[], bool] = lambda: False) -> None:
    """Serve this workspace until interrupted.

    Args:
        until: asked all the time; true ends it.

    Raises:
        AssayError: another one is at work here, the port is taken, a child does not start.
    """
    deployments_file(root)
    with only_serve(root):
        os.environ.update(own_environment(root))  # before prefect is loaded: it reads nothing of the user's
        require_free(host, port)
        first = server(root, host, port)
        url = first.environment["PREFECT_API_URL"]
        with closing(_Kept(say)) as kept, used(url):
            say("starting the Prefect server ...")
            kept.add(first)
            await_health(url, first)
            make_pool()
            say("deploying prefect.yaml ...")
            deploy(root, own_environment(root, url))
            _end_orphans(say)
            for child in [_coordinator(root, url, say), *stage_workers(root, url)]:
                kept.add(child)
                say(f"started {child.name}  ({child.log})")
            leave_notice(root, url)
            say(f"\nthe UI:       {url.removesuffix('/api')}")
            say("start a run:  assay start benchmark      (in another terminal, in this folder)")
            say("stop:         Ctrl-C")
            while not until():
                kept.tick()
                time.sleep(_TICK)


def work(root: Path, url: str, queues: Sequence[str], say: Say) -> None:
    """Work off stages that a coordinator on another machine sends, until interrupted.

    One at a time, for that is what a clone does: a worker with room for more would take stages from others
    and have them wait here.

    Raises:
        AssayError: an unknown queue, no server there, no DVC remote here.
    """
    for queue in queues:
        if queue not in STAGE_QUEUES:
            raise AssayError(f"--queue is '{queue}': expected one of {', '.join(STAGE_QUEUES)}")
    if not is_healthy(url):
        raise AssayError(f"no Prefect server answers at {url}; start `assay serve` there, or set another URL")
    if not has_remote(root):
        raise AssayError(
            "this clone has no default DVC remote: inputs come from there and results go there; "
            "`dvc remote add -d NAME URL`, the same as on the machine that serves"
        )
    with closing(_Kept(say)) as kept:
        child = _worker(root, url, "-".join(queues), queues, 1, {})
        kept.add(child)
        say(f"started {child.name}  ({child.log})")
        say(f"working for {url}; Ctrl-C stops")
        while True:
            kept.tick()
            time.sleep(_TICK)


class _Kept(Keeper):
    def close(self) -> None:
        self.say("\nstopping ...")
        self.stop()


def stage_workers(root: Path, url: str) -> list[Child]:
    """Workers for single stages: one a GPU for `gpu`, and one for all the rest, with a stage a core."""
    gpus = slots.devices()
    rest = [queue for queue in STAGE_QUEUES if queue != "gpu" or not gpus]
    found = [_worker(root, url, "-".join(rest), rest, _cores(), {})]
    for gpu in gpus:
        slot = {"CUDA_VISIBLE_DEVICES": gpu}
        found.append(_worker(root, url, f"gpu{gpu}", ["gpu"], 1, slot))
    return found


def _coordinator(root: Path, url: str, say: Say) -> Child:
    """One run at a time: two in one workspace would write the same folders, and the second waits here."""
    child = _worker(root, url, COORDINATORS, [COORDINATORS], 1, {})
    child.prepare = lambda: _end_orphans(say)
    return child


def _end_orphans(say: Say) -> None:
    for name in end_orphans():
        say(f"run '{name}' ended with its worker; it is marked as crashed, start it again")


def _worker(
    root: Path, url: str, what: str, queues: Sequence[str], limit: int, extra: dict[str, str]
) -> Child:
    name = f"{root.resolve().name}@{socket.gethostname()} {what}"
    environment = own_environment(root, url)
    command = ["worker", "start", "--pool", POOL, "--type", "process", "--name", name, "--limit", str(limit)]
    asked = [part for queue in queues for part in ("--work-queue", queue)]
    return Child(
        f"the worker for {' and '.join(queues)}"
        + (f" on GPU {extra['CUDA_VISIBLE_DEVICES']}" if extra else ""),
        [*PREFECT, *command, *asked],
        {
            **environment,
            **extra,
            "ASSAY_REPO": str(root.resolve()),
            "PATH": path_with_ours(environment),  # `python` in the deployments' command
        },
        root / LOGS / f"worker-{what}.log",
    )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
