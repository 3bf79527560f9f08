"""Kind `ladeda`: the authors' network, a receptive field of 9 x 9 pixels, and the heat map."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from assets.detection import Detector as Spec
from assets.errors import AssayError
from models.detectors import build
from models.detectors.card import known_cards
from models.detectors.heat import drawn, heat_of, write_heat
from models.detectors.kinds.ladeda import LadedaDetector
from models.detectors.starting import write_start
from tests.conftest import textured
from tests.kinds import keeps_to_the_contract
from tests.released_weights import filled, layout, shapes_of
from tests.test_npr import pictures

# Made with networks/LaDeDa.py (LaDeDa9, one class) of
# github.com/barcavia/RealTime-DeepfakeDetection-in-the-RealWorld at e734562, its arguments put in an order
# that Python takes, as in tests/test_npr.py: logits of two pictures; patches of the first (rows 0, 1, columns
# 0 to 2) and the last one of the second; and the mean absolute value of its four gradients of these pictures.
LAYOUT = (321, 13694966, "2ed9d22a93165bfe2d6e57b227d3aac12fc617d227674ac4dbdb145fcad06b4a")
LOGITS = (7.0149865, 6.8541045)
PATCHES = ((6.3989458, 6.6557732, 7.3321924), (7.6090465, 5.8296919, 5.7354078))
LAST_PATCH = 5.9721661
GRADIENTS = {"rows": 3.55969987, "columns": 3.52998704, "rising": 3.53708373, "falling": 3.55124232}
SMALL = {"width": 4, "depths": (1, 2, 1, 1)}


def made(outputs: int = 1, seed: int = 0, **values: object) -> LadedaDetector:
    """A small one."""
    detector = build(spec(**values), seed, outputs=outputs)
    assert isinstance(detector, LadedaDetector)
    return detector


def spec(**values: object) -> Spec:
    return Spec.model_validate({"kind": "ladeda", "crop": 32, "options": SMALL, **values})


def test_it_keeps_to_the_contract() -> None:
    keeps_to_the_contract(spec())


def test_the_authors_file_gives_the_authors_logits_and_patches(workdir: Path) -> None:
    whole = spec(crop=64, options={}, weights="WildRF_LaDeDa.pth")
    shapes = shapes_of(build(whole, 0).net)
    assert layout(shapes) == LAYOUT
    torch.save(filled(shapes), "WildRF_LaDeDa.pth")
    write_start(whole, Path("start.safetensors"), "d")
    detector = build(whole, 0, start=Path("start.safetensors"))
    assert np.allclose(detector.score(pictures()), LOGITS, atol=1e-5)
    assert isinstance(detector, LadedaDetector)
    heat = detector.heat_map(pictures())
    assert heat.shape == (2, 7, 7) and heat.dtype == np.float32
    assert np.allclose(heat[0, :2, :3], PATCHES, atol=2e-5) and np.isclose(heat[1, -1, -1], LAST_PATCH)
    assert np.allclose(heat.mean((1, 2)), LOGITS, atol=1e-5)
    assert sum(weight.numel() for weight in detector.parameters()) == 13_641_793


@pytest.mark.parametrize("sees", GRADIENTS)
def test_gradients_are_the_authors(sees: str) -> None:
    detector = build(spec(options={**SMALL, "sees": sees}), 0)
    with torch.autocast("cpu", torch.bfloat16):  # which does not round them
        seen = detector.seen((pictures().float() / 255 - detector.mean) / detector.std)
    assert seen.shape == (2, 3, 64, 64)
    assert seen.double().abs().mean().item() == pytest.approx(GRADIENTS[sees], rel=1e-6)


@pytest.mark.parametrize("sees", ["npr", "raw"])
@pytest.mark.parametrize(("row", "column"), [(0, 0), (2, 3), (4, 5)])
def test_a_patch_depends_on_nine_by_nine_pixels(sees: str, row: int, column: int) -> None:
    detector = made(seed=1, options={**SMALL, "sees": sees}).eval()
    values = torch.rand(1, 3, 42, 51, generator=torch.Generator().manual_seed(0)).requires_grad_()
    patches = detector.net.patches(detector.seen(values))
    assert patches.shape == (1, 1, 5, 6)
    patches[0, 0, row, column].backward()
    assert values.grad is not None
    reached = values.grad[0].abs().sum(0).nonzero()
    assert reached.amin(0).tolist() == [8 * row, 8 * column]
    assert reached.amax(0).tolist() == [8 * row + 8, 8 * column + 8]


def test_a_picture_is_judged_by_the_mean_of_its_patches() -> None:
    detector = made()
    pixels = torch.randint(0, 256, (2, 3, 32, 48), dtype=torch.uint8)
    assert np.allclose(detector.heat_map(pixels).mean((1, 2)), detector.score(pixels), atol=1e-5)
    many = made(outputs=3)
    assert many.heat_map(pixels).shape == (2, 3, 5, 3)
    assert np.allclose(many.heat_map(pixels).mean((1, 2)), many.score(pixels), atol=1e-5)


def test_a_heat_map_points_at_what_differs() -> None:
    """Weights that answer with the size of the residual: noise in one corner is hot, the rest is cold."""
    detector = build(spec(), 0)
    picture = np.full((64, 80, 3), 128, np.uint8)
    picture[32:48, 48:64] = np.random.default_rng(0).integers(0, 256, (16, 16, 3))
    heat = heat_of(detector, picture)
    different = np.abs(heat - np.median(heat)) > 1e-6
    assert heat.shape == (7, 9)
    assert different[4:6, 6:8].all()
    rows, columns = different.nonzero()
    assert rows.min() >= 3 and rows.max() <= 5 and columns.min() >= 5 and columns.max() <= 7


def test_a_drawn_heat_map_is_red_where_generated_and_grey_where_nothing_is_known(workdir: Path) -> None:
    picture = np.full((60, 75, 3), (10, 200, 90), np.uint8)
    heat = np.zeros((7, 9), np.float32)
    heat[1, 2], heat[3, 4] = 20, -20
    write_heat(picture, heat, Path("out/heat.png"))
    seen = np.asarray(Image.open("out/heat.png")).astype(int)
    assert seen.shape == picture.shape
    grey = np.asarray(Image.fromarray(picture).convert("L"))[0, 0]
    assert (seen[1 * 8 + 4, 2 * 8 + 4] == (seen[12, 20])).all() and seen[12, 20, 0] > seen[12, 20, 2] + 80
    assert seen[28, 36, 2] > seen[28, 36, 0] + 60
    assert (seen[50, 60] == grey).all() and (seen[-1, -1] == grey).all()
    assert {tuple(pixel) for pixel in seen[8:16, 16:24].reshape(-1, 3)} == {tuple(seen[12, 20])}
    hotter = drawn(picture, np.full((7, 9), 3.0, np.float32)), drawn(picture, np.ones((7, 9), np.float32))
    assert np.asarray(hotter[0])[0, 0, 0] > np.asarray(hotter[1])[0, 0, 0]


def test_what_does_not_fit_is_refused() -> None:
    for wrong, said in (
        ({"model": "resnet50"}, "d.model is 'resnet50': ladeda has a network of its own"),
        ({"weights": "timm"}, "d.weights: ladeda has a network of its own"),
        ({"options": {"sees": "gradient"}}, "sees is 'gradient'"),
        ({"options": {"depths": [3, 4, 6, 0]}}, "depths"),
    ):
        with pytest.raises(AssayError, match=said):
            build(spec(**wrong), 0, "d")
    with pytest.raises(AssayError, match="have another shape, first"):
        build(spec(), 0).begin_from(build(spec(options={"width": 5}), 0).net.state_dict(), "d.weights")
    with pytest.raises(AssayError, match="a heat map needs at least 10 x 10 px; the picture is 40 x 9"):
        heat_of(build(spec(), 0), textured(0, 9, 40))
    other = build(Spec.model_validate({"kind": "npr", "model": "test_resnet", "crop": 32}), 0)
    with pytest.raises(AssayError, match="npr_a has no heat map"):
        heat_of(other, textured(0), "npr_a")


@pytest.mark.parametrize("quick", [False, True])
def test_its_card_builds(quick: bool) -> None:
    assert build(known_cards()["ladeda"].spec(quick), 0).outputs == 1
