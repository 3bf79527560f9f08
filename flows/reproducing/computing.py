"""Stages of a record, run in its worktree by its own code."""

import os
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

from assets.dag import Dag, Stage, load_dag
from assets.errors import AssayError
from flows.benchmark import RunFailed
from flows.planning.plan import Planned
from flows.reproducing.asking import guarded
from flows.running import dvc
from flows.running.limits import time_limits
from flows.running.places import Here
from flows.running.run import Run, execute, known_families

VENV = Path(".venv")


class _There(Here):
    """Child processes in the worktree, whose own code comes before any other that Python could find."""

    def __init__(self, root: Path, control: dvc.Control, jobs: int, variables: Mapping[str, str]) -> None:
        super().__init__(root, control, time_limits(), jobs, remote=False)
        self._variables = dict(variables)

    def _environment(self, slot: object) -> dict[str, str]:
        return {**self._variables, **(super()._environment(slot) or {})}  # type: ignore[arg-type]


def compute(folder: Path, planned: Collection[Planned], jobs: int, lock: int, own: bool) -> dict[str, float]:
    """Run stages; seconds that each took.

    Args:
        lock: descriptor of the worktree's run lock.
        own: with the interpreter of the worktree's own environment, see `make_environment`.

    Raises:
        RunFailed: a stage failed.
    """
    control = dvc.Control(held=(lock,))
    there = _There(folder, control, jobs, variables(folder, own))
    run = Run(folder, known_families(load_dag(folder)), {one.stage: one for one in planned}, control, there)
    execute(run, jobs)
    if run.failed:
        lines = [f"{len(run.failed)} of {len(planned)} stages failed in {folder}"]
        for failure in run.failed.values():
            tail = "".join(f"\n    {line}" for line in failure.tail.splitlines())
            lines.append(f"\n{failure.stage}: {failure.reason}{tail}\n  all of its output: {failure.log}")
        raise RunFailed("\n".join(lines), {name: failure.reason for name, failure in run.failed.items()})
    return {name: ran.seconds for name, ran in run.done.items()}


def forced(dag: Dag, names: Collection[str], why: str) -> list[Planned]:
    """Stages to be run whatever DVC thinks, inputs first."""
    return [_planned(dag[name], why, force=True) for name in dag.order if name in names]


def unfinished(folder: Path, dag: Dag) -> list[Planned]:
    """Stages that have not run in the worktree yet, and what follows from them."""
    names = dag.descendants(set(dvc.status(folder)) & set(dag.stages))
    return [_planned(dag[name], "new", force=False) for name in dag.order if name in names]


def make_environment(folder: Path) -> None:
    """`make setup` in the worktree: a virtual environment with the versions that the record pins.

    Raises:
        AssayError: it failed; the end of what it said.
    """
    python = Path(sys.base_prefix) / "bin" / "python3"
    given = [f"PYTHON={python}"] if python.exists() and "PYTHON" not in os.environ else []
    answer = guarded(folder, ["make", "setup", *given])
    if answer.status or not (folder / VENV / "bin" / "python").exists():
        raise AssayError(f"`make setup` failed in {folder}:\n{answer.text.strip()[-2000:]}")


def variables(folder: Path, own: bool) -> dict[str, str]:
    """What the record's stages get to see beside the present environment.

    `python -m tasks.X` takes the working directory's packages first unless PYTHONSAFEPATH is set; at the
    head of PYTHONPATH they come first in any case, before those of the clone that we were started from.
    """
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    found = {"PYTHONPATH": path}
    if own:
        programs = folder / VENV / "bin"
        found["VIRTUAL_ENV"] = str(folder / VENV)
        found["PATH"] = f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return found


def _planned(stage: Stage, why: str, force: bool) -> Planned:
    return Planned(stage.name, stage.family, (why,), None, None, stage.gpu, force)
