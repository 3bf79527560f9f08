"""What a training sees: the same numbers as ever by default, timm's augmentation where asked for."""

import itertools
import multiprocessing
import os
import random as global_random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data.auto_augment import rand_augment_transform
from timm.data.random_erasing import RandomErasing

from assets.detection import Detector as Spec
from assets.errors import AssayError
from assets.images.degradations import parse
from assets.images.imageset import ImageSetWriter
from assets.images.loader import Pictures
from assets.seeds import rng
from models.detectors.inputs import prepare
from models.detectors.training.views import TrainView, erased, joined
from models.loader import Loader, load_batches
from tests.conftest import REPO, file_bytes, textured

ORIGIN = (1, "train", "fake", "small", 0)
SIZES = {"a": (50, 41), "b": (20, 70), "c": (32, 32), "d": (130, 200)}


@pytest.fixture
def pictures(workdir: Path) -> Pictures:
    with ImageSetWriter(Path("set")) as writer:
        for number, (name, size) in enumerate(SIZES.items()):
            writer.add(name, file_bytes(textured(number, *size), "JPEG"), label=0, generator="real")
    return Pictures([Path("set")])


def spec(**values: Any) -> Spec:
    return Spec.model_validate({"model": "test_resnet", "crop": 32, **values})


def view(pictures: Pictures, **values: Any) -> TrainView:
    return TrainView(pictures, spec(**values), ORIGIN, "detectors.small")


def as_it_was(pictures: Pictures, augment: str, epoch: int, image: str) -> np.ndarray:
    """(3, 32, 32): the first version's order of random numbers, written out."""
    random = rng(*ORIGIN, epoch, image)
    pixels = parse(augment).apply(pictures.pixels(image), random)
    if random.random() < 0.5:
        pixels = pixels[:, ::-1]
    height, width = pixels.shape[:2]
    side = min(height, width, 32)
    top = int(random.integers(height - side, endpoint=True))
    left = int(random.integers(width - side, endpoint=True))
    if side < 32:
        box = (left, top, left + side, top + side)
        window = np.asarray(Image.fromarray(pixels).resize((32, 32), Image.Resampling.BICUBIC, box))
    else:
        window = pixels[top : top + side, left : left + side]
    return window.transpose(2, 0, 1)


@pytest.mark.parametrize("augment", ["", "blur(0,1)@0.5|jpeg(60,100)@0.5|noise(0.01)|crop(0.9)"])
def test_by_default_it_is_what_it_always_was(pictures: Pictures, augment: str) -> None:
    seen = view(pictures, augment=augment)
    for epoch, image in itertools.product(range(6), SIZES):
        found = seen((epoch, 0, image))
        assert found.shape == (1, 3, 32, 32) and found.dtype == np.uint8
        assert np.array_equal(found[0], as_it_was(pictures, augment, epoch, image))


FULL = {
    "augment": "blur(0,1)@0.5",
    "view": {"training": "resized-crop", "flip_vertical": 0.5, "rotate": 0.5, "resize": 40},
    "recipe": {"randaugment": "rand-m9-mstd0.5-inc1", "erase": 0.5, "repeats": 2},
}


def test_what_is_drawn_depends_on_epoch_copy_and_image_alone(pictures: Pictures) -> None:
    keys = list(itertools.product(range(3), range(2), SIZES))
    first = view(pictures, **FULL)
    found = {key: first(key) for key in keys}
    global_random.seed(4)
    np.random.seed(4)
    before = global_random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index,union-attr]
    again = view(pictures, **FULL)
    assert all(np.array_equal(again(key), found[key]) for key in reversed(keys))
    assert before == (global_random.getstate(), np.random.get_state()[1].tolist())  # type: ignore[index,union-attr]
    assert len({value.tobytes() for value in found.values()}) == len(keys)
    other = TrainView(pictures, spec(**FULL), (*ORIGIN[:-1], 1))
    assert not any(np.array_equal(other(key), found[key]) for key in keys)


def in_processes(workers: int) -> None:
    """Three rounds, each after one that is left early; run in a process without Prefect's fork handlers."""
    seen = view(Pictures([Path("set")]), **FULL)
    rounds = [[[(epoch, 0, "a"), (epoch, 1, "d")], [(epoch, 0, "b")]] for epoch in range(3)]
    expected = [list(load_batches(seen, batches, joined)) for batches in rounds]
    os.environ["ASSAY_WORKERS"] = str(workers)
    load = Loader(seen, joined)
    processes = set()
    for batches, wanted in zip(rounds, expected, strict=True):
        next(load(rounds[0]))
        found = list(load(batches))
        assert len(found) == 2 and all(map(torch.equal, found, wanted))
        processes |= {child.pid for child in multiprocessing.active_children()}
    assert list(load([])) == []
    assert len(processes) == workers, "they were started anew"
    with pytest.raises(AssayError, match=r"^set has no image gone"):
        list(load([[(0, 0, "a")], [(0, 0, "gone")]]))


