"""Where a result comes from: hashes over everything that it depends on, computed from dvc.lock.

The *recipe* hash covers what was asked for: commands, parameters, code and raw inputs. The *lineage* hash
covers the recipe and the bytes that came out. Both are Merkle hashes: a stage's hash contains the hashes
of the stages it reads from. Neither needs the data, the cache or DVC itself.

What a stage's hash contains: sha256 of the canonical JSON of [cmd, params, deps, outs], where a dependency
- that is a stage's output or lies inside one brings that stage's hash (which has the output's md5 in it);
- that is a folder with stage outputs in it brings the hashes of those that are in the DAG now, and not its
  own md5: the folder of a generator that was removed stays on the disk and in that md5;
- that no stage makes (code, data/NAME) brings its md5.

The benchmark's hash, which every table prints, covers the report's command, parameters and dependencies
but not its outputs, so that the report can print it while it runs (`benchmark`), and anyone can compute it
again afterwards (`recorded_benchmark`).
"""

import fcntl
import hashlib
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from assets.dag import REPORT, Dag, Stage, load_dag, look_up, normal_path
from assets.errors import AssayError
from assets.yaml12 import parse_yaml, read_yaml

LOCK = "dvc.lock"
_DVC_LOCK = ".dvc/tmp/lock"
PRINTED = "lineage.json"
"""The file in the report's output folder that holds the hashes its tables print, as `Hashes.as_dict()`."""
BENCHMARK = "benchmark"
_SHORTEST = 4


class LineageError(AssayError):
    """dvc.lock does not say, or contradicts itself about, where something comes from."""


@dataclass(frozen=True)
class Hashes:
    """Both hashes of one thing, 64 hexadecimal digits each."""

    lineage: str
    recipe: str

    def as_dict(self) -> dict[str, str]:
        """`{"lineage": ..., "recipe": ...}`, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Match:
    """What the beginning of a hash stands for."""

    name: str
    """A stage's name, or `benchmark`."""
    kind: str
    """Which of its two hashes it is: `lineage` or `recipe`."""
    hash: str


@dataclass(frozen=True)
class _Entry:
    """A stage as dvc.lock records it, or as it is about to run."""

    cmd: str
    params: dict[str, dict[str, Any]]
    deps: tuple[tuple[str, str], ...]
    """(path, md5), sorted; the md5 of a dependency that a stage makes is '' before the stage has run."""
    outs: tuple[tuple[str, str], ...]


