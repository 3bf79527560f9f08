"""What breaks DVC's run cache, or hides a change from it, must not be in dvc.yaml and the parameters."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from assets.dag import REPORT
from models import detectors
from tests.imports import ROOT, closure, imports

STAGES: dict[str, dict[str, Any]] = {
    name: {**body, **body.get("do", {})}
    for name, body in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].items()
}
PARAMETER_FILES = [ROOT / "params.yaml", *sorted((ROOT / "presets").glob("*.yaml"))]
PINS = "constraints.txt"
REGISTRY = "models/generators/__init__.py"
ONE_KIND = "models/generators/${item.kind}.py"
DRAWS = "generate"
DETECTOR_KINDS = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "models/detectors/kinds").glob("*.py")
    if path.stem != "__init__"
)
NAMES_DETECTOR_CODE = ("tasks/start.py", "tasks/adopt.py")
DETECTOR_FOLDERS = ("models/detectors/kinds", "models/detectors/nets")
"""Listed as folders, so that a new kind of detector is one file and nothing in dvc.yaml."""
REPORT_FOLDERS = ("assets/figures", "assets/page", "assets/papers", "assets/tables")
"""Likewise of the report, so that a new table or figure is one file."""
IN_THE_MODEL = {"models/generators/options.py", "assets/code.py"}
"""What of them decides an image is in the model's folder, which the drawing depends on."""


@pytest.mark.parametrize("name", STAGES)
def test_outputs_can_come_back_from_the_run_cache(name: str) -> None:
    stage = STAGES[name]
    assert not stage.get("always_changed"), f"{name}: always_changed keeps it out of the run cache"
    for part in ("outs", "metrics", "plots"):
        for out in stage.get(part) or ():
            options = next(iter(out.values())) if isinstance(out, dict) else {}
            assert not options.get("persist"), f"{name}: persist keeps {out} out of the run cache"
            assert options.get("cache", True), f"{name}: an uncached output {out} is not shared"


@pytest.mark.parametrize("path", PARAMETER_FILES, ids=lambda path: path.name)
def test_no_parameter_has_a_name_that_dvc_leaves_out_of_its_key(path: Path) -> None:
    bad = {"size", "nfiles"} & set(_keys(yaml.safe_load(path.read_text())))
    assert not bad, f"{path.name}: rename {bad}: treeverse/dvc#10296 restores wrong outputs for these names"


@pytest.mark.parametrize("name", STAGES)
def test_code_dependencies_are_the_imports(name: str) -> None:
    """The files that the stage's module can load, and the pinned versions of everything else."""
    code = (PINS, *DETECTOR_FOLDERS, *REPORT_FOLDERS)
    listed = [dep for dep in STAGES[name]["deps"] if dep in code or dep.endswith((".py", ".j2"))]
    needed = _needed(_task_file(name), one_kind=name == "fit", draws=name == DRAWS)
    if name == REPORT:
        # All code: the tables print a hash over it, so they have to be made again when any of it changes,
        # also if what the changed stage makes stays the same to the byte.
        needed = needed.union(*(_needed(_task_file(other)) for other in STAGES))
        folders = (*DETECTOR_FOLDERS, *REPORT_FOLDERS)
        needed = {path for path in needed if not path.startswith(tuple(f"{one}/" for one in folders))}
        needed |= {*REPORT_FOLDERS}
    missing, superfluous = sorted(needed - set(listed)), sorted(set(listed) - needed)
    assert not missing and not superfluous, "\n".join(
        [
            f"dvc.yaml: stages.{name}.deps:",
            *(f"  add    - {path}" for path in missing),
            *(f"  remove - {path}" for path in superfluous),
        ]
    )
    assert len(listed) == len(set(listed)), f"stages.{name}.deps names a file twice"


def test_what_a_detectors_code_hash_leaves_out_is_listed() -> None:
    for name in ("train", "evaluate"):
        missing = [path for path in _left_out() if path not in STAGES[name]["deps"]]
        assert not missing, f"stages.{name} neither lists nor hashes {missing}"


def _left_out() -> list[str]:
    paths = (Path("models", *module.split(".")) for module in detectors.LISTED)
    found = ((path.with_suffix(".py"), path / "__init__.py") for path in paths)
    return [next(one for one in pair if (ROOT / one).is_file()).as_posix() for pair in found]


def _task_file(name: str) -> str:
    command = re.match(r"python -m (tasks\.\w+)", STAGES[name]["cmd"])
    assert command, f"{name}: expected `python -m tasks.STAGE`, found {STAGES[name]['cmd']!r}"
    return command[1].replace(".", "/") + ".py"


def _needed(task: str, one_kind: bool = False, draws: bool = False) -> set[str]:
    """The import closure; generators' kinds are loaded by name: all of them, or the one that is asked for.

    The stage that draws lists none of them: a hash over the code of its kind is in the model's folder
    (assets/code.py), so that an edit of one kind does not redraw all generators. Likewise detectors: the
    stages that write their code's hash list all kinds, and take a second; training and scoring list none.
    """
    needed = closure(task) | {PINS}
    if task in NAMES_DETECTOR_CODE:
        needed = needed.union(*(closure(kind) for kind in DETECTOR_KINDS))
        needed = {path for path in needed if not path.startswith(DETECTOR_FOLDERS)} | {*DETECTOR_FOLDERS}
    if draws:
        return needed - IN_THE_MODEL
    if REGISTRY not in needed:
        return needed
    kinds = _kinds()
    everything = needed.union(*(closure(kind) for kind in kinds))
    if not one_kind:
        return everything
    used_by_others = {path for file in everything for path in imports(file) & kinds if path != file}
    return (everything - kinds) | used_by_others | {ONE_KIND}


def _kinds() -> set[str]:
    """Files of models/generators that are loaded by name: the keys of OPTIONS."""
    tree = ast.parse((ROOT / "models/generators/options.py").read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "OPTIONS":
            assert isinstance(node.value, ast.Dict)
            names = [key.value for key in node.value.keys if isinstance(key, ast.Constant)]
            return {f"models/generators/{name}.py" for name in names}
    raise AssertionError("models/generators/options.py has no OPTIONS")


def _keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from map(str, value)
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _keys(one)
