"""A run: every planned stage that can be run is, each as soon as its own inputs are there."""

import queue
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from prefect import get_run_logger
from prefect.assets import Asset, AssetProperties, add_asset_metadata
from prefect.futures import PrefectFuture

from assets.dag import Dag, Stage
from assets.errors import AssayError
from assets.lineage import Lineage
from flows.planning.estimates import record_seconds
from flows.planning.plan import Planned
from flows.running import dvc
from flows.running.chain import ASSET, CHAIN, RUN, Facts
from flows.running.datasets import read_by
from flows.running.display import Display
from flows.running.limits import pauses
from flows.running.places import Place, Ticket

_TICK = 0.2
_MOST_RELATED = 80
"""Inputs that Prefect is told of: a server refuses events with more than 100 related things."""


class Watcher(Protocol):
    """Somebody who is told what happens to stages; called in the stages' threads."""

    def started(self, stage: Stage) -> None:
        """A stage begins."""
        ...

    def finished(self, stage: Stage, facts: Facts) -> None:
        """A stage is done; `facts` as its task returns them."""
        ...

    def failed(self, stage: Stage, failure: dvc.StageFailed) -> None:
        """A stage failed, and may be tried again."""
        ...


@dataclass
class Run:
    """What the tasks of one flow run share."""

    root: Path
    dag: Dag
    planned: dict[str, Planned]
    control: dvc.Control
    here: Place
    away: Place | None = None
    """Where all stages but the report are run, if not here."""
    watchers: tuple[Watcher, ...] = ()
    tickets: dict[str, Ticket] = field(default_factory=dict)
    done: dict[str, dvc.Ran] = field(default_factory=dict)
    failed: dict[str, dvc.StageFailed] = field(default_factory=dict)
    futures: dict[str, PrefectFuture[Any]] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)

    def place_of(self, planned: Planned) -> Place:
        """The report is made where its reader is, who wants results/ there."""
        return self.here if self.away is None or planned.family == "report" else self.away

    def do(self, name: str) -> Facts:
        """Run one stage and describe its outputs to Prefect; the body of every task that runs here."""
        stage, ticket = self.dag[name], self.tickets[name]
        self.rest(name)
        self.failed.pop(name, None)  # of an earlier attempt
        for watcher in self.watchers:
            watcher.started(stage)
        place = self.place_of(ticket.planned)
        try:
            ran = place.run(ticket)
            place.settle(ran)
        except dvc.StageFailed as failure:
            self.failed[name] = failure
            for watcher in self.watchers:
                watcher.failed(stage, failure)
            raise
        finally:
            self._pass_on_log(name)
        facts = self._facts(ran)
        known = {key: facts[key] for key in ("lineage", "recipe", "how", "seconds")}
        for path, md5 in facts["outputs"].items():
            if path in stage.outs:
                add_asset_metadata(ASSET + path, {**known, "md5": md5})
        self._finish(ran, facts)
        return facts

    def rest(self, name: str) -> None:
        """Wait before another attempt: Prefect's own delay would hold up a run that is told to stop."""
        before = self.attempts.get(name, 0)
        self.attempts[name] = before + 1
        if before and self.control.stop.wait(pauses()[min(before, len(pauses())) - 1]):
            raise dvc.Stopped(name)

    def take_in(self, name: str) -> None:
        """Note what became of a stage whose task ran in a process of a cluster, or did not run at all."""
        found = self.futures[name].result(raise_on_failure=False)
        try:
            if isinstance(found, dvc.StageFailed):
                raise found
            if self.away is None or not isinstance(found, dict):  # Prefect's fault, or ours
                raise dvc.StageFailed(name, f"{type(found).__name__}: {found}", Path("-"), "")
            ran = self.away.unpack(self.planned[name], found)
            self.away.settle(ran)
        except dvc.StageFailed as failure:
            self.failed[name] = failure
            for watcher in self.watchers:
                watcher.failed(self.dag[name], failure)
        else:
            self._finish(ran, self._facts(ran))

    def _finish(self, ran: dvc.Ran, facts: Facts) -> None:
        self.done[ran.stage] = ran
        for watcher in self.watchers:
            watcher.finished(self.dag[ran.stage], facts)

    def _pass_on_log(self, name: str) -> None:
        log = self.root / dvc.LOGS / f"{name}.log"
        if log.is_file():
            get_run_logger().info(log.read_text("utf-8", errors="replace"))

    def _facts(self, ran: dvc.Ran) -> Facts:
        """What a stage's task returns: where its outputs come from."""
        lineage = Lineage(self.root)
        facts = {**lineage.stage(ran.stage).as_dict(), "how": ran.how, "seconds": ran.seconds}
        return {"stage": ran.stage, **facts, "outputs": lineage.outputs(ran.stage)}


