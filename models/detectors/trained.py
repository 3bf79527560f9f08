"""A trained detector: a folder with weights.safetensors, card.json and log.csv."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from assets.detection import NONE
from assets.detection import Detector as Spec
from assets.errors import AssayError
from assets.files import sha256_of
from models.detectors import build
from models.detectors.detector import Detector, load_weights

WEIGHTS = "weights.safetensors"
CARD = "card.json"
LOG = "log.csv"


class Trained(NamedTuple):
    """A detector that is ready to score, and what its card says."""

    detector: Detector
    spec: Spec
    card: dict[str, Any]
    """See `tasks.train.train`; `threshold` is in logits."""


def trained_folder(root: Path, trained_on: str, detector: str, seed: int) -> Path:
    """Where the weights of one training lie."""
    return root / "artifacts" / "train" / trained_on / f"{detector}-s{seed}"


def start_folder(root: Path, detector: str) -> Path:
    """Where what all trainings of a detector start from lies."""
    return root / "artifacts" / "start" / detector


def load_trained(root: Path, trained_on: str, name: str, seed: int) -> Trained:
    """Read a trained detector, on the CPU.

    Raises:
        AssayError: not there, damaged, weights that are not those that the card was written for.
    """
    folder = trained_folder(root, trained_on, name, seed)
    card = _read_card(folder / CARD)
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
    spec = Spec.model_validate(card["spec"])
    start = start_file(root, name, spec)
    detector = build(spec, 0, str(folder), start=start)
    load_weights(detector, weights, started=start is not None)
    return Trained(detector.eval(), spec, card)


def start_file(root: Path, name: str, spec: Spec) -> Path | None:
    """The weights that a detector starts from, as `tasks.start` put them there; None: at random."""
    return None if spec.weights == NONE else start_folder(root, name) / WEIGHTS


def _read_card(path: Path) -> dict[str, Any]:
    try:
        card = json.loads(path.read_text("utf-8"))
        Spec.model_validate(card["spec"])
        known = {"weights": str(card["weights"]), "threshold": float(card["threshold"])}
    except FileNotFoundError:
        raise AssayError(
            f"{path} is not there: `dvc pull {path.parent}` brings it back, or `assay run` makes it"
        ) from None
    except (ValueError, KeyError, TypeError, ValidationError):
        raise AssayError(
            f"{path} is no card of a trained detector: damaged, or of another version; `assay run` makes it"
        ) from None
    return {**card, **known}
