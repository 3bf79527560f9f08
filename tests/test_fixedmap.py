"""Kind `fixedmap`: the mapping to the last bit, halves of a step, the public code's network."""

from pathlib import Path

import numpy as np
import pytest
import torch

from assets.detection import Detector as Spec
from assets.errors import AssayError
from models.detectors import build
from models.detectors.card import known_cards
from models.detectors.kinds.fixedmap import mapped
from models.detectors.starting import write_start
from tests.kinds import keeps_to_the_contract
from tests.released_weights import layout
from tests.test_npr import NPR_LAYOUT, authors_file, pictures

# Made with networks/resnet.py (resnet50, one class) and FixedMapping of data/datasets.py, both in
# detector_codes/BSF-main of github.com/HorizonTEL/AIGIBench at e9b95f8, as in tests/test_npr.py.
LOGITS = (1.3647846, 1.3646883)


def spec(**values: object) -> Spec:
    return Spec.model_validate({"kind": "fixedmap", "crop": 32, "model": "test_resnet", **values})


def test_it_keeps_to_the_contract() -> None:
    keeps_to_the_contract(spec())
    keeps_to_the_contract(spec(options={"short": False}))


def test_every_pixel_value_is_mapped_as_in_exact_arithmetic() -> None:
    """Integers alone: the nearest step of v is round(25 v / 64), a half to the even one."""
    levels = range(256)
    steps = [
        (25 * level // 64) + (25 * level % 64 > 32 or (25 * level % 64 == 32 and 25 * level // 64 % 2))
        for level in levels
    ]
    exact = [level - step * 2.56 for level, step in zip(levels, steps, strict=True)]
    ours = mapped(torch.arange(256) / 255) * 255
    assert np.allclose(ours.numpy(), exact, atol=2e-5)
    assert ours.abs().max() < 1.28001


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_halves_of_a_step_go_to_the_even_one(dtype: torch.dtype) -> None:
    halves = torch.tensor([32, 96, 160, 224], dtype=dtype) / 255
    assert torch.allclose(mapped(halves) * 255, torch.tensor([1.28, -1.28, 1.28, -1.28], dtype=dtype))


def test_brightness_is_gone_and_fine_structure_is_left() -> None:
    ramp = (torch.arange(256) / 255).view(1, 1, 1, 256)
    correlation = torch.corrcoef(torch.stack([ramp.flatten(), mapped(ramp).flatten()]))[0, 1]
    assert abs(correlation) < 0.05
    assert mapped(ramp).diff().abs().min() > 0.3 / 255  # neighbours always differ


def test_the_public_codes_file_gives_its_logits(workdir: Path) -> None:
    whole = spec(model="resnet50", weights="bsf.pth", crop=64)
    state = authors_file(spec(model="resnet50"))
    assert layout({name: value.shape for name, value in state.items()}) == NPR_LAYOUT
    torch.save(state, "bsf.pth")
    write_start(whole, Path("start.safetensors"), "d")
    detector = build(whole, 0, start=Path("start.safetensors"))
    assert np.allclose(detector.score(pictures()), LOGITS, atol=2e-6)


def test_what_does_not_fit_is_refused() -> None:
    for wrong, said in (
        (
            {"view": {"normalise": "clip"}},
            "d.view.normalise is 'clip': fixedmap maps pixel values as they are",
        ),
        ({"model": "test_vit"}, "d.model: fixedmap is made from a ResNet"),
        ({"weights": "timm"}, "d.weights: fixedmap has a stem and a head of its own"),
    ):
        with pytest.raises(AssayError, match=said):
            build(spec(**wrong), 0, "d")
    assert build(spec(model="test_vit", options={"short": False}), 0).outputs == 1


@pytest.mark.parametrize("quick", [False, True])
def test_its_card_builds(quick: bool) -> None:
    assert build(known_cards()["fixedmap"].spec(quick), 0).outputs == 1
