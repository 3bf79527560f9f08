"""Detectors: networks that judge whether a picture was generated, or by what.

Each kind is one file of `kinds/`, found by its name. Such a file holds

    MODEL: str | None                 the timm model id taken where `model` is null; None: it must be named;
                                      "": there is none to name
    class Options(Section)            what `options` may hold (absent: nothing)
    check(spec, options, where)       refuses what it can without building (absent: nothing more)
    build(spec, options, outputs, where) -> Detector
                                      the network at its random start, drawn from torch's generator

`build` here adds the checks, the seed and the starting weights.
"""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assets.code import code_digest
from assets.detection import NONE, SCORES, TIMM, Judge
from assets.errors import AssayError, did_you_mean
from assets.section import Section, checked_options

if TYPE_CHECKING:  # torch takes seconds to load, and the cards beside this file are read without it
    from models.detectors.detector import Detector

KINDS = tuple(
    sorted(path.stem for path in Path(__file__).with_name("kinds").glob("*.py") if path.stem != "__init__")
)
LISTED = (
    "detectors",
    "detectors.detector",
    "detectors.inputs",
    "detectors.starting",
    "detectors.nets.timm_net",
    "checkpoint",
)
"""Modules that every stage with detectors depends on by name."""


def build(
    spec: Judge, seed: int, where: str = "detector", outputs: int = 1, start: Path | None = None
) -> "Detector":
    """The detector of a specification, at the start of its training.

    Args: seed: all that a random start depends on; where: what begins an error message, e.g.
        `detectors.resnet18`; outputs: 1 for real-or-generated, else the number of classes that an
        attributor tells apart; start: a file that `starting.write_start` wrote; None: random.
    Raises:
        AssayError: an unknown kind, option or model id, a crop that the network cannot take, starting
            weights that do not fit.
    """
    import torch

    from models.detectors.starting import read_start

    options = check(spec, where)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        detector = _module(spec.kind).build(resolved(spec), options, outputs, where)
    if start is not None:
        detector.begin_from(read_start(start), f"{where}.weights")
    _try(detector, spec, where, outputs)
    return detector


def check(spec: Judge, where: str) -> Any:
    """Refuse what no detector can be built from, without building one; returns the kind's own options.

    Raises:
        AssayError: an unknown kind, a model id that timm does not have, an unknown option, weights of no
            known form.
    """
    from models.detectors.starting import known_model

    if spec.kind == SCORES:
        raise AssayError(f"{where}.kind: a table of scores is no network: it goes under 'given'")
    if spec.kind not in KINDS:
        raise AssayError(f"{where}.kind: unknown kind '{spec.kind}'; {did_you_mean(spec.kind, KINDS)}")
    if spec.weights not in (NONE, TIMM) and not spec.weights.endswith(SUFFIXES):
        allowed = did_you_mean(spec.weights, [NONE, TIMM, "FILE.safetensors", "FILE.pth"])
        raise AssayError(f"{where}.weights is '{spec.weights}': {allowed}")
    module = _module(spec.kind)
    if spec.model is None and getattr(module, "MODEL", None) is None:
        raise AssayError(f"{where}.model is missing: the timm model id, e.g. resnet50")
    known_model(resolved(spec).model, where)
    options = checked_options(getattr(module, "Options", Section), spec.options, f"{where}.options")
    if hasattr(module, "check"):
        module.check(spec, options, where)
    elif spec.weights.endswith(".onnx"):
        raise AssayError(f"{where}.weights: {spec.weights} needs `kind: onnx`, under 'given'")
    return options


SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt", ".onnx")
"""Of files that `weights` can name."""


def resolved(spec: Judge) -> Any:
    """The specification with the kind's own model where none is named."""
    return spec if spec.model else spec.model_copy(update={"model": _module(spec.kind).MODEL})


def code_of(kind: str) -> str:
    """Hash of the code that is this kind's alone."""
    return code_digest([f"detectors.kinds.{kind}"], but_not=LISTED)


def _module(kind: str) -> Any:
    return importlib.import_module(f"models.detectors.kinds.{kind}")


def _try(detector: "Detector", spec: Judge, where: str, outputs: int) -> None:
    """Show the network one black picture: some fail on small crops only when they run."""
    import torch

    shape = (1,) if outputs == 1 else (1, outputs)
    problem = f"it does not give {outputs} number{'s' * (outputs > 1)} a picture"
    try:
        if detector.score(torch.zeros(1, 3, spec.crop, spec.crop, dtype=torch.uint8)).shape == shape:
            return
    except (AssertionError, IndexError, RuntimeError, ValueError) as error:
        problem = str(error).split("\n")[0]
    name = resolved(spec).model or spec.kind
    raise AssayError(f"{where}: {name} does not work on a crop of {spec.crop} px: {problem}")
