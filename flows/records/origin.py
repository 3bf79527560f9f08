"""Where a checkout comes from: its commit, and the address of its repository."""

import re
from pathlib import Path

from flows.records.git import GitError, ask, commit_of, repository

_USER_OR_QUERY = re.compile(r"(?<=://)[^/@\s]*@|\?\S*")


def origin(root: Path) -> tuple[str | None, str | None]:
    """The last commit and, without passwords, the address of the remote `origin`; None: there is none."""
    where = repository(root)
    if where is None:
        return None, None
    try:
        url = _USER_OR_QUERY.sub("", ask(root, "remote", "get-url", "origin"))
    except GitError:
        url = None
    return commit_of(root, "HEAD"), url
