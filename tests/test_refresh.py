"""flows/refresh.py on the toy repository, against a real Prefect server."""

import json
import os
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

from assets.errors import AssayError
from assets.lineage import recorded_benchmark
from flows.benchmark import RunFailed
from flows.records.records import record, records
from flows.refresh import refresh
from flows.refreshing.looking import TOLD
from tests import prefect_server, toy
from tests.conftest import file_bytes, textured

NEW = {"from": "data/c", "family": "gan", "released": "2017-11"}


@pytest.fixture(autouse=True)
def _prefect(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    variables = prefect_server.start()
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ASSAY_SETTLE_SECONDS", "0")
    with temporary_settings({PREFECT_API_URL: variables["PREFECT_API_URL"]}):
        yield


@pytest.fixture
def trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(toy.ROOT))
    monkeypatch.setenv("TOY_TRACE", str(tmp_path / "trace"))
    return tmp_path / "trace"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trace: Path) -> Path:
    """A finished benchmark that is recorded."""
    folder = toy.finished_repo(tmp_path / "repo")
    monkeypatch.chdir(folder)
    assert record(folder) is not None
    return folder


def drop(root: Path, name: str, about: str = "family: gan\nreleased: 2018-12\n", first: int = 0) -> Path:
    folder = root / "incoming" / name
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(first, first + 3):
        (folder / f"{index}.png").write_bytes(file_bytes(textured(index)))
    (folder / "about.yaml").write_text(about)
    return folder


def params(root: Path) -> dict[str, Any]:
    return dict(yaml.safe_load((root / "params.yaml").read_text()))


def failing(monkeypatch: pytest.MonkeyPatch, *stages: str) -> None:
    monkeypatch.setenv("TOY", json.dumps({"fail": stages}))


