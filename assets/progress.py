"""Progress bars for long work: items a second and time left on a terminal, silence elsewhere."""

import sys
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from tqdm import tqdm

T = TypeVar("T")


def progress(items: Iterable[T], what: str, total: int | None = None, unit: str = "images") -> Iterator[T]:
    """Yield `items` under a bar labelled `what` (on stderr, only when that is a terminal)."""
    bar = tqdm(items, desc=what, total=total, unit=unit, disable=not sys.stderr.isatty())
    yield from bar


def counter(what: str, total: int, unit: str = "images") -> "tqdm[Any]":
    """A bar that the caller advances itself with `.update(n)`; use it as a context manager."""
    return tqdm(desc=what, total=total, unit=unit, disable=not sys.stderr.isatty())


def say(line: str) -> None:
    """Print a line on stderr, above any bar."""
    tqdm.write(line, file=sys.stderr)
