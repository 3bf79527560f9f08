"""Doing an errand: in a clone that is lent for it, or in the folder that the run itself is in."""

import os
import platform
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from assets.dag import DVC_YAML, Dag, load_dag
from assets.errors import AssayError
from assets.lineage import read_lock
from flows.elsewhere import clone, code
from flows.elsewhere.arrivals import read_errand
from flows.elsewhere.errand import Errand, ErrandFailed, Outcome
from flows.elsewhere.fetching import FetchFailed, bring, has_remote, has_shared_cache
from flows.elsewhere.fitting import fitting_graph, is_data
from flows.elsewhere.fragments import as_text, makers, outs_behind, write_lock
from flows.elsewhere.sweeping import sweep
from flows.running import dvc, slots

PATIENCE = 24 * 3600.0
"""Seconds that an errand waits for the clone that it is to be done in."""
CLONES = "ASSAY_REPO"
"""Variable with the clone, or several with colons between, that a machine has for errands."""
_PAUSE = 0.5


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
    absent = [dep for dep in dag[errand.stage].deps if is_data(dep) and not (root / dep).exists()]
    if lost or absent:
        bring(root, lost, absent, has_remote(root))
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
        code.take_code(root, errand.code, errand.commit)
        dag = fitting_graph(root, errand)
        clone.install(root, errand.params, errand.data)
        write_lock(root, makers(dag, errand.inputs))
        dvc.keep_lock(root)  # what a dvc that is killed leaves is mended with it
        sweep(root, dag, errand.stage)
        data = [dep for dep in dag[errand.stage].deps if is_data(dep)]
        bring(root, errand.inputs, data, remote)
        ran = _repro(root, dag, errand, pull=remote, held=(lock,))
        if remote:
            dvc.push(root, errand.stage)
        return ran, as_text(read_lock(root)[errand.stage])


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


def _tail(text: str) -> str:
    return "\n".join(text.rstrip().splitlines()[-15:])
