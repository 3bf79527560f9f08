"""flows/running/openlineage.py: what receivers get, by file and by HTTP, and that nothing else changes."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from copy import deepcopy
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from openlineage.client import event_v2, facet_v2

from assets.dag import Dag, load_dag
from assets.errors import AssayError
from assets.lineage import Lineage
from flows.running.dvc import StageFailed
from flows.running.openlineage import SCHEMA, openlineage_events
from tests import toy

DOCUMENTED = Path(__file__).parents[1] / "docs" / "standards.md"


@pytest.fixture(autouse=True)
def _unconfigured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("OPENLINEAGE")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.finished_repo(tmp_path_factory.mktemp("openlineage") / "repo")


def _to_file(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    for name, value in {"TYPE": "file", "LOG_FILE_PATH": str(path), "APPEND": "true"}.items():
        monkeypatch.setenv(f"OPENLINEAGE__TRANSPORT__{name}", value)


def _facts(root: Path, name: str) -> dict[str, Any]:
    """As a stage's task returns them."""
    lineage = Lineage(root)
    outputs = lineage.outputs(name)
    return {
        "stage": name,
        **lineage.stage(name).as_dict(),
        "how": "ran",
        "seconds": 2.0,
        "outputs": outputs,
    }


def _run(root: Path, warnings: list[str] | None = None) -> None:
    """One stage that fails once, one that is done, one that only its end is heard of."""
    dag = load_dag(root)
    with openlineage_events(root, dag, (warnings if warnings is not None else []).append) as watchers:
        for watcher in watchers:
            train, generate = dag["train@a-net-0"], dag["generate@a"]
            watcher.started(generate)
            watcher.failed(generate, StageFailed(generate.name, "exited with 3", Path("-"), "out of memory"))
            watcher.started(generate)
            watcher.finished(generate, _facts(root, generate.name))
            watcher.finished(train, _facts(root, train.name))


def _checked(document: dict[str, Any]) -> event_v2.RunEvent:
    """An event as the package's own classes read it; they refuse fields that the standard does not have."""
    document = deepcopy(document)
    assert document.pop("schemaURL") == event_v2.RunEvent._get_schema()
    run, job = document.pop("run"), document.pop("job")
    kinds = {"inputs": event_v2.InputDataset, "outputs": event_v2.OutputDataset}
    for part in (run, job):
        part["facets"] = {name: _facet(facet) for name, facet in part["facets"].items()}
    for kind, made in kinds.items():
        for dataset in document[kind]:
            for key in [key for key in dataset if key.lower().endswith("facets")]:
                dataset[key] = {name: _facet(facet) for name, facet in dataset[key].items()}
        document[kind] = [made(**dataset) for dataset in document[kind]]
    state = event_v2.RunState(document.pop("eventType"))
    return event_v2.RunEvent(eventType=state, run=event_v2.Run(**run), job=event_v2.Job(**job), **document)


def _facet(facet: dict[str, Any]) -> Any:
    """A facet of the standard as its class; ours as it is, once its documented schema agrees."""
    assert facet["_producer"].startswith("urn:assay:")
    if facet["_schemaURL"] == SCHEMA:
        jsonschema.validate(facet, _documented_schema())
        return facet
    name = facet["_schemaURL"].rpartition("/")[2]
    (made,) = {getattr(module, name) for module in vars(facet_v2).values() if hasattr(module, name)}
    values = {key: value for key, value in facet.items() if not key.startswith("_")}
    assert made(**values)._get_schema() == facet["_schemaURL"]
    return made(**values)


def _documented_schema() -> dict[str, Any]:
    (text,) = re.findall(r"```json\n(\{\n  \"\$schema\".*?)```", DOCUMENTED.read_text("utf-8"), re.DOTALL)
    schema: dict[str, Any] = json.loads(text)
    assert schema["$id"] == SCHEMA
    return schema


def test_a_file_of_events(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _to_file(monkeypatch, tmp_path / "events.jsonl")
    warnings: list[str] = []
    _run(root, warnings)
    documents = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert not warnings
    events = [_checked(document) for document in documents]
    told = [(event.eventType.value, event.job.name) for event in events]
    assert told == [
        ("START", "benchmark"),
        ("START", "generate@a"),
        ("FAIL", "generate@a"),
        ("START", "generate@a"),
        ("COMPLETE", "generate@a"),
        ("START", "train@a-net-0"),
        ("COMPLETE", "train@a-net-0"),
        ("COMPLETE", "benchmark"),
    ]
    runs = [event.run.runId for event in events]
    assert (runs[0], runs[1], runs[3], runs[5]) == (runs[7], runs[2], runs[4], runs[6])
    assert len(set(runs)) == 4, "an attempt is a run"
    for event in events[1:7]:
        assert event.run.facets["parent"].run["runId"] == runs[0]
    assert {event.job.namespace for event in events} == {"assay"}
    assert events[2].run.facets["errorMessage"].message == "exited with 3"
    assert events[2].run.facets["errorMessage"].stackTrace == "out of memory"
    _assert_traced(root, documents[6])


def _assert_traced(root: Path, done: dict[str, Any]) -> None:
    """A training's inputs and outputs in the versions of dvc.lock; our hashes; the commit."""
    lineage = Lineage(root)
    facet = done["run"]["facets"]["assay_lineage"]
    assert {key: facet[key] for key in ("lineage", "recipe")} == lineage.stage("train@a-net-0").as_dict()
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=True
    )
    assert facet["commit"] == commit.stdout.strip()
    versions = {one["name"]: one["facets"]["version"]["datasetVersion"] for one in done["inputs"]}
    makers = ("collect@photos", "generate@a")
    made = {path: md5 for maker in makers for path, md5 in lineage.outputs(maker).items()}
    assert versions == {path: f"md5:{md5}" for path, md5 in made.items()}
    (out,) = done["outputs"]
    assert out["name"] == "artifacts/train/a/net-s0"
    assert (
        out["facets"]["version"]["datasetVersion"] == f"md5:{lineage.outputs('train@a-net-0')[out['name']]}"
    )
    assert out["outputFacets"]["outputStatistics"]["fileCount"] == 1


