"""An errand: one stage that a run has done in another clone, with all that has to be known there.

What is sent are parameters, pinned inputs and the md5 of what to read; never a command. Commands are those
of the clone's own dvc.yaml, which has to be the one that the run has.
"""

import os
import platform
import re
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any

from assets.dag import DVC_YAML, Dag, load_dag
from assets.errors import AssayError
from assets.lineage import read_lock
from assets.params import load_params
from assets.yaml12 import PARAMS_YAML, parse_yaml
from flows.elsewhere import clone
from flows.elsewhere.fetching import DATA_DVC, FetchFailed, bring, has_remote, has_shared_cache
from flows.elsewhere.fragments import Outs, as_text, makers, outs_behind, sound_content, write_lock
from flows.running import dvc, slots

PATIENCE = 24 * 3600.0
"""Seconds that an errand waits for the clone that it is to be done in."""
VERSION = 1
CLONES = "ASSAY_REPO"
"""Variable with the clone, or several with colons between, that a machine has for errands."""
_STAGE = re.compile(r"[A-Za-z][\w.-]*(@[\w.-]+)?")
_MD5 = re.compile(r"([0-9a-f]{32}(\.dir)?)?")
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_PAUSE = 0.5


@dataclass(frozen=True)
class Errand:
    """What a clone needs to know to do one stage of a run. Every field is JSON."""

    stage: str
    force: bool
    params: str
    """The text of params.yaml."""
    data: str | None
    """The text of data.dvc."""
    code: Mapping[str, str]
    """Path -> md5, of dvc.yaml and of the code that the stage depends on."""
    commit: str | None
    """Where the run's clone is, to go there if the code differs."""
    inputs: Outs
    """Outputs of other stages that it reads, and what they hold."""
    elsewhere: tuple[str, ...]
    """Those of them that were not made in the run's own folder."""
    share: bool
    """Whether what is done in the run's own folder goes through the remote, too."""
    limit: float | None
    """Seconds it may take."""
    token: str
    """Of the run's own folder, see `flows.elsewhere.clone.token`."""
    version: int = VERSION

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "elsewhere": list(self.elsewhere)}


@dataclass(frozen=True)
class Outcome:
    """How an errand went. Every field is JSON."""

    stage: str
    how: str
    """`ran`, `restored`, `skipped`, or `failed`."""
    seconds: float
    where: str
    """Machine and folder."""
    same: bool
    """Whether that is the run's own folder, whose dvc.lock then has it already."""
    entry: str
    """The stage's entry of dvc.lock, as YAML; '' if it failed."""
    tail: str
    """The last lines of its output."""
    reason: str = ""
    may_pass: bool = False

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def read_errand(document: Any) -> Errand:
    """Check what came over the network, as far as that can be done without a clone.

    Raises:
        AssayError: it is no errand, or one of another version of Assay.
    """
    known = {field.name for field in fields(Errand)}
    if not isinstance(document, dict) or set(document) != known:
        raise _refused("its fields are not those that this Assay knows; bring the clones to one commit")
    if document["version"] != VERSION:
        raise _refused(f"it is of version {document['version']!r:.20}, this clone's is {VERSION}")
    stage, code, inputs = document["stage"], document["code"], document["inputs"]
    limit, commit, elsewhere = document["limit"], document["commit"], document["elsewhere"]
    sound = {
        "stage": _is_stage(stage),
        "force": isinstance(document["force"], bool),
        "params": isinstance(document["params"], str),
        "data": document["data"] is None or isinstance(document["data"], str),
        "code": isinstance(code, dict) and all(_is_path(path) and _is_md5(md5) for path, md5 in code.items()),
        "commit": commit is None or (isinstance(commit, str) and bool(_COMMIT.fullmatch(commit))),
        "inputs": isinstance(inputs, dict)
        and all(_is_path(path) and sound_content(content) for path, content in inputs.items()),
        "elsewhere": isinstance(elsewhere, list) and all(map(_is_path, elsewhere)),
        "share": isinstance(document["share"], bool),
        "limit": limit is None or (type(limit) in (int, float) and limit > 0),
        "token": isinstance(document["token"], str),
    }
    if wrong := [name for name, is_sound in sound.items() if not is_sound]:
        raise _refused(f"its {wrong[0]} is {document[wrong[0]]!r:.120}")
    return Errand(**{**document, "elsewhere": tuple(elsewhere)})


