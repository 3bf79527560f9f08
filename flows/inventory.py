"""What params.yaml names, and what of it is there: the rows behind `assay generators` and `detectors`."""

from pathlib import Path
from typing import Any

from assets.params import PARAMS, Generator, Params, load_params
from flows.counts import rows
from flows.plan import Planned, plan
from models.generators.card import Card, card_of, known_cards
from models.generators.options import OPTIONS


def generators(root: Path) -> list[dict[str, Any]]:
    """One row a generator: first those of params.yaml, then those that only have a card.

    Columns: name, title, family, released, licence, how it runs, images wanted and present, state.

    Raises:
        AssayError: params.yaml, dvc.yaml or a card cannot be read.
    """
    params = load_params(root / PARAMS)
    due = {stage.stage: stage for stage in plan(root)}
    table, used = [], set()
    for name, spec in params.generators.items():
        found = card_of(name, spec, params.fit)
        if found is not None:
            used.add(found[0])
        table.append(
            {
                "name": name,
                "title": found[1].title if found else None,
                "family": spec.family,
                "released": spec.released,
                "licence": found[1].licence if found else None,
                "terms": terms(found[1]) if found else None,
                "runs": _way(params, spec),
                "wanted": spec.count if spec.drawn else spec.count or "all",
                "images": rows(root / "artifacts" / "generate" / name),
                "trained_on": "yes" if name in params.train.generators else "no",
                "state": _state([f"generate@{name}"], due),
            }
        )
    cards = [(name, card) for name, card in known_cards().items() if name not in used]
    return [
        *table,
        *(_card_row(name, card, name in {*params.generators, *params.fit}) for name, card in cards),
    ]


def terms(card: Card) -> str:
    """`gated, non-commercial`, or nothing."""
    words = {
        "paid": card.terms.paid,
        "gated": card.terms.gated,
        "non-commercial": card.terms.non_commercial,
    }
    return ", ".join(word for word, holds in words.items() if holds)


def _card_row(name: str, card: Card, taken: bool) -> dict[str, Any]:
    add = f"`assay add {name}{' --as NAME' if taken else ''}`"
    return {
        "name": name,
        "title": card.title,
        "family": card.family,
        "released": card.released,
        "licence": card.licence,
        "terms": terms(card),
        "runs": card.runs,
        "wanted": None,
        "images": None,
        "trained_on": None,
        "state": f"card: {add}" if card.fit is not None else f"{card.runs}: {add}",
    }


def detectors(root: Path) -> list[dict[str, Any]]:
    """One row a detector: name, kind, model, weights, crop, epochs, trainings done, state.

    Raises:
        AssayError: params.yaml or dvc.yaml cannot be read.
    """
    params = load_params(root / PARAMS)
    due = {stage.stage: stage for stage in plan(root)}
    table = []
    for name, spec in params.detectors.items():
        trainings = [
            f"train@{source}-{name}-{seed}"
            for source in params.train.generators
            for seed in params.train.seeds
        ]
        table.append(
            {
                "name": name,
                "kind": spec.kind,
                "model": spec.model,
                "weights": spec.weights,
                "crop": spec.crop,
                "epochs": spec.epochs,
                "augment": spec.augment or "flips",
                "trained": f"{sum(one not in due for one in trainings)}/{len(trainings)}",
                "state": _state(trainings, due),
            }
        )
    return table


def _way(params: Params, spec: Generator) -> str:
    if not spec.drawn:
        return f"imported from {spec.from_}"
    kind = params.fit[spec.from_.removeprefix("artifacts/fit/")].kind
    if kind == "pretrained":
        return "drawn by a pretrained model"
    if kind == "api":
        return "asked of a service"
    if kind == "reconstruction":
        return "real images through an autoencoder"
    released = kind in OPTIONS and OPTIONS[kind].reals == "none"
    return f"drawn by released {kind} weights" if released else f"drawn by a {kind} trained here"


def _state(stages: list[str], due: dict[str, Planned]) -> str:
    waiting = [due[stage] for stage in stages if stage in due]
    if not waiting:
        return "up to date"
    return waiting[0].why[0] if len(stages) == 1 else f"{len(waiting)} to run: {waiting[0].why[0]}"
