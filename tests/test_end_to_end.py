"""The real stages, from pictures to tables, through both drivers; kills, additions and removals.

One tiny benchmark (a DCGAN and a pixel diffusion model of a few steps, one imported generator, one
detector of one epoch) is made once by `assay run` and once by `dvc repro`; the other tests go on from there.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
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


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prefect")


@pytest.fixture(scope="module")
def by_flow(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Workspace:
    """A workspace that `assay run` has finished."""
    workspace = clone(tmp_path_factory.mktemp("flow") / "repo", home)
    workspace.run("assay", "run", "--jobs", "2")
    return workspace


@pytest.fixture(scope="module")
def by_dvc(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Workspace:
    """A workspace that `dvc repro` has finished."""
    workspace = clone(tmp_path_factory.mktemp("dvc") / "repo", home)
    workspace.run("dvc", "repro")
    return workspace


def test_two_drivers_one_truth(by_flow: Workspace, by_dvc: Workspace) -> None:
    """The same dvc.lock, the same hashes, the same tables to the byte: also the proof that two runs from
    scratch agree."""
    assert by_flow.lock() == by_dvc.lock()
    assert by_flow.hashes() == by_dvc.hashes()
    assert by_flow.results() == by_dvc.results()


def test_the_hash_in_the_tables_is_the_hash_of_the_lock(by_flow: Workspace) -> None:
    lineage, recipe = by_flow.hashes()
    results = by_flow.results()
    assert {"index.html", "cells.csv", "tables/cross_generator.tex", "DATACARD.md"} <= {*results}
    for name, data in results.items():
        drawn = name.startswith(("figures/", "plots/")) or name == "metrics.json"  # read by others' programs
        assert drawn or lineage.encode() in data, name
    table = pd.read_csv(by_flow.root / "results/cells.csv")
    assert set(table["lineage"]) == {lineage} and set(table["recipe"]) == {recipe}


def test_no_picture_is_scored_twice_by_the_same_weights(by_flow: Workspace) -> None:
    found = [pd.read_parquet(p) for p in sorted((by_flow.root / "artifacts/evaluate").rglob("*.parquet"))]
    scored = pd.concat(found)
    assert len(found) == 2 + 1
    assert not scored.duplicated(["id", "condition", "weights"]).any()
    assert set(scored["condition"]) == {"clean", "jpeg65"}


def test_nothing_changed_nothing_runs(by_flow: Workspace) -> None:
    before = by_flow.lock()
    assert "everything is up to date" in by_flow.run("assay", "run")
    assert by_flow.lock() == before


def test_what_joins_later_runs_only_what_it_touches_and_leaves_without_a_trace(
    by_flow: Workspace, tmp_path: Path
) -> None:
    """A set, an attributor on it and a table of scores join; then a generator that none of them has seen."""
    workspace = by_flow.copy_to(tmp_path / "repo")
    before = workspace.lock()
    options = {"file": "sheet.csv", "sha256": write_sheet(workspace), "id": "id", "scale": "logit"}
    joined = {
        **PARAMS,
        "attributors": {"which": PARAMS["detectors"]["tiny"]},
        "given": {"sheet": {"kind": "scores", "seen": [], "options": options}},
        "train": {
            **PARAMS["train"],
            "sets": {"both": ["dcgan", "old"]},
            "samples": {"few": {"of": ["dcgan"], "images": 12, "prepare": {"generated": "jpeg(96)"}}},
        },
    }
    workspace.params(joined)
    workspace.run("assay", "run", "--jobs", "2")

    three = workspace.lock()
    assert {name for name in three if three[name] != before.get(name)} == {
        "start-attributor@which",
        "pool@both",
        "pool-sample@few",
        "train-sample@few-tiny-0",
        "evaluate-sample-real@few",
        "train-set@both-tiny-0",
        "train-attributor@both-which-0",
        "adopt@sheet",
        "evaluate-set-real@both",
        "evaluate-given-real@sheet",
        *(f"evaluate-set@both-{tested}" for tested in PARAMS["generators"]),
        *(f"evaluate-sample@few-{tested}" for tested in PARAMS["generators"]),
        *(f"evaluate-given@sheet-{tested}" for tested in PARAMS["generators"]),
        *(f"attribute@both-which-{tested}" for tested in PARAMS["generators"]),
        "gallery",
        "report",
    }
    table = pd.read_csv(workspace.root / "results/cells.csv")
    assert {*table["trained_on"].dropna()} == {"dcgan", "both", "few", "elsewhere"}
    answers = (workspace.root / "results/tables/attribution.md").read_text()
    assert all(name in answers for name in ("dcgan", "old"))
    assert "Which generator made it?" in (workspace.root / "results/index.html").read_text()

    results, hashes = workspace.results(), workspace.hashes()
    pictures(workspace.root / "data/new", 1, 36, first=100)
    workspace.run("dvc", "add", "-q", "data")
    entry = {"from": "data/new", "family": "vq-diffusion", "released": "2021-11"}
    train = {**joined["train"], "generators": ["dcgan", "new"]}
    generators = {**PARAMS["generators"], "new": entry}
    fewer: dict[str, Any] = {
        "given": {},
        "attributors": {},
    }  # they joined once; that they leave is told below
    workspace.params({**joined, "generators": generators, "train": train, **fewer})
    workspace.run("assay", "run", "--jobs", "2")

    four = workspace.lock()
    assert {name for name in four if four[name] != three.get(name)} == {
        *(f"{stage}@new" for stage in ("generate", "dedupe", "split", "audit", "spectrum", "degrade")),
        "train@new-tiny-0",
        "evaluate-real@new",
        *(f"evaluate@new-{tested}" for tested in ("dcgan", "old", "new")),
        "evaluate@dcgan-new",
        "evaluate-set@both-new",
        "evaluate-sample@few-new",
        "audit-all",
        "gallery",
        "pool@both",  # looks at every generator, and writes what it wrote before
        "pool-sample@few",
        "report",
    }
    for pool in ("pool@both", "pool-sample@few"):
        assert four[pool]["outs"] == three[pool]["outs"], "so that nothing is trained again"
    table = pd.read_csv(workspace.root / "results/cells.csv")
    assert "new" in set(table["tested_on"]) and workspace.hashes() != hashes

    workspace.params(joined)
    workspace.run("assay", "run", "--jobs", "2")
    table = pd.read_csv(workspace.root / "results/cells.csv")
    assert not {"new"} & {*table["tested_on"], *table["trained_on"]}
    assert workspace.hashes() == hashes and workspace.results() == results


def write_sheet(workspace: Workspace) -> str:
    """Made-up scores of all val and test images as sheet.csv; returns the file's SHA-256."""
    tables = [pd.read_parquet(path) for path in (workspace.root / "artifacts/split").glob("*/split.parquet")]
    rows = pd.concat(tables)[["id", "label"]].sort_values("id")
    rows["score"] = rows["label"] - 0.5 + np.random.default_rng(0).normal(size=len(rows)).round(3)
    rows[["id", "score"]].to_csv(workspace.root / "sheet.csv", index=False)
    return hashlib.sha256((workspace.root / "sheet.csv").read_bytes()).hexdigest()


