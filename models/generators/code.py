"""The code that draws a kind's images, as one hash: what redraws a generator's images when it changes.

dvc.yaml cannot list another set of files for every generator, so `fit` writes this hash into the model's
folder, on which the drawing depends. Docstrings, blank lines and comments on lines of their own are no
code: a word mended in one of them does not redraw a million images.
"""

import ast
import hashlib
from pathlib import Path
from typing import TypeGuard

_HERE = Path(__file__).parent
_PACKAGE = "models.generators"
_NOT_DRAWING = {"__init__", "code", "options"}
"""What these decide is in model.json, or has nothing to do with one kind."""


def code_digest(*modules: str) -> str:
    """SHA-256 over these modules of this folder (`dcgan`, `nets.unet`) and all that they import from it."""
    found: dict[str, str] = {}
    todo = list(modules)
    while todo:
        module = todo.pop()
        path = _HERE / f"{module.replace('.', '/')}.py"
        if module not in found and path.is_file():
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
    """Modules of this folder that a tree imports."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == _PACKAGE:
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (below := _below(node.module or "")):
            names |= {below, *(f"{below}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {_below(alias.name) for alias in node.names}
    return names - _NOT_DRAWING


def _below(dotted: str) -> str:
    return dotted.removeprefix(f"{_PACKAGE}.") if dotted.startswith(f"{_PACKAGE}.") else ""