def test_raw_inputs_are_datasets_and_code_is_not(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _to_file(monkeypatch, tmp_path / "events.jsonl")
    monkeypatch.setenv("OPENLINEAGE_NAMESPACE", "lab")
    _run(root)
    documents = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    (data,) = documents[4]["inputs"]
    assert (data["namespace"], data["name"]) == ("lab", "data/a")
    assert data["facets"]["version"]["datasetVersion"].endswith(".dir")


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[tuple[str, str, dict[str, Any]]]]]:
    """Address, and (path, Authorization, event) of what came."""
    came: list[tuple[str, str, dict[str, Any]]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            came.append((self.path, self.headers.get("Authorization", ""), json.loads(body)))
            self.send_response(201)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", came
    server.shutdown()
    server.server_close()


def test_an_http_receiver(root: Path, monkeypatch: pytest.MonkeyPatch, receiver: Any) -> None:
    url, came = receiver
    monkeypatch.setenv("OPENLINEAGE_URL", url)
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "hush")
    before = dict(os.environ)
    _run(root)
    assert dict(os.environ) == before, "no key is left where stages would inherit it"
    assert {(path, key) for path, key, _ in came} == {("/api/v1/lineage", "Bearer hush")}
    assert [_checked(event).eventType.value for _, _, event in came].count("COMPLETE") == 3


def test_a_receiver_that_is_away_fails_nothing_and_is_told_of_once(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {"TYPE": "http", "URL": f"http://user:hush@127.0.0.1:{port}?key=hush", "RETRY": '{"total": 0}'}
    for name, value in settings.items():
        monkeypatch.setenv(f"OPENLINEAGE__TRANSPORT__{name}", value)
    warnings: list[str] = []
    _run(root, warnings)
    (warning,) = warnings
    assert "could not be sent" in warning and "the run goes on" in warning
    assert "hush" not in warning + caplog.text + "".join(capfd.readouterr())


def test_a_flow_that_fails_or_is_stopped(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _to_file(monkeypatch, tmp_path / "events.jsonl")
    dag = load_dag(root)

    def ended(error: BaseException) -> list[tuple[str, str]]:
        (tmp_path / "events.jsonl").unlink(missing_ok=True)
        with pytest.raises(type(error)), openlineage_events(root, dag, print) as (watcher,):
            watcher.started(dag["generate@a"])
            raise error
        documents = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
        return [(one["eventType"], one["job"]["name"]) for one in documents][2:]

    assert ended(RuntimeError("no")) == [("ABORT", "generate@a"), ("FAIL", "benchmark")]
    assert ended(KeyboardInterrupt()) == [("ABORT", "generate@a"), ("ABORT", "benchmark")]


_QUIET = """
import sys
from pathlib import Path
from assets.dag import load_dag
from flows.running.openlineage import openlineage_events
with openlineage_events(Path(), load_dag(), print) as watchers:
    assert watchers == ()
assert "openlineage.client" not in sys.modules
"""


@pytest.mark.parametrize("disabled", [False, True])
def test_unconfigured_the_package_is_not_even_loaded(root: Path, disabled: bool) -> None:
    extra = {"OPENLINEAGE_DISABLED": "true", "OPENLINEAGE_URL": "http://127.0.0.1:9"} if disabled else {}
    done = subprocess.run(
        [sys.executable, "-c", _QUIET], cwd=root, env=toy.environment(**extra), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def _refused(root: Path, dag: Dag) -> str:
    with pytest.raises(AssayError) as refused, openlineage_events(root, dag, print):
        pass
    return str(refused.value)


def test_what_cannot_be_understood_is_refused(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dag = load_dag(root)
    (tmp_path / "openlineage.yml").write_text("transport:\n  type: http\n  url: hush\n")
    assert "openlineage.yml" in (said := _refused(root, dag)) and "hush" not in said
    (tmp_path / "openlineage.yml").write_text("facets: {}\n")
    assert "names no transport" in _refused(root, dag)
    monkeypatch.setenv("OPENLINEAGE_CONFIG", "nowhere.yml")
    assert "OPENLINEAGE_CONFIG is nowhere.yml" in _refused(root, dag)
    monkeypatch.setenv("OPENLINEAGE_URL", "http://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "openlineage.client", None)
    assert "pip install -e '.[openlineage]'" in _refused(root, dag)