class Lineage:
    """The hashes of every stage that is in the DAG now.

    Args:
        root: the repository; dvc.yaml, params.yaml and dvc.lock are read.

    Raises:
        AssayError: dvc.yaml or params.yaml cannot be read. A missing dvc.lock counts as an empty one.
    """

    def __init__(self, root: Path = Path()) -> None:
        self.root = root
        self.dag: Dag = load_dag(root)
        recorded = read_lock(root)
        self._entries = {name: _recorded(recorded[name]) for name in self.dag.stages if name in recorded}
        self._hashes: dict[str, Hashes] = {}
        self._open: set[str] = set()

    def stage(self, name: str) -> Hashes:
        """Hashes of a stage: of all it read and, in the lineage, of what came out.

        Raises:
            LineageError: it or something upstream has not run, or a stage used an input that has since
                been made anew.
        """
        if name not in self._hashes:
            if name in self._open:
                raise LineageError(f"{LOCK} is out of step: {name} is recorded as its own input; `assay run`")
            self._open.add(name)
            self._hashes[name] = self._hash(self.dag[name])
        return self._hashes[name]

    def benchmark(self) -> Hashes:
        """Hashes that the report prints if it runs now: its code and params.yaml as they lie on the disk."""
        return self._without_outs(self._pending(self.dag[REPORT]))

    def recorded_benchmark(self) -> Hashes:
        """Hashes of the report that last ran, from dvc.lock alone.

        Raises:
            LineageError: see `stage`.
        """
        return self._without_outs(self._entry(REPORT))

    def of_path(self, path: str) -> str:
        """Name of the stage that makes `path`; for the report's tables, `benchmark`.

        Raises:
            LineageError: no stage makes it; for an input, the message says who reads it.
        """
        wanted = normal_path(path)
        maker = self.dag.made_by(wanted)
        if maker is None:
            readers = [stage.name for stage in self.dag.stages.values() if wanted in stage.deps]
            role = f"it is an input, read by {_listed(readers)}" if readers else "nor does any read it"
            raise LineageError(f"no stage makes {path}: {role}")
        return BENCHMARK if maker == REPORT else maker

    def of(self, name: str) -> Hashes:
        """Hashes of a stage, or of the benchmark as it was last recorded."""
        return self.recorded_benchmark() if name == BENCHMARK else self.stage(name)

    def find(self, prefix: str) -> Match:
        """What a hash, or the beginning of one, stands for.

        Raises:
            LineageError: shorter than four digits, unknown, or the beginning of several.
        """
        if len(prefix) < _SHORTEST:
            raise LineageError(f"'{prefix}' is too short to tell hashes apart: at least {_SHORTEST} digits")
        known = [
            Match(name, kind, hash_)
            for name in (BENCHMARK, *self.dag.order)
            for kind, hash_ in self._known(name).items()
        ]
        found = [match for match in known if match.hash.startswith(prefix.lower())]
        if not found:
            raise LineageError(
                f"no stage and no benchmark of this checkout has a hash that begins with {prefix}; "
                "`assay lineage` lists them"
            )
        if len({match.hash for match in found}) > 1:
            choices = ", ".join(f"{match.hash[:16]} ({match.name}, {match.kind})" for match in found)
            raise LineageError(f"{prefix} begins several hashes: {choices}; type more digits")
        return found[0]

    def tree(self, name: str = BENCHMARK) -> list[dict[str, Any]]:
        """`name` and everything upstream of it, inputs first; ready for JSON.

        Returns one mapping a stage: `stage`, `lineage`, `recipe`, `cmd`, `params`, `reads` (stages),
        `inputs` and `outputs` (path -> md5); the benchmark itself comes last and has no outputs.

        Raises:
            LineageError: see `stage`.
        """
        last = REPORT if name == BENCHMARK else name
        wanted = self.dag.ancestors([self.dag[last].name])
        rows = [self._row(stage) for stage in self.dag.order if stage in wanted]
        if name == BENCHMARK:
            rows[-1] |= {"stage": BENCHMARK, **self.recorded_benchmark().as_dict(), "outputs": {}}
        return rows

    def outputs(self, name: str) -> dict[str, str]:
        """Paths that a stage made when it last ran, and their md5."""
        return dict(self._entry(name).outs)

    def _row(self, name: str) -> dict[str, Any]:
        entry = self._entry(name)
        return {
            "stage": name,
            **self.stage(name).as_dict(),
            "cmd": entry.cmd,
            "params": entry.params,
            "reads": list(self.dag.upstream[name]),
            "inputs": {path: md5 for path, md5 in entry.deps if not self.dag.outs_behind(path)},
            "outputs": dict(entry.outs),
        }

    def _known(self, name: str) -> dict[str, str]:
        try:
            return self.of(name).as_dict()
        except LineageError:  # has not run yet: it has no hash that one could ask for
            return {}

    def _entry(self, name: str) -> _Entry:
        if name not in self._entries:
            raise LineageError(f"{name} has not run: {LOCK} has no entry for it; `assay run {name}`")
        return self._entries[name]

    def _hash(self, stage: Stage) -> Hashes:
        entry = self._entry(stage.name)
        for path, md5 in entry.deps:
            self._refuse_stale(stage.name, path, md5)

        def digest(recipe: bool) -> str:
            outs = [[path, "" if recipe else md5] for path, md5 in entry.outs]
            return _sha256([entry.cmd, entry.params, self._deps(entry, recipe), outs])

        return Hashes(lineage=digest(recipe=False), recipe=digest(recipe=True))

    def _without_outs(self, entry: _Entry) -> Hashes:
        for path, md5 in entry.deps:
            self._refuse_stale(REPORT, path, md5)

        def digest(recipe: bool) -> str:
            return _sha256([BENCHMARK, entry.cmd, entry.params, self._deps(entry, recipe)])

        return Hashes(lineage=digest(recipe=False), recipe=digest(recipe=True))

    def _deps(self, entry: _Entry, recipe: bool) -> list[Any]:
        return [self._dep(path, md5, recipe) for path, md5 in entry.deps]

    def _dep(self, path: str, md5: str, recipe: bool) -> list[Any]:
        outs = self.dag.outs_behind(path)
        producers = [[out, self._chosen(self.dag.out_of[out], recipe)] for out in outs]
        return [path, "" if outs else md5, producers]

    def _chosen(self, name: str, recipe: bool) -> str:
        hashes = self.stage(name)
        return hashes.recipe if recipe else hashes.lineage

    def _refuse_stale(self, name: str, path: str, md5: str) -> None:
        """A dependency that is exactly one output must be the bytes which that output has now."""
        producer = self.dag.out_of.get(path)
        made = dict(self._entry(producer).outs).get(path, "") if producer else md5
        if md5 != made:
            raise LineageError(
                f"{LOCK} is out of step: {name} used {path} with md5 {md5[:12]}, but {producer} has since "
                f"made it anew with md5 {made[:12]}; `assay run {name}`"
            )

    def _pending(self, stage: Stage) -> _Entry:
        """A stage's entry as DVC will record it once it has run, with the files that lie on the disk."""
        deps = tuple(sorted((path, self._md5_now(stage.name, path)) for path in stage.deps))
        params = {file: self._values_now(file, keys) for file, keys in stage.params.items()}
        return _Entry(stage.cmd, params, deps, ())

    def _values_now(self, file: str, keys: tuple[str, ...]) -> dict[str, Any]:
        document = read_yaml(self.root / file)
        return {key: look_up(document, key) for key in keys} if keys else document

    def _md5_now(self, name: str, path: str) -> str:
        producer = self.dag.out_of.get(path)
        if producer:
            return dict(self._entry(producer).outs).get(path, "")
        if self.dag.outs_behind(path):
            return ""
        try:
            return md5_of(self.root / path)
        except OSError as error:
            raise LineageError(f"{name} depends on {path}, which cannot be read: {error.strerror}") from None


