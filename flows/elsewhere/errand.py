"""An errand: one stage that a run has done in another clone, with all that has to be known there.

What is sent are parameters, pinned inputs and the md5 of what to read; never a command. Commands are those
of the clone's own dvc.yaml, which has to be the one that the run has.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from assets.errors import AssayError
from flows.elsewhere.fragments import Outs
from flows.running import dvc

VERSION = 1


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
    """Whether what is done in the run's own folder goes into the remote, too: other clones may need it."""
    limit: float | None
    """Seconds it may take."""
    beat: float
    """Seconds between the signs of life that a worker gives meanwhile."""
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


class ErrandFailed(dvc.StageFailed):
    """A stage that failed in another process, from which the exception has to travel."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.stage, outcome.reason, Path("-"), outcome.tail, outcome.may_pass)
        self.outcome = outcome

    def __reduce__(self) -> tuple[type["ErrandFailed"], tuple[Outcome]]:
        return ErrandFailed, (self.outcome,)


def refused(why: str) -> AssayError:
    """What to say of an errand that is not done."""
    return AssayError(f"this is no errand for this clone: {why}")
