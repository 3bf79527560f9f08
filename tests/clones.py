"""Clones of the toy repository that share a remote, and Prefect workers that do errands in them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.running import guard
from tests import prefect_server, toy

_GIT = ["git", "-c", "user.name=toy", "-c", "user.email=toy@toy"]
POOL = "assay-test"


def origin(folder: Path, remote: str, **settings: str) -> Path:
    """A repository with its inputs pushed to `remote`, to clone from; `settings` go into DVC's remote."""
    root = toy.toy_repo(folder)
    toy.dvc(root, "remote", "add", "-q", "-d", "store", remote)
    for key, value in settings.items():
        toy.dvc(root, "remote", "modify", "-q", "store", key, value)
    commit(root, "a remote")
    toy.dvc(root, "push", "-q", "data.dvc")
    return root


def clone(origin: Path, folder: Path) -> Path:
    """A clone without any data."""
    subprocess.run(["git", "clone", "-q", str(origin), str(folder)], check=True)
    return folder


def commit(root: Path, message: str) -> None:
    """Commit everything."""
    subprocess.run([*_GIT, "add", "-A"], cwd=root, check=True)
    subprocess.run([*_GIT, "commit", "-qm", message], cwd=root, check=True)


@contextmanager
def served(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A Prefect server with the deployment `stage`; gives the file where toy stages note that they run."""
    variables = prefect_server.start()
    for name, value in {**variables, "PYTHONPATH": str(toy.ROOT), "ASSAY_RETRY_SECONDS": "0.1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TOY_TRACE", str(folder / "trace"))
    with temporary_settings({PREFECT_API_URL: variables["PREFECT_API_URL"]}):
        if not _is_deployed():
            _deploy(folder / "deploy")
        yield folder / "trace"


def _is_deployed() -> bool:
    """Whether an earlier test has, and none has deployed it to another pool since."""
    with get_client(sync_client=True) as client, suppress(ObjectNotFound):
        return client.read_deployment_by_name("stage/stage").work_pool_name == POOL
    return False


def _deploy(folder: Path) -> None:
    """Deploy the flow `stage` as prefect.yaml does, to a work pool of the tests' own."""
    document: dict[str, Any] = yaml.safe_load((toy.ROOT / "prefect.yaml").read_text())
    pool = {"name": POOL, "work_queue_name": "cpu", "job_variables": {"command": "python -m prefect.engine"}}
    document["deployments"] = [{"name": "stage", "entrypoint": "flows.stage.stage", "work_pool": pool}]
    folder.mkdir()
    (folder / "prefect.yaml").write_text(yaml.safe_dump(document))
    with get_client(sync_client=True) as client, suppress(ObjectAlreadyExists):
        client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
    # with ASSAY_REPO set here, `prefect deploy` would write this machine's value into the deployment
    unset = {name: value for name, value in os.environ.items() if name != "ASSAY_REPO"}
    result = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"],
        cwd=folder,
        env={**unset, "PYTHONPATH": str(toy.ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


@contextmanager
def worker(root: Path, *queues: str, limit: int = 1, **variables: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A Prefect worker that does errands in a clone, until the block ends."""
    polled = [part for queue in queues or ("cpu", "gpu") for part in ("--work-queue", queue)]
    start = ["-m", "prefect", "worker", "start", "--pool", POOL, *polled, "--limit", str(limit)]
    environment = toy.environment(ASSAY_REPO=str(root), PREFECT_WORKER_QUERY_SECONDS="0.5", **variables)
    kept = {name: os.environ[name] for name in ("TOY", "TOY_TRACE") if name in os.environ}
    log = root.parent / f"{root.name}.worker.log"
    with log.open("wb") as output:
        started = subprocess.Popen(
            [sys.executable, "-I", "-S", guard.__file__, sys.executable, *start],
            cwd=root,
            env={**kept, **environment},
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    assert started.stdin is not None
    try:
        yield started
    finally:
        started.stdin.close()
        started.wait(60)
