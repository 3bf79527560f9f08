"""Real stages of every family: the tiny benchmark of tests/tiny_benchmark.py, with all that can join it."""

import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from assets.dag import load_dag
from assets.lineage import recorded_benchmark
from flows.running.chain import CHAIN
from tests import tiny_benchmark as tiny
from tests.drills.scene import Scene, Seen, Started, forget, kill, until


class Real(Scene):
    """A clone with the tiny parameters; made once, then copied."""

    def __init__(self, folder: Path, whole: "Real | None" = None, *missing: str) -> None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if whole:
            shutil.copytree(whole.root, folder, symlinks=True)
            forget(folder, missing)
        else:
            _make(folder)
        super().__init__(folder, tiny.environment(folder.parent / "prefect"))

    def results(self) -> dict[str, bytes]:
        """The report's files."""
        folder = self.root / "results"
        return {
            str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()
        }


def families(whole: Real) -> dict[str, str]:
    """A stage of each family."""
    stages = list(whole.lock())
    return {
        family: next(one for one in stages if one.partition("@")[0].split("-")[0] == family)
        for family in CHAIN
    }


def in_turn(whole: Real, folder: Path, stage: str) -> Seen:
    """The stage's process, at the next try its dvc, at the last the flow; then a restart, and its guard."""
    scene = Real(folder, whole, stage)
    run = scene.start(targets=[stage])
    killed: set[int] = set()
    slowest = max(_kill(role, scene, stage, run, killed) for role in ("stage", "dvc", "flow"))
    run.process.wait()
    slowest = max(slowest, scene.await_gone())
    assert not scene.half_written()
    run = scene.start(targets=[stage])
    slowest = max(slowest, _kill("guard", scene, stage, run, killed))
    outcome = run.end()
    assert outcome.status == 0, outcome.said
    again = [name for name, how in outcome.stages.items() if how == "ran"]
    assert again == [stage], outcome.stages
    scene.await_gone()
    left = scene.left()
    assert not left, left
    same = recorded_benchmark(scene.root) == recorded_benchmark(whole.root)
    same = same and scene.lock() == whole.lock() and scene.results() == whole.results()
    shutil.rmtree(folder.parent)
    return Seen(
        "the stage's process, its dvc, the flow's process; of the restart, its guard",
        f"{stage} writes",
        "tried again after the first two; nothing went on after the third; the restart tried again",
        slowest,
        again,
        same,
    )


def _kill(role: str, scene: Scene, stage: str, run: Started, killed: set[int]) -> float:
    """Kill it once the stage writes its outputs, or what it goes on from; seconds until the stage is gone."""

    def new() -> int | None:
        process = scene.process_of("stage", stage)
        return None if process in killed else process

    own = until(new, 300, lambda: run.said, 0.2)
    since = time.time()
    killed.add(own)
    outs = [scene.root / out for out in load_dag(scene.root)[stage].outs]
    until(lambda: _written(scene.root, outs, since) or not _lives(own), 300, lambda: run.said)
    assert _lives(own), f"{stage} ended before it could be killed: {run.said}"
    at = time.monotonic()
    kill({"stage": own, "flow": run.process.pid}.get(role) or scene.process_of(role, stage))
    until(lambda: not _lives(own), 60)
    return round(time.monotonic() - at, 1)


def _written(root: Path, outs: list[Path], since: float) -> bool:
    kept = [folder for folder in (root / ".assay").glob("*/") if folder.name != "logs"]
    for place in (*outs, *kept):
        for path in (place, *place.rglob("*")):
            with suppress(OSError):
                if path.stat().st_mtime > since:
                    return True
    return False


def _lives(process: int) -> bool:
    return Path(f"/proc/{process}").exists()


def _make(folder: Path) -> None:
    workspace = tiny.clone(folder, folder.parent / "prefect")
    workspace.run("dvc", "repro")
    options = {"file": "sheet.csv", "sha256": tiny.write_sheet(workspace), "id": "id", "scale": "logit"}
    joined: dict[str, Any] = {
        **tiny.PARAMS,
        "attributors": {"which": tiny.PARAMS["detectors"]["tiny"]},
        "given": {"sheet": {"kind": "scores", "seen": [], "options": options}},
        "train": {
            **tiny.PARAMS["train"],
            "sets": {"both": ["dcgan", "old"]},
            "samples": {"few": {"of": ["dcgan"], "images": 12, "prepare": {"generated": "jpeg(96)"}}},
        },
    }
    workspace.params(joined)
    workspace.run("dvc", "repro")
