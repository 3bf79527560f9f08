"""Schedules on a real Prefect server: guards the pins on fastapi and SQLAlchemy.

With fastapi >= 0.151 `prefect deploy` fails; with SQLAlchemy 2.1 the server runs but schedules never fire,
and nothing says so (prefect 3.8.8).
"""

import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.flows import load_flow_from_entrypoint

from flows.chain import CHAIN
from tests import prefect_server, toy

DEPLOYMENTS: list[dict[str, Any]] = yaml.safe_load((toy.ROOT / "prefect.yaml").read_text())["deployments"]


@pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: deployment["name"])
def test_every_deployment_names_a_flow_and_its_parameters(deployment: dict[str, Any]) -> None:
    flow = load_flow_from_entrypoint(deployment["entrypoint"])
    allowed = set(flow.parameters.properties)
    assert set(deployment["parameters"]) <= allowed
    flow.validate_parameters(deployment["parameters"])


def test_every_stage_of_the_real_dag_has_its_task() -> None:
    declared = yaml.safe_load((toy.ROOT / "dvc.yaml").read_text())["stages"]
    assert list(CHAIN) == list(dict.fromkeys(name.partition("-")[0] for name in declared))


def test_a_deployment_with_a_schedule_gets_scheduled_runs(tmp_path: Path) -> None:
    variables = prefect_server.start()
    document = yaml.safe_load((toy.ROOT / "prefect.yaml").read_text())
    for deployment in document["deployments"]:
        deployment["schedules"] = [{"cron": "0 3 * * *", "timezone": "UTC"}, {"interval": 3600}]
    (tmp_path / "prefect.yaml").write_text(yaml.safe_dump(document))
    environment = {**os.environ, **variables, "PYTHONPATH": str(toy.ROOT), "ASSAY_REPO": str(toy.ROOT)}
    _post(variables, "work_pools/", {"name": "assay", "type": "process"})
    deploy = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert deploy.returncode == 0, deploy.stdout + deploy.stderr
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        runs = _post(
            variables, "flow_runs/filter", {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
        )
        if len(runs) >= len(DEPLOYMENTS):
            return
        time.sleep(0.5)
    pytest.fail("no scheduled run appeared: is SQLAlchemy older than 2.1?")


def _post(variables: dict[str, str], path: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        f"{variables['PREFECT_API_URL']}/{path}",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)
