"""The DAG that dvc.yaml declares, read without DVC: stages, what each needs and makes, who waits for whom.

Only what Assay's dvc.yaml uses is understood (`foreach`, `matrix`, `${...}`, `meta: {gpu: true}`); anything
else is refused rather than guessed at. tests/test_dag.py compares the result with what DVC itself says.
"""

import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from pathlib import Path
from typing import Any

from assets.errors import AssayError, did_you_mean
from assets.yaml12 import PARAMS_YAML, parse_yaml, read_yaml

DVC_YAML = "dvc.yaml"
REPORT = "report"
"""The stage that writes the tables; everything a table depends on is upstream of it."""

_READ = {"cmd", "deps", "outs", "metrics", "plots", "params", "meta"}
_EXPRESSION = re.compile(r"(?<!\\)\$\{(.*?)\}")


@dataclass(frozen=True)
class Stage:
    """One stage as DVC sees it once `foreach`, `matrix` and `${...}` are worked out."""

    name: str
    """As DVC names it: `collect@photos`, `train@dcgan-resnet18-0`, `report`."""
    cmd: str
    deps: tuple[str, ...]
    """Paths relative to the repository, in the order of dvc.yaml."""
    outs: tuple[str, ...]
    params: Mapping[str, tuple[str, ...]]
    """Parameter file -> dotted keys that count; () stands for the whole file."""
    gpu: bool
    """Whether it wants a GPU to itself where there is one (`meta: {gpu: true}`)."""
    item: Mapping[str, str]
    """What it was made for: `{"key": "dcgan"}`, or the matrix's own names and their values; else {}."""

    @property
    def family(self) -> str:
        """The step of the chain it belongs to: `split` for `split@dcgan` and for `split-real`."""
        return self.name.partition("@")[0].partition("-")[0]


class Dag:
    """Stages in the order of dvc.yaml, and the edges between them.

    A dependency that equals an output, lies inside one or contains one makes an edge.

    Raises:
        AssayError: two stages write the same path, or the stages wait for one another in a circle.
    """

    def __init__(self, stages: Collection[Stage]) -> None:
        self.stages = {stage.name: stage for stage in stages}
        self.out_of: dict[str, str] = {}
        """Output path -> name of the stage that makes it."""
        for stage in stages:
            for out in stage.outs:
                if out in self.out_of:
                    raise AssayError(
                        f"{DVC_YAML}: {self.out_of[out]} and {stage.name} both write {out}; "
                        "give each stage a path of its own"
                    )
                self.out_of[out] = stage.name
        self.upstream = {stage.name: self._producers_of(stage.deps) for stage in stages}
        self.order = self._ordered()
        """Every stage after all it needs, otherwise in the order of dvc.yaml."""

    def __getitem__(self, name: str) -> Stage:
        """The stage of that name; an unknown one is an AssayError that names the nearest."""
        if name not in self.stages:
            raise AssayError(f"there is no stage '{name}'; {did_you_mean(name, self.stages)}")
        return self.stages[name]

    def outs_behind(self, dep: str) -> tuple[str, ...]:
        """Stage outputs that a dependency stands for: those it equals, lies inside or contains, sorted."""
        around = [path for path in _with_parents(dep) if path in self.out_of]
        return tuple(sorted({*around, *self._below.get(dep, ())}))

    def made_by(self, path: str) -> str | None:
        """Name of the stage whose output `path` is or lies inside, if any."""
        return next((self.out_of[part] for part in _with_parents(path) if part in self.out_of), None)

    def descendants(self, names: Collection[str]) -> set[str]:
        """`names` and everything that waits for one of them, directly or not."""
        found = set(names)
        for name in self.order:
            if found.intersection(self.upstream[name]):
                found.add(name)
        return found

    def ancestors(self, names: Collection[str]) -> set[str]:
        """`names` and everything that one of them waits for, directly or not."""
        found = set(names)
        for name in reversed(self.order):
            if name in found:
                found.update(self.upstream[name])
        return found

    def select(self, targets: Collection[str]) -> set[str]:
        """Names of the stages that `targets` mean: a stage, a family (`train`), or a path a stage makes.

        Raises:
            AssayError: a target that is none of these.
        """
        return {name for target in targets for name in self._select(target)}

    def _select(self, target: str) -> list[str]:
        if target in self.stages:
            return [target]
        family = [stage.name for stage in self.stages.values() if stage.family == target]
        path = normal_path(target)
        maker = self.made_by(path)
        found = family or [self.out_of[out] for out in self.outs_behind(path)] or ([maker] if maker else [])
        if not found:
            known = {*self.stages, *(stage.family for stage in self.stages.values())}
            raise AssayError(
                f"'{target}' is neither a stage nor a path that one makes; {did_you_mean(target, known)}"
            )
        return found

    @cached_property
    def _below(self) -> dict[str, list[str]]:
        """Folder -> the outputs that lie somewhere inside it."""
        below: dict[str, list[str]] = {}
        for out in self.out_of:
            for folder in list(_with_parents(out))[1:]:
                below.setdefault(folder, []).append(out)
        return below

    def _producers_of(self, deps: Collection[str]) -> tuple[str, ...]:
        names = (self.out_of[out] for dep in deps for out in self.outs_behind(dep))
        return tuple(dict.fromkeys(names))

    def _ordered(self) -> list[str]:
        order: dict[str, None] = {}
        open_: dict[str, None] = {}

        def visit(name: str) -> None:
            if name in order:
                return
            if name in open_:
                circle = [*list(open_)[list(open_).index(name) :], name]
                raise AssayError(f"{DVC_YAML}: stages wait for one another: {' <- '.join(circle)}")
            open_[name] = None
            for upstream in self.upstream[name]:
                visit(upstream)
            del open_[name]
            order[name] = None

        for name in self.stages:
            visit(name)
        return list(order)


