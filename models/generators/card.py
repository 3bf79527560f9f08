"""Cards: what is known of a generator before it is in anybody's parameters. One YAML file each in cards/.

A file that is put into that folder is picked up; its name is the generator's name. `cards/schema.json` is
the JSON schema of a card, for editors.
"""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from assets.errors import AssayError, did_you_mean
from assets.params import CONTENTS, FAMILIES, Fit, Generator, Prompts, Sampler
from assets.section import Section, checked_options
from assets.yaml12 import read_yaml
from models.cards import SCHEMA, check_links, read_folder, schema_of, shown
from models.generators.options import OPTIONS

CARDS = Path(__file__).with_name("cards")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


class Source(Section):
    """Where the generator is described and where its makers put it."""

    paper: str | None = None
    code: str | None = None
    model: str | None = None

    @model_validator(mode="after")
    def _any(self) -> "Source":
        check_links({"paper": self.paper, "code": self.code, "model": self.model})
        return self


class Terms(Section):
    """What its licence asks of whoever draws with it, as far as that can be put into a few words."""

    non_commercial: bool = False
    """Its weights or its images may not be used commercially."""
    gated: bool = False
    """The weights are given out to those who have accepted terms on the model's page, with a token."""
    paid: bool = False
    """Every image costs money."""
    says: str | None = Field(None, min_length=10)
    """In one sentence; shown before the generator is drawn from, where one of the above is true."""

    @model_validator(mode="after")
    def _said(self) -> "Terms":
        if self.restricted and self.says is None:
            raise ValueError("'says' is missing: what does it ask of whoever draws with it?")
        return self

    @property
    def restricted(self) -> bool:
        """Whether a user has to know before it runs."""
        return self.non_commercial or self.gated or self.paid


class Release(Section):
    """Images that were published, for a generator that cannot (or need not) be run here."""

    layout: str = Field(pattern=r"^[a-z][a-z0-9_-]*$")
    """How the release lies on disk, as `assay import --layout` calls it; `folder` for loose pictures."""
    name: str | None = None
    """What the generator is called within the release, e.g. `Midjourney`."""
    where: str = Field(min_length=10)
    """Where to get it, in a sentence."""


class Weights(Section):
    """A file to download before the model can be fitted; hub models are fetched by themselves."""

    urls: tuple[Annotated[str, Field(pattern=r"^https://")], ...] = Field(min_length=1)
    """Where to get it; several are its parts, in order."""
    path: str = Field(pattern=r"^weights/[\w./-]+$")
    """Where to put it, from the root of the checkout."""
    then: str | None = None
    """What else is to be done with it, e.g. to unpack it."""
    download: int = Field(ge=1)
    """Bytes, about."""


class Rate(Section):
    """How long an image takes, for the plan's estimate until this machine has been measured."""

    seconds_per_image: float = Field(gt=0)
    device: str = Field(min_length=3)
    """What it was measured on or is estimated for."""
    measured: bool
    source: str = Field(min_length=10)
    """Who measured it, or how it was estimated."""


