"""SIGKILL of whatever takes part in a run, and of what writes dvc.lock, at that moment."""

import time
from pathlib import Path

from tests import toy
from tests.drills.scene import Seen, Toy, entry_of, kill, until

STAGES = {stage.partition("@")[0]: stage for stage in reversed(toy.STAGES)}
"""A stage of each family of the toy."""
ROLES = {
    "stage": "the stage's process",
    "dvc": "its dvc",
    "guard": "its guard",
    "leader": "its guard's second process",
    "flow": "the flow's process",
}
_LONG = 120


def in_the_run(whole: Toy, folder: Path, family: str, role: str) -> Seen:
    """A stage's own process, its dvc, or its guard: the same run tries again and finishes."""
    stage = STAGES[family]
    scene = Toy(folder, whole, stage)
    run = scene.start({"sleep": {stage: 8}, "child": [stage]})
    until(lambda: scene.started(stage), 180, lambda: run.said)
    first = {process for process in scene.processes() if process != run.process.pid}
    kill(scene.process_of(role, stage))
    begun = time.monotonic()
    until(lambda: not any(map(_alive, first)), 60)
    gone = round(time.monotonic() - begun, 1)
    outcome = run.end()
    assert outcome.status == 0, outcome.said
    assert scene.executions() == [stage] * 2 and outcome.stages == {**outcome.stages, stage: "ran"}
    scene.await_gone()
    return Seen(ROLES[role], f"{family} runs", "tried again, and finished", gone, [], scene.compare(whole))


def of_the_flow(whole: Toy, folder: Path, family: str) -> Seen:
    """The flow's process."""
    stage = STAGES[family]
    scene = Toy(folder, whole, stage)
    run = scene.start({"sleep": {stage: _LONG}, "child": [stage]})
    until(lambda: scene.started(stage), 180, lambda: run.said)
    kill(run.process.pid)
    run.process.wait()
    gone = scene.await_gone()
    assert not scene.half_written()
    again, same = scene.restart(whole)
    assert again == [stage]
    return Seen("the flow's process", f"{family} runs", "nothing went on", gone, again, same)


def while_dvc_writes_its_lock(whole: Toy, folder: Path, role: str) -> Seen:
    """dvc, or the flow with it, when dvc.lock is cut off: it is long here, so that the moment can be met."""
    scene = Toy(folder, whole, "collect@photos", "report")
    lock = scene.root / "dvc.lock"
    _lengthen(lock)
    long = lock.stat().st_size
    run = scene.start()
    until(lambda: scene.started("collect@photos"), 180, lambda: run.said)
    until(lambda: lock.stat().st_size < long, 120, lambda: run.said, 0)
    kill(scene.process_of("dvc", "collect@photos"))
    if role == "flow":
        kill(run.process.pid)
    size = lock.stat().st_size
    outcome = run.end()
    gone = scene.await_gone()
    again, same = scene.restart(whole)
    then = "the run mended it and finished" if outcome.status == 0 else "nothing went on"
    then = f"dvc.lock had {size:,} of {long:,} bytes; {then}"
    return Seen(ROLES[role], "DVC writes dvc.lock", then, gone, again, same)


def _lengthen(lock: Path) -> None:
    """Add entries of stages that are no more; DVC keeps them."""
    text = lock.read_text()
    entry = entry_of(text, "generate@a")
    lock.write_text(text + "".join(entry.replace("e@a:", f"e@old{number}:") for number in range(150)))


def _alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
