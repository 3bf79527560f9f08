"""Networks that a user's function returns: pinned by their code, built, trained, and what goes wrong."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from assets.detection import Detector as Spec
from assets.errors import AssayError
from models.detectors import build, check, code_of
from models.detectors.nets.own_code import code_pin

CODE = '''
import torch
from torch import nn
from helper_of_mine import WIDTH

class Net(nn.Module):
    def __init__(self, width, outputs):
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3, stride=2)
        self.head = nn.Linear(width, outputs)

    def forward(self, pixels):
        features = self.conv(pixels).relu()
        # `view` fails on channels-last memory
        return self.head(features.view(len(pixels), features.shape[1], -1).mean(2))

def build(width=WIDTH, outputs=1):
    return Net(width, outputs)

def flat():
    class Flat(Net):
        def forward(self, pixels):
            return super().forward(pixels)[:, 0]
    return Flat(4, 1)

class Mean(nn.Module):
    """Its answer is made from the pixels alone."""
    def __init__(self, count=1, sigmoid=False):
        super().__init__()
        self.count, self.sigmoid = count, sigmoid
    def forward(self, pixels):
        mean = pixels.mean((1, 2, 3))[:, None]
        both = torch.cat([-mean, mean], 1) if self.count == 2 else mean
        return (both.softmax(1) if self.count == 2 else both.sigmoid()) if self.sigmoid else both

def not_a_net():
    return {"weights": 1}

def raises():
    raise KeyError("no such key")

def of_another_shape():
    return Net(4, 5)

class Broken(nn.Module):
    def forward(self, pixels):
        raise OSError("my disk")

NUMBER = 3
'''


@pytest.fixture
def mine(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """my_own_net.py and a module that it imports, in the current folder."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    Path("my_own_net.py").write_text(CODE)
    Path("helper_of_mine.py").write_text("WIDTH = 8\n")
    yield Path("my_own_net.py")
    for name in ("my_own_net", "helper_of_mine"):
        sys.modules.pop(name, None)


def spec(function: str = "build", module: str = "my_own_net", **values: Any) -> Spec:
    code = code_pin(module, "") if Path(f"{module}.py").is_file() else "x"
    options = {"build": f"{module}:{function}", "code": code, "pixels": "unit", **values.pop("options", {})}
    return Spec.model_validate({"kind": "entry_point", "crop": 32, "options": options, **values})


def refusal(*arguments: Any, outputs: int = 1, **values: Any) -> str:
    with pytest.raises(AssayError) as caught:
        build(spec(*arguments, **values), 0, "detectors.mine", outputs)
    return str(caught.value)


def pixels(count: int = 3) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, 3, 32, 32), np.uint8))


def test_a_function_makes_a_detector_that_can_be_trained(mine: Path) -> None:
    first, again, other = build(spec(), 1), build(spec(), 1), build(spec(), 2)
    assert first(pixels()).shape == (3,)
    assert torch.equal(first(pixels()), again(pixels())) and not torch.equal(first(pixels()), other(pixels()))
    first(pixels()).sum().backward()
    assert all(parameter.grad is not None for parameter in first.parameters())
    assert build(spec(options={"arguments": {"width": 16}}), 1).net.conv.out_channels == 16
    assert build(spec("flat"), 1)(pixels()).shape == (3,)


def test_an_attributor_is_told_how_many_classes_there_are(mine: Path) -> None:
    assert build(spec(), 1, outputs=4)(pixels()).shape == (3, 4)
    assert "leave out 'scale'" in refusal(options={"scale": "probability"}, outputs=4)


@pytest.mark.parametrize(
    ("options", "view", "expected"),
    [
        ({"pixels": "bytes"}, {}, lambda values: values * 255),
        ({"pixels": "unit"}, {}, lambda values: values),
        ({"pixels": "normalised"}, {"normalise": "half"}, lambda values: values * 2 - 1),
    ],
)
def test_pixels_come_as_the_network_wants_them(mine: Path, options: Any, view: Any, expected: Any) -> None:
    detector = build(spec("Mean", options=options, view=view), 0)
    wanted = expected(pixels().double() / 255).mean((1, 2, 3)).numpy()
    assert np.allclose(detector.score(pixels()), wanted, atol=1e-4)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("higher_means", ["generated", "real"])