def read_outcome(document: Any) -> Outcome:
    """Check what came back.

    Raises:
        AssayError: it is no outcome.
    """
    known = {field.name: field.type for field in fields(Outcome)}
    if not isinstance(document, dict) or set(document) != set(known):
        raise AssayError("what came back from a worker is no outcome; bring the clones to one commit")
    texts = [document[name] for name, kind in known.items() if kind is str]
    sound = (
        all(isinstance(text, str) for text in texts)
        and document["how"] in ("ran", "restored", "skipped", "failed")
        and isinstance(document["seconds"], int | float)
        and all(isinstance(document[name], bool) for name in ("same", "may_pass"))
    )
    if not sound:
        raise AssayError(f"what came back from a worker is no outcome of a stage: {document!r:.200}")
    return Outcome(**document)


def perform(root: Path, errand: Errand, patience: float = PATIENCE) -> Outcome:
    """Do an errand in a clone, or in the folder that the run itself is in.

    In a clone, nothing of what is there counts but its code, its cache and its inputs; it is held for this
    errand alone, and as it was before afterwards. In the run's own folder, which the run holds, several
    errands can be done side by side.

    A stage that fails is an outcome, too.
    """
    begun = time.monotonic()
    same = clone.is_same(root, errand.token)
    where = f"{platform.node()}:{root.resolve()}"
    try:
        ran, entry = _at_home(root, errand) if same else _abroad(root, errand, patience)
    except dvc.StageFailed as failure:
        reason, tail, may_pass = failure.reason, failure.tail, failure.may_pass
    except AssayError as error:
        reason, tail = f"cannot be done in {where}", str(error)
        may_pass = isinstance(error, FetchFailed)
    else:
        log = ran.log.read_text("utf-8", errors="replace")
        return Outcome(errand.stage, ran.how, ran.seconds, where, same, entry, _tail(log))
    seconds = round(time.monotonic() - begun, 2)
    return Outcome(errand.stage, "failed", seconds, where, same, "", tail, reason, may_pass)


def _at_home(root: Path, errand: Errand) -> tuple[dvc.Ran, str]:
    dag = load_dag(root)
    outs = outs_behind(dag, errand.stage)
    lost = {out for out in outs if out in errand.elsewhere or not (root / out).exists()}
    remote = errand.share and has_remote(root)
    if lost:
        bring(root, lost, [], remote or has_remote(root))
    ran = _repro(root, dag, errand, pull=remote, held=())
    if remote:
        dvc.push(root, errand.stage)
    return ran, as_text(read_lock(root)[errand.stage])


def _abroad(root: Path, errand: Errand, patience: float) -> tuple[dvc.Ran, str]:
    remote = has_remote(root)
    if not remote and not has_shared_cache(root):
        raise AssayError(
            f"the clone {root.resolve()} has neither a DVC remote nor a shared cache, so it gets no inputs "
            "and can give nothing back: `dvc remote add --default NAME URL`; see docs/workers.md"
        )
    with clone.lent(root, patience) as lock:
        clone.take_code(root, errand.code, errand.commit)
        dag = _checked(root, errand)
        clone.install(root, errand.params, errand.data)
        write_lock(root, makers(dag, errand.inputs))
        dvc.keep_lock(root)  # what a dvc that is killed leaves is mended with it
        _sweep(root, dag, errand.stage)
        data = [dep for dep in dag[errand.stage].deps if is_data(dep)]
        bring(root, errand.inputs, data, remote)
        ran = _repro(root, dag, errand, pull=remote, held=(lock,))
        if remote:
            dvc.push(root, errand.stage)
        return ran, as_text(read_lock(root)[errand.stage])


def _checked(root: Path, errand: Errand) -> Dag:
    """The graph of the run, if all of the errand fits it.

    Raises:
        AssayError: parameters that Assay refuses, an unknown stage, inputs or code that it does not read.
    """
    with tempfile.TemporaryDirectory(prefix="assay-errand-") as folder:
        shutil.copyfile(root / DVC_YAML, Path(folder) / DVC_YAML)
        (Path(folder) / PARAMS_YAML).write_text(errand.params, "utf-8")
        load_params(Path(folder) / PARAMS_YAML)
        dag = load_dag(Path(folder))
    wanted = dag[errand.stage]
    if set(errand.code) != {DVC_YAML, *code_deps(dag, errand.stage)}:
        raise _refused(f"its code is not what {wanted.name} depends on")
    if set(errand.inputs) != set(outs_behind(dag, errand.stage)):
        raise _refused(f"its inputs are not what {wanted.name} reads")
    if errand.data is not None:
        _check_pinned(errand.data)
    return dag


def code_deps(dag: Dag, stage: str) -> list[str]:
    """What a stage depends on that no stage makes and that is no picture."""
    return [dep for dep in dag[stage].deps if not dag.outs_behind(dep) and not is_data(dep)]


def is_data(dep: str) -> bool:
    """Whether a dependency is an input that data.dvc pins."""
    return dep == "data" or dep.startswith("data/")


