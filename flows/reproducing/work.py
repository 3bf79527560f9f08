"""One reproduction, step by step: restore or compute, hash, compare, judge."""

import shutil
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from assets.dag import REPORT
from assets.errors import AssayError
from assets.lineage import LOCK, LineageError, read_lock, recorded_benchmark
from flows.planning.plan import Planned
from flows.records.records import file_of
from flows.reproducing import settings as dvc_settings
from flows.reproducing.claims import claims, inputs, tables
from flows.reproducing.comparing import CELLS, first_differing, largest_difference
from flows.reproducing.computing import VENV, compute, forced, make_environment, unfinished
from flows.reproducing.content import Content, Finding, Output
from flows.reproducing.restoring import restore
from flows.reproducing.surroundings import differences, surroundings
from flows.reproducing.verdict import Verdict
from flows.reproducing.worktree import Desk
from flows.running import dvc

_BY_HAND = ("weights", "prompts")
"""Folders that nothing versions: what is in them is pinned by hash in params.yaml and checked by stages."""


class Work:
    """One reproduction of a record in its worktree.

    Args:
        root: the clone.
        desk: the record, checked out.
        jobs: stages side by side.
        lock: descriptor of the worktree's run lock.
        own: compute with the interpreter of an environment of its own.
        say: takes a line on what is going on.
    """

    def __init__(
        self, root: Path, desk: Desk, jobs: int, lock: int, own: bool, say: Callable[[str], None]
    ) -> None:
        self._root = root
        self._desk = desk
        self._jobs = jobs
        self._lock = lock
        self._own = own
        self._say = say
        self._settings = dvc_settings.of_clone(root)
        known = dvc_settings.known_to_dvc(root)
        self._remote = dvc_settings.default_remote(known)
        self._cache = dvc_settings.cache_of(root, known)
        self._own_cache = desk.root / ".dvc" / "cache"
        self._content = Content(desk.root, [self._cache, self._own_cache], jobs)
        self._md5s: dict[str, str | None] = {}

    def verdict(self, rerun: bool, tolerance: float) -> Verdict:
        """Do it all.

        Raises:
            AssayError: the remote does not answer, or an input is not to be had.
            RunFailed: stages failed.
        """
        verdict = Verdict(self._desk.record, self._desk.top, rerun, tolerance)
        verdict.altered += claims(self._desk, self._content)
        if not verdict.altered:
            if self._own:
                self._make_environment(verdict)
            (self._compute_all if rerun else self._pull)(verdict)
            verdict.altered += inputs(self._desk, self._content)
            verdict.altered += tables(self._desk, self._content)
        self._judge(verdict)
        return verdict

    def _make_environment(self, verdict: Verdict) -> None:
        self._say("making a virtual environment with the versions that the record pins")
        with _timed(verdict, "environment"):
            make_environment(self._desk.root)

    def _pull(self, verdict: Verdict) -> None:
        """Restore what somebody still has, compute what nobody has, make the tables again."""
        outputs = self._desk.outputs()
        shutil.copyfile(self._desk.kept / LOCK, self._desk.root / LOCK)
        self._restore(verdict, [*self._desk.pins, *outputs], everything=True)
        found = self._hash(verdict, outputs)
        gone = {output.path for output in outputs if self._md5s[output.path] is None}
        verdict.lost = [name for name in self._desk.dag.order if gone & {*self._desk.dag[name].outs}]
        verdict.restored = len({output.stage for output in outputs}) - len(verdict.lost)
        verdict.altered += [finding for finding in found if finding.path not in gone]
        if {finding.stage for finding in verdict.altered} - {REPORT}:
            verdict.notes.append("nothing was computed: what it would be computed from was altered")
            return
        if verdict.lost:
            self._say(f"{len(verdict.lost)} stages have to be computed: nobody has what they made any more")
        again = {*verdict.lost, REPORT} & set(self._desk.dag.stages)
        self._compute(verdict, forced(self._desk.dag, again, "reproduced"))
        verdict.differing += self._hash(verdict, self._desk.outputs(again))
        if REPORT in again and REPORT not in {finding.stage for finding in verdict.differing}:
            verdict.notes.append("the tables were made again, from the recorded inputs: the same bytes")

    def _compute_all(self, verdict: Verdict) -> None:
        """Everything from the raw inputs, with a cache that was empty when it began."""
        self._restore(verdict, self._desk.pins, everything=False)
        if verdict.altered:
            return
        for name in _BY_HAND:
            if (self._root / name).is_dir() and not (self._desk.root / name).exists():
                (self._desk.root / name).symlink_to((self._root / name).resolve())
        if mended := dvc.heal_lock(self._desk.root):
            self._say(mended)
        planned = unfinished(self._desk.root, self._desk.dag)
        if before := len(self._desk.dag.stages) - len(planned):
            verdict.notes.append(f"{before} stages had been computed in this worktree before")
        self._compute(verdict, planned)
        verdict.differing += self._hash(verdict, self._desk.outputs())

    def _restore(self, verdict: Verdict, outputs: list[Output], everything: bool) -> None:
        """With the clone's cache and remotes; afterwards, when code of the record runs, with neither."""
        with _timed(verdict, "restoring"):
            dvc_settings.give(self._desk.root, self._settings, self._cache, remotes=True)
            self._clear(outputs)
            restore(self._desk.root, outputs, everything, self._remote, self._settings, self._say)
            dvc_settings.give(self._desk.root, self._settings, self._own_cache, remotes=False)
        found = self._hash(verdict, self._desk.pins)
        away = {pin.path for pin in self._desk.pins if self._md5s[pin.path] is None}
        verdict.altered += [finding for finding in found if finding.path not in away]
        verdict.notes += [f"{path} is nowhere to be had: its bytes were not checked" for path in sorted(away)]

    def _clear(self, outputs: list[Output]) -> None:
        """Take away what an earlier call left and is not as recorded: DVC would believe that it is."""
        there = [output for output in outputs if (self._desk.root / output.path).exists()]
        md5s, _ = Content(self._desk.root, (), self._jobs).compare(there)
        for output in there:
            path = self._desk.root / output.path
            if md5s[output.path] != output.md5:
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _compute(self, verdict: Verdict, planned: list[Planned]) -> None:
        deps = {dep for one in planned for dep in self._desk.dag[one.stage].deps}
        pinned = {pin.path for pin in self._desk.pins if self._md5s[pin.path] is None}
        if lost := sorted(dep for dep in deps if any(_inside(dep, path) for path in pinned)):
            raise AssayError(
                f"{lost[0]}, which {len(planned)} stages that have to be computed start from, is neither in "
                "the cache nor in DVC's remote; `dvc remote list` says which is asked"
            )
        if planned:
            with _timed(verdict, "computing"):
                done = compute(self._desk.root, planned, self._jobs, self._lock, self._own)
            verdict.computed += list(done)

    def _hash(self, verdict: Verdict, outputs: Collection[Output]) -> list[Finding]:
        with _timed(verdict, "hashing"):
            md5s, findings = self._content.compare(outputs)
        self._md5s |= md5s
        return findings

    def _judge(self, verdict: Verdict) -> None:
        verdict.files, verdict.bytes = self._content.count.files, self._content.count.bytes
        verdict.lineage = self._lineage()
        here = surroundings(self._desk.root, self._desk.root / VENV / "bin" / "python" if self._own else None)
        verdict.environment = differences(self._desk.record.environment, here)
        verdict.unpinned = here["constraints"]["differ"]
        if left_out := self._desk.record.left_out:
            verdict.notes.append(f"the record lacks files that it depends on: {', '.join(left_out)}")
        if not verdict.altered and not verdict.differing:
            verdict.outcome = "identical"
            return
        if any(output.path in self._md5s for output in self._desk.outputs()):
            made = read_lock(self._desk.root)
            md5s = {output.path: self._md5s.get(output.path) for output in self._desk.outputs()}
            verdict.at_fault, verdict.following = first_differing(
                self._desk.dag, self._desk.recorded, made, md5s
            )
        self._measure(verdict)

    def _measure(self, verdict: Verdict) -> None:
        """How far the numbers of the tables lie apart. What was altered is different, however little."""
        report = self._desk.outputs([REPORT])
        path = f"{report[0].path}/{CELLS}" if report else CELLS
        recorded = file_of(self._root, self._desk.record, path)
        here = self._desk.root / path
        if recorded is None or not here.is_file():
            verdict.notes.append(f"numbers were not compared: there is no {path} in both")
            return
        verdict.largest = largest_difference(recorded.decode("utf-8", "replace"), here.read_text("utf-8"))
        near = verdict.largest is None or verdict.largest.difference <= verdict.tolerance
        if near and not verdict.altered:
            verdict.outcome = "equal"

    def _lineage(self) -> str | None:
        try:
            return recorded_benchmark(self._desk.root).lineage
        except LineageError:
            return None


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/") or folder.startswith(f"{path}/")


@contextmanager
def _timed(verdict: Verdict, phase: str) -> Iterator[None]:
    begun = time.monotonic()
    try:
        yield
    finally:
        verdict.seconds[phase] = round(verdict.seconds.get(phase, 0.0) + time.monotonic() - begun, 2)
