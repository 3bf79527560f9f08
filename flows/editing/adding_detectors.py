"""`assay add` for detectors: a card's entry, put into params.yaml."""

import re
from pathlib import Path
from typing import Any

from assets.detection import NONE, TIMM, Judge
from assets.errors import AssayError, did_you_mean
from assets.files import write_text
from assets.params import Params, parse_params
from assets.yaml12 import PARAMS_YAML, parse_yaml, read_yaml
from flows.editing.insertion import checked, insert_entry
from models.detectors.card import Card, known_cards


def add_detector(root: Path, card_name: str, quick: bool = False, as_: str | None = None) -> list[str]:
    """Put what the card says under `detectors` or `attributors` of params.yaml; returns lines for the user.

    Args: quick: the card's entry for small data in place of its authors' settings.
    Raises:
        AssayError: no such card, a name that is taken or not allowed, an entry that nothing here can be
            built from. params.yaml is then as it was.
    """
    cards = known_cards()
    if card_name not in cards:
        raise AssayError(f"there is no card '{card_name}'; {did_you_mean(card_name, cards)}")
    card, name = cards[card_name], as_ or card_name
    path = root / PARAMS_YAML
    params = parse_params(read_yaml(path), str(path))
    _check(params, card, name, card_name, quick)
    entry = card.entry(quick)
    where = f"{card.section}.{name}"
    weights = _weights(card.spec(quick), name, where)
    _write(path, card.section, name, entry)
    return [
        f"{PARAMS_YAML} has a new entry {where}{_settings(quick)}",
        f"{card.title}, licence: {card.licence}",
        *([weights] if weights else []),
        *(f"reported: {one.value:g} {one.what} ({one.source})" for one in card.published[:1]),
        *(f"note: {note}" for note in card.notes),
        "",
        f"next: `assay plan`, `assay run`; to undo it, delete '{name}' in {PARAMS_YAML}",
    ]


def _check(params: Params, card: Card, name: str, card_name: str, quick: bool) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise AssayError(f"--as {name}: lower-case letters, digits and _, a letter first")
    if name in params.judges:
        sections = ("detectors", "attributors", "given")
        taken = next(section for section in sections if name in getattr(params, section))
        again = f"assay add {card_name}{' --quick' if quick else ''} --as NAME"
        raise AssayError(f"{taken}.{name} is in {PARAMS_YAML} already; `{again}` adds another")
    if card.attributor and not any(len(members) > 1 for members in params.train.sets.values()):
        few = ", ".join(list(params.generators)[:3])
        raise AssayError(
            f"{card_name} tells the members of a set of generators apart, and train.sets in {PARAMS_YAML} "
            f"has none with two or more: write one first, e.g. `sets: {{some: [{few}]}}`"
        )
    if not card.attributor and not params.sources:
        raise AssayError(
            f"nothing in {PARAMS_YAML} says what {card_name} is to be trained on: name a generator in "
            f"train.generators first; {did_you_mean('', params.generators)}"
        )


def _weights(spec: Judge, name: str, where: str) -> str:
    """Which weights have to be had before it can be trained, in words; what cannot be built is refused."""
    import timm

    from models import detectors

    detectors.check(spec, where)
    if spec.weights == NONE:
        return ""
    if spec.weights != TIMM:
        return f"it starts from {spec.weights}: put that file there before the first run"
    model = detectors.resolved(spec).model
    config = timm.get_pretrained_cfg(model) if model else None
    place = config.hf_hub_id if config is not None else None
    source = f"huggingface.co/{place}" if place else f"timm's place for {model}"
    return f"weights: {source} is downloaded once, by the stage start@{name}"


def _settings(quick: bool) -> str:
    return ", with its settings for small data" if quick else "; with --quick: its settings for small data"


def _write(path: Path, section: str, name: str, entry: dict[str, Any]) -> None:
    before = path.read_text("utf-8")
    wanted = parse_yaml(before, str(path))
    text = insert_entry(before, str(path), (section,), name, entry)
    wanted[section] = {**wanted[section], name: entry}
    parse_params(wanted, f"{path} with '{name}'")
    write_text(path, checked(text, str(path), before, wanted))
