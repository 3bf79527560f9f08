"""F3-Net: answers of two public codes, its frequency views by the definition, starting from Xception."""

from typing import Any

import numpy as np
import pytest
import timm
import torch
from scipy.fft import dctn

from assets.detection import Detector as Spec
from assets.errors import AssayError
from models.detectors import build
from models.detectors.kinds.f3net import F3Net, Options
from models.detectors.nets.frequency import BandSplit, LocalStatistics
from models.detectors.nets.xception import Xception
from tests.random_detectors import detector_of, pictures

SMALL: dict[str, Any] = {"kind": "f3net", "crop": 64, "options": {"width": 0.05}}


def refusal(**values: Any) -> str:
    with pytest.raises(AssayError) as caught:
        build(Spec.model_validate({**SMALL, **values}), 0, "mine")
    return str(caught.value)


@torch.no_grad()
def test_answers_are_those_of_the_code_that_genimage_used() -> None:
    """Expected: `F3Net(img_width=64, img_height=64)` of f3net.py, Leminhbinh0209/F3Net at 0db8d24 (and the
    same file in GenImage-Dataset/GenImage at 746781b), with the weights of `detector_of`, on the pictures in
    [-1, 1]. Every width in that file was multiplied by 0.05 and rounded up, and it was run with python -O,
    for it asserts a side of 299.
    """
    expected = [[-0.0527554, 0.1775808], [-0.0136421, 0.1922657], [0.0468709, 0.2623487]]
    detector = detector_of(**SMALL)
    assert np.allclose(detector.answers(pictures(64)), expected, atol=5e-5)
    assert sum(p.numel() for p in detector.net.parameters()) == 167_460


@torch.no_grad()
def test_answers_are_those_of_the_other_public_code() -> None:
    """Expected: `F3Net(num_classes=2, img_width=64, img_height=64, mode="Both")` of models.py,
    yyk-wew/F3Net at 01942ca, in the same way.
    """
    expected = [[-0.0086121, 0.1887563], [0.0247274, 0.2094519], [0.0658642, 0.2736094]]
    options = {"width": 0.05, "streams": "both", "code": "yyk-wew"}
    detector = detector_of(**{**SMALL, "options": options})
    assert np.allclose(detector.answers(pictures(64)), expected, atol=5e-5)


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 48_319_026),
        # that code's Xceptions hold a classifier of 4,098 weights each that nothing uses
        ({"code": "yyk-wew", "streams": "fad"}, 21_175_344 - 4_098),
        ({"code": "yyk-wew", "streams": "lfs"}, 20_816_612 - 4_098),
        ({"code": "yyk-wew", "streams": "both"}, 41_991_954 - 2 * 4_098),
    ],
)
def test_size_at_299_px(options: dict[str, Any], count: int) -> None:
    """Expected: trainable parameters of the two codes above, with two outputs."""
    with torch.device("meta"):
        net = F3Net(299, 2, Options.model_validate(options))
    assert sum(p.numel() for p in net.parameters()) == count


@torch.no_grad()
def test_bands_by_the_definition() -> None:
    values = pictures(32, 1).float() / 127.5 - 1
    split = BandSplit(32, [(0, 2), (2, 4), (0, 64)], with_start=False)
    split.learned.zero_()
    found = split(values).unflatten(1, (3, 3))
    coefficients = dctn(values[0].double().numpy(), axes=(1, 2), norm="ortho")
    frequency = np.add.outer(np.arange(32), np.arange(32))
    for number, (start, end) in enumerate([(0, 2), (2, 4), (0, 64)]):
        kept = coefficients * ((frequency > start) & (frequency <= end))
        spectrum = dctn(found[0, number].double().numpy(), axes=(1, 2), norm="ortho")
        assert np.allclose(spectrum, kept, atol=1e-4)


@torch.no_grad()
def test_local_statistics_by_the_definition() -> None:
    values = pictures(32, 2).float() / 127.5 - 1
    statistics = LocalStatistics(with_start=False)
    weights = torch.sigmoid(statistics.learned).double().numpy() * 2 - 1
    found = statistics(values)
    assert found.shape == (2, 6, 16, 16)
    red, green, blue = values[1].double().numpy()
    grey = np.pad((0.299 * red + 0.587 * green + 0.114 * blue + 1) * 122.5, 4)
    frequency = np.add.outer(np.arange(10), np.arange(10))
    for row, column in ((0, 0), (3, 11), (15, 15)):
        window = grey[2 * row : 2 * row + 10, 2 * column : 2 * column + 10]
        logarithms = np.log10(np.abs(dctn(window, norm="ortho")) + 1e-15)
        for level in range(6):
            band = (frequency > level * 20 / 6) & (frequency <= (level + 1) * 20 / 6)
            expected = ((band + weights[level]) * logarithms).sum() / band.sum()
            assert found[1, level, row, column].item() == pytest.approx(expected, abs=1e-3)


