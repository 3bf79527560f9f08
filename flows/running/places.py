"""Where a stage is run: as a child process here, or on another machine (`flows.elsewhere.errands`)."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from assets.dag import REPORT
from assets.lineage import is_current
from flows.planning.plan import Planned
from flows.running import dvc, slots


@dataclass
class Ticket:
    """Leave to run one stage now."""

    planned: Planned
    gpu: slots.Slot | None = None

    def release(self) -> None:
        """Let the next stage have what this one held."""
        if self.gpu:
            self.gpu.release()
            self.gpu = None


class Place(Protocol):
    """Somewhere that stages can be run. `run` is called in a thread a stage, the rest in the run's own."""

    def admit(self, planned: Planned) -> Ticket | None:
        """Leave to start a stage now, or None while what it needs is taken."""
        ...

    def parcel(self, planned: Planned) -> dict[str, Any] | None:
        """Everything a process without this object needs to run the stage; None where `run` runs it."""
        ...

    def unpack(self, planned: Planned, document: Any) -> dvc.Ran:
        """What the process that was given a parcel returned.

        Raises:
            dvc.StageFailed: it is not what was asked for.
        """
        ...

    def run(self, ticket: Ticket) -> dvc.Ran:
        """Bring the stage up to date, and wait for it.

        Raises:
            dvc.StageFailed: it failed.
            dvc.Stopped: the run was told to stop.
        """
        ...

    def settle(self, ran: dvc.Ran) -> None:
        """Take note, in dvc.lock, of a stage that is done."""
        ...


class Here:
    """Child processes in this workspace, one GPU each for those that want one."""

    def __init__(
        self, root: Path, control: dvc.Control, limits: Mapping[str, float], jobs: int, remote: bool
    ) -> None:
        """Args: limits: seconds by family, 0: none. remote: pull inputs from DVC's remote, push outputs."""
        self._root = root
        self._control = control
        self._limits = limits
        self._remote = remote
        self._gpus = slots.devices()
        self._workers = str(max(jobs // len(self._gpus) - 1, 0)) if self._gpus else None

    def admit(self, planned: Planned) -> Ticket | None:
        """A stage that wants a GPU waits for a free one."""
        if not (planned.gpu and self._gpus):
            return Ticket(planned)
        slot = slots.take(self._gpus)
        return Ticket(planned, slot) if slot else None

    def parcel(self, planned: Planned) -> None:
        """Run by `run`."""

    def unpack(self, planned: Planned, document: Any) -> dvc.Ran:
        """Nothing is packed."""
        raise NotImplementedError

    def run(self, ticket: Ticket) -> dvc.Ran:
        """One `dvc repro --single-item`; two if the run cache gave back tables with another hash."""
        planned = ticket.planned
        ran = self._repro(ticket, planned.force)
        if planned.stage == REPORT and not is_current(self._root):
            ran = self._repro(ticket, force=True)
            if not is_current(self._root):
                tail = "its tables print another hash than assets.lineage.benchmark() gives"
                raise dvc.StageFailed(REPORT, "the printed lineage hash is wrong", ran.log, tail)
        if self._remote:
            dvc.push(self._root, planned.stage)
        return ran

    def settle(self, ran: dvc.Ran) -> None:
        """DVC has written dvc.lock itself; a copy of it is kept."""
        dvc.keep_lock(self._root)

    def _repro(self, ticket: Ticket, force: bool) -> dvc.Ran:
        slot, planned = ticket.gpu, ticket.planned
        held = (*self._control.held, *((slot.handle,) if slot else ()))
        return dvc.repro(
            self._root,
            planned.stage,
            force=force,
            pull=self._remote,
            timeout=self._limits.get(planned.family) or None,
            environment=self._environment(slot),
            control=dvc.Control(self._control.stop, held),
        )

    def _environment(self, slot: slots.Slot | None) -> dict[str, str] | None:
        """A GPU stage's loader shares the cores with those of the other GPUs."""
        if slot is None:
            return None
        workers = (
            {} if "ASSAY_WORKERS" in os.environ or not self._workers else {"ASSAY_WORKERS": self._workers}
        )
        return {**slot.environment, **workers}
