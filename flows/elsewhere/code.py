"""The code of a clone: whether it is that of a run, and how it gets there."""

import hashlib
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from assets.errors import AssayError


def md5_of(path: Path) -> str:
    """What DVC records of a file or a folder of code; '' where there is none."""
    if path.is_dir():
        files = sorted(
            file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts
        )  # .dvcignore
        listed = [{"md5": md5_of(file), "relpath": file.relative_to(path).as_posix()} for file in files]
        listed.sort(key=lambda entry: entry["relpath"])
        return f"{hashlib.md5(json.dumps(listed).encode(), usedforsecurity=False).hexdigest()}.dir"
    try:
        return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    except OSError:
        return ""


def commit_of(root: Path) -> str | None:
    """The commit that a clone is at; None where git knows none."""
    try:
        return _git(root, "rev-parse", "--verify", "HEAD").strip()
    except AssayError:
        return None


def take_code(root: Path, code: Mapping[str, str], commit: str | None) -> None:
    """See that the clone's code is what it is where the errand comes from; go to its commit if need be.

    Args:
        code: path -> md5, dvc.yaml among them.
        commit: where they may be found.

    Raises:
        AssayError: they differ, and going to that commit is not possible or does not help.
    """
    if not _differing(root, code):
        return
    why = _go_to(root, commit) if commit else "the run it comes from is in no git repository"
    differing = _differing(root, code)
    if differing:
        more = f" and {len(differing) - 5} more" if len(differing) > 5 else ""
        raise AssayError(
            f"the code in {root.resolve()} is not that of the run: {', '.join(differing[:5])}{more} differ"
            f"{'' if len(differing) > 1 or more else 's'}; {why}. Commit and push what the run has, then "
            "`git pull` in this clone"
        )


def _differing(root: Path, code: Mapping[str, str]) -> list[str]:
    return [path for path, md5 in sorted(code.items()) if md5_of(root / path) != md5]


def _go_to(root: Path, commit: str) -> str:
    """Check a commit out, if that loses nothing; returns how it went, in words."""
    try:
        if changed := _git(root, "status", "--porcelain", "--untracked-files=no").strip():
            first = changed.splitlines()[0].strip()
            return f"the clone has changes of its own ({first}), so it stays where it is"
        if not _knows(root, commit):
            _git(root, "fetch", "--quiet")
        _git(root, "checkout", "--quiet", "--detach", commit)
    except AssayError as error:
        return f"its commit {commit[:12]} cannot be had: {error}"
    return f"at commit {commit[:12]}, where the run is, they are not that either"


def _knows(root: Path, commit: str) -> bool:
    try:
        _git(root, "cat-file", "-e", f"{commit}^{{commit}}")
    except AssayError:
        return False
    return True


def _git(root: Path, *arguments: str) -> str:
    result = subprocess.run(
        ["git", *arguments],
        cwd=root,
        env={**os.environ, "GIT_TERMINAL_PROMPT": "0"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise AssayError(f"git {arguments[0]}: {result.stderr.strip()[-300:]}")
    return result.stdout
