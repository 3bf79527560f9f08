"""Stages on several machines: clones that share a remote, workers of a real Prefect server."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from assets.lineage import recorded_benchmark
from flows.benchmark import RunFailed, benchmark
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


@pytest.mark.slow
def test_a_whole_benchmark_by_two_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trace: Path, origin: Path
) -> None:
    home = clones.clone(origin, tmp_path / "home")
    monkeypatch.chdir(home)
    with ExitStack() as stack:
        for name in ("one", "two"):
            stack.enter_context(clones.worker(clones.clone(origin, tmp_path / name)))
        done = benchmark(where="workers")
        assert sorted(toy.traced(trace)) == sorted(toy.STAGES)
        assert benchmark(where="workers")["stages"] == {}, "nothing is computed, nothing is fetched again"
    by_dvc = toy.finished_repo(tmp_path / "by_dvc")
    assert toy.lock(home) == toy.lock(by_dvc)
    assert done["lineage"] == recorded_benchmark(by_dvc).lineage
    assert set(done["stages"].values()) == {"ran"}
    assert (home / "results/index.html").exists()
    assert not (home / "artifacts/train").exists()
    assert toy.dvc(home, "repro", "--dry", "--allow-missing").count("didn't change") >= len(toy.STAGES)
    third = clones.clone(origin, tmp_path / "third")
    monkeypatch.chdir(third)
    with clones.worker(clones.clone(origin, tmp_path / "four")):
        done = benchmark(where="workers", targets=["train"])
    assert set(done["stages"].values()) == {"restored"}
    assert sorted(toy.traced(trace)) == sorted(toy.STAGES), "nobody computes it again"


def test_two_workers_in_two_clones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trace: Path, origin: Path
) -> None:
    """A coordinator without data ends with the entries that DVC alone would have written."""
    home = clones.clone(origin, tmp_path / "home")
    monkeypatch.chdir(home)
    with ExitStack() as stack:
        for name in ("one", "two"):
            stack.enter_context(clones.worker(clones.clone(origin, tmp_path / name)))
        done = benchmark(where="workers", targets=["generate"])
    assert done["stages"] == {"generate@a": "ran", "generate@b": "ran"}
    assert sorted(toy.traced(trace)) == ["generate@a", "generate@b"]
    assert not (home / "artifacts").exists() and not (home / "data").exists()
    by_dvc = toy.toy_repo(tmp_path / "by_dvc")
    toy.dvc(by_dvc, "repro", "-q", "generate@a", "generate@b")
    assert toy.lock(home) == toy.lock(by_dvc)
    assert benchmark(where="workers", targets=["generate"])["stages"] == {}


_FLOW = "from flows.benchmark import benchmark; benchmark(where='workers', targets=['generate@a'])"


@pytest.mark.slow
def test_a_coordinator_that_was_killed_finds_its_stages_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trace: Path, origin: Path
) -> None:
    home = clones.clone(origin, tmp_path / "home")
    monkeypatch.chdir(home)
    monkeypatch.setenv("TOY", json.dumps({"sleep": {"generate@a": 60}}))
    with clones.worker(clones.clone(origin, tmp_path / "one")):
        killed = subprocess.Popen([sys.executable, "-c", _FLOW], cwd=home)
        _until(lambda: toy.traced(trace) == ["generate@a"])
        killed.kill()
        killed.wait()
        assert benchmark(where="workers", targets=["generate@a"])["stages"] == {"generate@a": "ran"}
    assert toy.traced(trace) == ["generate@a"], "it was waited for, not started again"


@pytest.mark.slow
def test_stages_in_s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trace: Path) -> None:
    pytest.importorskip("dvc_s3")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "testing")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        url = f"http://{host}:{port}"
        import boto3

        boto3.client("s3", endpoint_url=url).create_bucket(Bucket="assay")
        origin = clones.origin(tmp_path / "origin", "s3://assay/store", endpointurl=url)
        home = clones.clone(origin, tmp_path / "home")
        monkeypatch.chdir(home)
        with ExitStack() as stack:
            for name in ("one", "two"):
                stack.enter_context(clones.worker(clones.clone(origin, tmp_path / name)))
            done = benchmark(where="workers", targets=["train"])
        assert set(done["stages"].values()) == {"ran"}
        by_dvc = toy.lock(toy.finished_repo(tmp_path / "by_dvc"))
        assert toy.lock(home) == {name: by_dvc[name] for name in done["stages"]}
        third = clones.clone(origin, tmp_path / "third")
        toy.dvc(third, "repro", "-q", "--pull", "train@a-net-0")
        assert len(toy.traced(trace)) == 3, "a third clone restores all of it"
        assert toy.lock(third) == toy.lock(home)
    finally:
        server.stop()


@pytest.mark.slow
def test_stages_in_a_dask_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trace: Path, origin: Path
) -> None:
    pytest.importorskip("prefect_dask")
    from distributed import LocalCluster

    home = clones.clone(origin, tmp_path / "home")
    monkeypatch.chdir(home)
    known = [clones.clone(origin, tmp_path / name) for name in ("one", "two")]
    monkeypatch.setenv("ASSAY_REPO", os.pathsep.join(map(str, known)))
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        address = cluster.scheduler_address.replace("tcp://", "dask://")
        done = benchmark(where="cluster", cluster=address)
        assert set(done["stages"].values()) == {"ran"} and len(done["stages"]) == len(toy.STAGES)
        by_dvc = toy.finished_repo(tmp_path / "by_dvc")
        assert toy.lock(home) == toy.lock(by_dvc)
        assert done["lineage"] == recorded_benchmark(by_dvc).lineage
        (home / "generate.py").write_text("# other code\n")
        with pytest.raises(RunFailed, match=r"generate\.py differs"):
            benchmark(where="cluster", cluster=address, targets=["generate@a"])


def _until(condition: Any, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.1)
