"""Git's plumbing: objects, references and trees, without touching the user's index, files or branches.

No hook of the repository runs, nothing asks for a password, and variables that point git at another
repository (as they are set inside a hook) do not count: the repository is the one that `root` lies in.
"""

import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from assets.dag import DVC_YAML
from assets.errors import AssayError

_ELSEWHERE = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_PREFIX",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
)
_QUIET = (
    ("core.hooksPath", os.devnull),
    ("core.fsmonitor", "false"),
    ("diff.autoRefreshIndex", "false"),  # `git diff` would write the user's index
    ("log.showSignature", "false"),
)
_NAME, _ADDRESS = "assay", "assay@localhost"
"""Who made a record: the program. The user's name is none of a benchmark's business."""
LINK, SUBMODULE = "120000", "160000"


class GitError(AssayError):
    """Git refused; its own words are passed on."""


@dataclass(frozen=True)
class Repository:
    """The git repository that a workspace lies in."""

    root: Path
    """The workspace."""
    top: Path
    """The top of git's working tree."""
    folder: str
    """The workspace inside it: '' or `sub/folder/`."""

    @property
    def shallow(self) -> bool:
        """Whether the history was cut off (`git clone --depth`)."""
        return ask(self.top, "rev-parse", "--is-shallow-repository") == "true"


@dataclass(frozen=True)
class Entry:
    """A file of a tree."""

    mode: str
    blob: str


def repository(root: Path) -> Repository | None:
    """The repository that `root` lies in; None where there is none, or one that ignores the workspace.

    Raises:
        GitError: git will not read it, e.g. because another user owns it.
    """
    try:
        done = _run(root, ["rev-parse", "--is-inside-work-tree", "--show-prefix", "--show-toplevel"])
    except FileNotFoundError:  # git is not installed
        return None
    if done.returncode:
        if b"not a git repository" in done.stderr or b"must be run in a work tree" in done.stderr:
            return None
        raise _refused("rev-parse", done)
    inside, folder, top = os.fsdecode(done.stdout).split("\n")[:3]
    plain = {"GIT_LITERAL_PATHSPECS": "0"}  # this command refuses the other setting
    ignored = _run(root, ["check-ignore", "--quiet", DVC_YAML], environment=plain)
    if inside != "true" or ignored.returncode == 0:
        return None
    return Repository(root, Path(top), folder)


def git(
    root: Path,
    *arguments: str,
    given: bytes | None = None,
    environment: Mapping[str, str] | None = None,
    hooks: bool = False,
) -> bytes:
    """What a git command prints.

    Args:
        given: what it reads.
        environment: variables set beside the present ones.
        hooks: whether the repository's hooks run.

    Raises:
        GitError: it failed.
    """
    done = _run(root, list(arguments), given, environment, hooks)
    if done.returncode:
        raise _refused(arguments[0], done)
    return done.stdout


def ask(root: Path, *arguments: str) -> str:
    """What a git command prints, as text without the last newline; see `git`."""
    return os.fsdecode(git(root, *arguments)).rstrip("\n")


