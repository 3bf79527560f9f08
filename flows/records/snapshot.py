"""The files of a finished benchmark as a git tree: what is needed to read it and to make it again.

In it: what the last commit has, as it lies on the disk now; the files that the stages depend on, also those
that git does not know yet, byte for byte; what pins the inputs; and the tables. Not in it: files that git
does not know and nothing depends on, images, weights, the report's page and pictures, anything that holds
credentials.
"""

import os
import re
import stat
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from assets.dag import DVC_YAML, REPORT, Dag
from assets.lineage import LOCK
from assets.yaml12 import PARAMS_YAML
from flows.records.git import LINK, Entry, Repository, entries, git, store, store_files, write_tree

DVC_CONFIG = ".dvc/config"
_PINS = (DVC_YAML, PARAMS_YAML, LOCK, ".dvcignore", "constraints*", "*.dvc")
_TABLES = (
    "lineage.json",
    "summary.json",
    "metrics.json",
    "cells.csv",
    "DATACARD.md",
    "tables/*.md",
    "tables/*.csv",
)
"""The page, the pictures and the other formats of the same tables are ten times as much."""
_LARGEST = 5_000_000
_NEVER = re.compile(r"(^|/)\.env(\.[^/]*)?$|(^|/)\.dvc/config\.local$")
_NEVER_IF_NEW = re.compile(r"(^|/)(\.netrc|\.npmrc|\.pypirc|id_[a-z0-9]+|[^/]*\.(pem|key|p12|pfx))$")
_CREDENTIAL = re.compile(
    r"^\s*\w*(secret|passw|passphrase|token|access_key|account_key|key_id|connection_string|credential"
    r"|auth_header)\w*\s*=.*\n?",
    re.IGNORECASE | re.MULTILINE,
)
_USER_IN_URL = re.compile(r"(?<=://)[^/\s]*@")
_QUERY_IN_URL = re.compile(r"(://[^\s?]*)\?\S*")


Changes = dict[str, Entry | None]
"""Files, by path in the workspace, that a record has otherwise than the last commit; None: does not have."""


def stored(where: Repository, head: str | None, exact: Collection[str]) -> Changes:
    """Put the files of a record into git's store: those in `exact`, and what differs from the commit `head`.

    Args: exact: files to be stored byte for byte, known to git or not: see `needed`.
    Raises:
        GitError: git cannot store them, e.g. because the disk is full.
    """
    changes: Changes = {}
    if head:
        changes |= _differing(where, head, exact)
    names = sorted(exact)
    ids = store_files(where.top, [where.folder + name for name in names], exact=True)
    for name, blob in zip(names, ids, strict=True):
        changes[name] = Entry(_mode(where.root / name), blob)
    config = where.root / DVC_CONFIG
    if config.is_file():
        text = without_credentials(config.read_text("utf-8", errors="replace"))
        changes[DVC_CONFIG] = Entry("100644", store(where.top, text.encode()))
    known = _committed(where, head)
    for name in [name for name in (*changes, *known) if _NEVER.search(name)]:
        changes[name] = None
    return changes


def changed(where: Repository, head: str | None, changes: Changes, dag: Dag) -> bool:
    """Whether a record's code or parameters are not those of the last commit."""
    known = _committed(where, head)
    tables = tuple(f"{folder}/" for folder in dag[REPORT].outs)
    return any(
        known.get(name) != entry
        for name, entry in changes.items()
        if name not in (LOCK, DVC_CONFIG) and not name.startswith(tables) and not _NEVER.search(name)
    )


def tree_of(where: Repository, head: str | None, changes: Changes, written: Mapping[str, bytes]) -> str:
    """The tree of a record; its id.

    Args: written: more files, as path in the workspace -> bytes.
    """
    more = {name: Entry("100644", store(where.top, content)) for name, content in written.items()}
    from_top = {where.folder + name: entry for name, entry in {**changes, **more}.items()}
    with tempfile.TemporaryDirectory(prefix="assay-record-") as scratch:
        return write_tree(where.top, head, from_top, Path(scratch) / "index")


