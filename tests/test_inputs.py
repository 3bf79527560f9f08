"""What a detector sees of a picture: torchvision's pixels to the digit, and defined where that fails."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import create_transform
from torchvision import transforms
from torchvision.transforms import InterpolationMode

from assets.detection import View
from assets.images import picture
from assets.images.imageset import ImageSetError, ImageSetWriter
from assets.images.loader import Pictures
from assets.images.picture import PictureError, decode
from assets.seeds import rng
from models.detectors.inputs import planned, prepare
from models.detectors.scoring import Centres
from tests.conftest import file_bytes, textured

SIZES = [(60, 47), (47, 61), (50, 50), (33, 120), (200, 41), (48, 95)]


def photo(seed: int, height: int, width: int) -> np.ndarray:
    """(H, W, 3) uint8 with fine detail, which a smooth picture has not."""
    grain = np.random.default_rng(seed).integers(-40, 41, (height, width, 3))
    return (textured(seed, height, width).astype(int) + grain).clip(0, 255).astype(np.uint8)


def square(found: object) -> np.ndarray:
    """(3, S, S) of what a torchvision transform on a Pillow image gave."""
    return np.asarray(found).transpose(2, 0, 1)


class TorchsNumbers:
    """Draws for `prepare` what torchvision's transforms draw from torch."""

    def uniform(self, low: float, high: float) -> float:
        return torch.empty(1).uniform_(low, high).item()

    def integers(self, high: int, endpoint: bool) -> int:
        assert endpoint
        return int(torch.randint(0, high + 1, (1,)))


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (31, 32), (32, 32), (33, 70)])
@pytest.mark.parametrize("small", ["enlarge", "reflect", "tile"])
@pytest.mark.parametrize("resize", [None, 20, 40])
def test_any_picture_becomes_the_crop(shape: tuple[int, int], small: str, resize: int | None) -> None:
    pixels = textured(1, *shape)
    for training in ("crop", "resized-crop", "centre"):
        view = View(small=small, resize=resize, training=training)
        for random in (None, rng(0)):
            seen = prepare(pixels, 32, view, random)
            assert seen.shape == (3, 32, 32) and seen.dtype == np.uint8 and seen.flags.c_contiguous


def test_the_centre_is_cut_and_nothing_shrunk() -> None:
    pixels = textured(2, 50, 41)
    assert np.array_equal(prepare(pixels, 32), pixels[9:41, 4:36].transpose(2, 0, 1))
    drawn = prepare(pixels, 32, random=rng(7))
    places = [(y, x) for y in range(19) for x in range(10)]
    assert any(np.array_equal(drawn, pixels[y : y + 32, x : x + 32].transpose(2, 0, 1)) for y, x in places)
    assert len({prepare(pixels, 32, random=rng(image)).tobytes() for image in range(30)}) > 15
    still = View(training="centre")
    assert np.array_equal(prepare(pixels, 32, still, rng(7)), prepare(pixels, 32))


def test_enlarged_as_if_the_whole_picture_were() -> None:
    pixels = textured(3, 16, 24)
    whole = np.asarray(Image.fromarray(pixels).resize((48, 32), Image.Resampling.BICUBIC))
    assert np.array_equal(prepare(pixels, 32), whole[:, 8:40].transpose(2, 0, 1))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos"])
def test_resize_and_centre_are_torchvision_s(size: tuple[int, int], interpolation: str) -> None:
    pixels = photo(4, *size)
    for resize, crop in ((40, 32), (36, 36), (64, 33)):  # smaller, the same, larger
        theirs = transforms.Compose(
            [transforms.Resize(resize, InterpolationMode(interpolation)), transforms.CenterCrop(crop)]
        )
        expected = square(theirs(Image.fromarray(pixels)))
        view = View(resize=resize, interpolation=interpolation)
        assert np.array_equal(prepare(pixels, crop, view), expected)
    both = transforms.Resize((40, 40), InterpolationMode(interpolation))
    view = View(resize=40, squash=True, interpolation=interpolation)
    assert np.array_equal(prepare(pixels, 40, view), square(both(Image.fromarray(pixels))))


@pytest.mark.parametrize("size", [(375, 500), (333, 501), (600, 256), (257, 300)])
def test_resize_256_and_centre_224_are_timm_s(size: tuple[int, int]) -> None:
    pixels = photo(5, *size)
    theirs = create_transform(224, use_prefetcher=True, interpolation="bicubic", crop_pct=0.875)
    assert np.array_equal(prepare(pixels, 224, View(resize=256)), theirs(Image.fromarray(pixels)))


