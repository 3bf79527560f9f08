"""Which of our files a file needs: imports followed through the source, nothing executed."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("assets", "tasks", "models", "flows")


def closure(file: str) -> set[str]:
    """`file` and every file of ours that loading and running it can load, relative to the repository.

    Package files that hold nothing but a docstring are left out; templates (.j2) that a module names are
    in. Imports inside functions count, those for type checkers alone do not.
    """
    found: set[str] = set()
    todo = [file]
    while todo:
        current = todo.pop()
        if current not in found:
            found.add(current)
            todo += imports(current)
    return {path for path in found if not _is_bare_package(path)}


@cache
def imports(file: str) -> frozenset[str]:
    """Files of ours that `file` names directly."""
    if not file.endswith(".py"):
        return frozenset()
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    names = {name for node in _nodes(tree) for name in _named(node)}
    modules = {path for name in names for path in _files(name)}
    return frozenset(modules | _templates(tree, Path(file).parent))


def imported_packages(file: str) -> set[str]:
    """Top-level names of everything that `file` imports, ours or not."""
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    return {name.partition(".")[0] for node in _nodes(tree) for name in _named(node)}


def _nodes(tree: ast.AST) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from _nodes(node)


def _named(node: ast.AST) -> Iterator[str]:
    """Dotted names of an import; `from a import b` may mean the module a.b."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _files(dotted: str) -> Iterator[str]:
    """The module's file, and those of the packages around it, which are loaded first."""
    parts = dotted.split(".")
    if parts[0] not in PACKAGES:
        return
    for length in range(1, len(parts) + 1):
        stem = "/".join(parts[:length])
        for path in (f"{stem}.py", f"{stem}/__init__.py"):
            if (ROOT / path).is_file():
                yield path


def _templates(tree: ast.AST, folder: Path) -> set[str]:
    words = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    named = {word for word in words if isinstance(word, str) and word.endswith(".j2")}
    return {(folder / name).as_posix() for name in named if (ROOT / folder / name).is_file()}


def _is_bare_package(file: str) -> bool:
    if not file.endswith("__init__.py"):
        return False
    body = ast.parse((ROOT / file).read_text("utf-8")).body
    return all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in body)
