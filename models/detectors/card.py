"""Cards: what is known of a detector before it is in anybody's parameters. One YAML file each in cards/.

A file that is put into that folder is picked up; its name is the detector's name. `cards/schema.json` is
the JSON schema of a card, for editors. Reading cards does not load torch.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from assets.detection import Attributor, Detector
from assets.errors import AssayError, did_you_mean
from assets.section import Section, checked_options
from assets.yaml12 import read_yaml
from models.cards import SCHEMA, check_links, read_folder, schema_of, shown
from models.detectors import KINDS

CARDS = Path(__file__).with_name("cards")


class Published(Section):
    """A number that its authors, or others, report."""

    what: str = Field(min_length=5)
    """Which number: metric, data set, what it was trained on."""
    value: float
    source: str = Field(min_length=5)
    """Where it is printed."""


class Card(Section):
    """A detector: what it is, under which terms, and how it is trained as its authors would."""

    title: str = Field(min_length=2)
    """With year and venue."""
    paper: str | None = None
    code: str | None = None
    licence: str = Field(min_length=2)
    """Of code and weights, as stated there; `none stated`."""
    published: tuple[Published, ...] = ()
    """The headline number first."""
    recipe: Attributor
    """As it goes into params.yaml: the authors' settings."""
    quick: Attributor
    """The same idea for small data, on a CPU or a small GPU."""
    attributor: bool = False
    """It says which generator, and goes under `attributors`; else real or generated, under `detectors`."""
    notes: tuple[str, ...] = ()
    """What is uncertain, or departs from the paper."""

    @model_validator(mode="after")
    def _agree(self) -> "Card":
        check_links({"paper": self.paper, "code": self.code})
        for name in ("recipe", "quick"):
            spec: Attributor = getattr(self, name)
            if "unknown" in spec.model_fields_set and not self.attributor:
                raise ValueError(f"{name}.unknown is for an attributor: add `attributor: true`")
            if spec.kind not in KINDS:
                raise ValueError(f"{name}.kind is '{spec.kind}'; {did_you_mean(spec.kind, KINDS)}")
        return self

    @property
    def section(self) -> str:
        """Where in params.yaml it goes."""
        return "attributors" if self.attributor else "detectors"

    @property
    def headline(self) -> str:
        """The first published number in a few words, or nothing."""
        return f"{self.published[0].value:g} {self.published[0].what}" if self.published else ""

    def entry(self, quick: bool = False) -> dict[str, Any]:
        """What it puts into params.yaml."""
        return (self.quick if quick else self.recipe).model_dump(mode="json", exclude_unset=True)

    def spec(self, quick: bool = False) -> Detector:
        """The entry as params.yaml reads it."""
        return (Attributor if self.attributor else Detector).model_validate(self.entry(quick))


def read_card(path: Path) -> Card:
    """Read and check one card.

    What a kind's `options` may hold is not looked at: that takes torch (`models.detectors.check`).

    Raises:
        AssayError: not YAML, a key that cards do not have (the nearest is named), a value out of range.
    """
    card: Card = checked_options(Card, read_yaml(path), shown(path))
    return card


def read_cards(folder: Path = CARDS) -> Mapping[str, Card]:
    """All cards of a folder, by name.

    Raises:
        AssayError: a card that cannot be read, or whose file name cannot name a detector.
    """
    return read_folder(folder, read_card, "detector")


@cache
def known_cards() -> Mapping[str, Card]:
    """The cards of this checkout.

    Raises:
        AssayError: there are none.
    """
    if not (cards := read_cards()):
        raise AssayError(f"{CARDS} holds no cards: the installation is incomplete")
    return cards


def schema() -> str:
    """The JSON schema of a card, as it is published in cards/schema.json."""
    return schema_of(Card, "A detector's card")


if __name__ == "__main__":
    (CARDS / SCHEMA).write_text(schema(), "utf-8")
