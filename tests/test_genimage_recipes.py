"""The cards of GenImage's seven detectors: they build, and say what the paper's code says."""

from typing import Any

import numpy as np
import pytest
import torch

from assets.detection import Detector as Spec
from models.detectors import build, check
from models.detectors.card import CARDS, read_card
from models.detectors.training.views import TrainView

WHITE = np.full((32, 32, 3), 255, np.uint8)
SEVEN = ("genimage_resnet50", "genimage_deit_s", "genimage_swin_t", "cnnspot", "spec", "f3net", "gramnet")


def recipe(name: str) -> Spec:
    return read_card(CARDS / f"{name}.yaml").spec()


@pytest.mark.parametrize("name", SEVEN)
def test_quick_entries_build(name: str) -> None:
    spec = read_card(CARDS / f"{name}.yaml").spec(quick=True)
    detector = build(spec, 0, name).train()
    answers = detector.answers(torch.randint(0, 256, (2, 3, spec.crop, spec.crop), dtype=torch.uint8))
    assert answers.shape == (2, 1 if name == "cnnspot" else 2)
    assert sum(p.numel() for p in detector.parameters()) < 30e6
    assert spec.crop <= 64 and spec.epochs <= 10 and spec.weights == "none"


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("genimage_resnet50", 23_512_130),
        ("genimage_deit_s", 21_666_434),
        ("genimage_swin_t", 27_520_892),
        ("cnnspot", 23_510_081),
        ("spec", 21_285_698),
        ("f3net", 48_319_026),
        ("gramnet", 11_734_723),
    ],
)
def test_recipes_build_without_memory(name: str, count: int) -> None:
    """Parameters of the whole network; the convolutional ones are the authors', see their tests."""
    from models import detectors

    spec = recipe(name)
    options = check(spec, name)
    module: Any = detectors._module(spec.kind)
    with torch.device("meta"):
        net = module.build(detectors.resolved(spec), options, 1, name).net
    assert sum(p.numel() for p in net.parameters()) == count


@pytest.mark.parametrize("name", SEVEN)
def test_published_means_are_those_of_their_cells(name: str) -> None:
    """Tables 3 and 4 have eight cells and their mean, Table 5 six."""
    published = read_card(CARDS / f"{name}.yaml").published
    assert len(published) == 25
    for table, count in ((3, 8), (4, 8), (5, 6)):
        mean, *cells = [row.value for row in published if row.source == f"GenImage README, Table {table}"]
        assert len(cells) == count
        assert mean == pytest.approx(sum(cells) / count, abs=0.1)


@pytest.mark.parametrize("name", ["genimage_deit_s", "genimage_swin_t"])
def test_rates_of_the_transformers_are_linear_in_the_batch(name: str) -> None:
    """5e-4 for a batch of 512 in main.py of DeiT and of Swin Transformer, as in GenImage at 746781b."""
    spec = recipe(name)
    assert spec.lr == pytest.approx(5e-4 * spec.batch / 512)
    assert (spec.epochs, spec.weight_decay, spec.view.training) == (300, 0.05, "resized-crop")


def test_the_head_of_cnnspot_begins_with_a_deviation_of_two_hundredths() -> None:
    spec = Spec.model_validate({"model": "resnet18", "crop": 32, "options": {"head_std": 0.02}})
    for outputs in (1, 40):
        detector: Any = build(spec, 0, outputs=outputs)
        weight = detector.net.fc.weight
        assert weight.std().item() == pytest.approx(0.02, rel=0.1) and abs(weight.mean().item()) < 0.002


def test_randaugment_at_full_strength_reduces_colours_to_none() -> None:
    """Old Pillow gave black for the 0 bits that timm's `inc1` then asks for; since it refuses them."""
    spec = Spec.model_validate(
        {"model": "resnet18", "crop": 32, "recipe": {"randaugment": "rand-m10-n9-inc1"}}
    )
    pictures: Any = type("Pictures", (), {"pixels": lambda self, image, smaller: smaller((32, 32)) * WHITE})()
    view = TrainView(pictures, spec, (0, "train"))
    seen = [view((epoch, 0, "image")) for epoch in range(40)]
    assert any(not picture.any() for picture in seen) and any(picture.any() for picture in seen)
