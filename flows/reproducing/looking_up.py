"""The record that a hash means: here, or in one of the clone's remotes."""

from pathlib import Path

from assets.errors import AssayError
from flows.records import records
from flows.records.git import GitError, ask, git, repository

_TAGS = f"refs/tags/{records.FOLDER}/*"


def look_up(root: Path, asked: str) -> records.Record:
    """The record whose lineage or recipe hash begins with `asked`; tags are fetched if it is not here.

    Raises:
        AssayError: unknown here and in every remote, ambiguous, or too short.
    """
    try:
        return records.find(root, asked)
    except AssayError as error:
        if repository(root) is None:
            raise
        before = ask(root, "for-each-ref", _TAGS)
        silent = fetch_tags(root)
        if ask(root, "for-each-ref", _TAGS) == before:
            note = f" (git could not ask {', '.join(silent)})" if silent else ""
            raise AssayError(f"{error}{note}") from None
    return records.find(root, asked)


def fetch_tags(root: Path) -> list[str]:
    """Bring in the records of all remotes; returns the names of remotes that did not answer."""
    silent = []
    for remote in ask(root, "remote").splitlines():
        try:
            git(root, "fetch", "--quiet", "--no-tags", "--", remote, f"{_TAGS}:{_TAGS}")
        except GitError:  # away, or it has another tag of a name that we have, which stays as it is
            silent.append(remote)
    return silent