def _check_pinned(text: str) -> None:
    """data.dvc may pin the folder data/, and nothing else."""
    document = parse_yaml(text, DATA_DVC)
    outs = document.get("outs")
    pinned = outs[0] if isinstance(outs, list) and len(outs) == 1 and isinstance(outs[0], dict) else {}
    content = {key: value for key, value in pinned.items() if key != "path"}
    if set(document) != {"outs"} or pinned.get("path") != "data" or not sound_content(content):
        raise _refused(f"its {DATA_DVC} pins something else than the folder data")


def _sweep(root: Path, dag: Dag, stage: str) -> None:
    """Remove what runs with other parameters left in folders that the stage depends on as a whole.

    DVC would hash it along, so that the same stage would have another dependency in every clone. All of it
    was made by errands, and is in the cache.
    """
    for dep in dag[stage].deps:
        outs = dag.outs_behind(dep)
        if outs and all(out.startswith(f"{dep}/") for out in outs):
            _keep_only(root, root / dep, {root / out for out in outs})


def _keep_only(root: Path, folder: Path, kept: set[Path]) -> None:
    if not folder.is_dir() or not folder.resolve().is_relative_to(root.resolve()):
        return
    for path in folder.iterdir():
        if path in kept:
            continue
        if any(out.is_relative_to(path) for out in kept):
            _keep_only(root, path, kept)
        elif path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _repro(root: Path, dag: Dag, errand: Errand, *, pull: bool, held: tuple[int, ...]) -> dvc.Ran:
    with ExitStack() as stack:
        environment = None
        if dag[errand.stage].gpu and (gpus := slots.devices()):
            slot = free_gpu(gpus)
            stack.callback(slot.release)
            environment, held = slot.environment, (*held, slot.handle)
        return dvc.repro(
            root,
            errand.stage,
            force=errand.force,
            pull=pull,
            timeout=errand.limit,
            environment=environment,
            control=dvc.Control(held=held),
        )


def free_gpu(gpus: Sequence[str]) -> slots.Slot:
    """One of some GPUs, as soon as nobody of this user's runs on this machine has it."""
    while (slot := slots.take(gpus)) is None:
        time.sleep(_PAUSE)
    return slot


def do_parcel(parcel: Mapping[str, Any]) -> dict[str, Any]:
    """Do an errand in a process of a cluster, in whichever of this machine's clones is free first.

    Returns `Outcome.as_dict()`.

    Raises:
        AssayError: ASSAY_REPO names no clone.
        ErrandFailed: the stage failed.
    """
    errand = read_errand(dict(parcel))
    clones = [Path(part) for part in os.environ.get(CLONES, "").split(os.pathsep) if part]
    if lost := [str(root) for root in clones if not (root / DVC_YAML).is_file()]:
        raise AssayError(f"{CLONES} names {lost[0]} on {platform.node()}, which is no clone of the benchmark")
    if not clones:
        raise AssayError(f"{CLONES} is not set on {platform.node()}: the clone that its processes are to use")
    outcome = _first_free(clones, errand)
    if outcome.how == "failed":
        raise ErrandFailed(outcome)
    return outcome.as_dict()


def _first_free(clones: list[Path], errand: Errand) -> Outcome:
    home = next((root for root in clones if clone.is_same(root, errand.token)), None)
    end = time.monotonic() + PATIENCE
    while home is None and time.monotonic() < end:
        home = next((root for root in clones if clone.is_free(root)), None)
        if home is None:
            time.sleep(_PAUSE)
    return perform(home or clones[0], errand)


class ErrandFailed(dvc.StageFailed):
    """A stage that failed in another process, from which the exception has to travel."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.stage, outcome.reason, Path("-"), outcome.tail, outcome.may_pass)
        self.outcome = outcome

    def __reduce__(self) -> tuple[type["ErrandFailed"], tuple[Outcome]]:
        return ErrandFailed, (self.outcome,)


def _is_stage(name: Any) -> bool:
    return isinstance(name, str) and bool(_STAGE.fullmatch(name))


def _is_md5(text: Any) -> bool:
    return isinstance(text, str) and bool(_MD5.fullmatch(text))


def _is_path(path: Any) -> bool:
    """Whether it lies in a clone, and is no option to a program either."""
    if not isinstance(path, str) or not path or path.startswith(("-", "/")) or "\\" in path or "\0" in path:
        return False
    return ".." not in PurePosixPath(path).parts


def _refused(why: str) -> AssayError:
    return AssayError(f"this is no errand for this clone: {why}")


def _tail(text: str) -> str:
    return "\n".join(text.rstrip().splitlines()[-15:])