def benchmark(root: Path = Path()) -> Hashes:
    """Hashes that the tables of this checkout print; see `Lineage.benchmark`. For the report stage."""
    return Lineage(root).benchmark()


def recorded_benchmark(root: Path = Path()) -> Hashes:
    """Hashes of the report that last ran, from dvc.lock alone; see `Lineage.recorded_benchmark`."""
    return Lineage(root).recorded_benchmark()


def printed(root: Path = Path(), dag: Dag | None = None) -> Hashes | None:
    """Hashes that the tables in results/ print, or None where they print none."""
    report = (dag or load_dag(root)).stages.get(REPORT)
    try:
        document = json.loads((root / report.outs[0] / PRINTED).read_text("utf-8")) if report else None
        return Hashes(document["lineage"], document["recipe"]) if document else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def is_current(root: Path = Path()) -> bool:
    """Whether the tables print the hash that they would print if the report ran now.

    DVC cannot tell: a stage that ran again under another command and gave the same bytes leaves the
    report's inputs, and so the report, as they were. Tables that print no hash, or whose inputs have not
    all been made, are not called out of date here: DVC sees to those.
    """
    lineage = Lineage(root)
    on_paper = printed(root, lineage.dag)
    try:
        return on_paper is None or on_paper == lineage.benchmark()
    except LineageError:
        return True


def read_lock(root: Path = Path(), patience: float = 3.0, held: bool = False) -> dict[str, Any]:
    """Stage entries of `root/dvc.lock` by name; {} where there is none.

    DVC rewrites the file in place, and what it has written of it at some moment may look whole. So it is
    read while no dvc holds its lock on the repository, and again until it makes sense; both for at most
    `patience` seconds. `held`: the caller holds that lock.

    Entries are shared with whoever else reads the same file: take a copy before you change one.

    Raises:
        LineageError: it still does not make sense.
    """
    return _read(root, patience, held)[1]


def lock_text(root: Path) -> str:
    """The text of a whole `root/dvc.lock`; empty where there is none.

    Raises:
        LineageError: see `read_lock`.
    """
    return _read(root, patience=3.0, held=False)[0]


def _read(root: Path, patience: float, held: bool) -> tuple[str, dict[str, Any]]:
    deadline = time.monotonic() + patience
    while True:
        with nullcontext() if held else _no_writer(root, deadline):
            data = _bytes_of(root / LOCK)
        stages = _intact(data, str(root / LOCK))
        if stages is not None:
            return (data or b"").decode(), stages
        if time.monotonic() > deadline:
            raise LineageError(
                f"{root / LOCK} is damaged (a run was killed while DVC wrote it); `assay run` mends it"
            )
        time.sleep(0.1)


