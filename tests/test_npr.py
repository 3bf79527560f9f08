"""Kind `npr`: the residual, the authors' network and file, weights of other networks."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch.nn.functional import interpolate

from assets.detection import Detector as Spec
from assets.errors import AssayError
from models.detectors import build
from models.detectors.card import known_cards
from models.detectors.detector import weights_digest
from models.detectors.nets.residual import residual
from models.detectors.starting import write_start
from tests.kinds import keeps_to_the_contract
from tests.released_weights import filled, layout, shapes_of

# Made with networks/resnet.py (resnet50, one class) of github.com/chuangchuangtan/NPR-DeepfakeDetection at
# 73cde1c, with the weights of tests/released_weights.py, on a CPU, of the pictures below as its
# data/datasets.py normalises them.
NPR_LAYOUT = (146, 1447897, "1ef1896504b322bc620332482aafea5afc2868b44eb55c7eea51ec499ac29560")
NPR_LOGITS = (2.6916335, 2.7475522)
PICTURES = np.random.RandomState(0).randint(0, 256, (2, 64, 64, 3)).astype(np.uint8)


def pictures() -> torch.Tensor:
    """Two pictures of noise, (2, 3, 64, 64) uint8."""
    return torch.from_numpy(PICTURES.transpose(0, 3, 1, 2).copy())


def authors_file(spec: Spec) -> dict[str, torch.Tensor]:
    """A state dict as the authors save it: the classifier is `fc1`."""
    shapes = shapes_of(build(spec, 0).net)
    return filled({name.replace("fc.", "fc1."): shape for name, shape in shapes.items()})


def net_of(detector: Any) -> Any:
    """Its network, whose parts timm names."""
    return detector.net


def spec(**values: object) -> Spec:
    return Spec.model_validate({"kind": "npr", "crop": 32, "model": "test_resnet", **values})


def test_it_keeps_to_the_contract() -> None:
    keeps_to_the_contract(spec())


def test_it_sees_nothing_of_what_is_constant_over_two_pixels() -> None:
    blocks = torch.rand(1, 3, 8, 8).repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert not residual(blocks).any()
    values = torch.arange(15.0).view(1, 1, 3, 5)
    assert residual(values).tolist() == [[[[0, 1, 0, 1], [5, 6, 5, 6]]]]
    picture = torch.rand(1, 3, 16, 16)
    down = interpolate(picture, scale_factor=0.5, mode="nearest")
    assert torch.equal(residual(picture), picture - interpolate(down, scale_factor=2, mode="nearest"))


def test_the_authors_file_gives_the_authors_logits(workdir: Path) -> None:
    whole = spec(model="resnet50", weights="NPR.pth", crop=64)
    state = authors_file(spec(model="resnet50"))
    assert layout({name: value.shape for name, value in state.items()}) == NPR_LAYOUT
    torch.save(state, "NPR.pth")
    assert write_start(whole, Path("start.safetensors"), "d") is not None
    detector = build(whole, 0, start=Path("start.safetensors"))
    assert np.allclose(detector.score(pictures()), NPR_LOGITS, atol=2e-6)
    assert sum(weight.numel() for weight in detector.parameters()) == 1_437_761  # 1.44 million in the paper


def test_an_attributor_takes_all_but_the_classifier() -> None:
    state = authors_file(spec())
    detector = build(spec(), 0, outputs=7)
    detector.begin_from(state, "d.weights")
    net = net_of(detector)
    assert torch.equal(net.conv1.weight, state["conv1.weight"]) and net.fc.weight.shape[0] == 7


def test_other_peoples_weights_are_refused() -> None:
    whole = timm.create_model("test_resnet", num_classes=1)
    with pytest.raises(AssayError, match=r"^d.weights does not fit the network: .* are not the network's"):
        build(spec(), 0).begin_from(whole.state_dict(), "d.weights")
    for wrong, said in (
        ({"model": "test_vit"}, "d.model: npr is made from a ResNet, e.g. resnet50; test_vit is none"),
        ({"weights": "timm"}, "d.weights: npr has a stem and a head of its own"),
        ({"options": {"zero_lst": False}}, "did you mean 'zero_last'"),
    ):
        with pytest.raises(AssayError, match=said):
            build(spec(**wrong), 0, "d")


def test_blocks_begin_as_the_identity_unless_told_otherwise() -> None:
    """The start from which the shipped benchmark trains; a change of it changes its tables."""
    ours, authors = (net_of(build(spec(options={"zero_last": zero}), 0)) for zero in (True, False))
    assert not ours.layer1[0].bn2.weight.any() and authors.layer1[0].bn2.weight.eq(1).all()
    assert weights_digest(build(spec(model="resnet18"), 3)).startswith("6d68bf33349daae4")


@pytest.mark.parametrize("quick", [False, True])
def test_its_card_builds(quick: bool) -> None:
    assert build(known_cards()["npr"].spec(quick), 0).outputs == 1
