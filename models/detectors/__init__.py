"""Detectors: networks that judge whether a picture was generated; one file a kind, listed in `KINDS`."""

from pathlib import Path

import torch

from assets.errors import AssayError, did_you_mean
from assets.params import Detector as Spec
from models.detectors import npr, timm_classifier
from models.detectors.detector import Detector, load_weights

KINDS = {"timm": timm_classifier.build, "npr": npr.build}
"""Kind -> what builds the detector of a specification: `build(spec, where)`."""


def build(spec: Spec, seed: int, where: str = "detector") -> Detector:
    """The detector of a specification, at the start of its training.

    Args: seed: all that a random start depends on; where: what begins an error message, e.g.
        `detectors.resnet18`.
    Raises:
        AssayError: an unknown kind or model id, a crop that the network cannot take, starting weights
            that cannot be had or do not fit.
    """
    check(spec, where)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        detector = KINDS[spec.kind](spec, where)
    if spec.weights not in ("none", "timm"):
        load_weights(detector, Path(spec.weights), new_head=True)
    _try(detector, spec, where)
    return detector


def _try(detector: Detector, spec: Spec, where: str) -> None:
    """Show the network one black picture: some fail on small crops only when they run."""
    problem = "it does not give one number a picture"
    try:
        if detector.score(torch.zeros(1, 3, spec.crop, spec.crop, dtype=torch.uint8)).shape == (1,):
            return
    except (AssertionError, IndexError, RuntimeError, ValueError) as error:
        problem = str(error).split("\n")[0]
    raise AssayError(f"{where}: {spec.model} does not work on a crop of {spec.crop} px: {problem}")


def check(spec: Spec, where: str) -> None:
    """Refuse what no detector can be built from, without building one.

    Raises:
        AssayError: an unknown kind, a model id that timm does not have, weights of no known form.
    """
    if spec.kind not in KINDS:
        raise AssayError(f"{where}.kind: unknown kind '{spec.kind}'; {did_you_mean(spec.kind, KINDS)}")
    if spec.weights not in ("none", "timm") and not spec.weights.endswith(".safetensors"):
        allowed = did_you_mean(spec.weights, ["none", "timm", "FILE.safetensors"])
        raise AssayError(f"{where}.weights is '{spec.weights}': {allowed}")
    timm_classifier.check_model(spec.model, where)
