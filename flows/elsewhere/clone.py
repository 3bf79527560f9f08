"""A worker's clone: lent to one errand at a time, and as it was before once that is over."""

import fcntl
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

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


def install(root: Path, params: str, data: str | None) -> None:
    """Write the parameters and the pinned inputs of an errand."""
    write_text(root / PARAMS_YAML, params)
    if data is None:
        (root / DATA_DVC).unlink(missing_ok=True)
    else:
        write_text(root / DATA_DVC, data)
