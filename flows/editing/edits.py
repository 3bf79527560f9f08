"""params.yaml, changed in place: a few edits, then one write of a text that was checked as a whole."""

import copy
from pathlib import Path
from typing import Any

from assets.dag import look_up
from assets.errors import AssayError
from assets.files import write_text
from assets.params import Params, parse_params
from assets.yaml12 import PARAMS_YAML, parse_yaml
from flows.editing.insertion import (
    append_item,
    checked,
    insert_entry,
    remove_entry,
    remove_item,
    replace_value,
)


class ParamsFile:
    """The parameters of a checkout while they are being changed; nothing is written before `save`.

    Comments, order and line breaks of what is not touched stay.

    Raises:
        AssayError: params.yaml is not there, or not YAML.
    """

    def __init__(self, root: Path) -> None:
        self._path = root / PARAMS_YAML
        try:
            self._before = self._path.read_text("utf-8")
        except FileNotFoundError:
            raise AssayError(f"{self._path} is not there: `assay use mini` writes one") from None
        self._text = self._before
        self._where = str(self._path)
        self.document: dict[str, Any] = copy.deepcopy(parse_yaml(self._before, self._where))
        """What it says with the changes so far."""

    def get(self, dotted: str) -> Any:
        """The value at a dotted key, or None."""
        try:
            return look_up(self.document, dotted)
        except KeyError:
            return None

    def insert(self, path: tuple[str, ...], key: str, value: Any) -> None:
        """Add an entry at the end of a mapping."""
        self._text = insert_entry(self._text, self._where, path, key, value)
        self._at(path)[key] = value

    def remove(self, path: tuple[str, ...], key: str) -> Any:
        """Take an entry out of a mapping; returns its value."""
        self._text = remove_entry(self._text, self._where, path, key)
        return self._at(path).pop(key)

    def insert_item(self, path: tuple[str, ...], item: str, before: int | None = None) -> None:
        """Add a word to a list, in front of the item with that index."""
        self._text = append_item(self._text, self._where, path, item, before)
        items = self._at(path)
        items.insert(len(items) if before is None else before, item)

    def remove_item(self, path: tuple[str, ...], item: str) -> int:
        """Take a word out of a list; returns where it stood."""
        self._text = remove_item(self._text, self._where, path, item)
        items = self._at(path)
        index: int = items.index(item)
        del items[index]
        return index

    def replace(self, path: tuple[str, ...], value: str) -> None:
        """Put another plain value at `path`."""
        self._text = replace_value(self._text, self._where, path, value)
        self._at(path[:-1])[path[-1]] = value

    def parsed(self) -> Params:
        """The parameters with the changes so far.

        Raises:
            ParamsError: they make no sense.
        """
        return parse_params(self.document, self._where)

    def save(self) -> None:
        """Write the changed text, whole or not at all.

        Raises:
            AssayError: the parameters would make no sense, or the text is written in a way that cannot be
                changed safely. The file is then as it was.
        """
        self.parsed()
        write_text(self._path, checked(self._text, self._where, self._before, self.document))

    def _at(self, path: tuple[str, ...]) -> Any:
        node: Any = self.document
        for part in path:
            node = node[part]
        return node
