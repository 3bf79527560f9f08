"""Detectors that were made elsewhere: pinned files, taken in as they are, and scored from the copy taken in.

Of networks of any kind but `onnx`, what is taken in is a state dict: the file's, timm's, or (for an entry
point without weights) that of the network as its function returns it. Of `onnx` it is the file itself.
"""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from torch import Tensor

from assets import score_table
from assets.detection import NONE, SCORES, TIMM, Given
from assets.errors import AssayError
from assets.files import sha256_of
from assets.params import Params
from assets.section import checked_options
from models import detectors
from models.checkpoint import plain_state, read_whole
from models.detectors.detector import Detector, load_into
from models.detectors.starting import write_start

CARD = "card.json"
TABLE = "scores.parquet"
WEIGHTS = "weights.safetensors"
ONNX = "model.onnx"
ENTRY_POINT = "entry_point"
_NOT_OF_SCORES = ("model", "weights", "sha256", "crop", "view")


class Adopted(NamedTuple):
    """A network that is ready to score, and what its card says (see `tasks.adopt`)."""

    detector: Detector
    spec: Given
    card: dict[str, Any]


def adopted_folder(root: Path, name: str) -> Path:
    """Where what was taken in lies."""
    return root / "artifacts" / "adopt" / name


def check_given(params: Params, name: str) -> None:
    """Refuse what cannot be taken in; reads a table of scores, builds no network.

    Raises:
        AssayError: an unknown kind or option, a file that is not there or that no hash pins, no weights,
            rows of a table that make no sense.
    """
    spec, where = params.given[name], f"given.{name}"
    if spec.kind == SCORES:
        score_table.check_table(scores_options(spec, where), list(params.conditions), f"{where}.options")
        return
    detectors.check(spec, where)
    if spec.weights == NONE and spec.kind != ENTRY_POINT:
        raise AssayError(
            f"{where}.weights is missing: a detector that is not trained here needs a file, or 'timm'"
        )
    if spec.weights in (NONE, TIMM):
        return
    path = Path(spec.weights)
    if not path.is_file():
        raise AssayError(f"{where}.weights: {path} is not there (looked for {path.resolve()})")
    if spec.sha256 is None:
        raise AssayError(
            f"{where}.sha256 is missing: without it, a changed {path} would pass for the same detector. "
            f"Add this line below 'weights':\n  sha256: {sha256_of(path)}"
        )


def scores_options(spec: Given, where: str) -> score_table.Options:
    """The options of a table of scores.

    Raises:
        AssayError: they are wrong, or something is set that only a network has.
    """
    if extra := [name for name in _NOT_OF_SCORES if name in spec.model_fields_set]:
        raise AssayError(f"{where}.{extra[0]}: a table of scores is no network: leave it out")
    options: score_table.Options = checked_options(score_table.Options, spec.options, f"{where}.options")
    return options


def take_in(spec: Given, folder: Path, where: str) -> Path:
    """Put the one file that decides the scores of a network into `folder`; returns its path.

    Raises:
        AssayError: the network cannot be built, or the weights cannot be had, are not those of `sha256`, or
            do not fit.
    """
    if spec.kind == "onnx":
        detectors.build(spec, 0, where)
        shutil.copyfile(spec.weights, folder / ONNX)
        return folder / ONNX
    if spec.weights == NONE:
        state = detectors.build(spec, 0, where).net.state_dict()
        save_file({key: value.contiguous().clone() for key, value in sorted(state.items())}, folder / WEIGHTS)
    else:
        write_start(detectors.resolved(spec), folder / WEIGHTS, where)
    return folder / WEIGHTS


def network(spec: Given, file: Path, where: str) -> Detector:
    """The network of a file that `take_in` wrote, on the CPU.

    Raises:
        AssayError: the file does not fit, or does not hold all of its weights.
    """
    if spec.kind == "onnx":
        return detectors.build(spec.model_copy(update={"weights": str(file)}), 0, where)
    state = plain_state(read_whole(file), file)
    detector = detectors.build(spec, 0, where)
    place = f"{where}.weights"
    if state.keys() == detector.net.state_dict().keys():
        load_into(detector.net, state, place)
        return detector.eval()
    detector.begin_from(state, place)
    if left := _left_alone(spec, detector, state, where):
        share = f"{len(left)} of {len(detector.net.state_dict())}"
        raise AssayError(
            f"{place}: {share} weights of {spec.kind} are not in it and "
            f"would stay random, first {left[0]}: a detector that is not trained here needs all of them"
        )
    return detector.eval()


def _left_alone(spec: Given, detector: Detector, state: dict[str, Tensor], where: str) -> list[str]:
    """The weights that do not come from `state`: those that differ after another start."""
    other = detectors.build(spec, 1, where)
    with torch.no_grad():
        for parameter in other.net.parameters():
            if parameter.requires_grad:  # one that starts at zero does so with every seed
                parameter.add_(1)
    other.begin_from(state, where)
    found = other.net.state_dict()
    return [name for name, value in detector.net.state_dict().items() if not torch.equal(value, found[name])]


def decided_by(spec: Given, file: Path) -> str:
    """SHA-256 over all that decides the scores: the file, and how it is used."""
    used = spec.model_dump(mode="json", include={"kind", "model", "crop", "view", "options"})
    text = json.dumps({"file": sha256_of(file), **used}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def load_given(root: Path, params: Params, name: str) -> Adopted:
    """Read a network that was taken in, on the CPU.

    Raises:
        AssayError: as `read_given`, or a file that does not fit.
    """
    card, file = read_given(root, params, name)
    spec = params.given[name]
    return Adopted(network(spec, file, f"given.{name}"), spec, card)


def read_given(root: Path, params: Params, name: str) -> tuple[dict[str, Any], Path]:
    """The card of what was taken in, and the file that decides the scores.

    Raises:
        AssayError: not there, damaged, changed since, or taken in with other parameters.
    """
    folder = adopted_folder(root, name)
    path = folder / CARD
    try:
        card = json.loads(path.read_text("utf-8"))
        spec = Given.model_validate(card["spec"])
        file, wanted = folder / card["file"]["name"], card["file"]["sha256"]
        card = {**card, "weights": str(card["weights"]), "threshold": float(card["threshold"])}
    except FileNotFoundError:
        raise AssayError(
            f"{path} is not there: `dvc pull {folder}` brings it back, or `assay run` makes it"
        ) from None
    except (ValueError, KeyError, TypeError, ValidationError):
        raise AssayError(
            f"{path} is no card of a given detector: damaged, or of another version; `assay run` makes it"
        ) from None
    if spec != params.given[name]:
        raise AssayError(
            f"{folder} was made with other parameters than given.{name} has now: `assay run` makes it anew"
        )
    if not file.is_file():
        raise AssayError(f"{file} is not there: `dvc pull {folder}` brings it back, or `assay run` makes it")
    if (found := sha256_of(file)) != wanted:
        raise AssayError(
            f"{file} has checksum {found[:12]}, its card says {wanted[:12]}: it was changed or torn; "
            f"`dvc checkout --force {folder}` or `dvc pull` brings the right bytes back"
        )
    return card, file
