"""A trained detector: a folder with weights.safetensors, card.json and log.csv."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from assets.detection import NONE, Attributor
from assets.detection import Detector as Spec
from assets.errors import AssayError
from assets.files import sha256_of
from models.detectors import build
from models.detectors.detector import Detector, load_weights

WEIGHTS = "weights.safetensors"
CARD = "card.json"
START = "start.json"


class Trained(NamedTuple):
    """A detector that is ready to score, and what its card says."""

    detector: Detector
    spec: Spec
    card: dict[str, Any]
    """See `tasks.train.train`; `threshold` is in logits."""


def trained_folder(root: Path, trained_on: str, detector: str, seed: int) -> Path:
    """Where the weights of one training lie."""
    return root / "artifacts" / "train" / trained_on / f"{detector}-s{seed}"


def attributor_folder(root: Path, trained_on: str, attributor: str, seed: int) -> Path:
    """Where those of an attributor lie; `trained_on` is a set."""
    return root / "artifacts" / "attributors" / trained_on / attributor / f"s{seed}"


def start_folder(root: Path, name: str, attributor: bool = False) -> Path:
    """Where what all trainings of a detector, or of an attributor, start from lies."""
    return root / "artifacts" / ("start-attributor" if attributor else "start") / name


def load_trained(root: Path, trained_on: str, name: str, seed: int, attributor: bool = False) -> Trained:
    """Read a trained detector, or an attributor, on the CPU.

    Raises:
        AssayError: not there, damaged, weights that are not those that the card was written for.
    """
    if attributor:
        return _load(root, attributor_folder(root, trained_on, name, seed), name, Attributor)
    return _load(root, trained_folder(root, trained_on, name, seed), name, Spec)


def start_file(root: Path, name: str, spec: Spec) -> Path | None:
    """The weights that a detector starts from, as `tasks.start` put them there; None: at random."""
    if spec.weights == NONE:
        return None
    return start_folder(root, name, isinstance(spec, Attributor)) / WEIGHTS


def _load(root: Path, folder: Path, name: str, kind: type[Spec]) -> Trained:
    card, spec = _read_card(folder / CARD, kind)
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise AssayError(
            f"{weights} is not there: `dvc pull {folder}` brings it back, or `assay run` makes it"
        )
    if (found := sha256_of(weights)) != card["weights"]:
        raise AssayError(
            f"{weights} has checksum {found[:12]}, its card says {card['weights'][:12]}: it was changed or "
            f"torn; `dvc checkout --force {folder}` or `dvc pull` brings the right bytes back"
        )
    start = start_file(root, name, spec)
    outputs = len(card["classes"]) if kind is Attributor else 1
    detector = build(spec, 0, str(folder), outputs, start)
    load_weights(detector, weights, started=start is not None)
    return Trained(detector.eval(), spec, card)


def _read_card(path: Path, kind: type[Spec]) -> tuple[dict[str, Any], Spec]:
    """What a card says, and the specification in it."""
    try:
        card = json.loads(path.read_text("utf-8"))
        known: dict[str, Any] = {
            "weights": str(card["weights"]),
            "classes": [str(name) for name in card["classes"]],
        }
        if kind is not Attributor:
            known["threshold"] = float(card["threshold"])
        return {**card, **known}, kind.model_validate(card["spec"])
    except FileNotFoundError:
        raise AssayError(
            f"{path} is not there: `dvc pull {path.parent}` brings it back, or `assay run` makes it"
        ) from None
    except (ValueError, KeyError, TypeError, ValidationError):
        raise AssayError(
            f"{path} is no card of a trained detector: damaged, or of another version; `assay run` makes it"
        ) from None
