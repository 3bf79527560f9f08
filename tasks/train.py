"""Training one detector on the images of one generator, a set of them or a sample, against real ones."""

import importlib.metadata
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from assets.code import code_digest
from assets.detection import NONE, Attributor
from assets.detection import Detector as Spec
from assets.errors import AssayError, did_you_mean
from assets.files import sha256_of, write_json
from assets.images.degradations import parse
from assets.images.imageset import work_folder
from assets.machine import make_repeatable
from assets.params import REAL, Params, load_params
from assets.seeds import derive_seed
from assets.statistics import metrics
from models import detectors
from models.detectors import attribution
from models.detectors.detector import save_weights, weights_digest
from models.detectors.trained import (
    CARD,
    START,
    WEIGHTS,
    attributor_folder,
    start_file,
    start_folder,
    trained_folder,
)
from models.detectors.training.distributed import (
    Processes,
    launch,
    named_devices,
    processes,
    started_together,
)
from models.detectors.training.logs import write_logs
from models.detectors.training.loop import train_through
from models.detectors.training.sampling import Origin
from models.detectors.training.validation import validate
from tasks.command import arguments_for, run_stage
from tasks.material import Material, material

CLASSES = ("real", "generated")
"""In the order of their labels, 0 and 1."""


def train(root: Path, params: Params, trained_on: str, name: str, seed: int) -> None:
    """Train the detector `name` and write artifacts/train/`trained_on`/`name`-s`seed`.

    An attributor goes to artifacts/attributors/... weights.safetensors: the network's weights that are
    kept. log.csv and dvclive/: a line an epoch. card.json: `detector`, `trained_on`, `seed`, `spec`,
    `classes`, `weights` (SHA-256 of the file), `threshold` (logits; best balanced accuracy on val) or, of an
    attributor, `unknown_below`; `val` (metrics), `images` and `unreadable` (a side and class), `phases`
    (`epochs` that were run and the one that was `kept`), `start` (digest of the weights before the first
    step), `started_from` and `code` (what artifacts/start says), `processes`, `versions`.

    With `split.reals` other than `all`, the real images are those that the generated ones are paired with; of
    a sample, those that its pool lists.

    Raises:
        AssayError: a class or a side without images, images that are not those of the pool, starting weights
            that cannot be had, a loss that is not finite.
    """
    make_repeatable()
    together = processes()
    attributor = name in params.attributors
    spec: Spec = params.attributors[name] if attributor else params.detectors[name]
    where = f"{'attributors' if attributor else 'detectors'}.{name}"
    classes = params.sources[trained_on] if attributor else CLASSES
    outputs = len(classes) if attributor else 1
    parse(spec.augment, f"{where}.augment")  # refused now, not after decoding
    origin: Origin = (params.seed, "train", trained_on, name, seed)
    folder = (attributor_folder if attributor else trained_folder)(root, trained_on, name, seed)
    started = _started(root, name, spec)
    detector = detectors.build(
        spec, derive_seed(*origin, "start"), where, outputs, start_file(root, name, spec)
    ).to(together.device)
    detector.told(params.sources[trained_on], params.generators, where)
    start = weights_digest(detector)
    reals = any(phase.reals for phase in detector.phases(spec))
    found = material(root, params, trained_on, reals, each=attributor)
    found.examples.pictures.keep(list(found.hashes))
    work = work_folder(folder, _key(spec, origin, start, started, found, together))
    course = train_through(detector, spec, found.examples, origin, where, work, together)
    labels, logits = validate(detector, spec, found.examples, together, where)
    together.close()
    if not together.first:
        return
    judged = attribution.judged(labels, logits, spec.unknown) if isinstance(spec, Attributor) else None
    save_weights(detector, folder / WEIGHTS, started=spec.weights != NONE)
    write_logs(folder, course.lines)
    card = {
        "detector": name,
        "trained_on": trained_on,
        "seed": seed,
        "spec": spec.model_dump(),
        "classes": list(classes),
        "weights": sha256_of(folder / WEIGHTS),
        **(judged or _judged(labels, logits)),
        "images": _by_class(params, trained_on, found.used()),
        "unreadable": _by_class(params, trained_on, found.unreadable),
        "phases": course.phases,
        "start": start,
        "started_from": started["weights"],
        "code": started["code"],
        "processes": together.count,
        "versions": {library: importlib.metadata.version(library) for library in ("torch", "timm")},
    }
    write_json(folder / CARD, card)  # last: a folder with a card is complete
    course.checkpoints.remove()