def load_dag(root: Path = Path()) -> Dag:
    """Read `root/dvc.yaml` and `root/params.yaml` into a graph, which whoever reads the same files shares.

    Raises:
        AssayError: a file that is not there or not YAML, a name that params.yaml lacks, something in
            dvc.yaml that Assay does not understand.
    """
    return _loaded(root, _text_of(root / DVC_YAML), _text_of(root / PARAMS_YAML))


@lru_cache(maxsize=4)
def _loaded(root: Path, dvc_yaml: str, params_yaml: str) -> Dag:
    """A run asks for its DAG after every stage, and the files have seldom changed."""
    declared = parse_yaml(dvc_yaml, str(root / DVC_YAML)).get("stages")
    if not isinstance(declared, dict):
        raise AssayError(f"{root / DVC_YAML}: expected 'stages:' with at least one stage")
    params = parse_yaml(params_yaml, str(root / PARAMS_YAML))
    return Dag([stage for name, body in declared.items() for stage in _expand(name, body, params)])


def _text_of(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        read_yaml(path)  # it has the words for it
        raise


def look_up(document: Any, dotted: str) -> Any:
    """The value at a dotted key such as `generators.dcgan`.

    Raises:
        KeyError: the document has no such key.
    """
    value = document
    for part in dotted.split("."):
        if isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        elif isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, dict) and part.isdecimal() and int(part) in value:
            value = value[int(part)]
        else:
            raise KeyError(dotted)
    return value


@lru_cache(maxsize=1 << 16)
def normal_path(path: str) -> str:
    """A path as dvc.lock writes it: relative, forward slashes, no `./` and no trailing slash."""
    return Path(os.path.normpath(path)).as_posix()


def _with_parents(path: str) -> Iterator[str]:
    """`a/b/c`, then `a/b`, then `a`."""
    while path:
        yield path
        path = path.rpartition("/")[0]


def _expand(name: str, body: dict[str, Any], params: dict[str, Any]) -> Iterator[Stage]:
    where = f"{DVC_YAML}: stages.{name}"
    if "foreach" in body:
        items = _resolve(body["foreach"], params, f"{where}.foreach")
        for key, bound in _foreach(items, f"{where}.foreach"):
            yield _stage(f"{name}@{key}", body["do"], {**params, **bound}, {"key": key})
    elif "matrix" in body:
        axes = _resolve(body["matrix"], params, f"{where}.matrix")
        template = {part: value for part, value in body.items() if part != "matrix"}
        for key, item in _matrix(axes):
            bound = {**params, "key": key, "item": item}
            yield _stage(f"{name}@{key}", template, bound, {axis: str(value) for axis, value in item.items()})
    else:
        yield _stage(name, body, params, {})


