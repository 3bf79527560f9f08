"""A worker's clone: lent to one errand at a time, and as it was before once that is over."""

import fcntl
import hashlib
import json
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from assets.dag import DVC_YAML
from assets.errors import AssayError
from assets.files import write_text
from assets.lineage import LOCK
from assets.yaml12 import PARAMS_YAML
from flows.elsewhere.fetching import DATA_DVC
from flows.running import dvc
from flows.running.workspace import only_run

_LENT = (PARAMS_YAML, DATA_DVC, LOCK)
"""What an errand replaces while it is at work."""
_OWN = dvc.WORKSPACE / "own"
_TOKEN = dvc.WORKSPACE / "run.token"
_COMPLETE = "complete"
LOCK_OF_RUNS = dvc.WORKSPACE / "run.lock"
_PAUSE = 0.5


def token(root: Path) -> str:
    """A name for this folder that no copy of it has, made when it is first asked for."""
    path = root / _TOKEN
    if _is_true(path):
        return path.read_text("utf-8")
    path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    path.touch()
    path.write_text(f"{secrets.token_hex(16)} {path.stat().st_ino}", "utf-8")
    return path.read_text("utf-8")


def is_same(root: Path, known: str) -> bool:
    """Whether `root` is the folder whose token is `known`, by whatever path, from whatever machine."""
    path = root / _TOKEN
    return _is_true(path) and path.read_text("utf-8") == known


def _is_true(path: Path) -> bool:
    """A token that was copied along with its folder lies in another inode than it names."""
    return path.is_file() and path.read_text("utf-8").rpartition(" ")[2] == str(path.stat().st_ino)


@contextmanager
def lent(root: Path, patience: float) -> Iterator[int]:
    """Hold a clone for one errand, once whoever has it now is done; gives the lock's descriptor.

    The files that an errand replaces are put back afterwards, or by the next errand if this one is killed.

    Raises:
        AssayError: it was not free for `patience` seconds.
    """
    with ExitStack() as stack:
        lock = _patiently(stack, root, patience)
        _put_back(root)
        if mended := dvc.heal_lock(root):
            print(mended)
        _set_aside(root)
        try:
            yield lock
        finally:
            _put_back(root)
            dvc.keep_lock(root)


def _patiently(stack: ExitStack, root: Path, patience: float) -> int:
    end = time.monotonic() + patience
    while True:
        try:
            return stack.enter_context(only_run(root))
        except AssayError:
            if time.monotonic() > end:
                raise
            time.sleep(_PAUSE)


def is_free(root: Path) -> bool:
    """Whether nobody holds a clone at this moment."""
    path = root / LOCK_OF_RUNS
    if not path.exists():
        return True
    with path.open("rb") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _set_aside(root: Path) -> None:
    own = root / _OWN
    shutil.rmtree(own, ignore_errors=True)
    own.mkdir(parents=True)
    for name in _LENT:
        if (root / name).exists():
            shutil.copy2(root / name, own / name)
    (own / _COMPLETE).touch()


def _put_back(root: Path) -> None:
    own = root / _OWN
    if (own / _COMPLETE).exists():
        for name in _LENT:
            if (own / name).exists():
                part = own / f"{name}.part"
                shutil.copy2(own / name, part)
                part.replace(root / name)
            else:
                (root / name).unlink(missing_ok=True)
        (own / _COMPLETE).unlink()
    shutil.rmtree(own, ignore_errors=True)


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


def code_of(root: Path, stage_deps: list[str]) -> dict[str, str]:
    """The md5 of dvc.yaml and of the code that a stage depends on."""
    return {path: md5_of(root / path) for path in (DVC_YAML, *stage_deps)}


def install(root: Path, params: str, data: str | None) -> None:
    """Write the parameters and the pinned inputs of an errand."""
    write_text(root / PARAMS_YAML, params)
    if data is None:
        (root / DATA_DVC).unlink(missing_ok=True)
    else:
        write_text(root / DATA_DVC, data)
