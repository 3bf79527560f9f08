"""A recorded benchmark made again from its hash: pulled or computed, and compared byte by byte.

What is compared with what is in `flows/reproducing/`; docs/reproducing.md is for whoever uses it.
"""

import sys
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.task_runners import ThreadPoolTaskRunner

from assets.errors import AssayError
from flows.benchmark import cores
from flows.reproducing.looking_up import look_up
from flows.reproducing.verdict import Verdict
from flows.reproducing.work import Work
from flows.reproducing.worktree import check_out, place_of
from flows.reproducing.worktree import remove as remove_worktree
from flows.running.workspace import only_run

_POOL: ThreadPoolTaskRunner[Any] = ThreadPoolTaskRunner()  # `jobs` bounds what is submitted at a time


class Different(Exception):
    """The record could not be reproduced; the message is the verdict in words."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.words)
        self.verdict = verdict


@flow(name="reproduce", task_runner=_POOL)  # type: ignore[arg-type]  # its runners are invariant
def reproduce(
    hash: str,
    rerun: bool = False,
    tolerance: float = 1e-6,
    jobs: int | None = None,
    into: str | None = None,
    environment: bool = False,
    remove: bool = False,
) -> dict[str, Any]:
    """Make a recorded benchmark again from its hash, and compare it byte by byte with the record.

    The code of the record is run. Reproduce only what you would run.

    Args:
        hash: The lineage or recipe hash that the tables print, or the beginning of one (at least 4 digits).
        rerun: Compute everything anew from the raw inputs. Off: fetch what the cache or the remote still
            has, compute only what nobody has, and make the tables again.
        tolerance: How far two numbers may lie apart and still count as equal.
        jobs: Stages that run side by side, and files that are hashed at a time. Empty: one a core.
        into: Folder for the record's worktree. Empty: .assay/reproduce/HASH. An interrupted run that is
            started again goes on in the same one.
        environment: Compute in a virtual environment of its own with the versions that the record pins
            (`make setup` in the worktree).
        remove: Remove the worktree afterwards, unless something differs.

    Returns the verdict, see `flows.reproducing.verdict.Verdict.as_dict`.

    Raises:
        AssayError: an unknown or ambiguous hash, a folder that is taken, a remote that does not answer.
        RunFailed: stages failed.
        Different: the record and what was made differ by more than the tolerance.
    """
    verdict = _reproduced(hash, rerun, tolerance, jobs, Path(into) if into else None, environment)
    create_markdown_artifact(markdown=verdict.markdown(), key="reproduction", description=verdict.words)
    if verdict.outcome == "different":
        raise Different(verdict)
    if remove:
        remove_worktree(Path.cwd(), verdict.worktree)
    return verdict.as_dict()


def _reproduced(
    asked: str, rerun: bool, tolerance: float, jobs: int | None, into: Path | None, own: bool
) -> Verdict:
    root = Path.cwd()
    jobs = cores() if jobs is None else jobs
    if jobs < 1:
        raise AssayError(f"jobs is {jobs}: expected at least 1")
    if not tolerance >= 0:
        raise AssayError(f"the tolerance is {tolerance}: expected 0 or more")
    record = look_up(root, asked)
    folder = place_of(root, record, rerun, into)
    _say(f"{record.tag} of {record.made}, in {folder}")
    desk = check_out(root, record, folder, rerun)
    with only_run(desk.root) as lock:
        return Work(root, desk, jobs, lock, own, _say).verdict(rerun, tolerance)


def _say(text: str) -> None:
    get_run_logger().info(text)
    print(text, file=sys.stderr, flush=True)