class Card(Section):
    """A generator: what it is, under which terms, and how it is run as its makers would."""

    title: str = Field(min_length=2)
    family: Literal[FAMILIES]  # type: ignore[valid-type]
    released: str = Field(pattern=r"^\d{4}-\d{2}$")
    """When the weights, or the service, became public: YYYY-MM."""
    content: Literal[CONTENTS]  # type: ignore[valid-type]
    """What its images show unless it is asked for something else."""
    source: Source
    licence: str = Field(min_length=2)
    terms: Terms = Terms()
    fit: Fit | None = None
    """As it goes into params.yaml. A hub model without a revision is pinned when it is added."""
    prompts: Prompts | None = None
    """As they go into params.yaml; null for a model that draws from noise alone."""
    sampler: Sampler = Sampler()
    """As it goes into params.yaml: upstream's own settings."""
    import_: tuple[Release, ...] = Field((), alias="import")
    weights: tuple[Weights, ...] = ()
    side: int = Field(ge=8)
    """Of its images, in pixels; the shorter one where they are not square."""
    rate: Rate | None = None
    bytes_per_image: int = Field(ge=100)
    """As stored here: PNG for what is drawn, the original file for what is imported."""
    download: int | None = Field(None, ge=1)
    """Bytes that a hub model takes in the hub's cache."""
    notes: tuple[str, ...] = ()
    """What is uncertain, and where a pinned commit was seen."""

    @model_validator(mode="after")
    def _one_way_at_least(self) -> "Card":
        if self.fit is None and not self.import_:
            raise ValueError("give `fit` (how it runs) or `import` (which release has its images)")
        if self.fit is None and self.model_fields_set & {"sampler", "prompts", "weights", "rate"}:
            raise ValueError("sampler, prompts, weights and rate are for a generator that has a `fit`")
        if self.fit is not None and self.rate is None:
            raise ValueError("rate is missing: the plan estimates hours from it")
        return self

    @property
    def hub_id(self) -> str | None:
        """The hub repository that its weights come from, if they do."""
        named = self.fit.options.get("id") if self.fit is not None else None
        return named if isinstance(named, str) and _HUB_ID.fullmatch(named) else None

    @property
    def runs(self) -> str:
        """In a few words."""
        if self.fit is None:
            return f"import only: {', '.join(release.layout for release in self.import_)}"
        return f"{self.fit.kind}: {self.hub_id}" if self.hub_id else self.fit.kind

    def entries(self) -> tuple[dict[str, Any] | None, dict[str, Any]]:
        """What it puts under `fit` (None if it is imported) and `generators`, without `from` and `count`."""
        facts: dict[str, Any] = {"family": self.family, "released": self.released, "content": self.content}
        if self.fit is None:
            return None, facts
        asked = {"prompts": self.prompts, "sampler": self.sampler}
        for key, value in asked.items():
            if value is not None and (given := value.model_dump(mode="json", exclude_unset=True)):
                facts[key] = given
        return self.fit.model_dump(mode="json", exclude_unset=True), facts


def read_card(path: Path) -> Card:
    """Read and check one card.

    Raises:
        AssayError: not YAML, a key that cards do not have (the nearest is named), a value out of range.
    """
    where = shown(path)
    card: Card = checked_options(Card, read_yaml(path), where)
    if card.fit is not None:
        if card.fit.kind not in OPTIONS:
            raise AssayError(
                f"{where}: fit.kind is '{card.fit.kind}'; {did_you_mean(card.fit.kind, OPTIONS)}"
            )
        checked_options(OPTIONS[card.fit.kind], card.fit.options, f"{where}: fit.options")
    return card


def read_cards(folder: Path = CARDS) -> Mapping[str, Card]:
    """All cards of a folder, by name.

    Raises:
        AssayError: a card that cannot be read, or whose file name cannot name a generator.
    """
    return read_folder(folder, read_card, "generator", reserved=("real",))


@cache
def known_cards() -> Mapping[str, Card]:
    """The cards of this checkout."""
    return read_cards()


def card_of(name: str, spec: Generator, fits: Mapping[str, Fit]) -> tuple[str, Card] | None:
    """The card that an entry of params.yaml was made from, or might have been, and its name.

    A drawn generator is known by its weights, whatever it is called; an imported one by its name.
    """
    cards = known_cards()
    if not spec.drawn:
        return (name, cards[name]) if name in cards else None
    weights = _weights(fits[spec.from_.removeprefix("artifacts/fit/")])
    same = [known for known, card in cards.items() if card.fit is not None and weights == _weights(card.fit)]
    if weights is None or not same:
        return None
    known = name if name in same else same[0]
    return known, cards[known]


def schema() -> str:
    """The JSON schema of a card, as it is published in cards/schema.json."""
    return schema_of(Card, "A generator's card")


def _weights(fit: Fit) -> tuple[str, str] | None:
    """What tells one released model from another: its hub id, checkpoint, or name with a service."""
    if fit.kind in ("pretrained", "reconstruction"):
        return ("hub", str(fit.options["id"]))
    named = next((fit.options[key] for key in ("model", "base", "checkpoint") if key in fit.options), None)
    return None if named is None else (fit.kind, str(named))


if __name__ == "__main__":
    (CARDS / SCHEMA).write_text(schema(), "utf-8")
