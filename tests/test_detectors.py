"""Detectors: their weights in and out, and the messages of mistakes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from assets.detection import Detector as Spec
from assets.errors import AssayError
from assets.files import sha256_of
from models.detectors import build, check, resolved
from models.detectors.detector import load_weights, save_weights, weights_digest
from models.detectors.starting import write_start


def spec(**values: object) -> Spec:
    return Spec.model_validate({"model": "test_resnet", "crop": 32, **values})


def begun(**values: object) -> Any:
    """A detector that starts from what its specification says, as the stages build it."""
    mine, path = spec(**values), Path("started.safetensors")
    check(mine, "detectors.mine")
    made = write_start(resolved(mine), path, "detectors.mine")
    return build(mine, 2, "detectors.mine", start=path if made else None)


def refusal(**values: object) -> str:
    with pytest.raises(AssayError) as caught:
        begun(**values)
    return str(caught.value)


@pytest.mark.parametrize(("kind", "model"), [("timm", "test_resnet"), ("timm", "test_vit")])
def test_build_is_decided_by_its_seed_and_gives_one_logit(kind: str, model: str) -> None:
    mine = spec(kind=kind, model=model)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, again, other = build(mine, 3), build(mine, 3), build(mine, 4)
    assert torch.equal(torch.rand(1), expected), "building disturbed torch's own generator"
    assert weights_digest(first) == weights_digest(again) != weights_digest(other)
    logits = first(torch.zeros(2, 3, 32, 32, dtype=torch.uint8))
    assert logits.shape == (2,) and logits.dtype == torch.float32


def test_pixels_are_normalised_as_the_model_states() -> None:
    detector = build(spec(model="resnet10t"), 0)
    pixels = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    values = (pixels.permute(0, 2, 3, 1) / 255 - mean) / std
    expected = detector.eval().net(values.permute(0, 3, 1, 2)).squeeze(1)
    assert torch.allclose(detector(pixels), expected, atol=1e-5)
    assert np.allclose(detector.score(pixels), expected.detach().numpy(), atol=1e-5)


def test_weights_round_trip_and_load_into_plain_timm(workdir: Path) -> None:
    detector = build(spec(), 1)
    save_weights(detector, Path("w.safetensors"))
    save_weights(detector, Path("again.safetensors"))
    assert Path("w.safetensors").read_bytes() == Path("again.safetensors").read_bytes()
    started = begun(weights="w.safetensors")
    assert weights_digest(started) == weights_digest(detector)
    timm.create_model("test_resnet", num_classes=1).load_state_dict(load_file("w.safetensors"))


def test_start_from_weights_with_another_head(workdir: Path) -> None:
    pretrained = timm.create_model("test_resnet", num_classes=1000)
    save_file(pretrained.state_dict(), "in1k.safetensors")
    detector = begun(weights="in1k.safetensors")
    assert torch.equal(detector.net.conv1[0].weight, pretrained.conv1[0].weight)
    assert detector.net.fc.weight.shape[0] == 1


def test_weights_of_another_network(workdir: Path) -> None:
    save_weights(build(spec(), 0), Path("w.safetensors"))
    message = refusal(model="test_vit", weights="w.safetensors")
    assert message.startswith("detectors.mine.weights does not fit the network: ")
    assert "weights are missing, first " in message and "are not the network's, first " in message
    state = load_file("w.safetensors")
    state["bn1.weight"] = torch.ones(3)
    save_file(state, "shape.safetensors")
    with pytest.raises(AssayError, match=r"1 have another shape, first bn1.weight: \(3,\) instead of \("):
        load_weights(build(spec(), 0), Path("shape.safetensors"))


def test_weights_that_are_missing_or_torn(workdir: Path) -> None:
    assert refusal(weights="w.safetensors").startswith("detectors.mine.weights: w.safetensors is not there")
    Path("w.safetensors").write_bytes(b"torn")
    assert refusal(weights="w.safetensors").startswith("w.safetensors cannot be read")
    assert refusal(weights="tim").startswith("detectors.mine.weights is 'tim': did you mean 'timm'?")
    save_weights(build(spec(), 0), Path("w.safetensors"))
    found = sha256_of(Path("w.safetensors"))
    message = refusal(weights="w.safetensors", sha256="0" * 64)
    assert f"w.safetensors has SHA-256 {found}, not {'0' * 64} as `sha256` says" in message
    Path("started.safetensors").write_bytes(b"torn")
    with pytest.raises(AssayError, match=r"started\.safetensors cannot be read"):
        build(spec(weights="w.safetensors"), 0, start=Path("started.safetensors"))


def test_pretrained_weights_without_a_connection(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(workdir))
    message = refusal(model="resnet10t", weights="timm")
    assert message.startswith("detectors.mine.weights: timm's weights of resnet10t cannot be had")
    assert "`weights: FILE.safetensors`" in message and "https://huggingface.co/timm/resnet10t" in message


def test_mistakes_in_the_specification() -> None:
    assert "unknown kind 'tim'; did you mean 'timm'?" in refusal(kind="tim")
    message = refusal(model="resnet81")
    assert "detectors.mine.model: timm has no model 'resnet81'; near to it: resnet18" in message
    assert "timm has no weights 'best' of resnet18; it has resnet18." in refusal(model="resnet18.best")
    assert "timm has no pretrained weights of" in refusal(model=_without_weights(), weights="timm")
    assert "inception_v3 does not work on a crop of 32 px: Calculated" in refusal(model="inception_v3")
    assert "timm cannot build twins_svt_small for a crop of 40 px" in refusal(
        model="twins_svt_small", crop=40
    )


def _without_weights() -> str:
    return next(
        name
        for name in timm.list_models("resnet*")
        if not getattr(timm.get_pretrained_cfg(name), "has_weights", False)
    )
