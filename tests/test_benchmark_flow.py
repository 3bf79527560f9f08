"""flows/benchmark.py on the toy repository, against a real Prefect server: the same as DVC, and robust."""

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.settings import PREFECT_API_URL, temporary_settings

from assets.dag import load_dag
from assets.lineage import Lineage, recorded_benchmark
from flows.benchmark import RunFailed, benchmark
from flows.running import dvc
from flows.running.places import Here
from flows.running.run import Run
from tests import prefect_server, toy

_FLOW = "from flows.benchmark import benchmark; benchmark()"


@pytest.fixture(autouse=True)
def _prefect(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    variables = prefect_server.start()
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with temporary_settings({PREFECT_API_URL: variables["PREFECT_API_URL"]}):
        yield


@pytest.fixture
def trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(toy.ROOT))
    monkeypatch.setenv("TOY_TRACE", str(tmp_path / "trace"))
    return tmp_path / "trace"


def _fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = toy.toy_repo(tmp_path / "repo")
    monkeypatch.chdir(root)
    return root


def _finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = toy.finished_repo(tmp_path / "repo")
    monkeypatch.chdir(root)
    return root


def _events(prefix: str, resource: str) -> list[dict[str, Any]]:
    wanted = {"event": {"prefix": [prefix]}, "resource": {"id": [resource]}}
    return list(_asked("events/filter", {"filter": wanted})["events"])


def _asked(path: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        f"{os.environ['PREFECT_API_URL']}/{path}",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def test_the_flow_does_what_dvc_repro_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trace: Path
) -> None:
    root = _fresh(tmp_path, monkeypatch)
    done = benchmark(jobs=2)
    by_dvc = toy.finished_repo(tmp_path / "by_dvc")
    assert toy.lock(root) == toy.lock(by_dvc)
    assert Lineage(root).tree() == Lineage(by_dvc).tree()
    assert done["lineage"] == recorded_benchmark(by_dvc).lineage
    assert set(done["stages"].values()) == {"ran"}
    assert sorted(toy.traced(trace)) == sorted(toy.STAGES)
    assert benchmark(jobs=2)["stages"] == {}
    assert len(toy.traced(trace)) == len(toy.STAGES), "a run with nothing to do executes nothing"
    _assert_recorded(root)
    _assert_published(done["lineage"])


def _assert_published(lineage: str) -> None:
    """The run's page has the stages, and of the report its link, tables and figures."""
    found = {one["key"]: one for one in _asked("artifacts/filter", {})}
    kinds = {key: one["type"] for key, one in found.items()}
    assert kinds == {
        "benchmark-stages": "table",
        "report": "markdown",  # how Prefect keeps a link
        "detectors": "table",
        "cross-generator": "markdown",
        "figure-curve": "image",
    }
    assert "results/index.html" in found["report"]["data"]
    assert found["cross-generator"]["data"] == "| a table |\n"
    (row,) = json.loads(found["detectors"]["data"])
    assert row == {"detector": "net", "in_domain clean": 0.75, "in_domain degraded": None}
    start, _, drawn = found["figure-curve"]["data"].partition(",")
    assert start == "data:image/svg+xml;base64"
    assert base64.b64decode(drawn).startswith(b'<svg style="background:#fff'), "readable on a dark page"
    assert all(lineage in one["description"] for one in found.values())


def _assert_recorded(root: Path) -> None:
    """Every stage is an asset with its hashes; the server takes events in with some delay."""
    wanted = Lineage(root).stage("generate@a").as_dict()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = _events("prefect.asset.materialization.succeeded", "assay://artifacts/generate/a")
        if any({**wanted, "how": "ran"}.items() <= event["payload"].items() for event in found):
            return
        time.sleep(0.5)
    pytest.fail("no asset event with the stage's hashes came")


def test_a_generator_comes_and_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trace: Path) -> None:
    root = _finished(tmp_path, monkeypatch)
    before = recorded_benchmark(root)
    new = {"c": {"from": "data/c", "family": "gan", "released": "2017-11"}}
    toy.set_params(root, generators={**toy.PARAMS["generators"], **new})
    more = benchmark()
    assert toy.traced(trace) == ["generate@c", "evaluate@a-c", "report"]
    assert more["lineage"] != before.lineage
    toy.set_params(root)
    fewer = benchmark()
    assert toy.traced(trace)[3:] in ([], ["report"])
    assert (root / "artifacts/evaluate/a/c").exists()
    assert (fewer["lineage"], fewer["recipe"]) == (before.lineage, before.recipe)
    assert "generate@c" in toy.lock(root)


