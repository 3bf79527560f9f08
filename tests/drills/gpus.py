"""One stage a GPU: in one run, over two workspaces, and after a kill. Which GPUs there are is made up."""

import itertools
from pathlib import Path
from typing import Any

from tests import toy
from tests.drills.scene import Scene, Seen, Toy, kill, until

_TWO = {"CUDA_VISIBLE_DEVICES": "drill-0,drill-1", "ASSAY_DEVICE": ""}
_STAGES = ("generate@a", "generate@b")


def over_two_workspaces(whole: Toy, folder: Path) -> Seen:
    """Four GPU stages of two runs, two GPUs."""
    scenes = [Toy(folder / name, whole, *_STAGES, "train@a-net-0") for name in ("one", "two")]
    orders = {"sleep": dict.fromkeys(_STAGES, 5)}
    runs = [scene.start(orders, variables=_TWO, jobs=4) for scene in scenes]
    for run in runs:
        outcome = run.end()
        assert outcome.status == 0, outcome.said
    spans = [span for scene in scenes for span in _spans(scene)]
    assert len(spans) == 6 and not _overlaps(spans), spans
    assert {span[0] for span in spans} == {"drill-0", "drill-1"}
    same = all(scene.compare(whole) for scene in scenes)
    return Seen("nothing", "2 runs, 6 GPU stages, 2 GPUs", "never two on one", None, [], same)


def after_a_kill(whole: Toy, folder: Path) -> Seen:
    """A killed run's GPU is free when, and not before, its stage is gone."""
    one = {**_TWO, "CUDA_VISIBLE_DEVICES": "drill-2"}
    killed, waiting = (Toy(folder / name, whole, "generate@a") for name in ("killed", "waiting"))
    run = killed.start(
        {"sleep": {"generate@a": 120}, "child": ["generate@a"]}, variables=one, targets=["generate@a"]
    )
    until(lambda: killed.started("generate@a"), 180, lambda: run.said)
    stage = killed.process_of("stage", "generate@a")
    other = waiting.start(variables=one, jobs=4, targets=["generate"])
    until(lambda: (waiting.root / ".assay/run.lock").exists(), 180, lambda: other.said)
    assert not waiting.executions()
    kill(run.process.pid)
    until(lambda: waiting.executions(), 60, lambda: other.said)
    assert not Path(f"/proc/{stage}").exists(), "two stages are on one GPU"
    outcome = other.end()
    assert outcome.status == 0, outcome.said
    gone = killed.await_gone()
    again, same = killed.restart(whole)
    then = "another workspace's stage got its GPU once its stage was gone"
    return Seen("the flow's process", "generate runs on a GPU", then, gone, again, same)


def _spans(scene: Scene) -> list[tuple[str, float, float]]:
    """GPU, start and end of every stage that had one."""
    spans: list[tuple[str, float, float]] = []
    begun: dict[Any, Any] = {}
    for word, stage, process, when, gpu in toy.trace(scene.trace):
        if stage.startswith(("generate", "train")):
            if word == "start":
                begun[process] = when
            else:
                spans.append((gpu, begun[process], when))
    return spans


def _overlaps(spans: list[tuple[str, float, float]]) -> list[Any]:
    pairs = itertools.combinations(spans, 2)
    return [(a, b) for a, b in pairs if a[0] == b[0] and a[1] < b[2] and b[1] < a[2]]
