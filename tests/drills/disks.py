"""A full disk: a small file system of memory in place of a folder. Needs root; elsewhere it is skipped."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.drills.scene import Seen, Toy


def may_mount() -> bool:
    """Whether this process may mount a file system."""
    return os.geteuid() == 0 and shutil.which("mount") is not None and _can(Path("/proc/self/ns/mnt"))


@contextmanager
def small(folder: Path, kilobytes: int) -> Iterator[None]:
    """A file system of that size at `folder`, with what was in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder.parent / f"{folder.name}.kept"
    shutil.copytree(folder, kept, symlinks=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", folder], check=True)
    try:
        shutil.copytree(kept, folder, symlinks=True, dirs_exist_ok=True)
        shutil.rmtree(kept)
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def enlarge(folder: Path) -> None:
    """Make room on it."""
    subprocess.run(["mount", "-o", "remount,size=64m", folder], check=True)


def full(whole: Toy, folder: Path, where: str, kilobytes: int) -> Seen:
    """The disk of one of the folders that a run writes to fills up in the middle of a run."""
    root = folder / "repo"
    scene = Toy(root)
    at = {
        "cache": root / ".dvc/cache",
        "workspace": root,
        "/tmp": folder / "tmp",
        ".assay": root / ".assay",
    }[where]
    if where == "/tmp":
        scene.environment["TMPDIR"] = str(at)
    with small(at, kilobytes):
        if where in ("/tmp", ".assay"):
            _fill(at)
        outcome = scene.run()
        scene.await_gone()
        ended = set(scene.executions("end"))
        if outcome.status:
            assert "the disk is full" in outcome.said, outcome.said
        assert not scene.half_written(), scene.half_written()
        enlarge(at)
        (at / "filler").unlink(missing_ok=True)
        again, same = scene.restart(whole)
        then = _words(outcome.said, folder) if outcome.status else "went on: it needs none"
    return Seen(f"the disk of {where}", f"full after {len(ended)} stages", then, None, again, same)


def _words(said: str, folder: Path) -> str:
    """What the run said of the disk."""
    found = re.search(r"the disk is full[^\n']*", said)
    assert found, said
    return f"failed: {found[0].strip()}".replace(f"{folder}/", "")


def _fill(at: Path) -> None:
    with (at / "filler").open("wb", buffering=0) as filler:
        try:
            while True:
                filler.write(b"x" * 1024)
        except OSError:
            pass


def _can(namespace: Path) -> bool:
    """A container may be run by root and yet be refused: only trying tells."""
    tried = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False
    )
    return namespace.exists() and tried.returncode == 0
