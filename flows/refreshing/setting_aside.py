"""A generator that cannot be made is set aside, with the reason, so that the tables are made without it."""

import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from assets.dag import DVC_YAML, Dag, Stage, load_dag, look_up
from assets.params import Params, SetAside
from assets.section import ParamsError
from assets.yaml12 import PARAMS_YAML, read_yaml
from flows.editing.edits import ParamsFile
from flows.refreshing.put_back import made_from
from flows.refreshing.reasons import reason_of
from flows.refreshing.state import State

_MAKES = ("fit", "generate", "dedupe", "split", "audit", "spectrum", "degrade")
"""Families of stages that make one generator's images, or look at them alone."""
_OVERVIEWS = ("audit", "gallery", "report")
"""Families that look at all there is, and change with whatever comes or goes."""
_OF_ALL = ("generators", "train", "report")
"""Sections that list everything; a stage that tracks one whole changes with whatever comes or goes."""


class Inseparable(Exception):
    """What failed cannot be left out and the rest be as it is; the message says why."""


def set_aside(root: Path, failed: Mapping[str, str], state: State) -> dict[str, str]:
    """Move the generators that failed stages are of to `report.set_aside` of params.yaml.

    Args: failed: stage -> what went wrong; state: gets the fingerprints of what they were made from.

    Returns generator -> why.

    Raises:
        Inseparable: a stage that is no generator's failed, or other things depend on a generator that did.
            params.yaml is then as it was.
        AssayError: params.yaml is written in a way that cannot be changed safely; the same.
    """
    file = ParamsFile(root)
    params = file.parsed()
    dag = load_dag(root)
    blamed = {name: _suspects(dag[name], params) for name in failed}
    if others := [name for name, names in blamed.items() if not names]:
        raise Inseparable(f"{others[0]} is no generator's stage alone")
    gone = list(dict.fromkeys(name for names in blamed.values() for name in names))
    for name in gone:
        if use := next(_uses(name, params), None):
            raise Inseparable(f"{name} cannot be set aside: {use}")
    why = {
        name: reason_of(root, stage, failed[stage])
        for name in gone
        for stage in [next(stage for stage, names in blamed.items() if name in names)]
    }
    entries = {name: _entries(file, name, params, gone) for name in gone}
    for name in gone:
        _take_out(file, name, params, gone)
    try:
        file.parsed()
    except ParamsError as error:
        raise Inseparable(f"without {' and '.join(gone)} the parameters make no sense: {error}") from None
    _check_rest(root, dag, file.document, failed)
    for name in gone:
        aside = {"why": why[name], "entries": entries[name]}
        if file.get("report.set_aside") is None:
            file.insert(("report",), "set_aside", {name: aside})
        else:
            file.insert(("report", "set_aside"), name, aside)
    file.save()
    for name in gone:
        state.failed[name] = made_from(root, name, SetAside(why=why[name], entries=entries[name]))
    return why


def _suspects(stage: Stage, params: Params) -> list[str]:
    """Generators whose own stage it is: of a model, all that are drawn by it."""
    if stage.family not in _MAKES:
        return []
    key = stage.item.get("key", "")
    if stage.family == "fit":
        return [name for name, spec in params.generators.items() if spec.from_ == f"artifacts/fit/{key}"]
    return [key] if key in params.generators else []


def _uses(name: str, params: Params) -> Iterator[str]:
    """What else needs a generator."""
    for set_, members in params.train.sets.items():
        if name in members:
            yield f"train.sets.{set_} names it"
    for sample, members in params.samples.items():
        if name in members:
            yield f"train.samples.{sample} takes images of it"
    for group, members in params.report.groups.items():
        if name in members:
            yield f"report.groups.{group} names it"
    for given, spec in params.given.items():
        if name in (spec.seen or ()):
            yield f"given.{given}.seen names it"


def _entries(file: ParamsFile, name: str, params: Params, gone: Collection[str]) -> dict[str, Any]:
    """What stands in params.yaml for it, by dotted key: what `put_back` reads."""
    found = {f"generators.{name}": file.document["generators"][name]}
    if (model := _model(name, params, gone)) is not None:
        found = {f"fit.{model}": file.document["fit"][model], **found}
    if name in params.train.generators:
        found[f"train.generators.{params.train.generators.index(name)}"] = name
    return found


def _model(name: str, params: Params, gone: Collection[str]) -> str | None:
    """The model that only generators which go are drawn by."""
    spec = params.generators[name]
    if not spec.drawn:
        return None
    users = [other for other, one in params.generators.items() if one.from_ == spec.from_]
    return spec.from_.removeprefix("artifacts/fit/") if set(users) <= set(gone) else None


def _take_out(file: ParamsFile, name: str, params: Params, gone: Collection[str]) -> None:
    """`split.owners` stays: the real images would be dealt out anew to the others."""
    file.remove(("generators",), name)
    model = _model(name, params, gone)
    if model is not None and file.get(f"fit.{model}") is not None:
        file.remove(("fit",), model)
    if name in params.train.generators:
        file.remove_item(("train", "generators"), name)


def _check_rest(root: Path, dag: Dag, document: dict[str, Any], failed: Collection[str]) -> None:
    """Raises: Inseparable: a failed stage is there still, or another would not be what it was."""
    rest = _dag_of(root, document)
    if left := [name for name in failed if name in rest.stages]:
        raise Inseparable(f"{left[0]} would be there without them, too")
    before = read_yaml(root / PARAMS_YAML)
    for stage in rest.stages.values():
        if stage.family in _OVERVIEWS:
            continue
        keys = [key for key in stage.params.get(PARAMS_YAML, ()) if key not in _OF_ALL]
        same = all(_value(before, key) == _value(document, key) for key in keys)
        if stage != dag.stages.get(stage.name) or not same:
            raise Inseparable(f"{stage.name} would change without them")


def _dag_of(root: Path, document: dict[str, Any]) -> Dag:
    """What dvc.yaml declares with other parameters."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copyfile(root / DVC_YAML, Path(folder) / DVC_YAML)
        text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
        (Path(folder) / PARAMS_YAML).write_text(text, "utf-8")
        return load_dag(Path(folder))


def _value(document: Any, dotted: str) -> Any:
    try:
        return look_up(document, dotted)
    except KeyError:
        return None