@torch.no_grad()
def test_nothing_but_a_bias_passes_between_the_streams_at_the_start() -> None:
    mixed: Any = build(Spec.model_validate(SMALL), 0).eval()
    both: Any = build(Spec.model_validate({**SMALL, "options": {"width": 0.05, "streams": "both"}}), 0).eval()
    for layers in (*mixed.net.mixes[0].passing, *mixed.net.mixes[1].passing):
        layers[0].bias.zero_()
    state = {name: value for name, value in mixed.net.state_dict().items() if not name.startswith("mixes.")}
    both.net.load_state_dict(state)
    assert torch.allclose(mixed(pictures(64)), both(pictures(64)), atol=1e-6)
    for gate in mixed.net.mixes[0].gates:
        gate.fill_(1)
    assert not torch.allclose(mixed(pictures(64)), both(pictures(64)), atol=1e-6)


@torch.no_grad()
def test_answers_do_not_depend_on_the_batch() -> None:
    detector = detector_of(**SMALL)
    shown = torch.cat([pictures(64), torch.zeros(1, 3, 64, 64, dtype=torch.uint8)])
    shown[2, :, 20:] = 255  # the transform of an even area is rounding errors, whose logarithm is taken
    together = detector(shown)
    assert together.isfinite().all()
    assert torch.allclose(torch.cat([detector(picture[None]) for picture in shown]), together, atol=1e-4)


@torch.no_grad()
def test_frequencies_are_in_float32_whatever_the_precision() -> None:
    values = pictures(64).float() / 127.5 - 1
    for head in detector_of(**SMALL).net.heads.values():
        expected = head(values)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(head(values), expected)


@pytest.mark.parametrize("streams", ["mixed", "both", "fad", "lfs"])
def test_an_attributor_has_an_output_a_class_and_all_weights_learn(streams: str) -> None:
    options = {"width": 0.05, "streams": streams}
    detector = detector_of(outputs=4, **{**SMALL, "options": options}).train()
    answers = detector(pictures(64))
    assert answers.shape == (3, 4)
    answers.square().sum().backward()
    for name, parameter in detector.net.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        # a constant added to all keys of a row leaves the attention as it was
        assert parameter.grad.any() or (".keys." in name and name.endswith("bias")), name


def test_training_on_black_pictures_stays_finite() -> None:
    detector = build(Spec.model_validate(SMALL), 0).train()
    detector(torch.zeros(2, 3, 64, 64, dtype=torch.uint8)).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in detector.parameters())


def test_xception_is_timms() -> None:
    with torch.device("meta"):
        made = timm.create_model("legacy_xception", num_classes=0).state_dict()
        own = Xception(3).state_dict()
    assert {name: value.shape for name, value in own.items()} == {
        name: value.shape for name, value in made.items()
    }


def test_begins_from_an_xception_on_pixels() -> None:
    detector: Any = build(Spec.model_validate(SMALL), 0)
    pretrained = Xception(3, width=0.05).state_dict()
    detector.begin_from({**pretrained, "fc.weight": torch.ones(1000, 103)}, "mine.weights")
    fad, lfs = detector.net.bodies["fad"], detector.net.bodies["lfs"]
    first = pretrained["conv1.weight"]
    assert torch.allclose(fad.conv1.weight, torch.cat([first] * 4, 1) / 4)
    assert torch.allclose(lfs.conv1.weight, torch.cat([first] * 2, 1) / 2)
    for name in ("block5.rep.1.pointwise.weight", "bn4.running_var"):
        assert torch.equal(fad.state_dict()[name], pretrained[name])
        assert torch.equal(lfs.state_dict()[name], pretrained[name])
    whole = detector_of(**SMALL)
    detector.begin_from(whole.net.state_dict(), "mine.weights")
    assert torch.equal(detector.eval()(pictures(64)), whole(pictures(64)))
    with pytest.raises(AssayError, match=r"mine.weights does not fit the network"):
        detector.begin_from(timm.create_model("test_resnet").state_dict(), "mine.weights")


def test_what_it_refuses() -> None:
    assert "mine.model: f3net is made from legacy_xception, not resnet18" in refusal(model="resnet18")
    assert "mine.options.width is 0.05: timm has weights for a width of 1.0 only" in refusal(weights="timm")
    assert "mine.crop is 200: the two streams of f3net then differ in size" in refusal(crop=200)
    assert "near to it: 198 (the authors' is 299)" in refusal(crop=200)
    assert "stream is not a parameter; did you mean 'streams'?" in refusal(options={"stream": "fad"})
    build(Spec.model_validate({**SMALL, "crop": 198}), 0)
