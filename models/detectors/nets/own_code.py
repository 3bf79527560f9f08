"""Which code stands behind a Python module that is not of this repository's packages."""

import ast
import hashlib
import importlib.util
import sys
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path

from assets.errors import AssayError

_OURS = {"assets", "models", "tasks", "flows"}
"""This repository's own packages, which stages depend on in another way."""


def search_repository() -> None:
    """Let modules that lie in the current folder be imported, wherever the program was started from."""
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)


def code_pin(module: str, where: str) -> str:
    """`NAME VERSION` of an installed package, else a hash over its files; nothing of it is run.

    Of a file or a folder that is not installed (or is installed as editable), the hash is over all .py
    files of it and of the modules beside it that they import.

    Raises:
        AssayError: there is no such module.
    """
    search_repository()
    importlib.invalidate_caches()
    top = module.partition(".")[0]
    found = importlib.util.find_spec(top)
    if found is None:
        raise AssayError(f"{where}: there is no module '{top}' in {Path.cwd()}, and none is installed")
    folders = [Path(place) for place in found.submodule_search_locations or ()]
    place = folders[0] if folders else Path(str(found.origin))
    if {"site-packages", "dist-packages"} & {*place.parts}:
        return _installed(top, where)
    files = _with_neighbours(top, place.parent)
    if not files:
        raise AssayError(f"{where}: '{top}' has no Python files that could be told apart by a hash")
    digest = hashlib.sha256()
    for path in files:
        data = path.read_bytes()
        digest.update(f"{path.relative_to(place.parent).as_posix()} {len(data)}\n".encode() + data)
    return digest.hexdigest()


def _installed(top: str, where: str) -> str:
    names = packages_distributions().get(top, [])
    try:
        return f"{names[0]} {version(names[0])}"
    except (IndexError, PackageNotFoundError):
        raise AssayError(f"{where}: '{top}' is installed without a version: install it with pip") from None


def _with_neighbours(top: str, folder: Path) -> list[Path]:
    """All .py files of a module in `folder`, and of those beside it that they import, sorted."""
    found: dict[str, list[Path]] = {}
    todo = [top]
    while todo:
        name = todo.pop()
        if name in found:
            continue
        found[name] = [path for path in (folder / f"{name}.py",) if path.is_file()]
        found[name] += (folder / name).rglob("*.py") if (folder / name).is_dir() else []
        todo += {imported for path in found[name] for imported in _imported(path) - _OURS}
    return sorted(path for files in found.values() for path in files)


def _imported(path: Path) -> set[str]:
    """First names of the modules that a file imports; none if Python cannot read it."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return set()
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return {name.partition(".")[0] for name in names}
