"""What params.yaml names, and what of it is there: the rows behind `assay generators` and `detectors`."""

from pathlib import Path
from typing import Any

from assets.dag import load_dag
from assets.detection import Attributor, Detector, Given, Judge
from assets.params import PARAMS, Generator, Params, load_params
from flows.planning.counts import rows
from flows.planning.plan import Planned, plan
from models.detectors.card import Card as DetectorCard
from models.detectors.card import known_cards as detector_cards
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
    """One row a detector, attributor or given detector of params.yaml, then those that only have a card.

    Columns: name, title, section of params.yaml, kind, model, weights, crop, epochs, augmentation,
    trainings done (null for what is not trained here, or not in params.yaml), licence, published headline
    number, state.

    Raises:
        AssayError: params.yaml, dvc.yaml or a card cannot be read.
    """
    params = load_params(root / PARAMS)
    due = {stage.stage: stage for stage in plan(root)}
    dag = load_dag(root)
    cards = detector_cards()
    table, used = [], set()
    for name, spec in params.judges.items():
        card = cards.get(name)
        if card is not None and (card.recipe.kind, card.section) == (spec.kind, _section(spec)):
            used.add(name)
        else:
            card = None
        stages = [stage for stage in _detector_stages(params, name, spec) if stage in dag.stages]
        trained = isinstance(spec, Detector)
        table.append(
            {
                "name": name,
                "title": card.title if card else None,
                "section": _section(spec),
                "kind": spec.kind,
                "model": spec.model,
                "weights": spec.weights,
                "crop": spec.crop,
                "epochs": spec.epochs if isinstance(spec, Detector) else None,
                "augment": (spec.augment or "flips") if isinstance(spec, Detector) else None,
                "trained": f"{sum(one not in due for one in stages)}/{len(stages)}" if trained else None,
                "licence": card.licence if card else None,
                "published": card.headline if card else None,
                "state": _state(stages, due),
            }
        )
    taken = {*params.judges}
    return [
        *table,
        *(_detector_card_row(name, card, name in taken) for name, card in cards.items() if name not in used),
    ]


def _detector_stages(params: Params, name: str, spec: Judge) -> list[str]:
    """The stages that make it: its trainings, or what brings it in."""
    if isinstance(spec, Given):
        return [f"adopt@{name}"]
    families = {"train-attributor": tuple(params.train.sets)}
    if not isinstance(spec, Attributor):
        families = {
            "train": params.train.generators,
            "train-set": tuple(params.train.sets),
            "train-sample": tuple(params.train.samples),
        }
    return [
        f"{family}@{source}-{name}-{seed}"
        for family, sources in families.items()
        for source in sources
        for seed in params.train.seeds
    ]


def _section(spec: Judge) -> str:
    """Where in params.yaml it stands."""
    if isinstance(spec, Given):
        return "given"
    return "attributors" if isinstance(spec, Attributor) else "detectors"


def _detector_card_row(name: str, card: DetectorCard, taken: bool) -> dict[str, Any]:
    spec = card.spec()
    return {
        "name": name,
        "title": card.title,
        "section": card.section,
        "kind": spec.kind,
        "model": spec.model,
        "weights": spec.weights,
        "crop": spec.crop,
        "epochs": spec.epochs,
        "augment": spec.augment or "flips",
        "trained": None,
        "licence": card.licence,
        "published": card.headline,
        "state": f"card: `assay add {name}{' --as NAME' if taken else ''}`",
    }


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