def test_equal_bytes_from_another_command_reach_the_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trace: Path
) -> None:
    root = _finished(tmp_path, monkeypatch)
    before = recorded_benchmark(root)
    text = (root / "dvc.yaml").read_text()
    (root / "dvc.yaml").write_text(text.replace("toy.py artifacts/collect", "toy.py  artifacts/collect"))
    done = benchmark()
    assert toy.traced(trace) == ["collect@photos", "report"]
    assert done["lineage"] != before.lineage
    assert json.loads((root / "results/lineage.json").read_text())["lineage"] == done["lineage"]


def test_a_failure_stops_only_what_depends_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trace: Path
) -> None:
    _fresh(tmp_path, monkeypatch)
    monkeypatch.setenv("TOY", json.dumps({"fail": ["generate@b"]}))
    with pytest.raises(RunFailed) as failure:
        benchmark(jobs=2)
    message = str(failure.value)
    assert "1 of 7 stages failed; 2 more that depend on them did not run" in message
    assert "generate@b: failed to run: python toy.py artifacts/generate/b, exited with 3" in message
    assert "the reason of the failure" in message
    assert ".assay/logs/generate@b.log" in message
    assert {"evaluate@a-a", "train@a-net-0"} <= set(toy.traced(trace, "end"))
    monkeypatch.delenv("TOY")
    trace.unlink()
    benchmark()
    assert toy.traced(trace) == ["generate@b", "evaluate@a-b", "report"]


@pytest.mark.parametrize("signal_", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_ended_leaves_nothing_behind_and_can_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trace: Path, signal_: signal.Signals
) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    root = _finished(tmp_path, monkeypatch)
    undisturbed = recorded_benchmark(root)
    _forget(root, "generate@a", "report")
    monkeypatch.setenv("TOY", json.dumps({"sleep": {"generate@a": 60}}))
    flow = subprocess.Popen([sys.executable, "-c", _FLOW], cwd=root, start_new_session=True)
    _until(lambda: "generate@a" in toy.traced(trace))
    flow.send_signal(signal_)
    assert flow.wait(30) != 0
    stage = toy.trace(trace)[0][2]
    _until(lambda: not Path(f"/proc/{stage}").exists(), 15)
    if signal_ != signal.SIGKILL:
        return
    monkeypatch.delenv("TOY")
    (root / "dvc.lock").write_text("")  # the worst moment to be killed at
    done = benchmark()
    assert done["lineage"] == undisturbed.lineage
    assert done["recipe"] == undisturbed.recipe


def _forget(root: Path, *stages: str) -> None:
    """Make stages new, also to the run cache."""
    document = yaml.safe_load((root / "dvc.lock").read_text())
    for stage in stages:
        document["stages"].pop(stage)
    (root / "dvc.lock").write_text(yaml.safe_dump(document))
    shutil.rmtree(root / ".dvc/cache/runs")


def test_gpu_stages_take_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trace: Path) -> None:
    _fresh(tmp_path, monkeypatch)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    monkeypatch.setenv("ASSAY_DEVICE", "")
    monkeypatch.setenv("TOY", json.dumps({"sleep": {"generate@a": 1, "generate@b": 1}}))
    benchmark(jobs=4, targets=["generate", "collect"])
    entries = [entry for entry in toy.trace(trace) if entry[1].startswith("generate")]
    assert [entry[0] for entry in sorted(entries, key=lambda entry: entry[3])] == ["start", "end"] * 2
    assert {entry[4] for entry in entries} == {"7"}


def _until(condition: Any, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.05)


def test_a_run_that_is_told_to_stop_does_not_wait_for_another_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASSAY_RETRY_SECONDS", "600")
    root = toy.toy_repo(tmp_path / "repo")
    control = dvc.Control()
    run = Run(root, load_dag(root), {}, control, Here(root, control, {}, 1, remote=False))
    run.rest("generate@a")  # the first attempt waits for nothing
    control.stop.set()
    with pytest.raises(dvc.Stopped):
        run.rest("generate@a")