@contextmanager
def _no_writer(root: Path, deadline: float) -> Iterator[None]:
    """No dvc begins to write meanwhile; one that has held its lock until the deadline is passed over.

    A dvc that computes checksums of large outputs holds it for long, and writes at the very end.
    """
    try:
        handle = os.open(root / _DVC_LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # dvc has never been at work here
        yield
        return
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    break
                time.sleep(0.02)
        yield
    finally:
        os.close(handle)


def intact_stages(path: Path) -> dict[str, Any] | None:
    """Stage entries of a lock file, {} where there is none, or None if it is cut off or malformed.

    Entries are shared, see `read_lock`.
    """
    return _intact(_bytes_of(path), str(path))


def _bytes_of(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _intact(data: bytes | None, where: str) -> dict[str, Any] | None:
    if data is None:
        return {}
    try:
        text = data.decode()
        stages = _stages(text, where) if text.endswith("\n") else None
    except (UnicodeDecodeError, AssayError):
        return None
    return stages if stages is not None and all(map(_is_sound, stages.values())) else None


_HEAD = "schema: '2.0'\nstages:\n"
"""How every file begins that DVC wrote."""
_NEXT = re.compile(r"(?m)^(?=  \S)")
"""Before each line that is indented by two: in DVC's files, a stage's name."""
_NAME = re.compile(r"  [\w'\"]")
"""How an entry begins; names of more than 128 characters are written otherwise."""
_OUTSIDE = re.compile(r"(?m)^(?! {2}|$)")
"""A line that belongs to no stage."""
_LAST: dict[str, dict[str, Any]] = {}
"""Text of a stage's entry -> {name: entry}, of the file that was read last."""


def _stages(text: str, where: str) -> dict[str, Any] | None:
    """Stage entries by name; None if the document has no such thing.

    A run reads a file of ten thousand lines after every stage, of which one entry is new; YAML is slow. So
    entries are parsed one by one, and each once. That gives what parsing the whole document gives: a line
    that is indented by two begins an entry, or else (a comment, the inside of a text, a list) a piece is
    not one entry with a plain name, and then the document is read in one.

    Raises:
        AssayError: not YAML.
    """
    global _LAST
    parts = _NEXT.split(text.removeprefix(_HEAD)) if text.startswith(_HEAD) else []
    if parts and not parts[0] and not _OUTSIDE.search(text, len(_HEAD)):
        known = _LAST
        try:
            read = {part: known.get(part) or _one(part, where) for part in parts[1:]}
        except AssayError:
            pass  # an alias for something in another entry, say
        else:
            _LAST = read
            return {name: entry for one in read.values() for name, entry in one.items()}
    document = parse_yaml(text, where)
    stages = document.get("stages") or {}
    return stages if "schema" in document and isinstance(stages, dict) else None


def _one(text: str, where: str) -> dict[str, Any]:
    """One entry, as {name: entry}.

    Raises:
        AssayError: the text is something else.
    """
    found = parse_yaml(text, where) if _NAME.match(text) else {}
    if len(found) != 1:
        raise AssayError(f"{where}: expected one stage, found {len(found)}")
    return found


def _is_sound(entry: Any) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("cmd"), str):
        return False
    parts = [entry.get(part) or [] for part in ("deps", "outs")]
    return all(isinstance(part, list) for part in parts) and all(
        isinstance(file, dict) and isinstance(file.get("path"), str) and isinstance(file.get("md5"), str)
        for part in parts
        for file in part
    )


def _recorded(entry: dict[str, Any]) -> _Entry:
    def files(part: str) -> tuple[tuple[str, str], ...]:
        return tuple(sorted((normal_path(file["path"]), file["md5"]) for file in entry.get(part) or ()))

    return _Entry(entry["cmd"], entry.get("params") or {}, files("deps"), files("outs"))


def md5_of(path: Path) -> str:
    """What DVC records of a file or a folder; compiled Python is in .dvcignore."""
    if not path.is_dir():
        return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    files = (file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    listed = [{"md5": md5_of(file), "relpath": file.relative_to(path).as_posix()} for file in files]
    listed.sort(key=lambda entry: entry["relpath"])
    text = json.dumps(listed, sort_keys=True)
    return f"{hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()}.dir"


def _sha256(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _listed(names: list[str], most: int = 3) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
