"""Workers that die, hang, are not there, or are told to stop; stages that a person asks a worker for."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.states import Pending, Running

from flows.benchmark import benchmark
from flows.elsewhere import life, workers
from flows.elsewhere.post import DEPLOYMENT, Post
from flows.elsewhere.workers import Workers
from flows.planning.plan import Planned
from flows.running import dvc
from flows.running.places import Ticket
from flows.running.workspace import only_run
from tests import clones, toy


@pytest.fixture
def trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with clones.served(tmp_path, monkeypatch) as trace:
        yield trace


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """A repository to clone from, with a folder for a remote."""
    (tmp_path / "store").mkdir()
    return clones.origin(tmp_path / "origin", str(tmp_path / "store"))


class Sent:
    """One stage that is sent to workers, in a thread."""

    def __init__(self, home: Path, stage: str = "generate@a") -> None:
        self.control = dvc.Control()
        self.post = _Noting()
        self._place = Workers(home, self.control, {}, self.post)
        self._ticket = Ticket(Planned(stage, stage.partition("@")[0], ("new",), None, None, True, False))
        self.ended: dvc.Ran | Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.ended = self._place.run(self._ticket)
        except (dvc.StageFailed, dvc.Stopped) as failure:
            self.ended = failure

    def wait(self) -> Any:
        """How it ended."""
        self._thread.join(300)
        assert not self._thread.is_alive()
        self.post.close()
        return self.ended

    def runs(self) -> list[FlowRun]:
        """All flow runs that it was sent as, in order."""
        with get_client(sync_client=True) as client:
            return [client.read_flow_run(run) for run in self.post.sent]


class _Noting(Post):
    """A real Prefect server, and what was sent to it."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[UUID] = []

    def send(self, stage: str, errand: dict[str, Any], key: str, queue: str) -> UUID:
        run = super().send(stage, errand, key, queue)
        self.sent.append(run)
        return run


@pytest.mark.slow
def test_a_stage_whose_workers_vanish_is_sent_three_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trace: Path, origin: Path
) -> None:
    """One dies before it has begun, two after."""
    monkeypatch.setattr(life, "LOST_SECONDS", 3.0)
    sent = Sent(clones.clone(origin, tmp_path / "home"))
    begun: list[State[Any]] = [Pending(), Running()]
    with get_client(sync_client=True) as client:
        for attempt, states in enumerate((begun[:1], begun, begun)):
            _until(lambda attempt=attempt: len(sent.post.sent) > attempt)  # type: ignore[misc]
            for state in states:
                client.set_flow_run_state(sent.post.sent[-1], state)
    failure = sent.wait()
    assert isinstance(failure, dvc.StageFailed)
    assert "3 workers in a row were lost" in failure.reason and not failure.may_pass
    assert len(sent.post.sent) == 3
    assert {run.state_name for run in sent.runs()} == {"Cancelling"}, "a worker that comes back ends it"


@pytest.mark.slow
def test_a_queue_that_nobody_polls_is_told_of_and_what_waits_there_can_be_called_off(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    trace: Path,
    origin: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(workers, "LONELY_SECONDS", 1.0)
    caplog.set_level(logging.WARNING)
    time.sleep(1.1)  # another test's worker may have polled until now
    sent = Sent(clones.clone(origin, tmp_path / "home"))
    _until(lambda: "which no worker polls" in caplog.text)
    assert "'gpu'" in caplog.text and "assay worker --queue gpu" in caplog.text
    sent.control.stop.set()
    assert isinstance(sent.wait(), dvc.Stopped)
    assert [run.state_name for run in sent.runs()] == ["Cancelled"]


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_worker_is_lost_in_the_middle_of_a_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trace: Path, origin: Path, how: signal.Signals
) -> None:
    """It is killed, or hangs: another worker gets its stage, and nothing else is done again."""
    home = clones.clone(origin, tmp_path / "home")
    monkeypatch.chdir(home)
    monkeypatch.setattr(life, "LOST_SECONDS", 20.0)
    one, two = (clones.clone(origin, tmp_path / name) for name in ("one", "two"))
    with ExitStack() as stack:
        lost = stack.enter_context(clones.worker(one, TOY=json.dumps({"sleep": {"train@a-net-0": 600}})))

        def lose() -> None:
            _until(lambda: "train@a-net-0" in toy.traced(trace))
            group = _children(lost.pid) if how == signal.SIGSTOP else [lost.pid]
            for process in group:
                with suppress(ProcessLookupError):
                    os.kill(process, how)
            stack.enter_context(clones.worker(two))

        loser = threading.Thread(target=lose)
        loser.start()
        try:
            done = benchmark(where="workers", targets=["train"])
        finally:
            loser.join()
            for process in _children(lost.pid):
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGCONT)
    assert set(done["stages"].values()) == {"ran"}
    started = toy.traced(trace)
    assert sorted(started) == sorted(["collect@photos", "generate@a", "train@a-net-0", "train@a-net-0"])
    by_dvc = toy.lock(toy.finished_repo(tmp_path / "by_dvc"))
    assert toy.lock(home) == {name: by_dvc[name] for name in done["stages"]}


