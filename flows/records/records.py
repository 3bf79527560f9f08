"""Finished benchmarks as git keeps them: `assay/<hash>`, an annotated tag on a commit that no branch has.

The commit holds what the benchmark was made from, what it was made with and its tables (`snapshot.py`),
and `record.json`, which says what it is; the tag's message says the same. Tags go where the repository goes:
`git clone` brings them, `push` sends them. The user's index, files, HEAD and branches stay as they are.
"""

import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from assets.dag import REPORT
from assets.errors import AssayError
from assets.lineage import LOCK, Hashes, Lineage, LineageError
from assets.yaml12 import PARAMS_YAML, read_yaml
from flows.records.environment import environment
from flows.records.finished import NotFinished, finished
from flows.records.git import (
    GitError,
    Repository,
    blobs,
    commit_of,
    git,
    repository,
    subject_of,
    write_commit,
    write_tag,
)
from flows.records.snapshot import changed, needed, stored, tree_of
from flows.records.trees import file_in, lineage_in, unpack_from

FOLDER = "assay"
ABOUT = "record.json"
SCHEMA = "urn:assay:record:1"
FETCH = f"git fetch origin 'refs/tags/{FOLDER}/*:refs/tags/{FOLDER}/*'"
"""What to type for the records that others have pushed since the clone was made."""
_DIGITS = 16
SHORTEST = 4
_TAG = re.compile(rf"{FOLDER}/[0-9a-f]{{{_DIGITS}}}")
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Record:
    """A finished benchmark that git keeps."""

    lineage: str
    recipe: str
    tag: str
    """`assay/` and the first digits of the lineage."""
    commit: str
    """Of the tree that the tag points to."""
    made: str
    """When it was recorded: ISO 8601, UTC."""
    environment: dict[str, Any]
    """What it was recorded on; see flows/records/environment.py."""
    folder: str
    """The workspace inside the tree: '' or `sub/folder/`."""
    subject: str
    """The first line of the last commit's message."""
    changed: bool
    """Whether code or parameters differ from that commit."""
    generators: tuple[str, ...]
    detectors: tuple[str, ...]
    left_out: tuple[str, ...]
    """Files that it depends on and that were too large, or too secret, to record."""
    root: Path = field(repr=False, compare=False)

    @cached_property
    def summary(self) -> dict[str, Any]:
        """What results/summary.json says of detectors; {} where the report wrote none."""
        report = self.about.get("results")
        content = file_of(self.root, self, f"{report}/summary.json") if report else None
        return dict(json.loads(content).get("detectors") or {}) if content else {}

    @cached_property
    def about(self) -> dict[str, Any]:
        """record.json as it is: the above, `results` (the report's folder) and `stages`, the first digits of
        their hashes."""
        content = file_of(self.root, self, ABOUT)
        return dict(json.loads(content)) if content else {}

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        names = (
            "lineage",
            "recipe",
            "tag",
            "commit",
            "made",
            "subject",
            "changed",
            "generators",
            "detectors",
        )
        return {name: getattr(self, name) for name in names} | {"environment": self.environment}


def record(root: Path) -> Record | None:
    """Record the benchmark that is in `root` now; if it is recorded already, give that record.

    None where `root` lies in no git repository, or there is no report of what there is now.

    Raises:
        AssayError: git cannot store it, or dvc.yaml or params.yaml cannot be read.
    """
    try:
        return record_finished(root)
    except NotFinished:
        return None


def record_finished(root: Path) -> Record | None:
    """As `record`, but says why there is nothing to record.

    Raises:
        NotFinished: there is no report of what there is now; the message says what is missing.
        AssayError: as `record`.
    """
    where = repository(root)
    if where is None:
        return None
    lineage, hashes = finished(root)
    tag = f"{FOLDER}/{hashes.lineage[:_DIGITS]}"
    return _read(where, tag) or _write(where, tag, lineage, hashes)


def records(root: Path) -> list[Record]:
    """All records that this repository has, newest first; [] where there is no git.

    Raises:
        AssayError: a tag under assay/ is no longer what was recorded.
    """
    where = repository(root)
    if where is None:
        return []
    return sorted(_records(where, f"refs/tags/{FOLDER}/"), key=lambda one: (one.made, one.tag), reverse=True)