def without_credentials(config: str) -> str:
    """The text of a .dvc/config without keys, passwords and tokens."""
    return _QUERY_IN_URL.sub(r"\1", _USER_IN_URL.sub("", _CREDENTIAL.sub("", config)))


def needed(where: Repository, dag: Dag) -> tuple[set[str], list[str]]:
    """Files that a benchmark cannot be made without, and its tables; and those of them that stay out.

    New files that are large or look like a secret stay out: a record is there to be pushed.
    """
    root = where.root
    deps = {dep for stage in dag.stages.values() for dep in stage.deps if not dag.outs_behind(dep)}
    inside = sorted(dep for dep in deps if not dep.startswith(("../", "/")))
    pinned = {path for dep in inside for path in _with_parents(dep) if (root / f"{path}.dvc").is_file()}
    code = [dep for dep in inside if pinned.isdisjoint(_with_parents(dep))]
    known = set(_listed(where, "--cached", code))
    new = set(_listed(where, "--others", code)) - known
    pins = {path.relative_to(root).as_posix() for pattern in _PINS for path in root.glob(pattern)}
    pins |= {f"{path}.dvc" for path in pinned}
    pins |= {file for stage in dag.stages.values() for file in stage.params}
    tables = {
        path.relative_to(root).as_posix()
        for folder in dag[REPORT].outs
        for pattern in _TABLES
        for path in (root / folder).glob(pattern)
    }
    wanted = {
        path
        for path in known | new | pins | tables
        if (root / path).is_file() and "__pycache__" not in path.split("/")
    }
    left_out = {path for path in wanted if path in new and not _may_be_added(root, path)}
    left_out |= {path for path in wanted if "\n" in path or path.startswith('"')}
    return wanted - left_out, sorted(left_out)


def _may_be_added(root: Path, path: str) -> bool:
    """Whether a file that git does not know yet is code or the like: neither a secret nor a mass of data."""
    secret = _NEVER.search(path) or _NEVER_IF_NEW.search(path)
    return not secret and (root / path).stat().st_size <= _LARGEST


def _listed(where: Repository, which: str, paths: list[str]) -> Iterator[str]:
    """Files at or below `paths` that git knows (--cached), or does not know nor ignore (--others)."""
    if paths:
        listed = git(where.root, "ls-files", "-z", which, "--exclude-standard", "--", *paths)
        yield from map(os.fsdecode, listed.split(b"\0")[:-1])


def _differing(where: Repository, head: str, exact: Collection[str]) -> Changes:
    """Files of the last commit that the disk has otherwise; None: that git is not to know any more.

    A file that was added to the index and not committed is left alone: it counts if a stage needs it.
    """
    listed = git(
        where.root, "diff-index", "-z", "--name-status", "--no-renames", "--relative", head, "--", "."
    )
    fields = listed.split(b"\0")[:-1]
    states: dict[str, set[bytes]] = {}
    for state, name in zip(fields[::2], fields[1::2], strict=True):
        states.setdefault(os.fsdecode(name), set()).add(state)
    changes: Changes = {}
    again = []
    for path, seen in states.items():
        on_disk = where.root / path
        if seen == {b"D"}:
            changes[path] = None
        elif path in exact or b"A" in seen or on_disk.is_dir() or "\n" in path or path.startswith('"'):
            continue
        elif on_disk.is_symlink():
            changes[path] = Entry(LINK, store(where.top, os.fsencode(on_disk.readlink())))
        elif on_disk.is_file():
            again.append(path)
    ids = store_files(where.top, [where.folder + path for path in again], exact=False)
    changes |= {path: Entry(_mode(where.root / path), blob) for path, blob in zip(again, ids, strict=True)}
    return changes


def _committed(where: Repository, head: str | None) -> dict[str, Entry]:
    """Files of the workspace in the last commit, by path in the workspace."""
    found = entries(where.top, head, [where.folder]) if head else {}
    return {name.removeprefix(where.folder): entry for name, entry in found.items()}


def _mode(path: Path) -> str:
    return "100755" if path.stat().st_mode & stat.S_IXUSR else "100644"


def _with_parents(path: str) -> Iterable[str]:
    parts = path.split("/")
    return ["/".join(parts[:length]) for length in range(1, len(parts) + 1)]