_FLOW = "from flows.benchmark import benchmark; benchmark(where='workers', targets=['generate'])"


@pytest.mark.slow
def test_a_run_that_is_stopped_ends_its_stages_on_the_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trace: Path, origin: Path
) -> None:
    home, one = clones.clone(origin, tmp_path / "home"), clones.clone(origin, tmp_path / "one")
    monkeypatch.setenv("TOY", json.dumps({"sleep": {"generate@a": 600, "generate@b": 600}}))
    with clones.worker(one):  # one at a time: the other stage waits in its queue
        run = subprocess.Popen([sys.executable, "-c", _FLOW], cwd=home)
        _until(lambda: toy.trace(trace))
        [[_, _, process, *_]] = toy.trace(trace)
        run.send_signal(signal.SIGINT)
        assert run.wait(120) != 0
        _until(lambda: not Path(f"/proc/{process}").exists(), 60)
        with only_run(one):
            pass  # nobody is at work there any more
        with get_client(sync_client=True) as client:
            _until(lambda: _states_of(client, home) == {"Cancelled"}, 60)
        assert len(toy.trace(trace)) == 1, "what waited was called off, too"
        monkeypatch.chdir(home)
        monkeypatch.delenv("TOY")
        assert (one / "params.yaml").read_text() == (home / "params.yaml").read_text()


def _states_of(client: Any, home: Path) -> set[str]:
    token = (home / ".assay/run.token").read_text()
    runs = client.read_flow_runs()
    return {str(run.state_name) for run in runs if (run.parameters.get("errand") or {}).get("token") == token}


@pytest.mark.slow
def test_a_gpu_has_one_stage_at_a_time_whoever_sends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trace: Path, origin: Path
) -> None:
    home = clones.clone(origin, tmp_path / "home")
    monkeypatch.chdir(home)
    monkeypatch.setenv("TOY", json.dumps({"sleep": {"generate@a": 4, "generate@b": 4}}))
    gpu = f"test-{os.getpid()}"
    with ExitStack() as stack:
        for name in ("one", "two"):
            folder = clones.clone(origin, tmp_path / name)
            stack.enter_context(clones.worker(folder, "gpu", CUDA_VISIBLE_DEVICES=gpu, ASSAY_DEVICE="cuda"))
        stack.enter_context(clones.worker(clones.clone(origin, tmp_path / "three"), "cpu"))
        done = benchmark(where="workers", targets=["generate", "collect"])
    assert set(done["stages"].values()) == {"ran"}
    noted = {stage: visible for word, stage, _, _, visible in toy.trace(trace) if word == "start"}
    assert noted["generate@a"] == noted["generate@b"] == gpu
    assert noted["collect@photos"] != gpu
    order = [word for word, stage, *_ in toy.trace(trace) if stage.startswith("generate")]
    assert order == ["start", "end", "start", "end"]


@pytest.mark.slow
def test_a_person_asks_a_worker_for_one_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trace: Path
) -> None:
    """As the UI's form does: no errand, so the workspace of the worker is what counts."""
    root = toy.toy_repo(tmp_path / "root")
    with clones.worker(root), get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name(DEPLOYMENT).id

        def ask(**parameters: Any) -> FlowRun:
            run = client.create_flow_run_from_deployment(deployment, parameters=parameters)
            _until(lambda: (found := client.read_flow_run(run.id)).state and found.state.is_final())
            return client.read_flow_run(run.id)

        assert ask(name="generate@a").state_name == "Completed"
        assert set(toy.lock(root)) == {"generate@a"}
        assert ask(name="generate@a").state_name == "Completed"
        assert toy.traced(trace) == ["generate@a"], "it is up to date"
        assert ask(name="generate@a", force=True).state_name == "Completed"
        assert toy.traced(trace) == ["generate@a"] * 2
        failed = ask(name="generate@nope")
        assert failed.state_name == "Failed" and "generate@nope" in str(failed.state and failed.state.message)


@pytest.mark.slow
def test_two_coordinators_share_the_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trace: Path, origin: Path
) -> None:
    homes = [clones.clone(origin, tmp_path / name) for name in ("home", "other")]
    flow = "from flows.benchmark import benchmark; benchmark(where='workers', targets=['train'])"
    with ExitStack() as stack:
        for name in ("one", "two"):
            stack.enter_context(clones.worker(clones.clone(origin, tmp_path / name)))
        running = [subprocess.Popen([sys.executable, "-c", flow], cwd=home) for home in homes]
        assert [run.wait(300) for run in running] == [0, 0]
    by_dvc = toy.lock(toy.finished_repo(tmp_path / "by_dvc"))
    wanted = ("collect@photos", "generate@a", "train@a-net-0")
    for home in homes:
        assert toy.lock(home) == {name: by_dvc[name] for name in wanted}


def _children(process: int) -> list[int]:
    """A process and all that descend from it."""
    found = [process]
    for one in found:
        with suppress(OSError):
            found += map(int, Path(f"/proc/{one}/task/{one}/children").read_text().split())
    return found


def _until(condition: Callable[[], Any], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.1)
