"""SIGKILL of the Prefect server and of a worker; cancelling as the UI does; runs of a deployment in line."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from flows.running import guard
from tests import prefect_server
from tests.drills.scene import Scene, Seen, Toy, kill, until

_GUARDED = [sys.executable, "-I", "-S", guard.__file__, sys.executable, "-m", "prefect"]


class Server:
    """A Prefect server that can be killed and started again."""

    def __init__(self, home: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        home.mkdir(parents=True)
        self._home = home
        self.environment = {
            **prefect_server.QUIET,
            "PREFECT_HOME": str(home),
            "PREFECT_API_URL": f"http://127.0.0.1:{self._port}/api",
        }
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        serve = ["server", "start", "--host", "127.0.0.1", "--port", str(self._port), "--no-ui"]
        self._process = subprocess.Popen(
            [*_GUARDED, *serve],
            env={**os.environ, **self.environment},
            stdin=subprocess.PIPE,
            stdout=(self._home / "server.log").open("ab"),
            stderr=subprocess.STDOUT,
        )
        until(self._answers, 240, (self._home / "server.log").read_text)

    def kill(self) -> None:
        """SIGKILL to all of it."""
        self._process.kill()
        self._process.wait()
        until(lambda: not self._answers())

    def states(self) -> list[str]:
        """Of its flow runs, by name."""
        request = urllib.request.Request(
            f"{self.environment['PREFECT_API_URL']}/flow_runs/filter",
            b"{}",
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return [run["state"]["name"] for run in json.load(answer)]

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.environment['PREFECT_API_URL']}/health", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


class Worker:
    """A process worker, and a deployment of the benchmark in one workspace."""

    def __init__(self, scene: Scene, orders: dict[str, Any]) -> None:
        self._environment = scene.environment
        pool = f"drill-{scene.root.parent.name}-{time.time_ns()}"
        self._ask("work_pools/", {"name": pool, "type": "process"})
        flow = self._ask("flows/", {"name": "benchmark"})
        steps = [{"prefect.deployments.steps.set_working_directory": {"directory": str(scene.root)}}]
        self._deployment = self._ask(
            "deployments/",
            {
                "name": pool,
                "flow_id": flow["id"],
                "entrypoint": "flows.benchmark.benchmark",
                "work_pool_name": pool,
                "pull_steps": steps,
                "parameters": {"jobs": 2},
                "concurrency_limit": 1,
            },
        )["id"]
        self.log = scene.root.parent / "worker.log"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, "--type", "process"],
            cwd=scene.root.parent,
            env={**scene.environment, "TOY": json.dumps(orders), "PREFECT_WORKER_QUERY_SECONDS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=self.log.open("wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def submit(self) -> str:
        """Ask for a run of the deployment; its id."""
        return str(self._ask(f"deployments/{self._deployment}/create_flow_run", {})["id"])

    def state(self, run: str) -> str:
        """A run's state, by name."""
        return str(self._ask(f"flow_runs/{run}")["state"]["name"])

    def cancel(self, run: str) -> None:
        """As the UI's button does."""
        self._ask(f"flow_runs/{run}/set_state", {"state": {"type": "CANCELLING", "name": "Cancelling"}})

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:  # it is not what is looked at here
            self.process.kill()
            self.process.wait()

    def _ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        request = urllib.request.Request(
            f"{self._environment['PREFECT_API_URL']}/{path}",
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)


def server_killed(whole: Toy, folder: Path) -> Seen:
    """The server, while a stage runs."""
    scene = Toy(folder, whole, "generate@a", "report")
    server = Server(folder.parent / "server")
    scene.environment |= server.environment
    run = scene.start({"sleep": {"generate@a": 5}})
    until(lambda: scene.started("generate@a"), 240, lambda: run.said)
    server.kill()
    begun = time.monotonic()
    outcome = run.end(600)
    took = time.monotonic() - begun
    gone = scene.await_gone()
    ended = scene.executions("end")
    server.start()
    again, same = scene.restart(whole)
    server.kill()
    shutil.rmtree(folder.parent / "server", ignore_errors=True)
    word = "finished" if outcome.status == 0 else f"ended with status {outcome.status}"
    then = f"{word} after {took:.0f} s, with {', '.join(ended) or 'nothing'} made"
    return Seen("the Prefect server", "generate runs", then, gone, again, same)


