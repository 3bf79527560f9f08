"""A dvc.lock that is found damaged, DVC's table of paths in use likewise, and two runs in one workspace."""

import json
from pathlib import Path

from flows.running.dvc import keep_lock
from tests.drills.scene import Seen, Toy, kill, until


def damaged_lock(whole: Toy, folder: Path, damage: str) -> Seen:
    """Emptied, cut in half, cut at the end of a line, with no copy of ours; and gone altogether."""
    scene = Toy(folder, whole, "report")
    lock = scene.root / "dvc.lock"
    half = lock.read_text()[: lock.stat().st_size // 2]
    if "no copy" not in damage:
        keep_lock(scene.root)
    left: dict[str, str | None] = {
        "emptied": "",
        "cut at the end of a line": half[: half.rindex("\n") + 1],
        "cut after its second line": "schema: '2.0'\nstages:\n",
        "removed": None,
    }
    if (text := left.get(damage, half)) is None:
        lock.unlink()
    else:
        lock.write_text(text)
    outcome = scene.run()
    assert outcome.status == 0, outcome.said
    assert scene.executions() == ["report"], scene.executions()
    scene.await_gone()
    mended = "was damaged" in outcome.said
    then = "mended at the start" if mended else "what it lacked came from the run cache"
    return Seen("dvc.lock", damage, then, None, ["report"], scene.compare(whole))


def lock_in_a_merge(whole: Toy, folder: Path) -> Seen:
    """dvc.lock with both sides of a merge: refused, and left as it is."""
    scene = Toy(folder, whole, "report")
    lock = scene.root / "dvc.lock"
    mine = lock.read_text()
    merged = mine.replace("stages:\n", f"stages:\n<<<<<<< HEAD\n=======\n{mine}>>>>>>> other\n")
    lock.write_text(merged)
    outcome = scene.run()
    assert outcome.status != 0 and "holds both sides of a merge" in outcome.said, outcome.said
    assert lock.read_text() == merged, "it was thrown away"
    lock.write_text(mine)
    again, same = scene.restart(whole)
    return Seen(
        "dvc.lock", "with a merge conflict", "refused, left as it was, says what to do", None, again, same
    )


def paths_in_use(whole: Toy, folder: Path, damage: str) -> Seen:
    """DVC's table of paths in use: cut off, or naming a process that is something else by now."""
    scene = Toy(folder, whole, "report")
    user = {"pid": 1, "cmd": "dvc repro --single-item report"}
    table = json.dumps({"write": {str(scene.root / "results"): user}, "read": {}})
    left = {"emptied": "", "cut off": table[:9], "naming a dead dvc's id, which another program has": table}
    (scene.root / ".dvc/tmp/rwlock").write_text(left[damage])
    again, same = scene.restart(whole)
    return Seen("DVC's table of paths in use", damage, "mended at the start", None, again, same)


def two_runs(whole: Toy, folder: Path) -> Seen:
    """A second run in the same workspace."""
    scene = Toy(folder, whole, "generate@a", "report")
    first = scene.start({"sleep": {"generate@a": 25}})
    until(lambda: scene.started("generate@a"), 180, lambda: first.said)
    second = scene.run()
    assert second.status != 0
    assert "another run is at work" in second.said and str(first.process.pid) in second.said, second.said
    outcome = first.end()
    assert outcome.status == 0 and outcome.stages["generate@a"] == "ran", outcome.said
    assert len(scene.executions()) == len(set(scene.executions()))
    scene.await_gone()
    return Seen(
        "a second run",
        "generate runs",
        "the second said so and ended; the first finished",
        None,
        [],
        scene.compare(whole),
    )


def killed_and_started_at_once(whole: Toy, folder: Path) -> Seen:
    """A restart in the same second as the kill: it waits for what the killed run leaves behind."""
    scene = Toy(folder, whole, "generate@a", "report")
    first = scene.start({"sleep": {"generate@a": 120}, "child": ["generate@a"]})
    until(lambda: scene.started("generate@a"), 180, lambda: first.said)
    kill(first.process.pid)
    again, same = scene.restart(whole)
    return Seen(
        "the flow's process",
        "generate runs; restarted at once",
        "the restart waited for it",
        None,
        again,
        same,
    )
