"""`assay add`: a card's entries, put into params.yaml; and what the cards say before a generator is drawn."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assets.errors import AssayError, did_you_mean
from assets.params import REAL, Params, parse_params
from assets.yaml12 import PARAMS_YAML, read_yaml
from flows.editing.edits import ParamsFile
from flows.running.display import in_units
from models.generators.card import Card, Release, Weights, card_of, known_cards

if TYPE_CHECKING:
    from flows.planning.plan import Planned

COUNT = 1000
"""Images, where nobody says how many: one a class of ImageNet."""


def add(
    root: Path,
    card_name: str,
    count: int | None = None,
    train: bool = False,
    revision: str | None = None,
    as_: str | None = None,
) -> list[str]:
    """Put what the card says under `fit` and `generators` of params.yaml; returns lines for the user.

    Raises:
        AssayError: no such card, a name that is taken or not allowed, a commit that is missing and
            cannot be asked for. params.yaml is then as it was.
    """
    cards = known_cards()
    if card_name not in cards:
        raise AssayError(f"there is no card '{card_name}'; {did_you_mean(card_name, cards)}")
    return add_card(root, cards[card_name], card_name, count, train, revision, as_)


def add_card(
    root: Path,
    card: Card,
    card_name: str,
    count: int | None = None,
    train: bool = False,
    revision: str | None = None,
    as_: str | None = None,
) -> list[str]:
    """`add`, of a card that was read already."""
    name, path = as_ or card_name, root / PARAMS_YAML
    params = parse_params(read_yaml(path), str(path))
    _check(params, card, name, card_name, revision)
    fit, facts = card.entries()
    entry = _entry(card, name, facts, count, params)
    if fit is not None and card.hub_id is not None:
        fit["options"]["revision"] = (
            revision or fit["options"].get("revision") or _commit(card.hub_id, card_name)
        )
    file = ParamsFile(root)
    put_entries(file, name, fit, entry, train)
    file.save()
    done = [f"{PARAMS_YAML} has a new generator '{name}'{_drawing(entry)}"]
    if params.split.reals == "own":
        done.append("it is in split.owners too: the real images are dealt out anew, to one generator more")
    return [
        *done,
        *_about(root, card, entry),
        "",
        f"next: `assay plan`; to undo it, delete '{name}' in {PARAMS_YAML}",
    ]


def notices(params: Params, planned: Iterable["Planned"]) -> list[str]:
    """What the licences ask of whoever draws (or uses) the generators that are planned, a line each."""
    due = {stage.stage for stage in planned}
    lines = []
    for name, spec in params.generators.items():
        found = card_of(name, spec, params.fit) if f"generate@{name}" in due else None
        words = terms_of(found[1], spec.drawn) if found is not None else ""
        if found is not None and words:
            lines.append(f"note: {name} is {words}: {found[1].terms.says}")
    return lines


def downloads(root: Path, card: Card) -> list[str]:
    """Weights that the card names and that are not in the checkout: where to get each."""
    if _all_there(root, card):
        return []
    return [_fetched(file) for file in card.weights if not (root / file.path).exists()]


def _fetched(file: Weights) -> str:
    folders, names = zip(*(url.rsplit("/", 1) for url in file.urls), strict=True)
    if len(names) > 1 and len(set(folders)) == 1:
        urls = f"'{folders[0]}/{{{','.join(names)}}}'"  # curl reads {a,b} itself
    else:
        urls = " ".join(f"'{url}'" for url in file.urls)
    then = f"; {file.then}" if file.then else ""
    folder = Path(file.path).parent.as_posix()
    command = f"mkdir -p {folder} && curl -fL {urls} > {file.path}"
    return f"{file.path} ({in_units(file.download)}): `{command}`{then}"


def _all_there(root: Path, card: Card) -> bool:
    """Whether all files that the options name are there, e.g. what an archive was unpacked to."""
    options = card.fit.options.values() if card.fit is not None else ()
    paths = [value for value in options if isinstance(value, str) and value.startswith("weights/")]
    return bool(paths) and all((root / path).exists() for path in paths)


def _check(params: Params, card: Card, name: str, card_name: str, revision: str | None) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name == REAL:
        raise AssayError(f"--as {name}: lower-case letters, digits and _, a letter first, and not 'real'")
    for section in ("generators", "fit"):
        if name in getattr(params, section):
            raise AssayError(
                f"{section}.{name} is in {PARAMS_YAML} already; "
                f"`assay add {card_name} --as NAME` adds another"
            )
    if revision is not None and card.hub_id is None:
        raise AssayError("--revision is for models of the Hugging Face hub; leave it out here")
    if revision is not None and not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise AssayError(f"--revision {revision}: a commit's 40 hex digits; a branch or a tag can move")


def _entry(card: Card, name: str, facts: dict[str, Any], count: int | None, params: Params) -> dict[str, Any]:
    if card.fit is None:
        return {"from": f"data/{name}", **facts, **({} if count is None else {"count": count})}
    drawn = {spec.count for spec in params.generators.values() if spec.drawn}
    usual = drawn.pop() if len(drawn) == 1 else COUNT
    front = {key: facts.pop(key) for key in ("family", "released", "content")}
    return {"from": f"artifacts/fit/{name}", **front, "count": count or usual, **facts}


def put_entries(
    file: ParamsFile, name: str, fit: dict[str, Any] | None, entry: dict[str, Any], train: bool = False
) -> None:
    """A generator's entries, wherever its name has to stand: `fit`, `generators`, to train on, as an owner.

    Args: fit: None for an imported one, and for one whose model is there already.
    Raises:
        AssayError: a name that is taken.
    """
    if fit is not None:
        file.insert(("fit",), name, fit)
    file.insert(("generators",), name, entry)
    if train:
        file.insert_item(("train", "generators"), name)
    if file.get("split.reals") == "own" and name not in file.document["split"]["owners"]:
        file.insert_item(("split", "owners"), name)


def _commit(hub_id: str, card_name: str) -> str:
    """The hub's current commit of a repository, where its card pins none."""
    import huggingface_hub

    try:
        found = huggingface_hub.HfApi().model_info(hub_id, timeout=20).sha
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise AssayError(
            f"the card '{card_name}' pins no commit of {hub_id}, and the hub cannot be asked "
            f"for one ({reason}): "
            "add --revision COMMIT (40 hex digits, listed under 'History' on the model's page)"
        ) from None
    assert found is not None
    return found