def _started(root: Path, name: str, spec: Spec) -> dict[str, Any]:
    """What start.json says: `code` of the kind, and `weights` (`from`, `sha256`; None: a random start).

    Raises:
        AssayError: it is not there, is damaged, or the weights beside it are others.
    """
    path = start_folder(root, name, isinstance(spec, Attributor)) / START
    try:
        about = json.loads(path.read_text("utf-8"))
        found = {"code": str(about["code"]), "weights": about["weights"]}
    except FileNotFoundError:
        raise AssayError(f"{path} is not there: `assay run` (or `dvc repro`) makes it") from None
    except (ValueError, KeyError, TypeError):
        raise AssayError(f"{path} is damaged: `assay run` (or `dvc repro`) makes it anew") from None
    weights = start_file(root, name, spec)
    if weights is not None and (not weights.is_file() or sha256_of(weights) != found["weights"]["sha256"]):
        raise AssayError(
            f"{weights} is not what {START} beside it says: `dvc pull {path.parent}` or `assay run` mends it"
        )
    return found


def _key(
    spec: Spec, origin: Origin, start: str, started: dict[str, Any], found: Material, together: Processes
) -> str:
    """All that decides the result: a checkpoint of another training must not be taken up."""
    deciding = [
        spec.model_dump(),
        origin,
        start,
        started,
        found.examples.generators,
        found.examples.train,
        found.examples.val,
        found.hashes,
        code_digest(["detectors.training.loop"]),
        (together.count, together.device.type, torch.__version__),
    ]
    return json.dumps(deciding)


def _judged(labels: np.ndarray, logits: np.ndarray) -> dict[str, Any]:
    """The threshold that is best on val, and how good the detector is there."""
    threshold = metrics.best_threshold(labels, logits)
    assert threshold is not None  # both classes are there
    return {"threshold": threshold, "val": metrics.all_metrics(labels, logits, threshold)}


def _by_class(params: Params, trained_on: str, sides: dict[str, list[int]]) -> dict[str, dict[str, int]]:
    """Numbers of images a side, by name; of a set or a sample, by generator."""
    names = (REAL, *params.pooled[trained_on]) if trained_on in params.pooled else CLASSES
    return {side: dict(zip(names, counts, strict=True)) for side, counts in sides.items()}


def main(arguments: list[str]) -> None:
    """python -m tasks.train TRAINED_ON DETECTOR SEED"""
    trained_on, name, seed = arguments_for(arguments, "trained_on detector seed")
    params = load_params()
    known = {**params.detectors, **params.attributors}
    if name not in known:
        raise AssayError(f"unknown detector '{name}'; {did_you_mean(name, known)}")
    sources = params.train.sets if name in params.attributors else {**params.generators, **params.pooled}
    if trained_on not in sources:
        what = "set" if name in params.attributors else "generator, set or sample"
        raise AssayError(f"unknown {what} '{trained_on}'; {did_you_mean(trained_on, sources)}")
    if seed not in map(str, params.train.seeds):
        raise AssayError(f"unknown seed '{seed}'; {did_you_mean(seed, map(str, params.train.seeds))}")
    try:
        if len(names := named_devices()) > 1 and not started_together():
            launch("tasks.train", arguments, names)
        else:
            train(Path(), params, trained_on, name, int(seed))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    run_stage(main)
