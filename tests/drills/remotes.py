"""A DVC remote that is away: a folder that is moved, or cannot be written to."""

import shutil
import subprocess
from pathlib import Path

from tests import toy
from tests.drills.disks import small
from tests.drills.scene import Seen, Toy, until


def _with_remote(whole: Toy, folder: Path) -> tuple[Toy, Path]:
    store = folder / "store"
    store.mkdir(parents=True)
    scene = Toy(folder / "repo", whole, "generate@a")
    toy.dvc(scene.root, "remote", "add", "-q", "-d", "store", str(store))
    toy.dvc(scene.root, "push", "-q", "--run-cache")
    return scene, store


def away_for_good(whole: Toy, folder: Path) -> Seen:
    """Moved away before the run: the run says so, and does not make a new one in its place."""
    scene, store = _with_remote(whole, folder)
    store.rename(folder / "elsewhere")
    outcome = scene.run(remote=True)
    assert outcome.status == 1 and "is away" in outcome.said, outcome.said
    assert not store.exists() and not scene.executions()
    (folder / "elsewhere").rename(store)
    again, same = scene.restart(whole, remote=True)
    _assert_all_pushed(store, folder)
    return Seen("the remote", "before the run, for good", "says so; computes nothing anew", None, again, same)


def away_for_a_while(whole: Toy, folder: Path) -> Seen:
    """Moved away while a stage runs, back while its push is tried again."""
    scene, store = _with_remote(whole, folder)
    scene.environment["ASSAY_RETRY_SECONDS"] = "5,60"
    scene.environment["PREFECT_LOGGING_LEVEL"] = "INFO"  # which tells of failures that are tried again
    run = scene.start({"sleep": {"generate@a": 8}}, remote=True, jobs=1, targets=["generate@a"])
    until(lambda: scene.started("generate@a"), 180, lambda: run.said)
    store.rename(folder / "elsewhere")
    until(lambda: "generate@a" in scene.executions("end"), 60)
    until(lambda: "is away" in run.said, 60, lambda: run.said)
    (folder / "elsewhere").rename(store)
    outcome = run.end()
    assert outcome.status == 0, outcome.said
    assert scene.executions() == ["generate@a"]
    again, same = scene.restart(whole, remote=True)
    _assert_all_pushed(store, folder)
    then = "pushed at the second try; the stage was not run again"
    return Seen("the remote", "while generate runs, back soon", then, None, again, same)


def read_only(whole: Toy, folder: Path) -> Seen:
    """It may be read and not written to."""
    scene, store = _with_remote(whole, folder)
    with small(store, 65536):
        subprocess.run(["mount", "-o", "remount,ro", store], check=True)
        outcome = scene.run(remote=True, targets=["generate@a"])
        assert outcome.status == 1 and "could not be pushed" in outcome.said, outcome.said
        assert "Read-only file system" in outcome.said, outcome.said
        assert scene.executions() == ["generate@a"], "run once, though its push was tried three times"
        subprocess.run(["mount", "-o", "remount,rw", store], check=True)
        again, same = scene.restart(whole, remote=True)
        assert "generate@a" not in again
        _assert_all_pushed(store, folder)
    return Seen("the remote", "cannot be written to", "says so after 3 tries to push", None, again, same)


def _assert_all_pushed(store: Path, folder: Path) -> None:
    """A second clone takes everything from the remote and executes nothing."""
    clone = Toy(folder / "clone")
    shutil.rmtree(clone.root / ".dvc/cache", ignore_errors=True)
    toy.dvc(clone.root, "remote", "add", "-q", "-d", "store", str(store))
    outcome = clone.run(remote=True)
    assert outcome.status == 0, outcome.said
    assert not clone.executions(), clone.executions()
