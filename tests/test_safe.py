"""Kind `safe`: the wavelet band, the training views against torchvision on Pillow, the released file."""

from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as on_pillow
from PIL import Image
from torchvision.transforms import InterpolationMode

from assets.detection import Detector as Spec
from assets.errors import AssayError
from models.detectors import build
from models.detectors.card import known_cards
from models.detectors.nets.safe_views import augmented, jittered, masked, rotated
from models.detectors.nets.wavelet import diagonal_band
from models.detectors.starting import write_start
from tests.kinds import keeps_to_the_contract
from tests.released_weights import layout
from tests.test_npr import PICTURES, authors_file, pictures

# Made with models/resnet.py (resnet50) of github.com/Ouxiang-Li/SAFE at 722620a and pytorch_wavelets 1.3.0,
# as in tests/test_npr.py: (real, generated) of two pictures; the sum of the enlarged band's absolute values
# and a corner; and of n x n pictures of the squares of 0, 1, 2 ... modulo 97 the band's sum and three of its
# values (n = 16: at the end of the last row; n = 17: of the first).
LAYOUT = (146, 1448410, "53f069703d0b690a51ca4a92275bce1a2efe4089d4bf9eca52e196ff640e9393")
ANSWERS = ((1.5691000, -0.28176695), (1.5597075, -0.27440667))
BAND_SUM, BAND_CORNER = 3746.69289, (-0.14430144, -0.14926468, 0.09240196, 0.22745097)
BANDS = {16: (2353.0, (-16.0, -16.0, 16.0)), 17: (2512.5, (31.5, 0.0, -31.5))}


def spec(**values: object) -> Spec:
    return Spec.model_validate({"kind": "safe", "crop": 32, "model": "test_resnet", **values})


def on_pictures(change: object) -> torch.Tensor:
    """Each of the pictures through a function of its number and Pillow picture."""
    done = [change(number, Image.fromarray(pixels)) for number, pixels in enumerate(PICTURES)]  # type: ignore[operator]
    return torch.from_numpy(np.stack([np.asarray(picture) for picture in done])).permute(0, 3, 1, 2).float()


def test_it_keeps_to_the_contract() -> None:
    keeps_to_the_contract(spec())


