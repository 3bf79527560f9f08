"""Files from DVC's remote or a shared cache into a clone, and inputs into the remote."""

import configparser
import os
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

from assets.errors import AssayError
from flows.running import guard

DATA_DVC = "data.dvc"
_CONFIGS = (".dvc/config", ".dvc/config.local")


class FetchFailed(AssayError):
    """Something could not be fetched; another time it may be."""


def has_remote(root: Path) -> bool:
    """Whether DVC has a remote to pull from and push to when none is named."""
    here = _says(
        root, "core", "remote"
    )  # dvc knows of the user's and the system's settings, but takes longer
    return here or bool(_ask(root, "config", "core.remote", may_fail=True).strip())


def has_shared_cache(root: Path) -> bool:
    """Whether this clone's cache is outside it, where other clones can have theirs too."""
    return _says(root, "cache", "dir")


def _says(root: Path, section: str, option: str) -> bool:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read([root / config for config in _CONFIGS], "utf-8")
    return parser.has_option(section, option)


def bring(root: Path, outs: Collection[str], inputs: Collection[str], remote: bool) -> None:
    """Make paths in the workspace what dvc.lock and data.dvc say of them.

    Args:
        outs: outputs of stages; whatever else lies there is replaced.
        inputs: data/NAME; pictures that are in no cache are never replaced.
        remote: fetch from the remote; otherwise from the cache alone.

    Raises:
        FetchFailed: not to be had, or an input differs from data.dvc; DVC's own words.
    """
    verb = "pull" if remote else "checkout"
    try:
        if outs:
            _ask(root, verb, "--quiet", "--force", *sorted(outs))
        if inputs:
            _ask(root, verb, "--quiet", *sorted(inputs))
    except AssayError as error:
        raise FetchFailed(str(error)) from None


def push_inputs(root: Path) -> None:
    """Put the pictures that data.dvc pins into the remote, where it lacks them and this clone has them.

    Raises:
        AssayError: the remote does not take them.
    """
    if (root / DATA_DVC).is_file() and (root / "data").is_dir():
        _ask(root, "push", "--quiet", DATA_DVC)


def _ask(root: Path, *arguments: str, may_fail: bool = False) -> str:
    """Run dvc behind the guard: it ends when we do, however we end."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    command = [sys.executable, "-I", "-S", guard.__file__, sys.executable, "-m", "dvc", "--wait-for-lock"]
    with subprocess.Popen(
        [*command, *arguments],
        cwd=root,
        env={**os.environ, "PATH": path, "DVC_NO_ANALYTICS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as child:
        assert child.stdin is not None and child.stdout is not None
        said = child.stdout.read()
    if child.returncode and not may_fail:
        what = " ".join(arguments)[:200]
        raise AssayError(f"`dvc {what}` failed in {root.resolve()}:\n{said.strip()[-2000:]}")
    return "" if child.returncode else said
