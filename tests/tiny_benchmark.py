"""A benchmark of the real stages that is as small as can be, in workspaces of their own.

A DCGAN of a few steps, one imported generator and one detector of one epoch, on pictures that are drawn on
the spot. `by_dvc` gives the workspace that one `dvc repro` has finished, once for all test processes.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from assets.images.imageset import ImageSetWriter
from assets.lineage import benchmark
from tests.conftest import REPO, file_bytes, textured

CODE = (
    "assets",
    "tasks",
    "models",
    "flows",
    "presets",
    "dvc.yaml",
    "constraints.txt",
    "constraints-tools.txt",
)

PARAMS: dict[str, Any] = {
    "seed": 3,
    "real": {"photos": {"from": "data/photos", "count": 48, "crop": 32}},
    "fit": {
        "dcgan": {"kind": "dcgan", "options": {"steps": 4, "batch": 8}},
    },
    "generators": {
        "dcgan": {"from": "artifacts/fit/dcgan", "family": "gan", "released": "2015-11", "count": 40},
        "old": {"from": "data/old", "family": "proprietary", "released": "2014-01"},
    },
    "dedupe": {"radius": 4},
    "split": {"train": 0.5, "val": 0.25, "test": 0.25},
    "audit": {"folds": 2},
    "spectrum": {"side": 32},
    "gallery": {},
    "degrade": {"jpeg65": "jpeg(65)"},
    "detectors": {"tiny": {"model": "test_resnet.r160_in1k", "crop": 32, "epochs": 1, "batch": 8}},
    "attributors": {},
    "given": {},
    "train": {"generators": ["dcgan"], "sets": {}, "samples": {}, "seeds": [0]},
    "report": {"resamples": 100},
}


def environment(home: Path) -> dict[str, str]:
    """Both drivers find this interpreter; Prefect keeps to a folder of the test's own."""
    own = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PREFECT_HOME": str(home),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "PYTHONPATH": "",
    }
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_API")}
    return {**kept, **own}


class Workspace:
    """A clone of this repository with the tiny parameters and pictures."""

    def __init__(self, root: Path, home: Path) -> None:
        self.root = root
        self.environment = environment(home)

    def command(self, *words: str) -> list[str]:
        program = {"assay": "flows.cli:main", "dvc": "dvc"}[words[0]]
        if words[0] == "assay":
            code = "import sys; sys.argv[0] = 'assay'; from flows.cli import main; main()"
            return [sys.executable, "-c", code, *words[1:]]
        return [sys.executable, "-m", program, *words[1:]]

    def run(self, *words: str) -> str:
        done = subprocess.run(
            self.command(*words), cwd=self.root, env=self.environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{words}: {done.stdout}\n{done.stderr}"
        return done.stdout

    def params(self, document: dict[str, Any]) -> None:
        (self.root / "params.yaml").write_text(yaml.safe_dump(document, sort_keys=False))

    def lock(self) -> dict[str, Any]:
        return yaml.safe_load((self.root / "dvc.lock").read_text())["stages"]

    def planned(self) -> set[str]:
        """The stages that `assay plan` would run, and those that follow."""
        return {stage["stage"] for stage in json.loads(self.run("assay", "plan", "--json"))}

    def hashes(self) -> tuple[str, str]:
        found = benchmark(self.root)
        return found.lineage, found.recipe

    def results(self) -> dict[str, bytes]:
        folder = self.root / "results"
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}

    def copy_to(self, target: Path) -> "Workspace":
        shutil.copytree(self.root, target, symlinks=True)
        return Workspace(target, Path(self.environment["PREFECT_HOME"]))


def clone(root: Path, home: Path) -> Workspace:
    root.mkdir(parents=True)
    for name in CODE:
        source = REPO / name
        if source.is_dir():
            shutil.copytree(source, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, root / name)
    for name in (".dvcignore", ".gitignore"):
        shutil.copy(REPO / name, root / name)
    workspace = Workspace(root, home)
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    workspace.run("dvc", "init", "-q")
    shutil.copy(REPO / ".dvc/config", root / ".dvc/config")
    workspace.params(PARAMS)
    pictures(root / "data/photos", 0, 10)
    pictures(root / "data/old", 1, 40)
    workspace.run("dvc", "add", "-q", "data")
    return workspace


def pictures(path: Path, label: int, count: int, first: int = 0) -> None:
    before = Path.cwd()
    os.chdir(path.parents[1])  # unfinished shards lie in the workspace
    try:
        with ImageSetWriter(path) as writer:
            for index in range(count):
                side = 64 if label == 0 else 32
                pixels = textured(500 * label + first + index, side, side)
                name = f"{path.name}-{index:02d}"
                writer.add(
                    name,
                    file_bytes(pixels),
                    label=label,
                    generator="x",
                    content="photo",
                    group=name,
                    source=name,
                )
    finally:
        os.chdir(before)


def write_sheet(workspace: Workspace) -> str:
    """Made-up scores of all val and test images as sheet.csv; returns the file's SHA-256."""
    tables = [pd.read_parquet(path) for path in (workspace.root / "artifacts/split").glob("*/split.parquet")]
    rows = pd.concat(tables)[["id", "label"]].sort_values("id")
    rows["score"] = rows["label"] - 0.5 + np.random.default_rng(0).normal(size=len(rows)).round(3)
    rows[["id", "score"]].to_csv(workspace.root / "sheet.csv", index=False)
    return hashlib.sha256((workspace.root / "sheet.csv").read_bytes()).hexdigest()


def by_dvc(factory: pytest.TempPathFactory) -> Workspace:
    """The workspace that `dvc repro` has finished: to be looked at or copied, never changed.

    The first test process that asks makes it, the others wait for it.
    """
    base = factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    root, made = shared / "by_dvc/repo", shared / "by_dvc/made"
    with (shared / "by_dvc.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            shutil.rmtree(root, ignore_errors=True)  # another process began and failed
            clone(root, shared / "by_dvc/prefect").run("dvc", "repro")
            made.touch()
    return Workspace(root, shared / "by_dvc/prefect")