def test_worker_processes_change_nothing_and_stay(pictures: Pictures) -> None:
    code = "from tests.test_views import in_processes; in_processes(2)"
    place = {**os.environ, "PYTHONPATH": str(REPO)}
    done = subprocess.run([sys.executable, "-c", code], env=place, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_mirroring_and_turning_are_as_often_as_asked(pictures: Pictures) -> None:
    still = textured(2, 32, 32)
    turned = {(k, m): np.rot90(still[:, ::-1] if m else still, k) for k in range(4) for m in (False, True)}
    pictures._kept["c"] = still

    def drawn(**values: float) -> list[tuple[int, bool]]:
        seen = view(pictures, view=values)
        found = [seen((epoch, 0, "c"))[0].transpose(1, 2, 0) for epoch in range(200)]
        return [next(key for key, one in turned.items() if np.array_equal(one, got)) for got in found]

    assert set(drawn(flip=0)) == {(0, False)} and set(drawn(flip=1)) == {(0, True)}
    assert set(drawn(flip=0, flip_vertical=1)) == {(2, True)}
    quarters = drawn(flip=0, rotate=0.5)
    counts = [quarters.count((k, False)) for k in range(4)]
    assert sum(counts) == 200 and 75 < counts[0] < 125 and min(counts[1:]) > 15
    both = drawn(flip=0.5, flip_vertical=0.5, rotate=1)
    assert len(set(both)) == 8
    assert 70 < drawn(flip=0.5).count((0, True)) < 130


def test_turned_before_the_crop_even_if_decoded_smaller(pictures: Pictures) -> None:
    values = {"view": {"flip": 0, "rotate": 1, "resize": 36, "scaled_decode": True}}
    seen = view(pictures, **values)
    drawn: set[tuple[int, ...]] = set()
    for epoch in range(6):
        random = rng(*ORIGIN, epoch, "d")
        random.random(), random.random()
        quarters = int(random.integers(1, 4))
        pixels = np.rot90(pictures.pixels("d", lambda _: 2), quarters)
        assert pixels.shape in ((100, 65, 3), (65, 100, 3))
        state = random.bit_generator.state
        smaller = seen((epoch, 0, "d"))[0]
        random.bit_generator.state = state
        exact = np.rot90(pictures.pixels("d"), quarters)
        whole = prepare(exact, 32, spec(view={"resize": 36}).view, random)
        assert np.abs(smaller.astype(int) - whole).mean() < 2
        assert not np.array_equal(smaller, whole)
        drawn.add((quarters, *exact.shape))
    assert len(drawn) > 1


def test_an_augmentation_gets_all_pixels_whatever_the_view_allows(pictures: Pictures) -> None:
    fast = {"resize": 36, "scaled_decode": True, "interpolation": "lanczos"}
    slow = {"resize": 36, "interpolation": "lanczos"}
    first, second = (view(pictures, augment="blur(1)", view=values) for values in (fast, slow))
    assert np.array_equal(first((0, 0, "d")), second((0, 0, "d")))


def test_randaugment_is_timm_s_after_the_crop(pictures: Pictures) -> None:
    notation = "rand-m9-n3-mstd0.5-inc1"
    seen, plain = view(pictures, recipe={"randaugment": notation}), view(pictures)
    cubic = Image.Resampling.BICUBIC
    settings = {"translate_const": int(32 * 0.45), "img_mean": (124, 116, 104), "interpolation": cubic}
    theirs = rand_augment_transform(notation, settings)
    different = 0
    for epoch, image in itertools.product(range(5), SIZES):
        before = plain((epoch, 0, image))[0]
        random = rng(*ORIGIN, epoch, image)
        random.random()
        prepare(pictures.pixels(image), 32, random=random)  # so far as without
        seed = int(random.integers(2**32))
        global_random.seed(seed)
        np.random.seed(seed)
        expected = np.asarray(theirs(Image.fromarray(before.transpose(1, 2, 0)))).transpose(2, 0, 1)
        assert np.array_equal(seen((epoch, 0, image))[0], expected)
        different += not np.array_equal(before, expected)
    assert different > 10


@pytest.mark.parametrize(
    "notation", ["", "rand-m", "rand-x9", "rand-mstd1.2.3", "augmix-m3", "rand-m9-tnone", "rand m9"]
)
def test_a_randaugment_that_cannot_be_read(pictures: Pictures, notation: str) -> None:
    with pytest.raises(AssayError, match=r"^detectors.small.recipe.randaugment is '.*rand-m9-mstd0.5-inc1"):
        view(pictures, recipe={"randaugment": notation})


def test_a_recipe_that_cannot_be_read(pictures: Pictures) -> None:
    with pytest.raises(AssayError, match=r"^detectors.small.augment: recipe 'blurr\(3\)': unknown operation"):
        view(pictures, augment="blurr(3)")


class GlobalNumbers:
    """Draws for `erased` what timm's random erasing draws from Python's global random numbers."""

    def uniform(self, low: float, high: float) -> float:
        return global_random.uniform(low, high)

    def integers(self, high: int, endpoint: bool) -> int:
        assert endpoint
        return global_random.randint(0, high)


def test_random_erasing_takes_timm_s_rectangles() -> None:
    theirs = RandomErasing(probability=1, mode="pixel", device="cpu")
    boxes = set()
    for seed in range(40):
        size = (32, 48) if seed % 2 else (5, 4)
        global_random.seed(seed)
        changed = theirs(torch.full((3, *size), 9.0)) != 9.0
        global_random.seed(seed)
        global_random.random()  # whether at all
        box = erased(size, GlobalNumbers())  # type: ignore[arg-type]
        mine = torch.zeros((3, *size), dtype=torch.bool)
        if box is not None:
            top, left, tall, wide = box
            mine[:, top : top + tall, left : left + wide] = True
        assert torch.equal(changed, mine)
        boxes.add(box)
    assert len(boxes) > 20


def test_what_is_erased_is_noise_of_mean_and_deviation(pictures: Pictures) -> None:
    seen, plain = view(pictures, recipe={"erase": 0.5}), view(pictures)
    half = view(pictures, recipe={"erase": 0.5}, view={"normalise": "half"})
    noise: list[np.ndarray] = []
    wide: list[np.ndarray] = []
    for epoch in range(200):
        key = (epoch, 0, "d")
        one, before, other = seen(key)[0], plain(key)[0], half(key)[0]
        changed = (one != before).any(0)
        noise += [one[:, changed]] if changed.any() else []
        wide += [other[:, changed]] if changed.any() else []
    assert 75 < len(noise) < 125
    values = np.concatenate(noise, 1) / 255
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    # Cut off at black and white, which moves the mean and takes from the deviation.
    expected = np.clip(
        mean[:, None] + std[:, None] * np.random.default_rng(0).standard_normal((3, 100_000)), 0, 1
    )
    assert np.allclose(values.mean(1), expected.mean(1), atol=0.01)
    assert np.allclose(values.std(1), expected.std(1), atol=0.01)
    assert np.concatenate(wide, 1).std() / 255 > 0.3


def test_splits_are_a_plain_version_and_altered_ones_of_the_same_crop(pictures: Pictures) -> None:
    recipe = {"splits": 3, "randaugment": "rand-m9-mstd0.5-inc1", "erase": 0.6}
    seen, plain = view(pictures, recipe=recipe), view(pictures)
    different = [0, 0, 0]
    for epoch, image in itertools.product(range(10), SIZES):
        first, second, third = found = seen((epoch, 0, image))
        assert found.shape == (3, 3, 32, 32)
        assert np.array_equal(first, plain((epoch, 0, image))[0])
        for index, pair in enumerate([(first, second), (first, third), (second, third)]):
            different[index] += not np.array_equal(*pair)
    assert min(different) > 30


def test_joined_puts_all_first_versions_first() -> None:
    versions = np.array([0, 1], np.uint8).reshape(2, 1, 1, 1)
    images = [versions + np.full((2, 3, 4, 4), 10 * number, np.uint8) for number in range(3)]
    batch = joined(images)
    assert batch.shape == (6, 3, 4, 4) and batch.dtype == torch.uint8
    assert batch[:, 0, 0, 0].tolist() == [0, 10, 20, 1, 11, 21]


def test_an_augmentation_that_cannot_be_done_names_the_image(pictures: Pictures) -> None:
    pictures._kept["a"] = np.zeros((1, 20_000, 3), np.uint8)
    with pytest.raises(AssayError, match=r"augmentation webp\(80\) cannot be done to a: 20000 x 1 is"):
        view(pictures, augment="webp(80)")((0, 0, "a"))


def test_resized_crops_are_of_all_sizes(pictures: Pictures) -> None:
    ramp = (np.indices((200, 200)).sum(0) // 2).astype(np.uint8)
    pictures._kept["d"] = ramp[..., None].repeat(3, 2)
    seen = view(pictures, view={"training": "resized-crop", "interpolation": "bilinear", "flip": 0})
    spans = [int(np.ptp(seen((epoch, 0, "d"))[0, 0])) for epoch in range(60)]
    assert max(spans) > 180 and min(spans) < 75  # of 200, where the area is between 0.08 and all of it


def test_random_erasing_changes_no_crop(pictures: Pictures) -> None:
    plain, with_noise = view(pictures), view(pictures, recipe={"erase": 1.0})
    for epoch in range(5):
        same = plain((epoch, 0, "d"))[0] == with_noise((epoch, 0, "d"))[0]
        assert 0.6 < same.mean() < 1


def test_randaugment_with_every_way_of_resampling(pictures: Pictures) -> None:
    for interpolation in ("nearest", "bilinear", "bicubic", "lanczos"):
        recipe = {"randaugment": "rand-m9-n6-p1"}
        seen = view(pictures, recipe=recipe, view={"interpolation": interpolation})
        assert len({seen((epoch, 0, "d")).tobytes() for epoch in range(8)}) == 8
