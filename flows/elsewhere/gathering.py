"""The run's own folder as the place for the report, which reads what was made elsewhere."""

from collections.abc import Mapping
from pathlib import Path

from assets.dag import load_dag
from assets.errors import AssayError
from flows.elsewhere.fetching import bring, has_remote
from flows.elsewhere.fragments import outs_behind
from flows.running import dvc
from flows.running.places import Here, Ticket


class Gathering(Here):
    """This workspace, for the report: what it reads is fetched first, whatever lies here."""

    def __init__(self, root: Path, control: dvc.Control, limits: Mapping[str, float], jobs: int) -> None:
        self._fetches = has_remote(root)
        super().__init__(root, control, limits, jobs, remote=self._fetches)

    def run(self, ticket: Ticket) -> dvc.Ran:
        """Fetch what the stage reads, then as in `Here`."""
        dag = load_dag(self._root)
        stage = ticket.planned.stage
        try:
            bring(self._root, outs_behind(dag, stage), [], self._fetches)
        except AssayError as error:
            log = self._root / dvc.LOGS / f"{stage}.log"
            raise dvc.StageFailed(stage, "what it reads cannot be fetched", log, str(error), True) from None
        return super().run(ticket)
