"""Average spectra: traces are where theory puts them, whatever the pictures show."""

import json
from pathlib import Path

import numpy as np
import pytest

from assets.errors import AssayError
from assets.images.imageset import ImageSetWriter
from assets.params import Params
from assets.spectrum import PROFILE, SPECTRUM, read_spectrum, spectrum_folder
from tasks.dedupe import dedupe
from tasks.spectrum import centre, magnitudes, pick, residual, ring_means, ring_of, spectrum
from tasks.split import split
from tests.conftest import file_bytes
from tests.samples import params

SIDE = 32


def noise(seed: int, height: int, width: int) -> np.ndarray:
    """Grey noise: a flat spectrum."""
    return np.random.default_rng(seed).normal(128, 20, (height, width))


def picture(values: np.ndarray) -> np.ndarray:
    return np.repeat(np.rint(values).clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


def waves(seed: int, period: int, height: int = 40, width: int = 50) -> np.ndarray:
    """Noise with a pattern that repeats every `period` pixels from left to right."""
    pattern = 12 * np.cos(2 * np.pi * np.arange(width) / period)
    return picture(noise(seed, height, width) + pattern)


def benchmark(pictures: list[np.ndarray], first: int = 0) -> None:
    """Image sets and splits of `real` (the first few pictures as well) and `fake`, in the current folder."""
    for folder, label, item in (("collect/photos", 0, "real"), ("generate/fake", 1, "fake")):
        with ImageSetWriter(Path("artifacts") / folder) as writer:
            for index, pixels in enumerate(pictures):
                shifted = pixels if label else np.roll(pixels, 7, axis=0)
                writer.add(f"{item}-{index:03d}", file_bytes(shifted), label=label, generator="x")
        dedupe(Path(), settings(), item)
        split(Path(), settings(), item)


def settings(**spec: int) -> Params:
    return params(spectrum={"side": SIDE, **spec}, dedupe={"radius": 0})


def test_a_period_of_four_pixels_is_a_peak_at_a_quarter_of_a_cycle(workdir: Path) -> None:
    benchmark([waves(seed, 4) for seed in range(30)])
    spectrum(Path(), settings(), "fake")
    found = read_spectrum(Path(), "fake")
    assert (found.item, found.used, found.left_out, found.side) == ("fake", 30, 0, SIDE)
    middle = SIDE // 2
    peaks = np.argwhere(found.magnitude > np.median(found.magnitude) + 1)
    assert peaks.tolist() == [[middle, middle - SIDE // 4], [middle, middle + SIDE // 4]]
    ring = SIDE // 4
    assert found.frequency[ring] == 0.25
    assert found.mean[ring] > max(found.mean[ring - 1], found.mean[ring + 1]) + 0.1


def test_real_images_are_taken_from_their_own_folders(workdir: Path) -> None:
    benchmark([waves(seed, 8) for seed in range(12)])
    spectrum(Path(), settings(), "real")
    found = read_spectrum(Path(), "real")
    highest = np.unravel_index(np.argmax(found.magnitude), (SIDE, SIDE))
    assert abs(highest[1] - SIDE // 2) == SIDE // 8 and highest[0] == SIDE // 2


def test_white_noise_is_flat_and_as_strong_as_theory_says_at_any_side() -> None:
    for side in (32, 64):
        image = np.random.default_rng(1).normal(0, 0.1, (side, side))
        # the magnitude of complex noise is Rayleigh distributed: its mean is sigma sqrt(pi) / 2
        assert np.mean(magnitudes(image)) == pytest.approx(0.1 * np.sqrt(np.pi) / 2, rel=0.03)


def test_doubling_by_zeros_mirrors_the_spectrum() -> None:
    """What an upsampling without a filter does: frequency f is also at 1/2 - f (arXiv 1907.06515)."""
    small = np.cos(2 * np.pi * np.arange(32) / 8)[None, :] * np.ones((32, 1))
    large = np.zeros((64, 64))
    large[::2, ::2] = small
    found = magnitudes(large)[32, 32:]
    # cos has period 8 in the small picture, 16 in the large one: 1/16 = 4/64, mirrored at 1/2 - 1/16 = 28/64
    assert np.flatnonzero(found > 1e-9).tolist() == [4, 28]


def test_rings_by_hand() -> None:
    ring = ring_of(4)
    assert ring.tolist() == [[3, 2, 2, 2], [2, 1, 1, 1], [2, 1, 0, 1], [2, 1, 1, 1]]
    values = np.arange(16.0).reshape(4, 4)
    inner = [5, 6, 7, 9, 11, 13, 14, 15]
    assert ring_means(values, ring).tolist() == [10.0, np.mean(inner), np.mean([1, 2, 3, 4, 8, 12])]


def test_the_residual_has_no_content_and_weighs_colours_as_luma() -> None:
    flat = np.full((8, 8, 3), (200, 30, 90), np.uint8)
    assert np.abs(residual(flat)).max() == 0
    dot = np.zeros((9, 9, 3), np.uint8)
    dot[4, 4] = 0, 255, 0
    expected = np.zeros((9, 9))
    expected[4, 4] = 0.587
    assert residual(dot) == pytest.approx(expected)


def test_the_crop_is_the_centre_and_nothing_is_resized() -> None:
    pixels = np.arange(7 * 9 * 3, dtype=np.uint8).reshape(7, 9, 3)
    assert np.array_equal(centre(pixels, 4), pixels[1:5, 2:6])


def test_small_pictures_are_left_out_and_counted(workdir: Path) -> None:
    benchmark([waves(seed, 4) for seed in range(8)] + [waves(seed, 4, 31, 90) for seed in range(20, 25)])
    spectrum(Path(), settings(), "fake")
    found = read_spectrum(Path(), "fake")
    assert (found.used, found.left_out) == (8, 5)


def test_without_a_picture_that_is_large_enough_the_file_says_so(workdir: Path) -> None:
    benchmark([waves(seed, 4) for seed in range(8)])
    folder = spectrum_folder(Path(), "fake")
    spectrum(Path(), settings(), "fake")
    assert (folder / SPECTRUM).exists()
    spectrum(Path(), settings(side=64), "fake")
    assert not (folder / SPECTRUM).exists()
    found = read_spectrum(Path(), "fake")
    assert (found.used, found.left_out, found.side) == (0, 8, 64)
    assert found.magnitude is None and found.mean.size == 0 and found.sd is None


def test_an_image_more_displaces_at_most_one_of_those_taken() -> None:
    images = [f"x-{index}" for index in range(200)]
    before = pick(images, 50, 1)
    after = pick([*images, "y-0"], 50, 1)
    assert len(before) == 50 and before == sorted(before) and len({*before} - {*after}) <= 1
    assert pick(images[::-1], 50, 1) == before != pick(images, 50, 2)
    assert pick(images, 500, 1) == sorted(images)


def test_a_limit_holds_and_bytes_are_the_same_again(workdir: Path) -> None:
    benchmark([waves(seed, 4) for seed in range(12)])
    folder = spectrum_folder(Path(), "fake")

    def made(images: int) -> list[bytes]:
        spectrum(Path(), settings(images=images), "fake")
        return [(folder / name).read_bytes() for name in (SPECTRUM, PROFILE)]

    assert made(5) == made(5)
    assert read_spectrum(Path(), "fake").used == 5
    assert made(1) != made(5)
    made(1)
    assert read_spectrum(Path(), "fake").sd is None


def test_what_is_no_spectrum_is_refused_by_name(workdir: Path) -> None:
    with pytest.raises(AssayError, match=r"artifacts/spectrum/fake/profile.json is not there: `assay run`"):
        read_spectrum(Path(), "fake")
    benchmark([waves(seed, 4) for seed in range(8)])
    spectrum(Path(), settings(), "fake")
    folder = spectrum_folder(Path(), "fake")
    good = json.loads((folder / PROFILE).read_text())
    for change, message in (
        ({"item": "other"}, "is about other, expected fake"),
        ({"mean": [1.0]}, "expected 17 rings for side 32 and 8"),
        ({"mean": "much"}, "is malformed"),
        ({"used": None}, "is malformed"),
    ):
        (folder / PROFILE).write_text(json.dumps({**good, **change}))
        with pytest.raises(AssayError, match=message):
            read_spectrum(Path(), "fake")
    (folder / PROFILE).write_text(json.dumps(good))
    np.save(folder / SPECTRUM, np.full((SIDE, SIDE), np.nan, np.float32))
    with pytest.raises(AssayError, match="expected 32 x 32 finite numbers"):
        read_spectrum(Path(), "fake")
    np.save(folder / SPECTRUM, np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(AssayError, match="is damaged"):
        read_spectrum(Path(), "fake")
