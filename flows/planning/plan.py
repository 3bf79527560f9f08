"""What would run, why, and how much: worked out from `dvc status` and the DAG, executing nothing."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from assets.dag import DVC_YAML, REPORT, Dag, Stage, load_dag, look_up
from assets.errors import AssayError
from assets.lineage import LOCK, is_current, read_lock
from assets.params import load_params
from assets.yaml12 import PARAMS_YAML, read_yaml
from flows.planning.checks import check_params
from flows.planning.counts import Counts
from flows.planning.estimates import Estimate, Estimates
from flows.running import dvc

_MOST = 4
_CODE = (".py", ".j2", ".txt")
_Change = dict[str, Any]


@dataclass(frozen=True)
class Planned:
    """One stage that would run."""

    stage: str
    family: str
    why: tuple[str, ...]
    """At least one reason, in words: `new`, `parameter changed: seed 1 -> 2`, `follows from fit@ldm`."""
    images: int | None
    """Images it makes or looks at, see `flows.planning.counts`."""
    seconds: float | None
    """How long it takes by what was measured here; None before anything was (see `estimate`)."""
    gpu: bool
    force: bool = False
    """Whether DVC has to be told to run it, since it sees no change (see `assets.lineage.is_current`)."""
    estimate: Estimate | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def plan(root: Path = Path(), targets: Collection[str] | None = None) -> list[Planned]:
    """Stages that are out of date and all that follows from them, inputs first.

    Args:
        root: the repository.
        targets: stages, families or paths; only these and what they need are looked at. None: everything.

    Raises:
        AssayError: params.yaml, dvc.yaml or dvc.lock cannot be read; an unknown target.
    """
    if (given := _GIVEN.get()) and given.question == _question(root, targets):
        return list(given.answer)
    params = load_params(root / PARAMS_YAML)
    counts = Counts(root, params)
    dag = load_dag(root)
    wanted = dag.ancestors(dag.select(targets)) if targets else set(dag.stages)
    state = _State(root, dag, wanted)
    estimates = Estimates(root, params, counts)
    return [
        _planned(stage, state, counts.of(stage), estimates)
        for stage in map(dag.__getitem__, dag.order)
        if stage.name in state.dirty
    ]


@contextmanager
def planned_already(
    root: Path, targets: Collection[str] | None, planned: Sequence[Planned]
) -> Iterator[None]:
    """Inside, `plan` gives this plan as long as params.yaml, dvc.yaml and dvc.lock are what they are now.

    For a command that tells its user what it will do, and then does it: `dvc status` looks at every file of
    a benchmark, and once is enough. Another file that changes in between is seen by the next run.
    """
    token = _GIVEN.set(_Given(_question(root, targets), tuple(planned)))
    try:
        yield
    finally:
        _GIVEN.reset(token)


_Question = tuple[Path, tuple[str, ...], tuple[bytes, ...]]


@dataclass(frozen=True)
class _Given:
    question: _Question
    answer: tuple[Planned, ...]


_GIVEN: ContextVar[_Given | None] = ContextVar("given", default=None)


def _question(root: Path, targets: Collection[str] | None) -> _Question:
    """What a plan is for."""
    files = (root / name for name in (PARAMS_YAML, DVC_YAML, LOCK))
    contents = tuple(path.read_bytes() if path.is_file() else b"" for path in files)
    return root.resolve(), tuple(targets or ()), contents


def check_inputs(root: Path, planned: Collection[Planned]) -> None:
    """Refuse to start a run that must fail for want of its inputs.

    Raises:
        AssayError: an input is not there, and how to get it; a parameter that a stage would refuse.
    """
    dag = load_dag(root)
    params = load_params(root / PARAMS_YAML)
    check_params(params, root)
    deps = {dep for stage in planned for dep in dag[stage.stage].deps}
    missing = sorted(dep for dep in deps if dep.startswith("data/") and not (root / dep).exists())
    if missing:
        raise AssayError(
            f"{_listed(missing)} {'is' if len(missing) == 1 else 'are'} not there: `assay use mini` packs "
            "the mini benchmark's photographs, `assay import PATH --as NAME` packs pictures of your own, "
            "`dvc pull data.dvc` fetches what someone pushed; `assay plan` says what each is"
        )
    wanted = {stage.stage.removeprefix("fit@") for stage in planned if stage.family == "fit"}
    named = [value for name in sorted(wanted) for value in params.fit[name].options.values()]
    paths = [path for path in named if isinstance(path, str) and path.startswith("weights/")]
    if lost := [path for path in paths if not (root / path).exists()]:
        raise AssayError(
            f"{_listed(lost)} {'is' if len(lost) == 1 else 'are'} not there: `assay plan` says where to get "
            "released weights"
        )


def _planned(stage: Stage, state: "_State", images: int | None, estimates: Estimates) -> Planned:
    estimate = estimates.of(stage, images)
    return Planned(
        stage=stage.name,
        family=stage.family,
        why=tuple(state.reasons(stage)) or ("out of date",),
        images=images,
        seconds=estimate.seconds if estimate.basis == "measured" else None,
        gpu=stage.gpu,
        force=stage.name in state.forced,
        estimate=estimate,
    )


class _State:
    """What differs from the last run, and the words for it."""

    def __init__(self, root: Path, dag: Dag, wanted: set[str]) -> None:
        self._root = root
        self._dag = dag
        self._recorded = read_lock(root)
        found = dvc.status(root)
        self._changes = {name: _merged(found[name]) for name in wanted if name in found}
        out_of_step = REPORT in wanted and REPORT not in self._changes and not is_current(root)
        self.forced = {REPORT} if out_of_step else set()
        self.dirty = dag.descendants({*self._changes, *self.forced}) & wanted

    def reasons(self, stage: Stage) -> Iterator[str]:
        if stage.name not in self._recorded:
            yield "new"
            return
        change = self._changes.get(stage.name, {})
        if change.get("changed command"):
            yield "command changed"
        yield from self._parameters(stage, change.get("changed deps", {}))
        yield from self._files(change.get("changed deps", {}))
        for path, how in change.get("changed outs", {}).items():
            yield f"output {'missing' if how == 'deleted' else 'changed'}: {path}"
        if stage.name in self.forced:
            yield "its tables print an old lineage hash"
        if upstream := [name for name in self._dag.upstream[stage.name] if name in self.dirty]:
            yield f"follows from {_listed(upstream)}"

    def _parameters(self, stage: Stage, deps: _Change) -> Iterator[str]:
        for file, keys in deps.items():
            if file not in stage.params:
                continue  # a file or a folder
            was = self._recorded[stage.name].get("params", {}).get(file, {})
            now = read_yaml(self._root / file)
            names = keys if isinstance(keys, dict) else stage.params[file]
            moved = [line for key in names for line in _moved(key, was.get(key), _value(now, key))]
            yield f"parameter changed: {_listed(moved) or file}"

    def _files(self, deps: _Change) -> Iterator[str]:
        """Changed code and inputs; an input that a planned stage makes is told by 'follows from'."""
        changed = {path: how for path, how in deps.items() if isinstance(how, str) and how != "new"}
        makers = {path: {self._dag.out_of[out] for out in self._dag.outs_behind(path)} for path in changed}
        code = [path for path in changed if path.endswith(_CODE) and not makers[path]]
        if code:
            yield f"code changed: {_listed(code)}"
        for path, how in changed.items():
            if path not in code and not makers[path] & self.dirty:
                yield f"input {'missing' if how == 'deleted' else 'changed'}: {path}"


def _merged(found: list[Any]) -> _Change:
    """dvc's `[{"changed deps": {...}}, "changed command"]` as one mapping."""
    merged: _Change = {}
    for entry in found:
        merged |= entry if isinstance(entry, dict) else {entry: True}
    return merged


def _value(document: Any, dotted: str) -> Any:
    try:
        return look_up(document, dotted)
    except KeyError:
        return None


def _moved(key: str, was: Any, now: Any) -> Iterator[str]:
    """`generators.dcgan.count 500 -> 600`, one for each value that differs."""
    if was == now:
        return
    if isinstance(was, dict) and isinstance(now, dict):
        for part in dict.fromkeys([*was, *now]):
            yield from _moved(f"{key}.{part}", was.get(part), now.get(part))
    elif isinstance(was, dict) or isinstance(now, dict):
        yield f"{key} {'added' if was is None else 'removed' if now is None else 'changed'}"
    else:
        yield f"{key} {_shown(was)} -> {_shown(now)}"


def _shown(value: Any) -> str:
    return "none" if value is None else str(value)


def _listed(names: Collection[str]) -> str:
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return ", ".join(list(names)[:_MOST]) + more