def server_back_soon(whole: Toy, folder: Path) -> Seen:
    """The server, while a stage runs; somebody starts it again, as `assay serve` does by itself."""
    scene = Toy(folder, whole, "generate@a", "report")
    server = Server(folder.parent / "server")
    scene.environment |= server.environment
    run = scene.start({"sleep": {"generate@a": 15}})
    until(lambda: scene.started("generate@a"), 240, lambda: run.said)
    server.kill()
    time.sleep(5)
    server.start()
    outcome = run.end(600)
    assert outcome.status == 0, outcome.said
    assert scene.executions() == ["generate@a", "report"]
    gone = scene.await_gone()
    ended = server.states()
    assert ended == ["Completed"], ended
    server.kill()
    same = scene.compare(whole)
    return Seen("the Prefect server", "generate runs; back after 5 s", "finished: Completed", gone, [], same)


def worker_killed(whole: Toy, folder: Path) -> Seen:
    """A process worker, while a stage of its flow run runs."""
    scene = Toy(folder, whole, "generate@a")
    worker = Worker(scene, {"sleep": {"generate@a": 5}})
    run = worker.submit()
    until(lambda: scene.started("generate@a"), 240, worker.log.read_text)
    kill(worker.process.pid)
    worker.process.wait()
    gone = scene.await_gone(seconds=300)
    ended, state = scene.executions("end"), worker.state(run)
    again, same = scene.restart(whole)
    then = f"the run went on by itself: {', '.join(ended) or 'nothing'} made, state {state}"
    return Seen("a process worker", "generate runs", then, gone, again, same)


def run_of_a_worker_killed(whole: Toy, folder: Path) -> Seen:
    """The flow's process under a worker."""
    scene = Toy(folder, whole, "generate@a")
    worker = Worker(scene, {"sleep": {"generate@a": 120}, "child": ["generate@a"]})
    run = worker.submit()
    until(lambda: scene.started("generate@a"), 240, worker.log.read_text)
    guarded = scene.process_of("guard", "generate@a")
    parent = int(Path(f"/proc/{guarded}/stat").read_text().rpartition(")")[2].split()[1])
    kill(parent)
    gone = scene.await_gone()
    until(lambda: worker.state(run) == "Crashed", 120, lambda: worker.state(run))
    worker.stop()
    again, same = scene.restart(whole)
    return Seen("the flow's process under a worker", "generate runs", "state Crashed", gone, again, same)


def cancelled(whole: Toy, folder: Path) -> Seen:
    """Cancelled on the run's page."""
    scene = Toy(folder, whole, "generate@a")
    worker = Worker(scene, {"sleep": {"generate@a": 120}, "child": ["generate@a"]})
    run = worker.submit()
    until(lambda: scene.started("generate@a"), 240, worker.log.read_text)
    begun = time.monotonic()
    worker.cancel(run)
    scene.await_gone(seconds=120)
    gone = round(time.monotonic() - begun, 1)
    until(lambda: worker.state(run) == "Cancelled", 120, lambda: worker.state(run))
    worker.stop()
    again, same = scene.restart(whole)
    return Seen(
        "nothing: the run is cancelled in the UI", "generate runs", "state Cancelled", gone, again, same
    )


def in_line(whole: Toy, folder: Path) -> Seen:
    """Two runs of one deployment: the second waits for the first."""
    scene = Toy(folder, whole, "generate@a")
    worker = Worker(scene, {"sleep": {"generate@a": 10}})
    runs = [worker.submit(), worker.submit()]
    until(lambda: scene.started("generate@a"), 240, worker.log.read_text)
    waits = "AwaitingConcurrencySlot"
    until(lambda: waits in map(worker.state, runs), 60, lambda: str([*map(worker.state, runs)]))
    until(lambda: {*map(worker.state, runs)} == {"Completed"}, 300, lambda: str([*map(worker.state, runs)]))
    worker.stop()
    assert scene.executions() == ["generate@a"]
    scene.await_gone()
    then = "the second waited (AwaitingConcurrencySlot), then found nothing to do"
    return Seen("nothing", "two runs of one deployment", then, None, [], scene.compare(whole))
