"""Kind `onnx`: a network in an ONNX file, scored by onnxruntime, for `given` alone: it cannot be trained.

given:
  theirs:
    kind: onnx
    weights: theirs.onnx
    sha256: ...                        # leave it out once, and the message says what to write
    crop: 224
    view: {normalise: imagenet}
    options: {pixels: normalised}
"""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from assets.detection import Given, Judge
from assets.errors import AssayError, did_you_mean
from assets.files import sha256_of
from assets.machine import device
from models.detectors.nets.outside import Outside, Reading

MODEL = ""
_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}
"""What an input may take, as onnxruntime calls it."""
_STANDARD = {"", "ai.onnx", "ai.onnx.ml"}
"""Sets of operators that every runtime has."""


class Options(Reading):
    """What `options` may hold."""

    output: str | None = None
    """The output that holds the answer; null: the only one."""


def check(spec: Judge, options: Options, where: str) -> None:
    """Refuse what can be refused without loading the network.

    Raises:
        AssayError: it is to be trained, a timm model, no .onnx file, onnxruntime is not installed.
    """
    if not isinstance(spec, Given):
        raise AssayError(
            f"{where}: an ONNX file cannot be trained here: put it under 'given', where it is only scored"
        )
    if spec.model:
        raise AssayError(f"{where}.model: the ONNX file holds the network: leave out 'model'")
    if not spec.weights.endswith(".onnx"):
        raise AssayError(f"{where}.weights is '{spec.weights}': kind onnx needs FILE.onnx")
    _library("onnx", where)
    _library("onnxruntime", where)


def build(spec: Judge, options: Options, outputs: int, where: str) -> Outside:
    """The network in the file.

    Raises:
        AssayError: it is not there, not that of `sha256`, damaged, spread over several files, needs
            operators of its makers, or takes or gives something else.
    """
    path = Path(spec.weights)
    if not path.is_file():
        raise AssayError(f"{where}.weights: {path} is not there; put it there, or name another")
    if spec.sha256 is not None and (found := sha256_of(path)) != spec.sha256:
        raise AssayError(f"{where}.weights: {path} has SHA-256 {found}, not {spec.sha256} as `sha256` says")
    _check_file(path, where)
    net = OnnxNet(path, options.output, where)
    if wrong := _misfit(net, spec, options):
        raise AssayError(f"{where}: {path} takes {net.input.type} {net.input.shape}; {wrong}")
    return Outside(net, spec, options, outputs, where)


class OnnxNet(nn.Module):
    """An ONNX file as a network (B, 3, H, W) -> (B, ...), for any B; it computes without gradients."""

    def __init__(self, path: Path, output: str | None, where: str) -> None:
        super().__init__()
        runtime = _library("onnxruntime", where)
        settings = runtime.SessionOptions()
        settings.intra_op_num_threads = settings.inter_op_num_threads = 1  # as assets.machine.make_repeatable
        settings.use_deterministic_compute = True
        settings.log_severity_level = 4  # what goes wrong is raised
        name, _, number = device().partition(":")
        providers: list[Any] = ["CPUExecutionProvider"]
        if name == "cuda" and "CUDAExecutionProvider" in runtime.get_available_providers():
            providers = [("CUDAExecutionProvider", {"device_id": int(number or 0)}), *providers]
        try:
            self.session = runtime.InferenceSession(str(path), settings, providers=providers)
        except Exception as error:  # onnxruntime raises classes of its own
            raise AssayError(f"{where}.weights: onnxruntime cannot load {path}: {_line(error)}") from None
        inputs, outputs = self.session.get_inputs(), self.session.get_outputs()
        names = [found.name for found in outputs]
        if len(inputs) != 1:
            listed = ", ".join(found.name for found in inputs) or "none"
            raise AssayError(f"{where}.weights: {path} has {len(inputs)} inputs ({listed}), not one")
        if output is None and len(names) != 1:
            raise AssayError(
                f"{where}.options.output is missing: {path} has {len(names)} outputs: {', '.join(names)}"
            )
        if output is not None and output not in names:
            raise AssayError(
                f"{where}.options.output: {path} has no '{output}'; {did_you_mean(output, names)}"
            )
        self.input = inputs[0]
        self.output = output or names[0]

    def forward(self, values: Tensor) -> Tensor:
        """Raises ValueError when the network fails."""
        array = values.cpu().numpy().astype(_TYPES[self.input.type])
        most = self.input.shape[0] if isinstance(self.input.shape[0], int) else len(array)
        pieces = [array[first : first + most] for first in range(0, len(array), most)]
        try:
            answers = [self._run(piece, most) for piece in pieces]
        except Exception as error:
            raise ValueError(_line(error)) from None
        return torch.from_numpy(np.concatenate(answers)).to(values.device)

    def _run(self, piece: np.ndarray, rows: int) -> np.ndarray:
        """The answer to at most `rows` pictures; a file with a fixed batch gets black ones to fill up."""
        filled = np.concatenate([piece, np.zeros((rows - len(piece), *piece.shape[1:]), piece.dtype)])
        answer = np.asarray(self.session.run([self.output], {self.input.name: filled})[0])
        return answer[: len(piece)] if answer.ndim else answer[None]


