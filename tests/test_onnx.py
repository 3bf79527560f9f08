"""ONNX files as detectors: written with PyTorch and by hand, and everything that is refused."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from assets.detection import Detector as Spec
from assets.detection import Given
from assets.errors import AssayError
from assets.files import sha256_of
from models.detectors import build
from models.detectors.export import difference, steps, write_onnx

FILE = Path("theirs.onnx")
WEIGHT = np.linspace(-1, 1, 3 * 32 * 32, dtype=np.float32).reshape(-1, 1)


def pixels(count: int = 5) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, 3, 32, 32), np.uint8))


def write(
    shape: Any = ("batch", 3, 32, 32),
    kind: int = TensorProto.FLOAT,
    answer: str = "sum",
    domain: str = "",
    inputs: int = 1,
    outputs: int = 1,
) -> None:
    """A file that gives WEIGHT times the pixels, made without PyTorch."""
    nodes = [
        helper.make_node("Cast", ["pixels"], ["values"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["values"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["sum"]),
        helper.make_node("Neg", ["sum"], ["minus"]),
        helper.make_node("Concat", ["minus", "sum"], ["both"], axis=1),
        helper.make_node("Concat", ["both", "sum"], ["three"], axis=1),
    ]
    if domain:
        nodes.append(helper.make_node("Strange", ["sum"], ["odd"], domain=domain))
    graph = helper.make_graph(
        nodes,
        "theirs",
        [helper.make_tensor_value_info("pixels", kind, shape)]
        + [helper.make_tensor_value_info("second", kind, shape)] * (inputs - 1),
        [helper.make_tensor_value_info(answer, TensorProto.FLOAT, None)]
        + [helper.make_tensor_value_info("flat", TensorProto.FLOAT, None)] * (outputs - 1),
        [numpy_helper.from_array(np.resize(WEIGHT / 100, (math.prod(shape[1:]), 1)), "weight")],
    )
    opsets = [helper.make_opsetid("", 17), *([helper.make_opsetid(domain, 1)] if domain else [])]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), FILE)


def given(**values: Any) -> Given:
    options = {"pixels": "unit", **values.pop("options", {})}
    return Given.model_validate(
        {"kind": "onnx", "weights": str(FILE), "crop": 32, "options": options, **values}
    )


def refusal(**values: Any) -> str:
    with pytest.raises(AssayError) as caught:
        build(given(**values), 0, "given.theirs")
    return str(caught.value)


def expected(values: torch.Tensor) -> np.ndarray:
    return (values.reshape(len(values), -1).double().numpy() @ WEIGHT.astype(float) / 100)[:, 0]


@pytest.mark.parametrize("batch", ["batch", 1, 2, 8])
def test_scores_are_those_of_the_file_whatever_batch_it_is_made_for(workdir: Path, batch: Any) -> None:
    write((batch, 3, 32, 32))
    detector = build(given(), 0)
    for count in (1, 2, 5):
        found = detector.score(pixels(count))
        assert found.shape == (count,) and np.allclose(found, expected(pixels(count) / 255), atol=1e-4)


def test_bytes_and_other_numbers(workdir: Path) -> None:
    write(kind=TensorProto.UINT8)
    found = build(given(options={"pixels": "bytes"}), 0).score(pixels())
    assert np.allclose(found, expected(pixels()), rtol=1e-4, atol=1e-3)
    assert "that is `options: {pixels: bytes}`" in refusal()
    write(kind=TensorProto.FLOAT16)
    assert np.allclose(build(given(), 0).score(pixels()), expected(pixels() / 255), atol=0.02)


def test_two_answers_and_one_of_several_outputs(workdir: Path) -> None:
    write(answer="both", outputs=2)
    assert "options.output is missing: theirs.onnx has 2 outputs: both, flat" in refusal()
    assert "has no 'bath'; did you mean 'both'?" in refusal(options={"output": "bath"})
    found = build(given(options={"output": "both"}), 0).score(pixels())
    assert np.allclose(found, 2 * expected(pixels() / 255), atol=1e-4)


def test_exported_by_pytorch_and_taken_in_again(workdir: Path) -> None:
    spec = Spec(model="test_resnet", crop=32)
    detector = build(spec, 3)
    write_onnx(detector, 32, FILE, "small")
    assert difference(detector, FILE, pixels(7)) < 1e-4
    again = build(given(options={"pixels": "bytes"}), 0)
    assert np.allclose(again.score(pixels(7)), detector.score(pixels(7)), atol=1e-4)
    with torch.no_grad():
        detector.net.fc.weight.mul_(2)
    assert difference(detector, FILE, pixels(7)) > 1e-3


def test_what_onnx_cannot_express_is_one_message(workdir: Path) -> None:
    class Odd(nn.Module):
        def forward(self, values: torch.Tensor) -> torch.Tensor:
            return torch.linalg.svdvals(values[:, 0])[:, :1]

    detector = build(Spec(model="test_resnet", crop=32), 0)
    detector.net = Odd()
    with pytest.raises(AssayError, match=r"^odd cannot be written as ONNX: .+"):
        write_onnx(detector, 32, FILE, "odd")


def test_the_card_says_how_a_picture_becomes_pixels() -> None:
    plain = steps(64, Spec(model="x").view)
    assert "its shorter side is 64 px (bicubic" in plain[1] and "rounded down" in plain[2]
    view = Spec.model_validate({"model": "x", "view": {"resize": 256, "small": "tile"}}).view
    resized = steps(224, view)
    assert (
        "shorter side is 256 px" in resized[1] and "repeat it" in resized[2] and "half to even" in resized[3]
    )


def test_an_onnx_file_cannot_be_trained() -> None:
    spec = Spec.model_validate({"kind": "onnx", "weights": "x.onnx", "options": {"pixels": "unit"}})
    with pytest.raises(AssayError, match="cannot be trained here: put it under 'given'"):
        build(spec, 0, "detectors.theirs")
    timm = Spec.model_validate({"model": "test_resnet", "weights": "x.onnx"})
    with pytest.raises(AssayError, match=r"x.onnx needs `kind: onnx`"):
        build(timm, 0, "detectors.theirs")


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({"shape": ("batch", 3, 48, 48)}, "takes tensor(float) ['batch', 3, 48, 48]; 'crop' is 32"),
        ({"shape": ("batch", 32, 32, 3)}, "channels must come before height and width (NCHW)"),
        ({"shape": ("batch", 1, 32, 32)}, "it must take pictures (batch, 3, height, width)"),
        ({"shape": ("batch", 3072)}, "it must take pictures (batch, 3, height, width)"),
        ({"kind": TensorProto.INT64}, "it must take tensor(float) or"),
        ({"domain": "my.company"}, "operators that are not ONNX's own, first my.company.Strange"),
        ({"inputs": 2}, "has 2 inputs (pixels, second), not one"),
        ({"answer": "three"}, "it gives (1, 3), not 1 or 2 number(s) for each"),
    ],
)
def test_files_of_another_kind(workdir: Path, made: Any, message: str) -> None:
    write(**made)
    assert message in refusal()


def test_files_that_are_not_whole(workdir: Path) -> None:
    assert "theirs.onnx is not there" in refusal()
    write()
    assert "not 0000" in refusal(sha256="0" * 64)
    build(given(sha256=sha256_of(FILE)), 0)
    model = onnx.load(FILE)
    onnx.save(model, FILE, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert "keeps 1 of its weights in other files, first weight" in refusal()
    FILE.write_bytes(b"not a network")
    assert "theirs.onnx is no ONNX file, or damaged" in refusal()
    assert "is 'theirs.pth': kind onnx needs FILE.onnx" in refusal(weights="theirs.pth")
    assert "leave out 'model'" in refusal(model="resnet18")


def test_weights_inside_a_branch_are_found_too(workdir: Path) -> None:
    write()
    model = onnx.load(FILE)
    branch = helper.make_graph(
        [helper.make_node("Identity", ["inner"], ["out"])],
        "branch",
        [],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(WEIGHT, "inner")],
    )
    branch.initializer[0].data_location = TensorProto.EXTERNAL
    condition = numpy_helper.from_array(np.array(True), "yes")
    model.graph.initializer.append(condition)
    model.graph.node.append(
        helper.make_node("If", ["yes"], ["either"], then_branch=branch, else_branch=branch)
    )
    FILE.write_bytes(model.SerializeToString())
    assert "keeps 2 of its weights in other files, first inner" in refusal()
