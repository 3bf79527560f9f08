"""What params.yaml names, and what of it is there: the rows behind `assay generators` and `detectors`."""

from pathlib import Path
from typing import Any

from assets.params import PARAMS, Generator, Params, load_params
from flows.counts import rows
from flows.plan import Planned, plan


def generators(root: Path) -> list[dict[str, Any]]:
    """One row a generator: name, family, released, how it runs, images wanted and present, state.

    Raises:
        AssayError: params.yaml or dvc.yaml cannot be read.
    """
    params = load_params(root / PARAMS)
    due = {stage.stage: stage for stage in plan(root)}
    return [
        {
            "name": name,
            "family": spec.family,
            "released": spec.released,
            "runs": _way(params, spec),
            "wanted": spec.count if spec.drawn else spec.count or "all",
            "images": rows(root / "artifacts" / "generate" / name),
            "trained_on": "yes" if name in params.train.generators else "no",
            "state": _state([f"generate@{name}"], due),
        }
        for name, spec in params.generators.items()
    ]


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
    return "drawn by a pretrained model" if kind == "pretrained" else f"drawn by a {kind} trained here"


def _state(stages: list[str], due: dict[str, Planned]) -> str:
    waiting = [due[stage] for stage in stages if stage in due]
    if not waiting:
        return "up to date"
    return waiting[0].why[0] if len(stages) == 1 else f"{len(waiting)} to run: {waiting[0].why[0]}"
