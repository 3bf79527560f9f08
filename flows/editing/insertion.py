"""Put entries into a YAML text, or take them out, and leave every other byte of it as it is: comments, order,
line breaks."""

from typing import Any

import yaml

from assets.errors import AssayError
from assets.yaml12 import parse_yaml

_INDENT = 2
_WIDTH = 112


def insert_entry(text: str, where: str, path: tuple[str, ...], key: str, value: Any) -> str:
    """Add `key: value` at the end of the mapping at `path`, e.g. ("generators",).

    Raises:
        AssayError: no mapping there, the key is taken, or the text is written in a way that cannot be
            extended safely; the message begins with `where`.
    """
    node = _find(text, where, path, yaml.MappingNode)
    if any(name.value == key for name, _ in node.value):
        raise AssayError(f"{where}: {'.'.join((*path, key))} is there already")
    if node.flow_style:
        return _into_flow(text, node, f"{key}: {_flow(value)}", {key: value}, _column(text, node) + _INDENT)
    column = node.value[0][0].start_mark.column
    return _after(text, node, _block({key: value}, column))


def remove_entry(text: str, where: str, path: tuple[str, ...], key: str) -> str:
    """Take `key` and its value out of the mapping at `path`; the last one leaves `{}` behind.

    A comment on its lines goes with it, one above it stays.

    Raises:
        AssayError: no such mapping, or no such key in it.
    """
    node = _find(text, where, path, yaml.MappingNode)
    keys = [name.value for name, _ in node.value]
    if key not in keys:
        raise AssayError(f"{where}: {'.'.join((*path, key))} is not there")
    return _without(text, path, node, node.value, keys.index(key), "{}")


def append_item(text: str, where: str, path: tuple[str, ...], item: str, before: int | None = None) -> str:
    """Add a plain word to the list at `path`, e.g. ("train", "generators").

    Args: before: the index of the item that it is put in front of; None, or beyond the last: at the end.
    Raises:
        AssayError: as `insert_entry`.
    """
    node = _find(text, where, path, yaml.SequenceNode)
    if any(one.value == item for one in node.value):
        raise AssayError(f"{where}: {'.'.join(path)} names '{item}' already")
    next_ = node.value[before] if before is not None and before < len(node.value) else None
    if node.flow_style:
        if next_ is None:
            return _into_flow(text, node, item, None, 0)
        place = next_.start_mark.index
        return f"{text[:place]}{item}, {text[place:]}"
    dash = text.rindex("-", 0, (next_ or node.value[-1]).start_mark.index)
    line = text.rfind("\n", 0, dash) + 1
    new = f"{' ' * (dash - line)}- {item}"
    return f"{text[:line]}{new}\n{text[line:]}" if next_ else _after(text, node, [new])


def remove_item(text: str, where: str, path: tuple[str, ...], item: str) -> str:
    """Take a plain word out of the list at `path`; the last one leaves `[]` behind.

    Raises:
        AssayError: no such list, or no such word in it.
    """
    node = _find(text, where, path, yaml.SequenceNode)
    words = [one.value for one in node.value]
    if item not in words:
        raise AssayError(f"{where}: {'.'.join(path)} does not name '{item}'")
    return _without(text, path, node, [(one, one) for one in node.value], words.index(item), "[]")


def replace_value(text: str, where: str, path: tuple[str, ...], value: str | int | float | bool) -> str:
    """Put a plain value in the place of the one at `path`.

    Raises:
        AssayError: there is no plain value.
    """
    node = _find(text, where, path, yaml.ScalarNode)
    return text[: node.start_mark.index] + _flow(value) + text[node.end_mark.index :]


def checked(text: str, where: str, before: str, expected: dict[str, Any]) -> str:
    """`text` if it reads as `expected`; a text that would read otherwise is never written.

    Raises:
        AssayError: it does not.
    """
    try:
        good = parse_yaml(text, where) == expected
    except AssayError:
        good = False
    if not good:
        raise AssayError(
            f"{where} is written in a way that cannot be extended safely (anchors, several documents?): "
            "add the entry by hand"
        )
    return text if before.endswith("\n") or not before else text.removesuffix("\n")


def _composed(text: str, where: str) -> Any:
    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:  # e.g. an alias whose anchor was taken out
        raise AssayError(
            f"{where} cannot be changed safely: {getattr(error, 'problem', None) or error}"
        ) from None