@pytest.mark.parametrize(
    "killed",
    [
        ("generate@dcgan", "train@dcgan-tiny-0"),
        pytest.param(("fit@dcgan", "evaluate@dcgan-old", "gallery"), marks=pytest.mark.slow),
    ],
)
def test_sigkill_in_a_stage_and_a_restart_give_the_undisturbed_hash(
    by_dvc: Workspace, tmp_path: Path, killed: tuple[str, ...]
) -> None:
    workspace = by_dvc.copy_to(tmp_path / "repo")
    undisturbed = (workspace.hashes(), workspace.results())
    for stage in killed:
        shutil.rmtree(workspace.root / workspace.lock()[stage]["outs"][0]["path"])
    shutil.rmtree(workspace.root / ".dvc/cache")  # nothing to restore them from: the stages must run

    for stage in killed:
        program = "tasks." + stage.split("@")[0]
        driver = subprocess.Popen(
            workspace.command("assay", "run", stage),  # with all it needs, and nothing beside it
            cwd=workspace.root,
            env=workspace.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert wait_for(lambda program=program: processes(program, workspace.root), 180), f"no {stage}"
        time.sleep(1.5)  # into its imports or its work
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
        assert wait_for(lambda program=program: not processes(program, workspace.root), 15), (
            f"{stage} outlived the run"
        )
        with suppress(ProcessLookupError):
            os.killpg(driver.pid, signal.SIGKILL)  # Prefect's temporary server, which outlives a killed run

    workspace.run("assay", "run")
    assert (workspace.hashes(), workspace.results()) == undisturbed


def wait_for(condition: Any, seconds: float) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    return None


def processes(program: str, root: Path) -> list[int]:
    """Live Python processes of this stage in this workspace."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            here = (folder / "cwd").resolve() == root.resolve()
        except OSError:
            continue
        if here and program.encode() in words and b"-m" in words:
            found.append(int(folder.name))
    return found