@pytest.mark.parametrize("size", SIZES)
def test_training_crops_are_torchvision_s(size: tuple[int, int]) -> None:
    pixels = photo(6, *size)
    seen: dict[str, set[bytes]] = {"resized": set(), "crop": set()}
    cubic = InterpolationMode.BICUBIC
    resized = transforms.RandomResizedCrop(32, (0.1, 0.9), (0.5, 1.5), cubic)
    crop = transforms.Compose([transforms.Resize(40, cubic), transforms.RandomCrop(32)])
    views = {
        "resized": View(training="resized-crop", area=(0.1, 0.9), aspect=(0.5, 1.5)),
        "crop": View(resize=40),
    }
    for seed in range(8):
        for name, theirs in (("resized", resized), ("crop", crop)):
            torch.manual_seed(seed)
            expected = square(theirs(Image.fromarray(pixels)))
            torch.manual_seed(seed)
            mine = prepare(pixels, 32, views[name], TorchsNumbers())  # type: ignore[arg-type]
            assert np.array_equal(mine, expected)
            seen[name].add(mine.tobytes())
    assert min(map(len, seen.values())) > 4


@pytest.mark.parametrize("size", [(4, 400), (400, 4), (50, 50)])
def test_a_resized_crop_that_does_not_fit_is_torchvision_s(size: tuple[int, int]) -> None:
    pixels = photo(7, *size)
    theirs = transforms.RandomResizedCrop(16, (1, 1), (1.2, 1.4))
    view = View(training="resized-crop", area=(1, 1), aspect=(1.2, 1.4), interpolation="bilinear")
    assert np.array_equal(prepare(pixels, 16, view, rng(0)), square(theirs(Image.fromarray(pixels))))


def test_a_resized_crop_leaves_the_evaluation_alone() -> None:
    pixels = photo(8, 80, 60)
    drawn = View(training="resized-crop", resize=40)
    assert np.array_equal(prepare(pixels, 32, drawn), prepare(pixels, 32, View(resize=40)))
    without = View(training="resized-crop")
    assert np.array_equal(prepare(pixels, 32, drawn, rng(1)), prepare(pixels, 32, without, rng(1)))


def test_a_small_picture_is_mirrored_outwards() -> None:
    pixels = photo(9, 7, 50)
    margin = ((12, 13), (0, 0), (0, 0))
    expected = np.pad(pixels, margin, mode="reflect")[:, 9:41].transpose(2, 0, 1)
    assert np.array_equal(prepare(pixels, 32, View(small="reflect")), expected)
    tiny = photo(9, 1, 2)
    expected = np.pad(tiny, ((3, 4), (3, 3), (0, 0)), mode="reflect").transpose(2, 0, 1)
    assert np.array_equal(prepare(tiny, 8, View(small="reflect")), expected)


def test_a_small_picture_is_repeated() -> None:
    """Whole copies side by side, as in the code of NPR (`translate_duplicate`), then the crop."""
    pixels = photo(10, 15, 40)
    copies = np.tile(pixels, (3, 1, 1))  # 45 rows
    view = View(small="tile")
    assert np.array_equal(prepare(pixels, 32, view), copies[6:38, 4:36].transpose(2, 0, 1))
    random = rng(3)
    top, left = int(random.integers(13, endpoint=True)), int(random.integers(8, endpoint=True))
    expected = copies[top : top + 32, left : left + 32].transpose(2, 0, 1)
    assert np.array_equal(prepare(pixels, 32, view, rng(3)), expected)


def test_a_very_long_picture_is_not_resized_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = photo(11, 3, 4000)
    for small, resize, most in (("enlarge", 64, 1), ("reflect", 64, 1), ("reflect", 20, 1), ("tile", 20, 1)):
        view = View(resize=resize, small=small)
        whole = prepare(pixels, 32, view)
        with monkeypatch.context() as limited:
            limited.setattr("models.detectors.inputs.MAX_PIXELS", 10_000)
            part = prepare(pixels, 32, view)
        assert np.abs(part.astype(int) - whole).max() <= most
    huge = np.zeros((1, 1_000_000, 3), np.uint8)  # would be 65 thousand million pixels
    assert prepare(huge, 224, View(resize=256)).shape == (3, 224, 224)


def test_how_many_times_smaller_a_picture_may_be_decoded() -> None:
    def times(height: int, width: int, **view: object) -> int:
        found = View.model_validate({"scaled_decode": True, "resize": 256, **view})
        return planned((height, width), 224, found).times

    assert [times(side, 9000) for side in (100, 256, 511, 512, 1023, 1024, 2047, 2048, 8192)] == [
        1, 1, 1, 2, 2, 4, 4, 8, 8,
    ]  # fmt: skip
    assert times(600, 600, squash=True) == 2 and times(2048, 2048, scaled_decode=False) == 1
    drawn = View(resize=256, scaled_decode=True, training="resized-crop", area=(0.25, 0.25), aspect=(1, 1))
    assert planned((2000, 2000), 224, drawn, rng(0)).times == 4  # of 1000 x 1000
    assert planned((800, 800), 224, drawn, rng(0)).times == 1


