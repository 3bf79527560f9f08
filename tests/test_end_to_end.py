"""The real stages, from pictures to tables, through both drivers, and through kills.

The tiny benchmark is made once by `dvc repro`, undisturbed, and once by `assay run`, which is killed on the
way; both have to give the same.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest

from tests.tiny_benchmark import Workspace, by_dvc, clone


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace that `dvc repro` has finished."""
    return by_dvc(tmp_path_factory)


@pytest.fixture(scope="module")
def by_flow(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace that `assay run` has finished, after it was killed twice."""
    workspace = clone(tmp_path_factory.mktemp("flow") / "repo", tmp_path_factory.mktemp("prefect"))
    for stage in ("generate@dcgan", "train@dcgan-tiny-0"):
        kill_in(stage, workspace)
        assert stage not in workspace.lock()
    workspace.run("assay", "run", "--jobs", "2")
    return workspace


def test_two_drivers_one_truth(by_flow: Workspace, undisturbed: Workspace) -> None:
    """The same dvc.lock, the same hashes, the same tables to the byte, whether killed and started again or
    not: also the proof that two runs from scratch agree."""
    assert by_flow.lock() == undisturbed.lock()
    assert by_flow.hashes() == undisturbed.hashes()
    assert by_flow.results() == undisturbed.results()


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


@pytest.mark.slow
def test_other_stages_that_are_killed_give_the_undisturbed_hash(
    undisturbed: Workspace, tmp_path: Path
) -> None:
    workspace = undisturbed.copy_to(tmp_path / "repo")
    killed = ("fit@dcgan", "evaluate@dcgan-old", "gallery")
    for stage in killed:
        shutil.rmtree(workspace.root / workspace.lock()[stage]["outs"][0]["path"])
    shutil.rmtree(workspace.root / ".dvc/cache")  # nothing to restore them from: the stages must run
    for stage in killed:
        kill_in(stage, workspace)
    workspace.run("assay", "run")
    assert (workspace.hashes(), workspace.results()) == (undisturbed.hashes(), undisturbed.results())


def kill_in(stage: str, workspace: Workspace) -> None:
    """Start `assay run` for a stage, end it by SIGKILL in the middle of that, and see its children go."""
    program = "tasks." + stage.split("@")[0]
    driver = subprocess.Popen(
        workspace.command("assay", "run", stage),  # with all it needs, and nothing beside it
        cwd=workspace.root,
        env=workspace.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_for(lambda: any(map(has_numpy, processes(program, workspace.root))), f"no {stage}", driver)
        os.kill(driver.pid, signal.SIGKILL)
        driver.wait()
        wait_for(lambda: not processes(program, workspace.root), f"{stage} outlived the run")
    finally:
        with suppress(ProcessLookupError):
            os.killpg(driver.pid, signal.SIGKILL)  # Prefect's temporary server, which outlives a killed run
        driver.wait()


def has_numpy(process: int) -> bool:
    """Whether a process is past its first imports: every stage loads numpy early, then its own code."""
    try:
        return b"/numpy/" in Path(f"/proc/{process}/maps").read_bytes()
    except OSError:
        return False


def wait_for(
    condition: Callable[[], bool], failure: str, alive: "subprocess.Popen[bytes] | None" = None
) -> None:
    """Until something is so; while it is not, a process has to be there."""
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline and (alive is None or alive.poll() is None), failure
        time.sleep(0.02)


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
