"""Schedules on a real Prefect server: guards the pins on fastapi and SQLAlchemy.

With fastapi >= 0.151 `prefect deploy` fails; with SQLAlchemy 2.1 the server runs but schedules never fire,
and nothing says so (prefect 3.8.8).
"""

import json
import os
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.flows import load_flow_from_entrypoint
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.running.chain import CHAIN
from flows.serving.setup import COORDINATORS, POOL, QUEUES, deploy, make_pool
from tests import prefect_server, toy

DEPLOYMENTS: list[dict[str, Any]] = yaml.safe_load((toy.ROOT / "prefect.yaml").read_text())["deployments"]


ASKED = {"benchmark": set(), "refresh": set(), "reproduce": {"hash"}, "stage": {"name"}}
"""What a person has to fill into the form."""


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: deployment["name"])
def test_every_deployment_names_a_flow_and_its_parameters(deployment: dict[str, Any]) -> None:
    flow = load_flow_from_entrypoint(deployment["entrypoint"])
    assert flow.name == deployment["name"]
    assert set(deployment["parameters"]) <= set(flow.parameters.properties)
    missing = set(flow.parameters.required) - set(deployment["parameters"])
    assert missing == ASKED[deployment["name"]]
    flow.validate_parameters({**dict.fromkeys(missing, "a-word"), **deployment["parameters"]})


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: deployment["name"])
def test_the_form_explains_every_parameter(deployment: dict[str, Any]) -> None:
    flow = load_flow_from_entrypoint(deployment["entrypoint"])
    bare = [name for name, one in flow.parameters.properties.items() if not one.get("description")]
    assert not bare, "Prefect takes them from the docstring's Args"


def test_runs_and_the_stages_that_they_wait_for_are_in_different_queues() -> None:
    queues = {one["name"]: one["work_pool"]["work_queue_name"] for one in DEPLOYMENTS}
    assert {queues.pop("stage")} < set(QUEUES) - {COORDINATORS}
    assert set(queues.values()) == {COORDINATORS}
    assert {one["work_pool"]["name"] for one in DEPLOYMENTS} == {POOL}
    for deployment in DEPLOYMENTS:
        waits = deployment["name"] != "stage"
        assert deployment.get("concurrency_limit") == (
            {"limit": 1, "collision_strategy": "ENQUEUE"} if waits else None
        )


def test_every_stage_of_the_real_dag_has_its_task() -> None:
    declared = yaml.safe_load((toy.ROOT / "dvc.yaml").read_text())["stages"]
    assert list(CHAIN) == list(dict.fromkeys(name.partition("-")[0] for name in declared))


def test_schedules_and_the_event_make_runs(tmp_path: Path) -> None:
    variables = prefect_server.start()
    document = yaml.safe_load((toy.ROOT / "prefect.yaml").read_text())
    document["deployments"][0]["schedules"] = [{"interval": 3600}]
    (tmp_path / "prefect.yaml").write_text(yaml.safe_dump(document))
    environment = {**os.environ, **variables, "PYTHONPATH": str(toy.ROOT), "ASSAY_REPO": str(toy.ROOT)}
    with _prefect_talks_to(variables):
        make_pool()
        make_pool()  # again is no error
    deploy(tmp_path, environment)
    found = {one["name"]: one for one in _post(variables, "deployments/filter", {})}
    assert set(found) >= {one["name"] for one in DEPLOYMENTS}
    _until_runs(variables, found["benchmark"]["id"], auto_scheduled=True)  # by an interval
    _until_runs(variables, found["refresh"]["id"], auto_scheduled=True)  # by cron
    event = {
        "occurred": datetime.now(UTC).isoformat(),
        "event": "assay.generator.arrived",
        "resource": {"prefect.resource.id": "assay.generator.sdxl"},
        "payload": {"name": "sdxl"},
        "id": str(uuid.uuid4()),
    }
    _post(variables, "events", [event])
    run = _until_runs(variables, found["refresh"]["id"], auto_scheduled=False)
    assert run["parameters"] == {"arrived": "sdxl"}, "its folder need not rest"


def _until_runs(variables: dict[str, str], deployment: str, auto_scheduled: bool) -> dict[str, Any]:
    wanted = {"deployments": {"id": {"any_": [deployment]}}}
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        runs = _post(variables, "flow_runs/filter", wanted)
        for run in runs:
            if run["auto_scheduled"] is auto_scheduled:
                return dict(run)
        time.sleep(0.5)
    pytest.fail("no scheduled run appeared: is SQLAlchemy older than 2.1?")


@contextmanager
def _prefect_talks_to(variables: dict[str, str]) -> Iterator[None]:
    with temporary_settings({PREFECT_API_URL: variables["PREFECT_API_URL"]}):
        yield


def _post(variables: dict[str, str], path: str, body: Any) -> Any:
    request = urllib.request.Request(
        f"{variables['PREFECT_API_URL']}/{path}",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read() or "null")
