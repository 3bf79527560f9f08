"""Leftovers of other runs in a clone, out of the way of the next errand."""

import shutil
from pathlib import Path

from assets.dag import Dag


def sweep(root: Path, dag: Dag, stage: str) -> None:
    """Remove what runs with other parameters left in folders that the stage depends on as a whole.

    DVC would hash it along, so that the same stage would have another dependency in every clone. All of it
    was made by errands, and is in the cache.
    """
    for dep in dag[stage].deps:
        outs = dag.outs_behind(dep)
        if outs and all(out.startswith(f"{dep}/") for out in outs):
            _keep_only(root, root / dep, {root / out for out in outs})


def _keep_only(root: Path, folder: Path, kept: set[Path]) -> None:
    if not folder.is_dir() or not folder.resolve().is_relative_to(root.resolve()):
        return
    for path in folder.iterdir():
        if path in kept:
            continue
        if any(out.is_relative_to(path) for out in kept):
            _keep_only(root, path, kept)
        elif path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
