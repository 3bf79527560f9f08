"""A trained detector as an ONNX file with a card: for programs that do not have this code.

No stage: it writes no artifact.
"""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from assets.errors import AssayError, did_you_mean
from assets.files import replacing, sha256_of, write_text
from assets.images.loader import Pictures, read_side
from assets.items import image_folders
from assets.lineage import Lineage
from assets.machine import make_repeatable
from assets.params import REAL, Params
from assets.seeds import rng
from models.detectors.card import read_cards
from models.detectors.export import INPUT, OPSET, OUTPUT, TOLERANCE, difference, library, steps, write_onnx
from models.detectors.inputs import prepare
from models.detectors.trained import Trained, load_trained, trained_folder

_EACH = 16
"""Pictures of each sort that the file is checked with."""


class Exported(NamedTuple):
    """What was written."""

    onnx: Path
    card: Path
    difference: float
    """Largest difference of a logit between the file and PyTorch."""
    pictures: int
    """Checked with so many."""


def export_detector(
    root: Path, params: Params, name: str, trained_on: str | None, seed: int | None, out: Path
) -> Exported:
    """Write NAME-TRAINED_ON-sSEED.onnx and .json into the folder `out`.

    The file takes pixels (batch, 3, crop, crop) as uint8 and gives logits (batch,). The card says how a
    picture becomes those pixels, what the logits mean, and which weights they are.

    Args: trained_on: a generator or a set; None: the only one; seed: None: the first.
    Raises:
        AssayError: no such training, something that ONNX cannot express, onnx is not installed, or a logit
            that differs by more than `TOLERANCE`; nothing is written then.
    """
    for needed in ("onnx", "onnxscript", "onnxruntime"):
        library(needed)
    make_repeatable()
    trained_on, seed = _which(params, name, trained_on, seed)
    trained = load_trained(root, trained_on, name, seed)
    where = f"{name} trained on {trained_on}"
    pixels = _pixels(root, params, trained_on, trained)
    stem = f"{name}-{trained_on}-s{seed}"
    with tempfile.TemporaryDirectory() as place:
        made = Path(place) / "made.onnx"
        write_onnx(trained.detector, trained.spec.crop, made, where)
        largest = difference(trained.detector, made, pixels)
        if not largest <= TOLERANCE:
            raise AssayError(
                f"{where} cannot be written as ONNX: its logits there differ from PyTorch's by up to "
                f"{largest:.3g}, and at most {TOLERANCE:g} is allowed"
            )
        check = {"pictures": len(pixels), "largest_difference": largest, "allowed": TOLERANCE}
        card = _card(root, trained, made, f"{stem}.onnx", check)
        text = json.dumps(card, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        with replacing(out / f"{stem}.onnx") as temporary:
            shutil.copyfile(made, temporary)
        write_text(out / f"{stem}.json", text)
    return Exported(out / f"{stem}.onnx", out / f"{stem}.json", largest, len(pixels))


def _which(params: Params, name: str, trained_on: str | None, seed: int | None) -> tuple[str, int]:
    if name in params.given or name in params.attributors:
        kind = "was made elsewhere" if name in params.given else "says which generator"
        raise AssayError(f"{name} {kind}: what is exported are detectors that are trained here")
    if name not in params.detectors:
        raise AssayError(f"unknown detector '{name}'; {did_you_mean(name, params.detectors)}")
    if trained_on is None and len(params.sources) == 1:
        (trained_on,) = params.sources
    if trained_on not in params.sources:
        missing = "--trained-on is missing" if trained_on is None else f"nothing is trained on '{trained_on}'"
        raise AssayError(f"{missing}; {did_you_mean(trained_on or '', params.sources)}")
    if seed is not None and seed not in params.train.seeds:
        raise AssayError(f"--seed {seed}: the seeds are {', '.join(map(str, params.train.seeds))}")
    return trained_on, params.train.seeds[0] if seed is None else seed


def _pixels(root: Path, params: Params, trained_on: str, trained: Trained) -> torch.Tensor:
    """What the file is checked with: noise, real and generated test pictures as the detector sees them."""
    side, view = trained.spec.crop, trained.spec.view
    seen = [*rng("export").integers(0, 256, (_EACH, 3, side, side), dtype=np.uint8)]
    for item in (REAL, params.sources[trained_on][0]):
        pictures = Pictures(image_folders(root, params, item))
        test = read_side(root / "artifacts" / "split" / item, "test")
        readable = [image for image in test["id"] if pictures.reason(image) is None]
        seen += [prepare(pictures.pixels(image), side, view) for image in readable[:_EACH]]
    return torch.from_numpy(np.stack(seen))


def _card(root: Path, trained: Trained, file: Path, name: str, check: dict[str, Any]) -> dict[str, Any]:
    card, spec, detector = trained.card, trained.spec, trained.detector
    threshold = float(card["threshold"])
    sha256 = sha256_of(file)
    method = read_cards().get(card["detector"])
    options = {"pixels": "bytes"}
    shown = {"resize", "squash", "interpolation", "small"}
    view = spec.view.model_dump(mode="json", include=shown, exclude_defaults=True)
    return {
        "detector": card["detector"],
        "kind": spec.kind,
        "model": spec.model,
        "trained_on": card["trained_on"],
        "seed": card["seed"],
        "file": {"name": name, "sha256": sha256, "opset": OPSET},
        "input": {
            "name": INPUT,
            "shape": ["batch", 3, spec.crop, spec.crop],
            "type": "uint8",
            "range": [0, 255],
            "steps": steps(spec.crop, spec.view),
            "inside_the_file": {
                "divide_by": 255,
                "mean": [round(float(value), 8) for value in detector.mean.flatten()],
                "std": [round(float(value), 8) for value in detector.std.flatten()],
            },
        },
        "output": {
            "name": OUTPUT,
            "shape": ["batch"],
            "type": "float32",
            "meaning": "logit: P(generated) = 1 / (1 + exp(-logit)), not calibrated",
            "labels": {"0": "real", "1": "generated"},
            "threshold": threshold,
            "rule": f"generated if the logit is above {threshold:.6g}, the best on val; else real",
        },
        "val": card.get("val"),
        "weights": card["weights"],
        **_hashes(root, trained),
        "check": {**check, "with": f"onnxruntime {library('onnxruntime').__version__}, on the CPU"},
        "licence": {
            "method": method.licence if method else None,
            "note": "The weights were made from the images named under trained_on, and perhaps from "
            "pretrained weights: the terms of both apply.",
        },
        "given": {
            "kind": "onnx",
            "weights": name,
            "sha256": sha256,
            "crop": spec.crop,
            **({"view": view} if view else {}),
            "options": options,
            "threshold": "val",
        },
        "versions": {"torch": torch.__version__, "onnx": library("onnx").__version__},
    }


def _hashes(root: Path, trained: Trained) -> dict[str, str | None]:
    """The stage that made the weights, and its hashes; null where dvc.lock does not tell."""
    card = trained.card
    folder = trained_folder(Path(), card["trained_on"], card["detector"], card["seed"])
    try:
        lineage = Lineage(root)
        stage = lineage.of_path(folder.as_posix())
        return {"stage": stage, **lineage.stage(stage).as_dict()}
    except AssayError:
        return {"stage": None, "lineage": None, "recipe": None}