def _misfit(net: OnnxNet, spec: Judge, options: Options) -> str:
    """What is wrong with the input of a file, in words; empty: nothing."""
    shape, side = net.input.shape, spec.crop
    if len(shape) == 4 and shape[3] == 3 and shape[1] != 3:
        return "the channels must come before height and width (NCHW): export it anew"
    if len(shape) != 4 or (isinstance(shape[1], int) and shape[1] != 3):
        return "it must take pictures (batch, 3, height, width)"
    if any(isinstance(length, int) and length != side for length in shape[2:]):
        return f"'crop' is {side}"
    if net.input.type not in _TYPES:
        return f"it must take {' or '.join(_TYPES)}"
    if net.input.type == "tensor(uint8)" and options.pixels != "bytes":
        return "that is `options: {pixels: bytes}`"
    return ""


def _check_file(path: Path, where: str) -> None:
    """Refuse a file that is damaged, not whole, or that needs operators which are not ONNX's.

    Raises:
        AssayError: as said.
    """
    onnx = _library("onnx", where)
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf's own
        raise AssayError(f"{where}.weights: {path} is no ONNX file, or damaged: {_line(error)}") from None
    nodes, tensors = _contents(model.graph)
    for function in model.functions:
        for node in function.node:
            inner, constants = _of_node(node)
            nodes, tensors = [*nodes, *inner], [*tensors, *constants]
    outside = [tensor.name for tensor in tensors if tensor.data_location == onnx.TensorProto.EXTERNAL]
    if outside:
        raise AssayError(
            f"{where}.weights: {path} keeps {len(outside)} of its weights in other files, first "
            f"{outside[0]}: make it one file, with onnx.save(onnx.load(FILE), NEW)"
        )
    own = {(function.domain, function.name) for function in model.functions}
    custom = [
        node for node in nodes if node.domain not in _STANDARD and (node.domain, node.op_type) not in own
    ]
    if custom:
        raise AssayError(
            f"{where}.weights: {path} needs operators that are not ONNX's own, first "
            f"{custom[0].domain}.{custom[0].op_type}: export it without them"
        )


def _contents(graph: Any) -> tuple[list[Any], list[Any]]:
    """All nodes and all tensors of a graph and of the graphs inside it."""
    nodes: list[Any] = []
    tensors = list(graph.initializer)
    for sparse in graph.sparse_initializer:
        tensors += [sparse.values, sparse.indices]
    for node in graph.node:
        inner, constants = _of_node(node)
        nodes += inner
        tensors += constants
    return nodes, tensors


def _of_node(node: Any) -> tuple[list[Any], list[Any]]:
    nodes, tensors = [node], []
    for attribute in node.attribute:
        tensors += [*attribute.tensors, *([attribute.t] if attribute.HasField("t") else [])]
        for graph in _graphs(attribute):
            inner, constants = _contents(graph)
            nodes += inner
            tensors += constants
    return nodes, tensors


def _graphs(attribute: Any) -> Iterator[Any]:
    yield from attribute.graphs
    if attribute.HasField("g"):
        yield attribute.g


def _library(name: str, where: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise AssayError(f"{where}: kind onnx needs {name}: pip install -e '.[onnx]'") from None


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
