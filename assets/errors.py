"""The one exception that a user's mistake ends in, and the help that goes into its message."""

import difflib
from collections.abc import Iterable


class AssayError(Exception):
    """Something the user can mend: the message names the place, the value, what is allowed, what to do.

    The command line prints the message alone and exits with 2; anything else is a bug and keeps its
    traceback.
    """


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """Say which of `allowed` is nearest to `name`, and list them: the end of an error message."""
    names = sorted(allowed)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return f"{hint}Allowed: {', '.join(names) or 'nothing'}."
