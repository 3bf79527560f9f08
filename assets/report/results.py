"""Everything that a benchmark found out, in one place: what tables, figures and the page are made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assets.inventory import Holding
from assets.params import Params
from assets.predictions import given_source
from assets.statistics.attributed import Attributed
from assets.statistics.tabulate import Tabulated

Audits = dict[str, dict[str, Any]]
"""Generator -> its audit.json."""


@dataclass(frozen=True)
class Results:
    """What was read and computed; nothing here opens a file but the pictures under `root`."""

    params: Params
    tabulated: Tabulated
    audits: Audits
    holdings: Sequence[Holding]
    """One an item, `real` first."""
    lineage: str
    recipe: str
    attributed: Attributed | None = None
    """Which generator made it? None without attributors."""
    whole: Mapping[str, Any] = field(default_factory=dict)
    """artifacts/audit_all/audit.json: the audit of all images together; {} if there is none."""
    evaluations: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """(what was trained on, tested_on) -> lineage hash of the stage that made those predictions; for a given
    detector `assets.predictions.given_source` of its name stands for what it was trained on."""
    root: Path = Path()
    """For artifacts/spectrum and artifacts/gallery."""

    def evaluation(self, detector: str, trained_on: str, tested_on: str) -> str | None:
        """Lineage hash of the stage that made a detector's predictions; None if it is not known."""
        source = given_source(detector) if detector in self.params.given else trained_on
        return self.evaluations.get((source, tested_on))
