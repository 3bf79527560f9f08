"""New generator cards: those that the last recorded benchmark did not have."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from assets.errors import AssayError
from assets.params import Params
from flows.editing.adding import add_card, downloads, terms_of
from flows.records.records import Record, file_of
from flows.refreshing.findings import Finding
from flows.refreshing.state import State
from models.generators.card import Card, read_card

FOLDER = Path("models/generators/cards")


def find_cards(root: Path, params: Params, last: Record | None, state: State) -> Iterator[Finding]:
    """Cards that the last record's tree lacks; none is new before there is a record that has any."""
    if last is None:
        return
    paths = sorted((root / FOLDER).glob("*.yaml"))
    unknown = [path for path in paths if file_of(root, last, (FOLDER / path.name).as_posix()) is None]
    if len(unknown) == len(paths):
        return  # a record without any card, of a repository that does not keep them, says nothing of new ones
    for path in unknown:
        name = path.stem
        if name in {*params.generators, *params.report.set_aside, *state.cards}:
            continue
        try:
            card = read_card(path)
        except AssayError as error:
            yield Finding("card", name, f"a new card that cannot be read: {error}")
            continue
        title = f"a new card: {card.title}, {card.family}, {card.released}"
        if why := _why_not(root, params, card, name):
            yield Finding("card", name, f"{title}; not added: {why}. `assay add {name}` adds it")
        else:
            yield Finding("card", name, title, partial(_add, root, card, name, state))


def _add(root: Path, card: Card, name: str, state: State) -> list[str]:
    lines = add_card(root, card, name)
    state.cards.append(name)
    return lines


def _why_not(root: Path, params: Params, card: Card, name: str) -> str:
    """What a person has to decide, or to fetch, before this generator can be drawn; '' if nothing."""
    if card.fit is None:
        return "it cannot be run here, its images have to be imported"
    if name in params.fit:
        return f"fit.{name} in params.yaml is another model"
    if words := terms_of(card):
        return f"it is {words}"
    if lost := downloads(root, card):
        return f"its weights are not here: {lost[0]}"
    file = card.prompts.file if card.prompts else None
    if file is not None and not (root / file).is_file():
        return f"its prompts are not here: {file}"
    return ""
