"""Spec: spectra and answers of the authors' code, and what they are of pictures without content."""

from typing import Any

import numpy as np
import pytest
import torch

from assets.detection import Detector as Spec
from assets.errors import AssayError
from models.detectors import build
from models.detectors.kinds.spec import spectrum
from tests.random_detectors import detector_of, pictures
from tests.random_weights import probe

SMALL: dict[str, Any] = {"kind": "spec", "model": "test_resnet", "crop": 64}


def test_spectra_are_those_of_the_authors_code() -> None:
    """Expected: a probe of what GAN_Detection_Train.py of ColumbiaDVMM/AutoGAN at 01172b3 (--feature fft)
    makes of the same pictures at test time, their channels turned round for it and np.fft.fft2 given float64
    as NumPy of that time computed it.
    """
    found = detector_of(**{**SMALL, "crop": 224}).seen(pictures(224).float() / 255)
    ends = [1.0, 0.0500245, 0.3140302, 0.4800983, 0.6232293, -1.0, -1.0, 0.2623789]
    assert probe(found) == pytest.approx([*ends, 0.1962795, 0.5502520], abs=2e-6)


@torch.no_grad()
def test_answers_are_those_of_the_authors_network() -> None:
    """Expected: torchvision's resnet34(num_classes=2), which that code trains, with the weights of
    `detector_of`, on that code's spectra of the pictures (64 px, not cropped).
    """
    detector = detector_of(kind="spec", crop=64)
    assert sum(p.numel() for p in detector.net.parameters()) == 21_285_698
    expected = [[1.8239094, 2.0600169], [2.0584357, 2.1254447], [2.0119112, 1.9574010]]
    answers = detector.answers(pictures(64))
    assert np.allclose(answers, expected, atol=2e-5)
    assert torch.equal(detector(pictures(64)), answers[:, 1] - answers[:, 0])


def test_spectrum_by_the_definition() -> None:
    values = pictures(16, 2).double() / 255
    for picture, channel in ((0, 0), (1, 2)):
        amplitudes = np.abs(np.fft.fft2(values[picture, channel].numpy()))
        logarithms = np.log(amplitudes + 1e-3)
        low, high = np.percentile(logarithms, [5, 95])
        expected = np.clip((logarithms - low) / (high - low) * 2 - 1, -1, 1)
        assert np.allclose(spectrum(values)[picture, channel], expected, atol=1e-5)


def test_of_a_picture_of_one_colour_only_frequency_0_is_left() -> None:
    grey = spectrum(torch.full((1, 3, 32, 32), 93 / 255))
    assert (grey[..., 0, 0] == 1).all() and (grey == -1).sum() == 3 * (32 * 32 - 1)
    assert (spectrum(torch.zeros(1, 3, 32, 32)) == -1).all()


def test_a_shifted_picture_has_the_same_spectrum() -> None:
    values = pictures(32).float() / 255
    assert torch.allclose(spectrum(values.roll((5, 9), (2, 3))), spectrum(values), atol=1e-4)


@torch.no_grad()
def test_answers_do_not_depend_on_the_batch() -> None:
    detector = detector_of(**SMALL)
    flat = torch.cat([pictures(64), torch.zeros(1, 3, 64, 64, dtype=torch.uint8)])
    together = detector(flat)
    assert torch.allclose(torch.cat([detector(picture[None]) for picture in flat]), together, atol=1e-5)


def test_spectra_are_the_same_in_mixed_precision() -> None:
    values = pictures(64).float() / 255
    with torch.autocast("cpu", torch.bfloat16):
        found = spectrum(values)
    assert torch.equal(found, spectrum(values))


def test_an_attributor_has_an_output_a_class_and_all_weights_learn() -> None:
    detector = detector_of(outputs=4, **SMALL).train()
    answers = detector(pictures(64))
    assert answers.shape == (3, 4)
    answers.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in detector.parameters())


def test_a_normalisation_is_refused() -> None:
    with pytest.raises(AssayError, match=r"mine.view.normalise is imagenet: spec has a scale of its own"):
        build(Spec.model_validate({**SMALL, "view": {"normalise": "imagenet"}}), 0, "mine")