def _find(text: str, where: str, path: tuple[str, ...], kind: type[yaml.Node]) -> Any:
    node: Any = _composed(text, where)
    for part in path:
        inside = node.value if isinstance(node, yaml.MappingNode) else []
        node = next((value for name, value in inside if name.value == part), None)
    if not isinstance(node, kind):
        raise AssayError(f"{where}: '{'.'.join(path)}' is not there, or not what it should be")
    return node


def _without(
    text: str, path: tuple[str, ...], node: Any, parts: list[tuple[Any, Any]], index: int, empty: str
) -> str:
    """Take one part (its first and its last node) out of a mapping or a list."""
    first, last = parts[index]
    if node.flow_style:
        if len(parts) == 1:
            return text[: node.start_mark.index] + empty + text[node.end_mark.index :]
        start, end = first.start_mark.index, _end(last)
        if index + 1 < len(parts):
            end = parts[index + 1][0].start_mark.index
        else:
            start = _end(parts[index - 1][1])
        return text[:start] + text[end:]
    start = text.rfind("\n", 0, first.start_mark.index) + 1
    line = text.find("\n", _end(last))
    rest = "" if line < 0 else text[line + 1 :]
    if len(parts) > 1:
        return text[:start] + rest
    colon = text.index(":", _key(text, path).end_mark.index) + 1
    return f"{text[:colon]} {empty}{text[colon:start]}{rest}"


def _key(text: str, path: tuple[str, ...]) -> Any:
    """The node of the key at `path`, which is there."""
    node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    key = None
    for part in path:
        key, node = next(pair for pair in node.value if pair[0].value == part)
    return key


def _into_flow(text: str, node: Any, inside: str, block: dict[str, Any] | None, column: int) -> str:
    """Into `{...}` or `[...]`; an empty `{}` on a line of its own key becomes a block below it."""
    end = node.end_mark.index - 1
    if block is not None and not node.value:
        head = text[: node.start_mark.index].rstrip(" ")
        tail = text[node.end_mark.index :]
        rest, newline, below = tail.partition("\n")
        return head + rest + "\n" + "\n".join(_block(block, column)) + (newline and "\n") + below
    last = text[:end].rstrip()
    comma = ", " if node.value and not last.endswith(",") else " " if node.value else ""
    return last + comma + inside + text[end:]


def _after(text: str, node: Any, new: list[str]) -> str:
    """Whole lines behind the last line that belongs to a node."""
    line = text.find("\n", _end(node))
    head, tail = (text + "\n", "") if line < 0 else (text[: line + 1], text[line + 1 :])
    return head + "".join(f"{one}\n" for one in new) + tail


def _end(node: Any) -> int:
    """Where a node ends; a block's own end mark lies behind the comments that follow it."""
    if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
        return max(int(node.end_mark.index) - 1, int(node.start_mark.index))
    if isinstance(node, yaml.ScalarNode) or node.flow_style or not node.value:
        return int(node.end_mark.index)
    last = node.value[-1]
    return _end(last[1] if isinstance(node, yaml.MappingNode) else last)


def _column(text: str, node: Any) -> int:
    """Where the line of a node begins."""
    line = text[text.rfind("\n", 0, node.start_mark.index) + 1 :]
    return len(line) - len(line.lstrip(" "))


def _block(value: dict[str, Any], column: int) -> list[str]:
    """Entries as lines; mappings of plain values on one line, as the presets have them."""
    lines = []
    for key, inner in value.items():
        if isinstance(inner, dict) and _needs_lines(key, inner):
            lines += [f"{' ' * column}{key}:", *_block(inner, column + _INDENT)]
        else:
            lines.append(f"{' ' * column}{key}: {_flow(inner)}")
    return lines


def _needs_lines(key: str, inner: dict[str, Any]) -> bool:
    return any(isinstance(one, dict) for one in inner.values()) or len(key) + len(_flow(inner)) > _WIDTH


def _flow(value: Any) -> str:
    """A value on one line."""
    text: str = yaml.dump(
        value, Dumper=_Plain, default_flow_style=True, sort_keys=False, width=10_000, allow_unicode=True
    )
    return text.removesuffix("\n").removesuffix("\n...")


class _Plain(yaml.SafeDumper):
    """Quotes what YAML 1.2 would not read as the word it is, such as the commit 1234e5."""


def _represent(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    plain = not value or parse_yaml(f"x: {_written(value)}", "")["x"] == value
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=None if plain else "'")


def _written(value: str) -> str:
    """A word as PyYAML would write it."""
    return yaml.safe_dump(value, width=10_000, allow_unicode=True).removesuffix("\n").removesuffix("\n...")


_Plain.add_representer(str, _represent)
