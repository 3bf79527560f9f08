"""A detector as one ONNX file that takes pixels as they are, for programs without this code."""

import importlib
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from assets.detection import View
from assets.errors import AssayError
from models.detectors.detector import Detector

INPUT, OUTPUT = "pixels", "logits"
OPSET = 20
TOLERANCE = 1e-3
"""Largest difference of a logit between the file and PyTorch."""
LARGEST = 2**31
"""Bytes of one ONNX file."""


class _Whole(nn.Module):
    """Pixels (B, 3, S, S) uint8 -> logits, with the normalisation inside."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, pixels: Tensor) -> Tensor:
        logits: Tensor = self.detector(pixels)
        return logits


def write_onnx(detector: Detector, side: int, path: Path, where: str) -> None:
    """Write a detector for pictures of one side and batches of any length.

    Raises:
        AssayError: onnx or onnxscript is not installed, the network is too large for one file, or does
            something that ONNX has no operator for.
    """
    for name in ("onnx", "onnxscript"):
        library(name)
    if sum(value.numel() * 4 for value in detector.net.state_dict().values()) >= LARGEST:
        raise AssayError(f"{where} has more than 2 GiB of weights, which one ONNX file cannot hold")
    example = torch.zeros(2, 3, side, side, dtype=torch.uint8)  # of one picture, a batch of one is assumed
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                _Whole(detector.cpu().eval()).eval(),
                (example,),
                path,
                input_names=[INPUT],
                output_names=[OUTPUT],
                opset_version=OPSET,
                dynamo=True,
                dynamic_shapes={"pixels": {0: torch.export.Dim("batch")}},
                external_data=False,
                verbose=False,
            )
    except Exception as error:  # the exporter wraps whatever went wrong in classes of its own
        raise AssayError(f"{where} cannot be written as ONNX: {_cause(error)}") from None


def difference(detector: Detector, path: Path, pixels: Tensor, batch: int = 16) -> float:
    """Largest absolute difference of a logit between a file and PyTorch, both on the CPU.

    Args: pixels: (N, 3, S, S) uint8.
    Raises:
        AssayError: onnxruntime is not installed or cannot run the file.
    """
    runtime = library("onnxruntime")
    settings = runtime.SessionOptions()
    settings.intra_op_num_threads = 1
    try:
        session = runtime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
        found = [session.run([OUTPUT], {INPUT: part.numpy()})[0] for part in pixels.split(batch)]
    except Exception as error:
        raise AssayError(f"onnxruntime cannot run what was written: {_cause(error)}") from None
    wanted = [detector.score(part) for part in pixels.split(batch)]
    return float(np.abs(np.concatenate(found) - np.concatenate(wanted)).max())


def steps(side: int, view: View) -> list[str]:
    """What to do to a picture before the file gets it, in order (assets.images.picture,
    models.detectors.inputs)."""
    how = f"{view.interpolation}, with antialiasing, as Pillow's resize does it"
    told = [
        "decode to RGB, 8 bits a channel: the first frame, turned as EXIF says, transparency over white, "
        "16-bit grey scaled to 8 bits"
    ]
    if view.resize is not None and view.squash:
        told.append(f"resize to {view.resize} x {view.resize} px, whatever the aspect was ({how})")
    elif view.resize is not None:
        told.append(f"resize so that the shorter side is {view.resize} px, keeping the aspect ({how})")
    small = {
        "enlarge": f"enlarge it until its shorter side is {side} px ({how})",
        "reflect": f"mirror it outwards, without repeating the border, until both sides are {side} px",
        "tile": f"repeat it until both sides are at least {side} px",
    }[view.small]
    told.append(f"if a side is shorter than {side} px: {small}")
    middle = f"({{}} - {side}) / 2, rounded " + ("down" if view.resize is None else "half to even")
    told.append(f"cut out {side} x {side} px in the centre: top = {middle.format('height')}, left likewise")
    told.append("arrange as (batch, 3, height, width), RGB, uint8, 0 to 255; the file does the rest")
    return told


def library(name: str) -> Any:
    """Import what only an export needs.

    Raises:
        AssayError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise AssayError(f"writing ONNX needs {name}: pip install -e '.[onnx]'") from None


def _cause(error: BaseException) -> str:
    """The first line of what went wrong first."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