def _foreach(items: Any, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(items, dict):
        for key, value in items.items():
            yield _text(key), {"key": _text(key), "item": value}
    elif isinstance(items, list):
        by_index = any(isinstance(value, dict | list) for value in items)
        for index, value in enumerate(items):
            yield (str(index) if by_index else _text(value)), {"item": value}
    else:
        raise AssayError(f"{where}: expected a list or a mapping, found {items!r}")


def _matrix(axes: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Combinations of the axes' values; of a mapping DVC takes the keys."""
    for combination in product(*(enumerate(values) for values in axes.values())):
        fragments = [
            f"{axis}{index}" if isinstance(value, dict | list) else _text(value)
            for axis, (index, value) in zip(axes, combination, strict=True)
        ]
        item = {axis: value for axis, (_, value) in zip(axes, combination, strict=True)}
        yield "-".join(fragments), item


def _stage(name: str, template: dict[str, Any], context: dict[str, Any], item: dict[str, str]) -> Stage:
    where = f"{DVC_YAML}: stages.{name}"
    if unknown := set(template) - _READ:
        raise AssayError(f"{where}: Assay does not read '{sorted(unknown)[0]}'; {did_you_mean('', _READ)}")
    body = {part: _resolve(value, context, f"{where}.{part}") for part, value in template.items()}
    if not isinstance(body.get("cmd"), str):
        raise AssayError(f"{where}.cmd: expected one command, found {body.get('cmd')!r}")
    outs = [entry for part in ("outs", "metrics", "plots") for entry in body.get(part) or ()]
    return Stage(
        name=name,
        cmd=body["cmd"],
        deps=tuple(normal_path(_path_of(dep)) for dep in body.get("deps") or ()),
        outs=tuple(normal_path(_path_of(out)) for out in outs),
        params=_tracked(body.get("params") or ()),
        gpu=bool((body.get("meta") or {}).get("gpu")),
        item=item,
    )


def _path_of(entry: Any) -> str:
    """An output is written as its path, or as `path: {options}`."""
    return str(next(iter(entry))) if isinstance(entry, dict) else str(entry)


def _tracked(entries: Collection[Any]) -> dict[str, tuple[str, ...]]:
    """`[seed, {other.yaml: [a]}, {params.yaml: null}]` -> file -> keys; () for a whole file."""
    tracked: dict[str, tuple[str, ...]] = {}
    for entry in entries:
        named = entry if isinstance(entry, dict) else {PARAMS_YAML: [entry]}
        for file, keys in named.items():
            tracked[file] = (*tracked.get(file, ()), *map(str, keys or ()))
    return tracked


def _resolve(value: Any, context: dict[str, Any], where: str) -> Any:
    if isinstance(value, dict):
        return {_resolve(key, context, where): _resolve(one, context, where) for key, one in value.items()}
    if isinstance(value, list):
        return [_resolve(one, context, where) for one in value]
    if not isinstance(value, str):
        return value
    if whole := _EXPRESSION.fullmatch(value):
        return _value_of(whole[1], context, where)
    text = _EXPRESSION.sub(lambda match: _text(_value_of(match[1], context, where)), value)
    return text.replace(r"\${", "${")


def _value_of(expression: str, context: dict[str, Any], where: str) -> Any:
    dotted = expression.strip().replace("[", ".").replace("]", "")
    try:
        return look_up(context, dotted)
    except KeyError:
        raise AssayError(
            f"{where}: {PARAMS_YAML} has no '{dotted}', which ${{{expression}}} asks for"
        ) from None


def _text(value: Any) -> str:
    """A value inside a string, as DVC writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        raise AssayError(f"{DVC_YAML}: {value!r:.60} cannot stand inside a string")
    return str(value)