def known_families(dag: Dag) -> Dag:
    """The DAG, if there is a task for each of its stages.

    Raises:
        AssayError: there is none.
    """
    for stage in dag.stages.values():
        if stage.family not in CHAIN:
            raise AssayError(
                f"dvc.yaml has a stage '{stage.name}', but flows/running/chain.py has no task named "
                f"'{stage.family}': add one to the chain"
            )
    return dag


def execute(run: Run, jobs: int) -> None:
    """Run every planned stage that can be; what failed, and what depends on that, is not in `run.done`."""
    waiting = {name: set(run.dag.upstream[name]) & set(run.planned) for name in run.planned}
    ended: queue.SimpleQueue[str] = queue.SimpleQueue()
    running: set[str] = set()
    token = RUN.set(run)
    with _shown(run, jobs) as display:
        try:
            while waiting or running:
                for name in _startable(run, waiting, jobs - len(running)):
                    running.add(name)
                    display.started(name)
                    _submit(run, name, ended)
                for name in _ended(ended):
                    running.discard(name)
                    _settle(run, name, waiting)
                    display.finished(name, run.done[name].how if name in run.done else "FAILED")
                display.tick()
        finally:
            run.control.stop.set()  # nothing is running any more, or all of it has to end
            RUN.reset(token)
            for ticket in run.tickets.values():
                ticket.release()


@contextmanager
def _shown(run: Run, jobs: int) -> Iterator[Display]:
    display = Display(list(run.planned.values()), jobs)
    try:
        yield display
    finally:
        display.close()


def _startable(run: Run, waiting: dict[str, set[str]], room: int) -> Iterator[str]:
    """Take stages out of `waiting` that may start now, with leave to."""
    for name in [name for name, needs in waiting.items() if not needs]:
        if room < 1:
            return
        planned = run.planned[name]
        ticket = run.place_of(planned).admit(planned)
        if ticket is None:
            continue  # a stage further down may do without what this one waits for
        run.tickets[name] = ticket
        del waiting[name]
        room -= 1
        yield name


def _submit(run: Run, name: str, ended: "queue.SimpleQueue[str]") -> None:
    stage, planned = run.dag[name], run.planned[name]
    parcel = run.place_of(planned).parcel(planned)
    task = CHAIN[stage.family].with_options(
        assets=[_asset(run.dag, out) for out in stage.outs],
        asset_deps=[_asset(run.dag, path) for path in read_by(run.dag, stage)[:_MOST_RELATED]],
        retry_delay_seconds=0 if parcel is None else pauses(),
    )
    upstream = [run.futures[needed] for needed in run.dag.upstream[name] if needed in run.futures]
    future = task.submit(name, parcel, return_state=False, wait_for=upstream[:_MOST_RELATED])
    run.futures[name] = future
    future.add_done_callback(lambda _: ended.put(name))


def _asset(dag: Dag, path: str) -> Asset:
    """An output of a stage, or an input, as Prefect lists it."""
    maker = dag.stages.get(dag.out_of.get(path, ""))
    if maker is None:
        return Asset(key=ASSET + path)
    made = f"{CHAIN[maker.family].description}\n\n`{maker.cmd}`"
    return Asset(key=ASSET + path, properties=AssetProperties(name=maker.name, description=made[:2000]))


def _ended(ended: "queue.SimpleQueue[str]") -> Iterator[str]:
    """Names that have come in, after waiting a moment for the first."""
    try:
        yield ended.get(timeout=_TICK)
        while True:
            yield ended.get_nowait()
    except queue.Empty:
        return


def _settle(run: Run, name: str, waiting: dict[str, set[str]]) -> None:
    """Let go of what a finished stage held and held up."""
    run.tickets.pop(name).release()
    if name not in run.done and name not in run.failed:
        run.take_in(name)
    if name in run.done:
        if run.done[name].how == "ran":
            with suppress(OSError):  # a full disk: what is known of times is a convenience
                record_seconds(run.root, name, run.done[name].seconds)
        for needs in waiting.values():
            needs.discard(name)
        return
    for lost in run.dag.descendants([name]):
        waiting.pop(lost, None)
