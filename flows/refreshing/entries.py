"""Entries of params.yaml that no stage has run for yet."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from assets.dag import load_dag
from assets.lineage import read_lock
from assets.yaml12 import PARAMS_YAML
from flows.planning.plan import Planned
from flows.refreshing.findings import Finding

_SECTIONS = ("real", "fit", "generators", "detectors", "attributors", "given", "train.sets", "train.samples")


def find_entries(root: Path, planned: Sequence[Planned]) -> Iterator[Finding]:
    """Entries whose every stage is planned and has never run, e.g. `generators.sdxl`."""
    recorded = read_lock(root)
    due = {stage.stage for stage in planned}
    stages: dict[str, set[str]] = {}
    for stage in load_dag(root).stages.values():
        for key in stage.params.get(PARAMS_YAML, ()):
            if key.rpartition(".")[0] in _SECTIONS:
                stages.setdefault(key, set()).add(stage.name)
    for key, names in stages.items():
        if names <= due and not names & recorded.keys():
            count = f"{len(names)} stages" if len(names) > 1 else f"the stage {min(names)}"
            yield Finding("entry", key, f"an entry in {PARAMS_YAML} that has not run: {count}", runs=True)
