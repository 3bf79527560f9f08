"""A benchmark that keeps up: what is new is found, added, run and compared with the tables before.

What a refresh is made of is in `flows/refreshing/`.
"""

from pathlib import Path
from typing import Any, Literal

from prefect import flow, get_run_logger

from assets.files import write_text
from flows.benchmark import RunFailed, benchmark
from flows.elsewhere.fetching import push_inputs
from flows.elsewhere.sending import Where
from flows.planning.plan import plan
from flows.records import records
from flows.records.finished import hashes_of_tables
from flows.refreshing.comparing import Comparison, as_markdown, compare
from flows.refreshing.finding import find, newest, take_in
from flows.refreshing.looking import TOLD
from flows.refreshing.setting_aside import Inseparable, set_aside
from flows.refreshing.state import State, read_state, write_state
from flows.refreshing.telling import tell
from flows.running.dvc import heal_lock
from flows.running.workspace import only_run


@flow(name="refresh")
def refresh(
    jobs: int | None = None,
    where: Where = "here",
    remote: bool = False,
    hub: Literal["follow", "say", "off"] = "follow",
    retry: str | None = None,
    arrived: str | None = None,
    push: str | None = None,
) -> dict[str, Any]:
    """Find what is new, add it, run what it touches, record the benchmark and compare it with the last one.

    New is: a generator card that the last record did not have, an entry in params.yaml that has not run, a
    folder of pictures in the incoming directory, and a hub model whose repository has changed. A generator
    that fails is set aside, and the tables say why. If nothing is new, nothing is done.

    Args:
        jobs: Stages that run side by side. Empty: as many as there are cores.
        where: Who does the stages: "here", this workspace; "workers", Prefect workers that poll the work
            queues cpu and gpu; "cluster", processes of the Dask or Ray cluster that ASSAY_CLUSTER names.
        remote: Fetch what somebody else has already computed from DVC's remote, and push what is computed
            here.
        hub: What to do when the repository of a Hugging Face model has changed: "follow" moves the pin in
            params.yaml to the new commit, "say" only tells, "off" does not ask the hub.
        retry: A generator that was set aside and is to be tried again, or "all" of them. Of a dropped folder
            whose pictures have changed: take these instead.
        arrived: A generator whose dropped folder is complete: it is taken in at once, however young it is.
            The event that a generator has arrived fills this in.
        push: A git remote, such as "origin", that gets the records which it lacks. Empty: they stay here.

    Returns `found` (what is new, and what was done about it), `stages` (what each did in the run that made
    the tables), `lineage` and `recipe`, `set_aside` (generators that were set aside now, and why), `record`
    (its tag; None if nothing was recorded) and `comparison`.

    Raises:
        AssayError: a mistake in params.yaml or dvc.yaml, a missing input, another run in this workspace.
        RunFailed: stages failed that are no generator's, or of a generator that others depend on.
    """
    root = Path.cwd()
    state = read_state(root)
    log = get_run_logger()
    with only_run(root):
        if mended := heal_lock(root):
            log.warning(mended)
        found, said = take_in(root, find(root, state, hub, retry, arrived), state)
        write_state(root, state)
    if remote and where == "here" and any(finding.kind == "folder" for finding in found if finding.todo):
        push_inputs(root)  # workers are sent theirs by the benchmark
    for line in [f"{finding.action}: {finding.says}" for finding in found] + said:
        log.info(line)
    before, known = newest(root), {one.lineage for one in records.records(root)}
    stages, asides = _run(root, state, {"jobs": jobs, "remote": remote, "where": where})
    done = {"found": [finding.as_dict() for finding in found], "stages": stages, "set_aside": asides}
    hashes = hashes_of_tables(root)
    comparison = _record(root, before) if hashes and hashes.lineage not in known else None
    if comparison:
        log.info(f"recorded as {comparison.tag}; what it changed is in the artifact `refresh`")
    elif not stages:
        log.info("nothing new: no stage ran, and nothing is recorded")
    if push:
        records.push(root, push)  # also what a remote that was away did not take the last time
    return {
        **done,
        **(hashes.as_dict() if hashes else {"lineage": None, "recipe": None}),
        "record": comparison.tag if comparison else None,
        "comparison": comparison.as_dict() if comparison else None,
    }


def _run(root: Path, state: State, how: dict[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """Run what is out of date, without generators that fail; what stages did, and which were set aside."""
    stages: dict[str, str] = {}
    asides: dict[str, str] = {}
    while plan(root):
        try:
            stages |= benchmark(**how)["stages"]
            break
        except RunFailed as failure:
            stages |= failure.done
            try:
                with only_run(root):
                    now = set_aside(root, failure.failed, state)
                    write_state(root, state)
            except Inseparable as reason:
                raise RunFailed(f"{failure}\n\nno table: {reason}", failure.failed) from None
            asides |= now
            for name, why in now.items():
                get_run_logger().warning("%s is set aside: %s", name, why)
    return stages, asides


def _record(root: Path, before: records.Record | None) -> Comparison | None:
    """Record the benchmark, tell what it changed; None where there is no git to record it in."""
    record = records.record(root)
    if record is None:
        get_run_logger().warning("nothing is recorded: this is no git repository, or it is not finished")
        return None
    comparison = compare(root, record, before)
    write_text(root / TOLD, as_markdown(comparison))
    tell(record, comparison, comparison.came if before else ())
    return comparison