def test_the_band_is_that_of_the_authors_wavelet() -> None:
    for side, (total, last) in BANDS.items():
        picture = torch.arange(float(side * side)).view(1, 1, side, side) ** 2 % 97
        band = diagonal_band(picture)
        assert band.shape[2:] == ((side + 5) // 2, (side + 5) // 2)
        assert band.abs().sum().item() == pytest.approx(total)
        assert band[0, 0, -1 if side == 16 else 0, -3:].tolist() == pytest.approx(last)
    seen = build(spec(crop=64), 0).seen(pictures() / 255)
    assert seen.shape == (2, 3, 64, 64)
    assert seen.double().abs().sum().item() == pytest.approx(BAND_SUM, rel=1e-6)
    assert seen[1, 2, -1, -4:].tolist() == pytest.approx(BAND_CORNER, abs=1e-6)
    assert not diagonal_band(torch.arange(64.0).expand(1, 2, 32, 64)).any(), "a ramp has no diagonal detail"


def test_mixed_precision_does_not_round_the_band() -> None:
    detector = build(spec(), 0)
    exact = detector.seen(pictures() / 255)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(detector.seen(pictures() / 255), exact)


def test_the_released_file_gives_the_authors_answers(workdir: Path) -> None:
    whole = spec(model="resnet50", weights="checkpoint-best.pth", crop=64)
    state = authors_file(spec(model="resnet50"))
    assert layout({name: value.shape for name, value in state.items()}) == LAYOUT
    arguments = Namespace(lr=0.005, model="SAFE")  # as their training writes it beside the weights
    torch.save({"model": state, "optimizer": {}, "epoch": 19, "args": arguments}, "checkpoint-best.pth")
    write_start(whole, Path("start.safetensors"), "d")
    detector = build(whole, 0, start=Path("start.safetensors")).eval()
    with torch.no_grad():
        answers = detector.answers(pictures())
    assert np.allclose(answers, ANSWERS, atol=2e-6)
    assert np.allclose(detector.score(pictures()), [b - a for a, b in ANSWERS], atol=4e-6)
    assert sum(weight.numel() for weight in detector.parameters()) == 1_438_274


def test_rotation_is_pillows() -> None:
    for angles in ((0.0, 90.0), (180.0, -37.3), (-179.2, 13.0)):
        expected = on_pictures(
            lambda number, picture, angles=angles: on_pillow.rotate(
                picture, angles[number], InterpolationMode.NEAREST
            )
        )
        assert torch.equal(rotated(pictures().float(), torch.tensor(angles)), expected)


def test_colour_jitter_is_pillows() -> None:
    changes = on_pillow.adjust_brightness, on_pillow.adjust_contrast, on_pillow.adjust_saturation
    for seed in range(4):
        torch.manual_seed(seed)
        factors, orders = 0.5 + torch.rand(2, 3), torch.rand(2, 3).argsort(1)

        def change(
            number: int, picture: Image.Image, factors: torch.Tensor = factors, orders: torch.Tensor = orders
        ) -> Image.Image:
            for which in orders[number].tolist():
                picture = changes[which](picture, factors[number, which].item())
            return picture

        assert torch.equal(jittered(pictures().float(), factors, orders), on_pictures(change))


def test_whole_patches_are_masked_and_as_many_as_asked() -> None:
    shares = torch.tensor([0.0, 0.26, 0.75, 1.0])
    seen = masked(torch.ones(4, 3, 64, 70), shares, torch.rand(4, 16))
    blocks = seen[:, 0, :, :64].unfold(1, 16, 16).unfold(2, 16, 16).flatten(3).mean(3)
    assert set(blocks.unique().tolist()) == {0.0, 1.0}
    # of 4480 pixels; a remainder narrower than a patch stays
    assert (blocks == 0).sum((1, 2)).tolist() == [0, 4, 13, 16]
    assert seen[..., 64:].all()


def test_training_sees_augmented_pictures_and_scoring_does_not() -> None:
    detector, plain = build(spec(), 0), build(spec(options={"rotation": 0, "jitter": 0, "mask": 0}), 0)
    pixels = pictures()[..., :32, :32]
    assert np.array_equal(detector.score(pixels), plain.score(pixels))
    detector.train(), plain.train()
    torch.manual_seed(1)
    first = detector(pixels)
    torch.manual_seed(1)
    assert torch.equal(detector(pixels), first), "the seed decides what training sees"
    assert not torch.equal(detector(pixels), first)
    assert torch.equal(plain(pixels), plain(pixels))


def test_augmented_pixels_stay_pixels_and_half_of_the_pictures_are_masked() -> None:
    torch.manual_seed(0)
    bright = torch.full((400, 3, 32, 32), 200, dtype=torch.uint8)
    assert 0.3 < (augmented(bright, 0, 0, 1.0) == 0).flatten(1).any(1).float().mean() < 0.5
    changed = augmented(pictures(), 180, 0.5, 0.75)
    assert changed.shape == (2, 3, 64, 64)
    assert changed.min() >= 0 and changed.max() <= 255 and torch.equal(changed, changed.round())


def test_what_does_not_fit_is_refused() -> None:
    for wrong, said in (
        ({"model": "test_vit"}, "d.model: safe is made from a ResNet"),
        ({"weights": "timm"}, "d.weights: safe has a stem and a head of its own"),
        ({"options": {"mask": 1.5}}, "mask is 1.5"),
    ):
        with pytest.raises(AssayError, match=said):
            build(spec(**wrong), 0, "d")


@pytest.mark.parametrize("quick", [False, True])
def test_its_card_builds(quick: bool) -> None:
    assert build(known_cards()["safe"].spec(quick), 0).outputs == 1