def _drawing(entry: dict[str, Any]) -> str:
    count = f"{entry['count']:,} images" if "count" in entry else "all images"
    return f": {count} {'to draw' if entry['from'].startswith('artifacts/') else 'of ' + entry['from']}"


def _about(root: Path, card: Card, entry: dict[str, Any]) -> list[str]:
    lines = [f"{card.title}, licence: {card.licence}"]
    if words := terms_of(card, card.fit is not None):
        lines.append(f"it is {words}: {card.terms.says}")
    if card.fit is None:
        name = entry["from"].removeprefix("data/")
        lines.append("it cannot be run here; its images are imported:")
        lines += [f"  {release.where}; {_import_line(release, card, name)}" for release in card.import_]
    lines += [f"download {line}" for line in downloads(root, card)]
    if card.download is not None and card.fit is not None:
        lines.append(f"about {in_units(card.download)} are fetched from the hub at the first run")
    price = card.fit.options.get("usd_per_image") if card.fit is not None else None
    if price is not None:
        budget = card.fit.options["budget_usd"] if card.fit is not None else 0
        cost = price * entry["count"]
        short = ", where it would stop: raise it first" if cost > budget else ""
        lines.append(f"costs up to {cost:,.2f} US dollars; budget_usd is {budget:,}{short}")
    return [*lines, *(f"note: {note}" for note in card.notes)]


def _import_line(release: Release, card: Card, as_: str) -> str:
    """The command that brings a release in."""
    if release.name is None:
        return f"then `assay import FOLDER --as {as_} --family {card.family} --released {card.released}`"
    return f"then `assay import FOLDER --layout {release.layout} --only {release.name}`"


def terms_of(card: Card, drawn: bool = True) -> str:
    """`gated and non-commercial`: what has to be agreed to; '' if nothing. Imported images cost nothing."""
    words = [
        word
        for word, holds in (
            ("paid for", card.terms.paid and drawn),
            ("gated", card.terms.gated),
            ("non-commercial", card.terms.non_commercial),
        )
        if holds
    ]
    return " and ".join(words)