def asked(path: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        f"{os.environ['PREFECT_API_URL']}/{path}",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def events(name: str, resource: str) -> list[dict[str, Any]]:
    wanted = {"event": {"name": [name]}, "resource": {"id": [resource]}}
    return list(asked("events/filter", {"filter": wanted})["events"])


def awaited(name: str, resource: str) -> dict[str, Any]:
    """The one event of that name; the server takes events in with some delay."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if found := events(name, resource):
            (event,) = found
            return event
        time.sleep(0.3)
    pytest.fail(f"no event {name}")


def artifacts(key: str) -> list[dict[str, Any]]:
    return list(asked("artifacts/filter", {"artifacts": {"key": {"any_": [key]}}}))


def test_a_dropped_folder_becomes_a_generator_in_the_tables_and_the_second_time_nothing_happens(
    root: Path, trace: Path
) -> None:
    dropped = drop(root, "d")
    drop(root, "Bad Name")
    before = {path.name: path.read_bytes() for path in dropped.iterdir()}
    done = refresh(jobs=2)
    assert sorted(toy.traced(trace)) == ["evaluate@a-d", "generate@d", "report"]
    assert params(root)["generators"]["d"] == {"from": "data/d", "family": "gan", "released": "2018-12"}
    assert {path.name: path.read_bytes() for path in dropped.iterdir()} == before
    folders = [found for found in done["found"] if found["kind"] == "folder"]
    assert [found["action"] for found in folders] == ["told", "add"]
    assert "Bad Name is not taken in: a name is lower-case letters" in folders[0]["says"]
    assert done["comparison"]["came"] == ("d",)
    assert done["lineage"] == recorded_benchmark(root).lineage == records(root)[0].lineage
    assert "new generators: d" in (root / TOLD).read_text()
    event = awaited("assay.benchmark.recorded", f"assay.benchmark.{done['lineage'][:16]}")
    assert event["payload"] == {
        "lineage": done["lineage"],
        "recipe": done["recipe"],
        "new_generators": ["d"],
        "set_aside": {},
    }
    told = [one for one in artifacts("refresh") if done["lineage"] in one["description"]]
    assert [one["data"] for one in told] == [(root / TOLD).read_text()]
    _assert_nothing_happens(root, trace)


def _assert_nothing_happens(root: Path, trace: Path) -> None:
    """A second refresh: no stage, no edit, no record, no event, no artifact."""
    files = {path: path.read_bytes() for path in (root / "params.yaml", root / "dvc.lock", root / TOLD)}
    known = (len(records(root)), len(artifacts("refresh")), len(artifacts("benchmark-stages")))
    trace.unlink()
    done = refresh(jobs=2)
    assert (done["stages"], done["record"], done["comparison"], done["set_aside"]) == ({}, None, None, {})
    assert [found for found in done["found"] if found["action"] != "told"] == []
    assert {path: path.read_bytes() for path in files} == files
    assert (len(records(root)), len(artifacts("refresh")), len(artifacts("benchmark-stages"))) == known
    assert toy.traced(trace) == []


def test_a_generator_that_fails_does_not_stop_the_others(
    root: Path, trace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy.set_params(root, generators={**toy.PARAMS["generators"], "c": NEW, "d": {**NEW, "from": "data/b"}})
    failing(monkeypatch, "generate@c")
    done = refresh(jobs=2)
    why = "generate@c: its command ended with status 3"
    assert done["set_aside"] == {"c": why}
    assert {"evaluate@a-d", "report"} <= set(toy.traced(trace, "end"))
    aside = params(root)["report"]["set_aside"]
    assert aside == {"c": {"why": why, "entries": {"generators.c": NEW}}}
    assert done["comparison"]["came"] == ("d",) and records(root)[0].lineage == done["lineage"]
    _assert_nothing_happens(root, trace)


@pytest.mark.slow
def test_what_was_set_aside_comes_back_as_it_was(
    root: Path, trace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy.set_params(root, generators={**toy.PARAMS["generators"], "c": NEW})
    before = params(root)
    failing(monkeypatch, "generate@c")
    why = refresh()["set_aside"]["c"]
    trace.unlink()
    assert refresh(retry="c")["set_aside"] == {"c": why}
    assert toy.traced(trace) == ["generate@c"], "it fails again: the same parameters, the same tables"
    assert len(records(root)) == 2

    monkeypatch.delenv("TOY")
    done = refresh(retry="all")
    assert sorted(done["stages"]) == ["evaluate@a-c", "generate@c", "report"]
    assert params(root) == before
    assert done["comparison"]["came"] == ("c",)


@pytest.mark.slow
def test_what_was_set_aside_is_tried_again_once_its_entry_changes(
    root: Path, trace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy.set_params(root, generators={**toy.PARAMS["generators"], "c": NEW})
    failing(monkeypatch, "generate@c")
    refresh()
    monkeypatch.delenv("TOY")
    trace.unlink()
    text = (root / "params.yaml").read_text()
    (root / "params.yaml").write_text(text.replace("2017-11", "2017-12"))
    done = refresh()
    assert "its card, entry or pictures have changed" in done["found"][0]["says"]
    assert params(root)["generators"]["c"]["released"] == "2017-12"
    assert "set_aside" not in params(root)["report"]
    assert "generate@c" in toy.traced(trace, "end")


@pytest.mark.slow
def test_failures_that_are_no_generators_fail_the_refresh(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy.set_params(root, detectors={"net": {"model": "resnet18", "lr": 1e-5, "epochs": 3}})
    before = (root / "params.yaml").read_bytes()
    failing(monkeypatch, "train@a-net-0")
    with pytest.raises(
        RunFailed, match=r"(?s)1 of \d stages failed.*train@a-net-0 is no generator's stage"
    ) as failed:
        refresh()
    assert list(failed.value.failed) == ["train@a-net-0"]
    assert (root / "params.yaml").read_bytes() == before and len(records(root)) == 1


@pytest.mark.slow
def test_a_generator_that_others_need_is_not_set_aside(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy.set_params(
        root,
        generators={**toy.PARAMS["generators"], "c": NEW},
        report={"resamples": 100, "groups": {"two": ["a", "c"]}},
    )
    failing(monkeypatch, "generate@c")
    with pytest.raises(RunFailed, match=r"c cannot be set aside: report.groups.two names it"):
        refresh()


@pytest.mark.slow
def test_the_first_benchmark_is_recorded_and_compared_with_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trace: Path
) -> None:
    root = toy.finished_repo(tmp_path / "repo")
    monkeypatch.chdir(root)
    done = refresh()
    assert toy.traced(trace) == [] and done["record"] == records(root)[0].tag
    assert (root / TOLD).read_text().startswith("# The first recorded benchmark")


def test_mistakes_change_nothing(root: Path) -> None:
    before = (root / "params.yaml").read_bytes()
    with pytest.raises(AssayError, match=r"--retry nobody: that generator is not set aside"):
        refresh(retry="nobody")
    assert (root / "params.yaml").read_bytes() == before


def test_arrived_is_an_event_that_a_deployment_can_wait_for(tmp_path: Path) -> None:
    code = "import sys; sys.argv[0] = 'assay'; from flows.cli import main; main()"
    command = [sys.executable, "-c", code, "arrived", "new_one"]
    done = subprocess.run(command, cwd=tmp_path, env=toy.environment(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    event = awaited("assay.generator.arrived", "assay.generator.new_one")
    assert event["payload"] == {"name": "new_one"}