def test_probabilities_and_swapped_classes_become_the_same_logits(
    mine: Path, count: int, higher_means: str
) -> None:
    def scores(sigmoid: bool) -> np.ndarray:
        options = {"arguments": {"count": count, "sigmoid": sigmoid}, "higher_means": higher_means}
        return build(
            spec("Mean", options={**options, "scale": "probability" if sigmoid else "logit"}), 0
        ).score(pixels())

    mean = (pixels().double() / 255).mean((1, 2, 3)).numpy() * count
    assert np.allclose(scores(True), mean if higher_means == "generated" else -mean, atol=1e-4)
    assert np.allclose(scores(True), scores(False), atol=1e-4)


def test_probabilities_of_nought_and_one_are_finite_and_the_surest(mine: Path) -> None:
    options = {"pixels": "bytes", "arguments": {"sigmoid": True}, "scale": "probability"}
    (logit,) = build(spec("Mean", options=options), 0).score(torch.full((1, 3, 32, 32), 255))
    assert 100 < logit < 200


def test_what_is_no_probability_is_refused(mine: Path) -> None:
    options = {"pixels": "bytes", "scale": "probability"}
    with pytest.raises(ValueError, match="it gives 255, which is no probability"):
        build(spec("Mean", options=options), 0).score(torch.full((1, 3, 32, 32), 255))


def test_its_code_is_pinned_with_what_it_imports(mine: Path) -> None:
    pinned = spec()
    build(pinned, 0)
    Path("helper_of_mine.py").write_text("WIDTH = 16\n")
    with pytest.raises(AssayError) as caught:
        check(pinned, "detectors.mine")
    now = code_pin("my_own_net", "")
    assert f"is now '{now}', not '{pinned.options['code']}'" in str(caught.value)
    Path("unrelated.py").write_text("1")
    assert code_pin("my_own_net", "") == now
    missing = pinned.model_copy(
        update={"options": {key: value for key, value in pinned.options.items() if key != "code"}}
    )
    with pytest.raises(AssayError, match=f"code is missing: .*\n  code: {now}"):
        check(missing, "detectors.mine")


def test_a_package_is_pinned_with_all_its_files(mine: Path) -> None:
    Path("pack/inner").mkdir(parents=True)
    Path("pack/__init__.py").write_text("")
    Path("pack/inner/net.py").write_text("import my_own_net")
    before = code_pin("pack.inner.net", "")
    mine.write_text(CODE + "\n# another word")
    assert code_pin("pack.inner.net", "") != before


def test_an_installed_package_is_pinned_by_its_version() -> None:
    import timm

    assert code_pin("timm.models", "") == f"timm {timm.__version__}"


def test_checking_runs_nothing(mine: Path) -> None:
    mine.write_text("raise SystemExit")
    check(spec(), "detectors.mine")
    assert "my_own_net" not in sys.modules


def test_the_kinds_own_code_is_hashed_with_what_it_uses() -> None:
    assert len({code_of("entry_point"), code_of("onnx"), code_of("timm")}) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("biuld",), "my_own_net has no 'biuld'; did you mean 'build'?"),
        (("NUMBER",), "my_own_net:NUMBER is a int, no function"),
        (("not_a_net",), "my_own_net:not_a_net returns a dict, not a torch.nn.Module"),
        (("raises",), "raises() raised KeyError: 'no such key'"),
        (("of_another_shape",), "of 2 pictures it gives (2, 5), not 1 or 2 number(s) for each"),
        (("Broken",), "my_own_net:Broken does not work on pictures of 32 px: OSError: my disk"),
        (("build", "no_such_module_here"), "there is no module 'no_such_module_here' in "),
        (("no function",), "is 'my_own_net:no function': write package.module:function"),
    ],
)
def test_what_goes_wrong_is_one_message(mine: Path, arguments: Any, message: str) -> None:
    assert message in refusal(*arguments)


def test_code_that_cannot_be_imported(mine: Path) -> None:
    mine.write_text("import no_such_library")
    assert (
        "my_own_net cannot be imported: ModuleNotFoundError: No module named 'no_such_library'" in refusal()
    )
    sys.modules.pop("my_own_net", None)
    mine.write_text("def build(:")
    assert "my_own_net cannot be imported: SyntaxError" in refusal()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"options": {"arguments": {"with": 3}}}, "build(with=3) raised TypeError"),
        ({"model": "resnet18"}, "leave out 'model'"),
        ({"weights": "timm"}, "leave out 'model', and 'weights: timm'"),
        ({"options": {"pixels": "normalised"}}, "say by which mean and deviation"),
        ({"view": {"normalise": "clip"}}, "goes with `pixels: normalised`, not with 'unit'"),
        ({"options": {"pixels": "yes"}}, "options: pixels is 'yes'"),
    ],
)
def test_settings_that_do_not_go_together(mine: Path, values: Any, message: str) -> None:
    assert message in refusal(**values)