def find(root: Path, prefix: str) -> Record:
    """The record whose lineage or recipe hash begins with `prefix`, or that has this tag.

    Raises:
        AssayError: shorter than four digits, unknown, or the beginning of several.
    """
    digits = prefix.removeprefix("refs/tags/").removeprefix(f"{FOLDER}/").lower()
    if len(digits) < SHORTEST:
        raise AssayError(f"'{prefix}' is too short to tell hashes apart: at least {SHORTEST} digits")
    known = records(root)
    found = [one for one in known if one.lineage.startswith(digits) or one.recipe.startswith(digits)]
    if len(found) == 1:
        return found[0]
    if found:
        choices = ", ".join(f"{one.lineage[:_DIGITS]} (of {one.made})" for one in found)
        which = "is the recipe of" if len({one.recipe for one in found}) == 1 else "begins hashes of"
        raise AssayError(
            f"{prefix} {which} several records: {choices}; type the lineage hash, or more digits"
        )
    raise AssayError(f"no record has a hash that begins with {prefix}; {_what_to_do(root, len(known))}")


def file_of(root: Path, record: Record, path: str) -> bytes | None:
    """One file of a record's tree, by its path in the workspace; None if it has no such file."""
    return file_in(root, record.commit, record.folder + path)


def unpack(root: Path, record: Record, target: Path, paths: Sequence[str]) -> None:
    """Put some files of a record's tree into the folder `target`, byte for byte.

    Args: paths: files or folders, as they are in the workspace; "." is all of it.
    Raises:
        AssayError: the record has no such path, or one that would lie outside `target`.
    """
    unpack_from(root, record.commit, record.folder, target, paths)


def lineage_of(root: Path, record: Record) -> Lineage:
    """Hashes of every stage of a record, from the record's own files.

    Raises:
        LineageError: they do not give the hash that the record bears.
    """
    found = lineage_in(root, record.commit, record.folder)
    hashes = found.recorded_benchmark()
    if hashes != Hashes(record.lineage, record.recipe):
        raise LineageError(
            f"{record.tag} is not what was recorded: its files have the lineage {hashes.lineage[:_DIGITS]}, "
            f"recipe {hashes.recipe[:_DIGITS]}; `git tag -d {record.tag}`, then fetch it again"
        )
    return found


def with_stage(root: Path, prefix: str) -> tuple[Record, str] | None:
    """The newest record with a stage whose hash begins with `prefix`, and that stage's name.

    Raises:
        AssayError: it is the beginning of several hashes.
    """
    digits = prefix.lower()[:_DIGITS]
    known = {f"{one.commit}:{one.folder}{ABOUT}": one for one in records(root)}
    found: dict[str, tuple[Record, str]] = {}
    for name, content in (blobs(root, known) if known else {}).items():
        for stage, hashes in json.loads(content)["stages"].items():
            for hash_ in hashes:
                if hash_.startswith(digits):
                    found.setdefault(hash_, (known[name], stage))
    if len(found) > 1:
        choices = ", ".join(f"{hash_} ({stage})" for hash_, (_, stage) in list(found.items())[:5])
        raise AssayError(f"{prefix} begins several recorded hashes: {choices}; type more digits")
    return next(iter(found.values()), None)


def push(root: Path, remote: str, only: Record | None = None) -> list[str]:
    """Send records that a git remote lacks; the tags that were sent.

    Args: only: this one; else all.
    Raises:
        AssayError: no git, no such remote, or it refuses.
    """
    where = repository(root)
    if where is None:
        raise AssayError(f"{root.resolve()} is not in a git repository: there is nothing to push")
    known = git(where.top, "remote").decode().split()
    if remote not in known:
        names = ", ".join(known) or "none"
        raise AssayError(f"git has no remote '{remote}' (there are: {names}); `git remote add {remote} URL`")
    tags = [one.tag for one in ([only] if only else records(root))]
    listed = git(where.top, "ls-remote", "--tags", "--refs", remote, f"refs/tags/{FOLDER}/*").decode()
    there = {line.split("\t")[1].removeprefix("refs/tags/") for line in listed.splitlines()}
    missing = [tag for tag in tags if tag not in there]
    if missing:
        try:
            git(where.top, "push", "--quiet", remote, *(f"refs/tags/{tag}" for tag in missing), hooks=True)
        except GitError as error:
            cut = "\n(this clone is shallow: `git fetch --unshallow` first)" if where.shallow else ""
            raise AssayError(f"{remote} does not take the records: {error}{cut}") from None
    return missing