def test_scaled_decoding_is_near_and_only_for_jpeg() -> None:
    exact, fast = View(resize=128), View(resize=128, scaled_decode=True)
    for size in ((401, 530), (1027, 1333), (259, 257)):
        smooth = textured(12, *size)
        jpeg, png = file_bytes(smooth, "JPEG", quality=95), file_bytes(smooth)
        for data, most, mean in ((jpeg, 12, 1.5), (png, 2, 0.5)):
            plan = planned(size, 112, fast)
            pixels = decode(data, lambda _, plan=plan: plan.times)  # type: ignore[misc]
            smaller = plan.times if data is jpeg else 1
            assert plan.times > 1 and pixels.shape[:2] == tuple(math.ceil(side / smaller) for side in size)
            difference = np.abs(plan.cut(pixels).astype(int) - prepare(decode(data), 112, exact))
            assert 0 < difference.max() <= most and difference.mean() < mean


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_scaled_decoding_knows_which_way_is_up(kind: str) -> None:
    pixels = textured(13, 300, 200)
    exif = Image.Exif()
    exif[0x0112] = 6  # the first row is the right-hand side
    data = file_bytes(np.rot90(pixels), kind, quality=95, exif=exif.tobytes())
    asked: list[tuple[int, int]] = []

    def smaller(size: tuple[int, int]) -> int:
        asked.append(size)
        return 2

    small = decode(data, smaller)
    assert asked == [(300, 200)] and small.shape == ((150, 100, 3) if kind == "JPEG" else (300, 200, 3))
    every = 2 if kind == "JPEG" else 1
    assert np.abs(decode(data)[::every, ::every].astype(int) - small).mean() < 4


def test_what_is_decoded_smaller_is_refused_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    data = file_bytes(photo(14, 400, 300), "JPEG")
    with pytest.raises(PictureError, match="damaged: "):
        decode(data[: len(data) // 2], lambda _: 8)
    with pytest.raises(PictureError, match="not an image"):
        decode(b"GIF" * 50, lambda _: 8)
    with pytest.raises(PictureError, match="empty file"):
        decode(b"", lambda _: 8)
    monkeypatch.setattr(picture, "MAX_PIXELS", 100_000)
    with pytest.raises(PictureError, match="300 x 400 is more than 100000 pixels"):
        decode(data, lambda _: 8)  # 1900 pixels would come out


def test_a_picture_too_thin_to_be_decoded_smaller() -> None:
    data = file_bytes(photo(14, 400, 1), "JPEG")
    assert np.array_equal(decode(data, lambda _: 8), decode(data))


def test_a_mistake_in_the_plan_is_not_a_damaged_picture() -> None:
    with pytest.raises(ZeroDivisionError):
        decode(file_bytes(textured(1)), lambda size: size[0] // 0)


def test_looks_do_not_depend_on_each_other(workdir: Path) -> None:
    with ImageSetWriter(Path("set")) as writer:
        writer.add("jpeg", file_bytes(photo(15, 300, 400), "JPEG"), label=0, generator="real")
        writer.add("png", file_bytes(photo(16, 300, 400)), label=0, generator="real")
    views = [
        View(),
        View(resize=64),
        View(resize=64, scaled_decode=True),
        View(resize=140, scaled_decode=True),
    ]
    looks = tuple((32, view) for view in views)
    opened, kept = Pictures([Path("set")]), Pictures([Path("set")])
    kept.keep(["jpeg", "png"])
    for image in ("jpeg", "png"):
        together = Centres(opened, looks)(image)
        for index, look in enumerate(looks):
            (alone,) = Centres(kept, (look,))(image)
            assert np.array_equal(together[index], alone)
        assert np.array_equal(together[0], prepare(opened.pixels(image), 32))
        assert np.array_equal(together[1], prepare(opened.pixels(image), 32, views[1]))
        assert not np.array_equal(together[1], together[2])


def test_each_picture_is_decoded_once_for_looks_that_agree(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ImageSetWriter(Path("set")) as writer:
        writer.add("jpeg", file_bytes(photo(15, 300, 400), "JPEG"), label=0, generator="real")
    opens: list[int] = []
    real = Image.open

    def counted(*args: Any, **options: Any) -> Any:
        opens.append(1)
        return real(*args, **options)

    monkeypatch.setattr(Image, "open", counted)
    fast = [View(resize=64, scaled_decode=True), View(resize=70, scaled_decode=True)]
    Centres(Pictures([Path("set")]), tuple((32, view) for view in fast))("jpeg")
    assert len(opens) == 1
    Centres(Pictures([Path("set")]), ((32, View()), (32, fast[0]), (64, View(resize=70))))("jpeg")
    assert len(opens) == 1 + 2


def test_a_kept_picture_that_has_changed_since_is_named(workdir: Path) -> None:
    with ImageSetWriter(Path("set")) as writer:
        writer.add("jpeg", file_bytes(photo(15, 300, 400), "JPEG"), label=0, generator="real")
    opened = Pictures([Path("set")])
    opened.keep(["jpeg"])
    (shard,) = Path("set").glob("*.tar")
    shard.write_bytes(bytes(shard.stat().st_size))
    with pytest.raises(ImageSetError, match="jpeg can no longer be decoded"):
        opened.pixels("jpeg", lambda _: 2)
    assert opened.pixels("jpeg").shape == (300, 400, 3)
