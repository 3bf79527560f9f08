"""Real stages of every family: the tiny benchmark of tests/tiny_benchmark.py, with all that can join it."""

import os
import shutil
import time
from pathlib import Path
from typing import Any

from assets.lineage import recorded_benchmark
from flows.running.chain import CHAIN
from tests import tiny_benchmark as tiny
from tests.drills.scene import Scene, Seen, forget, kill, until

_SECONDS = 0.5
"""Of a processor, before a stage is killed: it is in the middle of something then."""


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
    """The stage's process, at the next try its dvc, at the last the flow; then a restart."""
    scene = Real(folder, whole, stage)
    run = scene.start(targets=[stage])
    killed: set[int] = set()
    gone = 0.0
    for role in ("stage", "dvc", "flow"):
        own = until(lambda: _at_work(scene, stage, killed), 300, lambda: run.said)
        killed.add(own)
        begun = time.monotonic()
        kill({"stage": own, "dvc": scene.process_of("dvc", stage), "flow": run.process.pid}[role])
        until(lambda own=own: not Path(f"/proc/{own}").exists(), 60)  # type: ignore[misc]
        gone = max(gone, round(time.monotonic() - begun, 1))
    run.process.wait()
    gone = max(gone, scene.await_gone())
    assert not scene.half_written()
    outcome = scene.run()
    assert outcome.status == 0, outcome.said
    again = [name for name, how in outcome.stages.items() if how == "ran"]
    assert again == [stage], outcome.stages
    scene.await_gone()
    left = scene.left()
    assert not left, left
    same = recorded_benchmark(scene.root) == recorded_benchmark(whole.root)
    same = same and scene.lock() == whole.lock() and scene.results() == whole.results()
    then = "tried again after each of the first two; nothing went on after the last"
    return Seen(
        "the stage's process, its dvc, the flow's process", f"real {stage} runs", then, gone, again, same
    )


def _at_work(scene: Scene, stage: str, killed: set[int]) -> int | None:
    """The stage's process, once it has used some processor time."""
    process = scene.process_of("stage", stage)
    if process is None or process in killed:
        return None
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    used = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return process if used >= _SECONDS else None


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
