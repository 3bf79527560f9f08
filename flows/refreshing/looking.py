"""What a refresh would do, told without doing it; loads no Prefect."""

from dataclasses import dataclass
from pathlib import Path

from assets.lineage import Hashes
from flows.planning.plan import plan
from flows.records.finished import hashes_of_tables
from flows.records.records import records
from flows.refreshing.finding import find
from flows.refreshing.findings import Finding
from flows.refreshing.state import read_state
from flows.running.dvc import WORKSPACE

TOLD = WORKSPACE / "refresh.md"
"""The comparison with the record before, as Markdown."""


@dataclass(frozen=True)
class Looked:
    """What a refresh would do."""

    found: list[Finding]
    stages: list[str]
    """Out of date already."""
    recorded: bool
    """Whether the tables that are here now are."""

    @property
    def is_nothing(self) -> bool:
        """Whether a refresh would do nothing."""
        return self.recorded and not self.stages and all(one.action == "told" for one in self.found)


def look(root: Path, hub: str = "follow", retry: str | None = None, arrived: str | None = None) -> Looked:
    """What a refresh would do. Nothing is changed."""
    found = find(root, read_state(root), hub, retry, arrived)
    hashes = hashes_of_tables(root)
    recorded = hashes is not None and is_recorded(root, hashes)
    return Looked(found, [planned.stage for planned in plan(root)], recorded)


def is_recorded(root: Path, hashes: Hashes) -> bool:
    """Whether git has a record of these tables."""
    return any(one.lineage == hashes.lineage for one in records(root))
