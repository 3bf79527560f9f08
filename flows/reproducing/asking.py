"""`dvc` as a child that ends when we do, for what may take long: fetching and checking out."""

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from flows.running import guard


@dataclass(frozen=True)
class Answer:
    """What a command came to."""

    status: int
    text: str
    """Everything it printed."""


def ask_dvc(root: Path, *arguments: str) -> Answer:
    """Run `dvc` in a repository and wait for it; it waits for other commands there to be done."""
    # -P: modules that lie in the worktree are the record's, and DVC is not to load them
    return guarded(root, [sys.executable, "-P", "-m", "dvc", "--wait-for-lock", *arguments])


def guarded(root: Path, command: list[str]) -> Answer:
    """Run a command and wait; it and all it started end when we do, even if we are killed."""
    with tempfile.TemporaryFile() as output:
        child = subprocess.Popen(
            [sys.executable, "-I", "-S", guard.__file__, *command],
            cwd=root,
            env={**os.environ, "DVC_NO_ANALYTICS": "1"},
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert child.stdin is not None
        try:
            child.wait()
        finally:
            child.stdin.close()  # the guard's signal to end a command that is still running
            child.wait()
        output.seek(0)
        return Answer(child.returncode, output.read().decode("utf-8", errors="replace"))
