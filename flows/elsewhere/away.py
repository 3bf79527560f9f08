"""What all places elsewhere have in common: what is sent, and what is made of what comes back.

This workspace is the coordinator's: it has dvc.lock, which grows with every stage that is done somewhere,
and needs neither inputs nor outputs, but for those of the report.
"""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assets.dag import DVC_YAML, Dag, load_dag
from assets.files import write_text
from assets.lineage import read_lock
from assets.yaml12 import PARAMS_YAML
from flows.elsewhere import clone, code, life
from flows.elsewhere.arrivals import read_outcome
from flows.elsewhere.errand import Errand, Outcome
from flows.elsewhere.fetching import DATA_DVC, has_remote, push_inputs
from flows.elsewhere.fitting import code_deps
from flows.elsewhere.fragments import Entry, check_entry, from_text, merge, outs_behind, recorded_outs
from flows.elsewhere.settled import made_elsewhere, note
from flows.planning.plan import Planned
from flows.running import dvc
from flows.running.places import Ticket


class Away:
    """A place elsewhere, but for how an errand gets there."""

    def __init__(self, root: Path, control: dvc.Control, limits: Mapping[str, float]) -> None:
        """Put the inputs into the remote, if there is one: workers on other machines take them from there."""
        self._root = root
        self._control = control
        self._limits = limits
        self._share = has_remote(root)
        self._dag: Dag = load_dag(root)
        self._params = (root / PARAMS_YAML).read_text("utf-8")
        self._data = (root / DATA_DVC).read_text("utf-8") if (root / DATA_DVC).is_file() else None
        self._commit = code.commit_of(root)
        self._token = clone.token(root)
        self._md5: dict[str, str] = {}
        self._outcomes: dict[str, tuple[Outcome, Entry]] = {}
        self._one = threading.Lock()
        if self._share:
            push_inputs(root)

    def admit(self, planned: Planned) -> Ticket | None:
        """Whoever takes a stage sees for itself that it has what it needs."""
        return Ticket(planned)

    def settle(self, ran: dvc.Ran) -> None:
        """Put a stage's entry into dvc.lock, if whoever did it has not, and remember what it had read."""
        outcome, entry = self._outcomes.pop(ran.stage)
        with self._one:
            if not outcome.same:
                merge(self._root, {ran.stage: entry})
            dvc.keep_lock(self._root)
            note(self._root, self._dag, ran.stage, entry, elsewhere=not outcome.same)

    def _errand(self, planned: Planned) -> Errand:
        stage = planned.stage
        with self._one:
            recorded = read_lock(self._root)
            outs = outs_behind(self._dag, stage)
            return Errand(
                stage=stage,
                force=planned.force,
                params=self._params,
                data=self._data,
                code={path: self._code(path) for path in (DVC_YAML, *code_deps(self._dag, stage))},
                commit=self._commit,
                inputs=recorded_outs(self._dag, recorded, outs),
                elsewhere=tuple(made_elsewhere(self._root, self._dag, outs)),
                share=self._share,
                limit=self._limits.get(planned.family) or None,
                beat=life.LOST_SECONDS / life.BEATS,
                token=self._token,
            )

    def _code(self, path: str) -> str:
        if path not in self._md5:
            self._md5[path] = code.md5_of(self._root / path)
        return self._md5[path]

    def _take(self, errand: Errand, document: Any, by: str) -> dvc.Ran:
        """What a stage's outcome means here.

        Raises:
            dvc.StageFailed: it failed, or it is not what was asked for.
        """
        stage = errand.stage
        log = self._root / dvc.LOGS / f"{stage}.log"
        outcome = read_outcome(document)
        write_text(log, f"{outcome.how} in {outcome.where}, {by}; the end of its output:\n{outcome.tail}\n")
        if outcome.how == "failed":
            raise dvc.StageFailed(stage, outcome.reason, log, outcome.tail, outcome.may_pass)
        entry = from_text(outcome.entry)
        made = {out: content["md5"] for out, content in errand.inputs.items()}
        if wrong := check_entry(self._root, self._dag, stage, entry, {**errand.code, **made}):
            reason = f"{outcome.where} gave back something else: {wrong}"
            raise dvc.StageFailed(stage, reason, log, outcome.tail)
        self._outcomes[stage] = (outcome, entry)
        how: Any = outcome.how  # read_outcome saw to it
        return dvc.Ran(stage, how, outcome.seconds, log)
