"""Everything that is new, in the order in which it is taken in."""

from collections.abc import Sequence
from pathlib import Path

from assets.errors import AssayError, did_you_mean
from assets.files import write_bytes
from assets.params import load_params
from assets.yaml12 import PARAMS_YAML
from flows.planning.checks import check_params
from flows.planning.plan import plan
from flows.records.records import Record, records
from flows.refreshing.cards import find_cards
from flows.refreshing.entries import find_entries
from flows.refreshing.findings import Finding
from flows.refreshing.folders import find_folders
from flows.refreshing.hub import FOLLOW, find_revisions
from flows.refreshing.put_back import find_again, wanted_again
from flows.refreshing.state import State, write_state


def find(root: Path, state: State, hub: str, retry: str | None, arrived: str | None = None) -> list[Finding]:
    """What is new. Nothing is changed.

    Args:
        hub: see `find_revisions`.
        retry: a name, or `all`, of what is set aside.
        arrived: see `find_folders`.

    Raises:
        AssayError: params.yaml makes no sense; `hub` or `retry` is not one of what is allowed.
    """
    if hub not in FOLLOW:
        raise AssayError(f"--hub {hub}: {did_you_mean(hub, FOLLOW)}")
    params = load_params(root / PARAMS_YAML)
    again = wanted_again(params, retry, {*state.folders})
    last = newest(root)
    return [
        *find_again(root, params, state, again),
        *find_cards(root, params, last, state),
        *find_folders(root, params, state, again, arrived),
        *find_revisions(params, hub, root),
        *find_entries(root, plan(root)),
    ]


def take_in(root: Path, found: Sequence[Finding], state: State) -> tuple[list[Finding], list[str]]:
    """Take in what can be; what cannot is told, and does not keep the others out.

    Returns the findings as they stand now, and lines for the user.
    """
    settled, said = [], []
    for finding in found:
        if finding.todo is None:
            settled.append(finding)
            continue
        path = root / PARAMS_YAML
        before = path.read_bytes()
        try:
            lines = finding.todo()
            check_params(load_params(path), root)
        except AssayError as error:
            if path.read_bytes() != before:
                write_bytes(path, before)
            settled.append(finding.left(str(error)))
            continue
        write_state(root, state)
        settled.append(finding)
        said += [f"{finding.name}: {line}" for line in lines if line]
    return settled, said


def newest(root: Path) -> Record | None:
    """The last benchmark that was recorded here."""
    return next(iter(records(root)), None)
