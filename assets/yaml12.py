"""YAML files, read as DVC reads them: by YAML 1.2."""

import re
from pathlib import Path
from typing import Any

import yaml

from assets.errors import AssayError

PARAMS_YAML = "params.yaml"


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a file with a YAML mapping in it; see `parse_yaml`.

    Raises:
        AssayError: not there, not YAML, not a mapping.
    """
    try:
        return parse_yaml(path.read_text("utf-8"), str(path))
    except FileNotFoundError:
        hint = ": `assay use mini` writes one" if path.name == PARAMS_YAML else ""
        raise AssayError(f"{path} is not there{hint}") from None
    except UnicodeDecodeError:
        raise AssayError(f"{path} is not YAML: it is not UTF-8 text") from None


def parse_yaml(text: str, where: str) -> dict[str, Any]:
    """Parse a YAML mapping as DVC does, that is by YAML 1.2: 1e-3 is a number and `no` a word.

    PyYAML alone follows YAML 1.1 and would give another value than the one DVC tracks.

    Raises:
        AssayError: not YAML, not a mapping; the message begins with `where`.
    """
    try:
        document = yaml.load(text, Loader=_Yaml12)  # noqa: S506 (a safe loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise AssayError(f"{where} is not YAML{place}: {getattr(error, 'problem', None) or error}") from None
    if not isinstance(document, dict):
        raise AssayError(f"{where}: expected a mapping, found {str(document)[:60]!r}")
    return document


class _Yaml12(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """A safe loader that tells numbers, words and dates apart as YAML 1.2 does."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def read_int(self, node: yaml.ScalarNode) -> int:
        text = node.value.replace("_", "")
        return int(text, 0) if text.lstrip("+-")[:2].lower() in ("0x", "0o", "0b") else int(text)


_Yaml12.add_constructor("tag:yaml.org,2002:int", _Yaml12.read_int)
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(?:0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|[0-9][0-9_]*)", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[0-9][0-9_]*[eE][-+]?[0-9]+"
        r"|\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN)",
        "-+0123456789.",
    ),
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("merge", r"<<", "<"),
    (
        "timestamp",
        r"\d{4}-\d\d-\d\d|\d{4}-\d\d?-\d\d?(?:[Tt]|[ \t]+)\d\d?:\d\d:\d\d(?:\.\d*)?"
        r"(?:[ \t]*(?:Z|[-+]\d\d?(?::\d\d)?))?",
        "0123456789",
    ),
):
    _Yaml12.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}",
        re.compile(f"(?:{_pattern})$"),
        [character.strip("\0") for character in _first],
    )
