"""What every layout yields: image sets of entries, each with a stable key, a place of bytes, and columns."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tasks.sources.places import Place

if TYPE_CHECKING:
    import pandas as pd


class Entry(NamedTuple):
    """One picture to import."""

    key: str
    """Its name within the set, the same at every import; the id is made from it."""
    place: Place
    """Where its bytes are."""
    columns: dict[str, object]
    """Manifest columns that are its own."""
    id: str | None = None
    """The id it has already; None: one is made from the key."""
    sha256: str | None = None
    """What its bytes have to be; None: whatever they are."""


@dataclass
class Source:
    """One image set to write, data/`name`."""

    name: str
    real: bool
    entries: list[Entry]
    content: str = "photo"
    """Of entries that do not say."""
    family: str | None = None
    released: str | None = None
    remarks: "Callable[[pd.DataFrame], list[str]]" = lambda rows: []
    """What to say about the set's unreadable rows, once it is packed."""


@dataclass
class Found:
    """What a layout finds at a place."""

    sources: list[Source]
    notes: list[str] = field(default_factory=list)
    """What the user has to know: counts, what is missing, what was left out and why."""
    ignored: int = 0
    """Files that are no pictures of this layout."""


@dataclass(frozen=True)
class Wanted:
    """What the user asks for beside the place; a layout that does not take an option refuses it."""

    name: str | None = None
    real: bool = False
    content: str | None = None
    family: str | None = None
    released: str | None = None
    only: tuple[str, ...] = ()
    reals_by_subset: bool = False
    ground_truth: Path | None = None
    annotations: tuple[Path, ...] = ()
    image_column: str | None = None
    label_column: str | None = None
    generated: tuple[str, ...] = ()
    class_column: str | None = None
    imagenet_classes: bool = False
    prompt_column: str | None = None
    polarity_checked: bool = False

    def given(self) -> set[str]:
        """Names of the options that were set."""
        return {name for name, value in vars(self).items() if value not in (None, False, ())}


class Tally:
    """Counts what was left out, by reason, and remembers where: nothing is dropped in silence."""

    SHOWN = 8

    def __init__(self) -> None:
        self._where: dict[str, list[str]] = {}

    def add(self, reason: str, where: str) -> None:
        """Count one thing left out: `where` is a path, or a file and line."""
        self._where.setdefault(reason, []).append(where)

    def __len__(self) -> int:
        return sum(map(len, self._where.values()))

    def notes(self, what: str = "left out:") -> list[str]:
        """A line a reason: how many, and the first places."""
        return [
            f"{len(places):,} {what} {reason} ({_some(places, self.SHOWN)})"
            for reason, places in self._where.items()
        ]


def _some(places: list[str], most: int) -> str:
    """The first few of a list, and how many more."""
    more = f", and {len(places) - most:,} more" if len(places) > most else ""
    return ", ".join(places[:most]) + more


def named(sources: Iterable[Source], only: tuple[str, ...]) -> list[Source]:
    """Those sources that have entries and, where `only` is not empty, are named in it."""
    return [source for source in sources if source.entries and (not only or source.name in only)]
