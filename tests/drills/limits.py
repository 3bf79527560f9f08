"""What ends a stage in order: a time limit, errors that may pass or may not, Ctrl-C and cancelling."""

import signal
import time
from pathlib import Path

from tests import toy
from tests.drills.scene import Seen, Toy, until

_LONG = 120


def time_is_up(whole: Toy, folder: Path) -> Seen:
    """A stage that hangs: it and its child die, the others go on, and it is not tried again."""
    scene = Toy(folder, whole, "generate@b", "evaluate@a-a")
    run = scene.start(
        {"sleep": {"generate@b": _LONG}, "child": ["generate@b"]}, limits={"generate": 15 / 3600}, jobs=1
    )
    outcome = run.end()
    assert outcome.status == 1, outcome.said
    assert "generate@b: not done in the time allowed" in outcome.said, outcome.said
    gone = scene.await_gone()
    assert scene.executions().count("generate@b") == 1
    assert scene.executions("end") == ["evaluate@a-a"]
    again, same = scene.restart(whole)
    return Seen(
        "a stage that hangs", "its time limit", "it alone failed, once; the rest was made", gone, again, same
    )


def may_pass(whole: Toy, folder: Path) -> Seen:
    """Status 75 twice, then success: one run, no failure left."""
    scene = Toy(folder, whole, "generate@a")
    outcome = scene.run({"exit": {"generate@a": [75, 75]}})
    assert outcome.status == 0, outcome.said
    assert scene.executions() == ["generate@a"] * 3 and outcome.stages["generate@a"] == "ran"
    scene.await_gone()
    return Seen("generate ends with 75", "twice", "tried 3 times, finished", None, [], scene.compare(whole))


def not_for_ever(whole: Toy, folder: Path) -> Seen:
    """Status 75 whenever it is tried: the run gives up; what does not depend on it is there."""
    scene = Toy(folder, whole, "generate@b")
    outcome = scene.run({"exit": {"generate@b": [75] * 9}})
    assert outcome.status == 1 and "exited with 75" in outcome.said, outcome.said
    assert scene.executions().count("generate@b") == 3
    again, same = scene.restart(whole)
    return Seen("generate ends with 75", "always", "tried 3 times, then failed", None, again, same)


def mistakes(whole: Toy, folder: Path) -> Seen:
    """Status 2, though the stage writes words that a network's error has: never tried again."""
    scene = Toy(folder, whole, "generate@b")
    outcome = scene.run({"exit": {"generate@b": [2]}})
    assert outcome.status == 1 and "exited with 2" in outcome.said, outcome.said
    assert scene.executions().count("generate@b") == 1
    again, same = scene.restart(whole)
    return Seen("generate ends with 2", "a user's mistake", "failed at once", None, again, same)


def told_to_stop(whole: Toy, folder: Path, number: signal.Signals) -> Seen:
    """SIGINT, which is Ctrl-C, and SIGTERM, which is how Prefect cancels."""
    scene = Toy(folder, whole, "train@a-net-0")
    run = scene.start({"sleep": {"train@a-net-0": _LONG}, "child": ["train@a-net-0"]})
    until(lambda: scene.started("train@a-net-0"), 180, lambda: run.said)
    begun = time.monotonic()
    run.process.send_signal(number)
    outcome = run.end()
    assert outcome.status != 0
    scene.await_gone()
    gone = round(time.monotonic() - begun, 1)
    again, same = scene.restart(whole)
    return Seen(f"{number.name} to the flow", "train runs", "ended all of it", gone, again, same)


def side_by_side(whole: Toy, folder: Path) -> Seen:
    """No more stages at a time than `jobs`."""
    scene = Toy(folder, whole, *toy.STAGES)
    (scene.root / "dvc.lock").unlink()
    wait = dict.fromkeys(toy.STAGES, 2)
    outcome = scene.run({"sleep": wait}, jobs=2)
    assert outcome.status == 0, outcome.said
    events = sorted((entry[3], 1 if entry[0] == "start" else -1) for entry in toy.trace(scene.trace))
    now = most = 0
    for _, change in events:
        now += change
        most = max(most, now)
    assert most == 2
    return Seen("nothing", "7 stages, jobs=2", f"at most {most} at a time", None, [], scene.compare(whole))
