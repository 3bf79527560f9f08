"""What the readers of the page can filter by, and which of it a line, a column or a picture is about.

A token such as `f2` stands for the third family; what is about nothing that can be filtered has none.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from assets.params import CONTENTS, ELSEWHERE, Params
from assets.statistics.cells import CONTENT
from assets.tables.table import CellKey, Column, Line, Table

_LETTERS = {"detector": "d", "trained_on": "t", "family": "f", "content": "k", "condition": "c"}
_LABELS = {
    "detector": "Detector",
    "trained_on": "Trained on",
    "family": "Family of the generator tested on",
    "content": "Content of the test images",
    "condition": "Condition",
}
_HEADS = {
    "detector": "detector",
    "attributor": "detector",
    "trained on": "trained_on",
    "set": "trained_on",
    "condition": "condition",
    "family": "family",
    "content": "content",
    "generator": "tested_on",
    "tested on": "tested_on",
    "test set": "tested_on",
    "item": "tested_on",
    "made by": "tested_on",
    "group": "tested_on",
}
"""What tables call their first columns -> what the names there are."""


@dataclass(frozen=True)
class Choice:
    """One thing to filter by, and its values."""

    name: str
    label: str
    options: tuple[tuple[str, str], ...]
    """(token, name)."""


class Facets:
    """All tokens of one benchmark."""

    def __init__(self, params: Params, contents: Collection[str | None] = ()) -> None:
        """`contents`: what images show besides what the generators say of theirs."""
        self._params = params
        families = dict.fromkeys(spec.family for spec in params.generators.values())
        shown = {*contents, *(spec.content for spec in params.generators.values())}
        values: dict[str, Sequence[str]] = {
            "detector": [*params.scorers, *params.attributors],
            "trained_on": [*params.sources, *([ELSEWHERE] if params.given else [])],
            "family": list(families),
            "content": [name for name in CONTENTS if name in shown],
            "condition": list(params.conditions),
        }
        self._tokens = {
            (facet, name): f"{_LETTERS[facet]}{index}"
            for facet, names in values.items()
            for index, name in enumerate(names)
        }
        self.choices = tuple(
            Choice(facet, _LABELS[facet], tuple((self._tokens[facet, name], name) for name in names))
            for facet, names in values.items()
            if len(names) > 1
        )

    def of_cell(self, key: CellKey) -> frozenset[str]:
        """What a row of the long table is about; nothing about what it is averaged over."""
        kind, detector, trained_on, tested_on, condition = key
        tokens = [("detector", detector), ("trained_on", trained_on), ("condition", condition)]
        found = self._known(tokens) | self.of_item(tested_on)
        return found | self._known([("content", tested_on)]) if kind == CONTENT else found

    def of_item(self, name: str, content: str | None = None) -> frozenset[str]:
        """A generator, or a group of them, by family and content; `content` if an image says so itself."""
        members = self._params.report.groups.get(name, (name,))
        specs = [self._params.generators[member] for member in members if member in self._params.generators]
        families = {spec.family for spec in specs}
        contents = {spec.content for spec in specs} if content is None else {content}
        tokens = [("family", one) for one in families if len(families) == 1]
        return self._known([*tokens, *(("content", one or "") for one in contents if len(contents) == 1)])

    def of_judge(self, detector: str, trained_on: str) -> frozenset[str]:
        """A detector and what it was trained on."""
        return self._known([("detector", detector), ("trained_on", trained_on)])

    def of_line(self, line: Line, heads: Sequence[str]) -> frozenset[str]:
        """By its heads, and by what all its cells have in common."""
        found = self._shared(value.cell for value in line.values if value is not None)
        for head, name in zip(heads, line.heads, strict=True):
            what = _HEADS.get(head.lower())
            if what is not None:
                found |= self.of_item(name) if what == "tested_on" else self._known([(what, name)])
        return found

    def of_column(self, table: Table, index: int) -> frozenset[str]:
        """By what all its cells have in common; by its name if it has none."""
        values = [line.values[index] for line in table.lines]
        found = self._shared(value.cell for value in values if value is not None)
        return found or self._named(table.columns[index])

    def _named(self, column: Column) -> frozenset[str]:
        facets = ("condition", "detector", "family", "content")
        return self._known([(facet, column.name) for facet in facets]) | self.of_item(column.name)

    def _shared(self, keys: Iterable[CellKey | None]) -> frozenset[str]:
        there = [self.of_cell(key) for key in keys if key is not None]
        return frozenset.intersection(*there) if there else frozenset()

    def _known(self, names: Iterable[tuple[str, str]]) -> frozenset[str]:
        return frozenset(self._tokens[name] for name in names if name in self._tokens)


def printed(tokens: Iterable[str]) -> str:
    """Tokens in one order, for an attribute."""
    return " ".join(sorted(tokens))