def _write(where: Repository, tag: str, lineage: Lineage, hashes: Hashes) -> Record:
    now = int(time.time())
    head = commit_of(where.root, "HEAD")
    files, left_out = needed(where, lineage.dag)
    changes = stored(where, head, files)
    about = _about(where, head, lineage, hashes, now) | {
        "changed": changed(where, head, changes, lineage.dag),
        "left_out": left_out,
    }
    rows = {name: lineage.stage(name) for name in lineage.dag.ancestors([REPORT])}
    stages = {name: [found.lineage[:_DIGITS], found.recipe[:_DIGITS]] for name, found in sorted(rows.items())}
    tree = tree_of(where, head, changes, {ABOUT: _json({**about, "stages": stages})})
    title = f"Benchmark {hashes.lineage[:_DIGITS]}, recipe {hashes.recipe[:_DIGITS]}\n"
    commit = write_commit(where.top, tree, head, title, now)
    made = lineage_in(where.root, commit, where.folder).recorded_benchmark()
    if made != hashes:
        raise AssayError(f"{LOCK} changed while the benchmark was recorded; `assay record` again")
    write_tag(where.top, tag, commit, f"{title}\n{_json(about).decode()}", now)
    written = _read(where, tag)
    assert written is not None
    return written


def _about(where: Repository, head: str | None, lineage: Lineage, hashes: Hashes, now: int) -> dict[str, Any]:
    params = read_yaml(where.root / PARAMS_YAML)
    return {
        "schema": SCHEMA,
        **hashes.as_dict(),
        "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
        "folder": where.folder,
        "head": head,
        "subject": subject_of(where.root, head) if head else "",
        "generators": sorted(params.get("generators") or ()),
        "detectors": sorted(params.get("detectors") or ()),
        "results": lineage.dag[REPORT].outs[0],
        "environment": environment(where.root),
    }


def _read(where: Repository, tag: str) -> Record | None:
    found = [one for one in _records(where, f"refs/tags/{tag}") if one.tag == tag]
    return found[0] if found else None


def _records(where: Repository, below: str) -> list[Record]:
    fields = "%(refname:strip=2)%00%(*objectname)%00%(contents)%00"
    listed = git(where.top, "for-each-ref", f"--format={fields}", below).decode("utf-8", "replace")
    parts = listed.split("\0")[:-1]
    triples = zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    cleaned = ((tag.strip(), commit, message) for tag, commit, message in triples)
    return [_parsed(where, *one) for one in cleaned if _TAG.fullmatch(one[0])]


def _parsed(where: Repository, tag: str, commit: str, message: str) -> Record:
    try:
        about = json.loads(message[message.index("{") : message.rindex("}") + 1])
        if about["schema"] != SCHEMA or not commit or tag != f"{FOLDER}/{about['lineage'][:_DIGITS]}":
            raise ValueError
        if not (_HASH.fullmatch(about["lineage"]) and _HASH.fullmatch(about["recipe"])):
            raise ValueError
        return Record(
            lineage=str(about["lineage"]),
            recipe=str(about["recipe"]),
            tag=tag,
            commit=commit,
            made=str(about["made"]),
            environment=dict(about["environment"]),
            folder=str(about["folder"]),
            subject=str(about["subject"]),
            changed=bool(about["changed"]),
            generators=tuple(map(str, about["generators"])),
            detectors=tuple(map(str, about["detectors"])),
            left_out=tuple(map(str, about["left_out"])),
            root=where.root,
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise AssayError(
            f"the tag {tag} is not a record that this version of assay reads; look at `git show {tag}`, and "
            f"take it away with `git tag -d {tag}`"
        ) from None


def _what_to_do(root: Path, known: int) -> str:
    where = repository(root)
    if where is None:
        return f"{root.resolve()} is not in a git repository, which keeps them"
    cut = ", or was cut off (`git clone --depth`)" if where.shallow else ""
    return f"`assay lineage --list` lists the {known} there are; if this clone is older{cut}: {FETCH}"


def _json(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()
