"""The code behind one kind of model, as one hash: what its images are redrawn for, or its training repeated.

dvc.yaml cannot list another set of files for every generator or detector, so the first stage of each writes
this hash into its folder, on which the others depend. Docstrings, blank lines and comments on lines of
their own are no code: a word mended in one of them does not redraw a million images.
"""

import ast
import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import TypeGuard

_MODELS = Path(__file__).parents[1] / "models"
_PACKAGE = "models"


def code_digest(modules: Collection[str], but_not: Collection[str] = ()) -> str:
    """SHA-256 over these modules of models/ (`generators.dcgan`) and all of models/ that they import.

    Args: but_not: modules that are not followed, because who asks depends on them in another way.
    """
    found: dict[str, str] = {}
    todo = list(modules)
    while todo:
        module = todo.pop()
        path = _MODELS / f"{module.replace('.', '/')}.py"
        if module not in found and module not in but_not and path.is_file():
            source = path.read_text("utf-8")
            tree = ast.parse(source)
            found[module] = _code(source, tree)
            todo += _imported(tree)
    text = "".join(f"{module}\0{code}\0" for module, code in sorted(found.items()))
    return hashlib.sha256(text.encode()).hexdigest()


def _code(source: str, tree: ast.Module) -> str:
    """The lines that do something, as they stand: syntax trees differ between versions of Python."""
    texts = [node for node in ast.walk(tree) if _is_text(node)]
    told = {number for text in texts for number in range(text.lineno, (text.end_lineno or 0) + 1)}
    lines = enumerate(source.splitlines(), start=1)
    kept = (line.rstrip() for number, line in lines if number not in told)
    return "\n".join(line for line in kept if line and not line.lstrip().startswith("#"))


def _is_text(node: ast.AST) -> TypeGuard[ast.Expr]:
    """Whether it is a docstring, of a module, class, function or constant."""
    if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Constant):
        return False
    return isinstance(node.value.value, str)


def _imported(tree: ast.Module) -> set[str]:
    """Modules of models/ that a tree imports."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name.removeprefix(f"{_PACKAGE}.") for name in names if name.startswith(f"{_PACKAGE}.")}