def commit_of(root: Path, revision: str) -> str | None:
    """The commit that a branch, a tag or the like stands for, if it stands for one."""
    done = _run(root, ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"])
    return done.stdout.decode().strip() if done.returncode == 0 else None


def subject_of(root: Path, commit: str) -> str:
    """The first line of a commit's message."""
    return (
        git(root, "log", "-1", "--encoding=UTF-8", "--format=%s", commit).decode("utf-8", "replace").strip()
    )


def entries(root: Path, commit: str, paths: Sequence[str]) -> dict[str, Entry]:
    """Files of a commit's tree at or below `paths` (from the tree's top; '' is all of it)."""
    wanted = [path.rstrip("/") for path in paths]
    limit = [] if "" in wanted else ["--", *wanted]
    listed = git(root, "ls-tree", "-r", "-z", "--full-tree", commit, *limit)
    found = {}
    for line in listed.split(b"\0")[:-1]:
        about, _, path = line.partition(b"\t")
        mode, _, blob = about.decode().split(" ")
        found[os.fsdecode(path)] = Entry(mode, blob)
    return found


def blobs(root: Path, wanted: Iterable[str]) -> dict[str, bytes]:
    """The bytes of files, by an object's id or as `COMMIT:PATH`; those that are not there are left out."""
    names = [name for name in dict.fromkeys(wanted) if "\n" not in name]
    given = b"".join(os.fsencode(name) + b"\n" for name in names)
    output = git(root, "cat-file", "--batch", given=given)
    found, position = {}, 0
    for name in names:
        end = output.index(b"\n", position)
        about = output[position:end].rsplit(b" ", 2)
        position = end + 1
        if about[-1] == b"missing" or len(about) != 3 or not about[2].isdigit():
            continue
        size = int(about[2])
        if about[1] == b"blob":
            found[name] = output[position : position + size]
        position += size + 1
    return found


def store(top: Path, content: bytes) -> str:
    """Put bytes into git's store; the id of the object."""
    return git(top, "hash-object", "-w", "--stdin", given=content).decode().strip()


def store_files(top: Path, paths: Sequence[str], exact: bool) -> list[str]:
    """Put files into git's store; their ids.

    Args:
        paths: from the top of the working tree; none with a newline in it.
        exact: byte by byte, whatever .gitattributes and core.autocrlf say.
    """
    if not paths:
        return []
    given = b"".join(os.fsencode(path) + b"\n" for path in paths)
    options = ["--no-filters"] if exact else []
    return git(top, "hash-object", "-w", *options, "--stdin-paths", given=given).decode().split()


def write_tree(top: Path, base: str | None, changes: Mapping[str, Entry | None], index: Path) -> str:
    """A tree: that of the commit `base` with some files replaced, added or (None) taken out; its id.

    Args: index: a file that is not there yet, to work in instead of the user's index.
    """
    environment = {"GIT_INDEX_FILE": str(index)}
    start = [base] if base else ["--empty"]
    git(top, "read-tree", *start, environment=environment)
    nothing = "0" * len(git(top, "hash-object", "--stdin", given=b"").strip())
    lines = [
        f"{entry.mode} {entry.blob}\t".encode() + os.fsencode(path)
        if entry
        else f"0 {nothing}\t".encode() + os.fsencode(path)
        for path, entry in sorted(changes.items(), key=lambda change: change[1] is not None)
    ]
    given = b"".join(line + b"\0" for line in lines)
    git(top, "update-index", "--add", "--replace", "-z", "--index-info", given=given, environment=environment)
    return git(top, "write-tree", environment=environment).decode().strip()


def write_commit(top: Path, tree: str, parent: str | None, message: str, seconds: int) -> str:
    """A commit that no branch knows of; its id. Needs no user.name."""
    when = f"{seconds} +0000"
    environment = {
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", _NAME), ("EMAIL", _ADDRESS), ("DATE", when))
    }
    parents = ["-p", parent] if parent else []
    return (
        git(top, "commit-tree", *parents, tree, given=message.encode(), environment=environment)
        .decode()
        .strip()
    )


def write_tag(top: Path, name: str, commit: str, message: str, seconds: int) -> bool:
    """An annotated tag, unless there is one of that name; whether it was made.

    Of several processes that make the same one, exactly one does.
    """
    head = f"object {commit}\ntype commit\ntag {name}\ntagger {_NAME} <{_ADDRESS}> {seconds} +0000\n\n"
    tag = git(top, "mktag", given=(head + message).encode()).decode().strip()
    reference = f"refs/tags/{name}"
    done = _run(top, ["update-ref", "--no-deref", reference, tag, "0" * len(tag)])
    if done.returncode == 0:
        return True
    if commit_of(top, reference):
        return False
    raise _refused("update-ref", done)


def _run(
    root: Path,
    arguments: list[str],
    given: bytes | None = None,
    environment: Mapping[str, str] | None = None,
    hooks: bool = False,
) -> "subprocess.CompletedProcess[bytes]":
    kept = {name: value for name, value in os.environ.items() if name not in _ELSEWHERE}
    fixed = {
        "LC_ALL": "C",
        "LANGUAGE": "C",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
    }
    options = [part for name, value in _QUIET[hooks:] for part in ("-c", f"{name}={value}")]
    return subprocess.run(
        ["git", *options, *arguments],
        cwd=root,
        env={**kept, **fixed, **(environment or {})},
        input=given if given is not None else b"",
        capture_output=True,
        check=False,
    )


def _refused(command: str, done: "subprocess.CompletedProcess[bytes]") -> GitError:
    said = done.stderr.decode("utf-8", "replace").strip() or f"it ended with status {done.returncode}"
    return GitError(f"`git {command}` failed: {said}")
