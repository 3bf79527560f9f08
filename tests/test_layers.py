"""The arrows of docs/architecture.md: who may import whom, and what must not be loaded."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.imports import PACKAGES, ROOT, imported_packages

MAY_IMPORT = {
    "assets": {"assets"},
    "models": {"models", "assets"},
    "tasks": {"tasks", "models", "assets"},
    "flows": {"flows", "tasks", "models", "assets"},
}
WITH_TORCH = {
    "fit",
    "generate",
    "start",
    "train",
    "adopt",
    "evaluate",
    "evaluate_given",
    "attribute",
    "score",
    "likeness",
    "looking",
    "validation",
    "export_detector",
    "time_detectors",
}
"""Stages that may load torch; the others must start quickly, also where torch is not installed."""


def _python_files(*packages: str) -> list[str]:
    found = (path for package in packages for path in (ROOT / package).rglob("*.py"))
    return sorted(path.relative_to(ROOT).as_posix() for path in found)


def _module(file: str) -> str:
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@pytest.mark.parametrize("file", _python_files(*PACKAGES))
def test_imports_follow_the_arrows(file: str) -> None:
    package = file.partition("/")[0]
    wrong = imported_packages(file) & set(PACKAGES) - MAY_IMPORT[package]
    assert not wrong, f"{file} imports {wrong}; {package}/ may import {sorted(MAY_IMPORT[package])}"


@pytest.mark.parametrize("file", _python_files("assets", "models", "tasks"))
def test_only_flows_know_prefect_and_dvc(file: str) -> None:
    assert not imported_packages(file) & {"prefect", "dvc"}


def test_only_one_file_talks_to_dvc() -> None:
    speakers = [file for file in _python_files("flows") if '"dvc"]' in (ROOT / file).read_text()]
    assert speakers == ["flows/running/dvc.py"]


def test_stages_run_without_prefect_and_dvc() -> None:
    """Really loaded, with all that they load in turn."""
    _assert_not_loaded(_python_files("assets", "tasks"), ["prefect", "dvc"])


def test_light_stages_do_not_load_torch() -> None:
    light = [file for file in _python_files("tasks") if Path(file).stem not in WITH_TORCH]
    _assert_not_loaded(light, ["torch", "diffusers", "timm", "transformers"])


def test_the_command_line_starts_without_what_is_slow() -> None:
    _assert_not_loaded(["flows/cli.py"], ["prefect", "pandas", "pyarrow", "numpy", "pydantic", "torch"])


def _assert_not_loaded(files: list[str], unwanted: list[str]) -> None:
    code = (
        "import importlib, sys\n"
        f"for name in {[_module(file) for file in files]!r}: importlib.import_module(name)\n"
        f"print(*[name for name in {unwanted!r} if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == []
