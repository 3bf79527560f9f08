"""What cards of generators and of detectors share: YAML files in a folder, named after what they are of."""

import json
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TypeVar

from assets.errors import AssayError
from assets.section import Section

SCHEMA = "schema.json"
"""In a folder of cards: the JSON schema of one, for editors."""
_Card = TypeVar("_Card", bound=Section)


def read_folder(
    folder: Path, read: Callable[[Path], _Card], what: str, reserved: Collection[str] = ()
) -> Mapping[str, _Card]:
    """All cards of a folder, by name.

    Args: read: reads and checks one file; what: `generator` or `detector`; reserved: names that none may
        have.
    Raises:
        AssayError: what `read` raises, or a file whose name cannot name a `what`.
    """
    cards = {}
    for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
        if not re.fullmatch(r"[a-z][a-z0-9_]*\.yaml", path.name) or path.stem in reserved:
            but = "".join(f", and not '{name}'" for name in reserved)
            raise AssayError(
                f"{path}: the file's name is the {what}'s: lower-case letters, digits and _, a letter "
                f"first, ending in .yaml{but}"
            )
        cards[path.stem] = read(path)
    return cards


def shown(path: Path) -> str:
    """A path as messages begin with it: from the current folder, if it lies below that."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def check_links(links: Mapping[str, str | None]) -> None:
    """Refuse, as a pydantic validator does, where no link is given or one is not https.

    Raises:
        ValueError: none at all, or one that is no such address.
    """
    given = [link for link in links.values() if link is not None]
    if not given:
        raise ValueError(f"give at least one of {', '.join(links)}")
    if wrong := [link for link in given if not link.startswith("https://")]:
        raise ValueError(f"'{wrong[0]}' is not an address that begins with https://")


def schema_of(card: type[Section], title: str) -> str:
    """The JSON schema of a card, as it is published beside the cards."""
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **card.model_json_schema(by_alias=True),
        "title": title,
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
