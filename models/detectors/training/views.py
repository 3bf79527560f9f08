"""What a training sees of an image: degraded, mirrored, cropped, distorted, erased; a new way every epoch."""

import math
import random as global_random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from timm.data.auto_augment import posterize, rand_augment_transform

from assets.detection import Detector as Spec
from assets.detection import View
from assets.errors import AssayError
from assets.images.degradations import parse
from assets.images.loader import Pictures
from assets.images.picture import PictureError
from assets.seeds import rng
from models.detectors.detector import normalisation
from models.detectors.inputs import RESAMPLING, Plan, Size, planned, prepare
from models.detectors.training.sampling import Origin

Key = tuple[int, int, str]
"""Epoch, copy, image id."""
_RANDAUGMENT = re.compile(r"rand(-(m\d+|n\d+|p[\d.]+|mstd[\d.]+|mmax\d+|inc[01]|t(weights|3a|3aw)))*")
_ERASED_AREA = (0.02, 1 / 3)
"""Share of the picture."""
_ERASED_ASPECT = (0.3, 1 / 0.3)
_TRIES = 10
"""Of rectangles, before a picture stays whole."""


class TrainView:
    """An image as one epoch sees it; safe to hand to workers.

    In this order, which is timm's: the recipe `augment`, mirroring and turning, the crop; then RandAugment
    and random erasing. With `recipe.splits`, all versions of an image share the crop and the first is
    spared the last two. What is drawn depends on the origin, the epoch, the image and the copy alone.
    """

    def __init__(self, pictures: Pictures, spec: Spec, origin: Origin, where: str = "detector") -> None:
        """Args: where: what begins an error message, e.g. `detectors.resnet18`.

        Raises:
            AssayError: `augment` or `recipe.randaugment` cannot be read.
        """
        self._pictures, self._spec, self._origin = pictures, spec, origin
        self._augment = parse(spec.augment, f"{where}.augment")
        mean, std = normalisation(spec.view.normalise, None)
        self._mean, self._std = np.reshape(mean, (3, 1, 1)), np.reshape(std, (3, 1, 1))
        self._distort = _randaugment(spec, mean, f"{where}.recipe.randaugment")

    def __call__(self, key: Key) -> np.ndarray:
        """(epoch, copy, image id) -> (V, 3, S, S) uint8: its `recipe.splits` versions.

        Raises:
            AssayError: the augmentation cannot be done to this image.
        """
        epoch, copy, image = key
        random = rng(*self._origin, epoch, image, *([copy] if copy else []))
        square = self._square(image, random)
        splits = self._spec.recipe.splits
        plain = [square] if splits > 1 else []
        return np.stack([*plain, *(self._altered(square, random) for _ in range(splits - len(plain)))])

    def _square(self, image: str, random: np.random.Generator) -> np.ndarray:
        """(3, S, S) uint8 of what `augment` leaves of the picture."""
        crop, view = self._spec.crop, self._spec.view
        if self._augment.steps:
            try:
                pixels = self._augment.apply(self._pictures.pixels(image), random)
            except PictureError as error:
                raise AssayError(
                    f"the augmentation {self._augment} cannot be done to {image}: {error}"
                ) from None
            return prepare(_Turn.drawn(view, random).of(pixels), crop, view, random)
        turn = _Turn.drawn(view, random)
        plans: list[Plan] = []

        def smaller(size: Size) -> int:
            plans.append(planned(turn.size(size), crop, view, random))
            return plans[0].times

        pixels = self._pictures.pixels(image, smaller)
        return plans[0].cut(turn.of(pixels))

    def _altered(self, square: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """After RandAugment and random erasing."""
        if self._distort is not None:
            with _seeded(int(random.integers(2**32))):
                distorted = self._distort(Image.fromarray(square.transpose(1, 2, 0)))
            square = np.asarray(distorted).transpose(2, 0, 1)
        erase = self._spec.recipe.erase
        if erase and random.random() < erase and (box := erased(square.shape[1:], random)):
            top, left, tall, wide = box
            noise = self._mean + self._std * random.standard_normal((3, tall, wide))
            square = square.copy()
            square[:, top : top + tall, left : left + wide] = (noise * 255).round().clip(0, 255)
        return square


def joined(images: list[np.ndarray]) -> torch.Tensor:
    """B images of (V, 3, S, S) as one batch (V * B, 3, S, S) uint8: the first versions of all come first."""
    batch = np.stack(images, axis=1)
    return torch.from_numpy(batch.reshape(-1, *batch.shape[2:]))


def erased(size: Size, random: np.random.Generator) -> tuple[int, int, int, int] | None:
    """Top, left, height and width of the rectangle that random erasing fills; None: none was found that fits.

    Source: Zhong et al. 2020, arXiv 1708.04896; the ranges of area and aspect are timm's.
    """
    height, width = size
    low, high = map(math.log, _ERASED_ASPECT)
    for _ in range(_TRIES):
        area = random.uniform(*_ERASED_AREA) * height * width
        aspect = math.exp(random.uniform(low, high))
        tall, wide = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if tall < height and wide < width:
            top = int(random.integers(height - tall, endpoint=True))
            return top, int(random.integers(width - wide, endpoint=True)), tall, wide
    return None


class _Turn(NamedTuple):
    """How a picture is mirrored and turned."""

    mirrored: bool
    upside_down: bool
    quarters: int

    @classmethod
    def drawn(cls, view: View, random: np.random.Generator) -> "_Turn":
        mirrored = bool(random.random() < view.flip)
        upside_down = view.flip_vertical > 0 and bool(random.random() < view.flip_vertical)
        turned = view.rotate > 0 and bool(random.random() < view.rotate)
        return cls(mirrored, upside_down, int(random.integers(1, 4)) if turned else 0)

    def size(self, size: Size) -> Size:
        """Of a picture of this size, after turning."""
        return (size[1], size[0]) if self.quarters % 2 else size

    def of(self, pixels: np.ndarray) -> np.ndarray:
        """The picture (H, W, 3), turned."""
        if self.mirrored:
            pixels = pixels[:, ::-1]
        if self.upside_down:
            pixels = pixels[::-1]
        return np.rot90(pixels, self.quarters) if self.quarters else pixels


def _randaugment(spec: Spec, mean: Any, where: str) -> Any:
    """timm's RandAugment as its training script sets it up; None if there is none."""
    notation = spec.recipe.randaugment
    if notation is None:
        return None
    # Pillow turns and shears by all of these but Lanczos'.
    known = "bicubic" if spec.view.interpolation == "lanczos" else spec.view.interpolation
    settings = {
        "translate_const": int(spec.crop * 0.45),
        "img_mean": tuple(min(255, round(255 * value)) for value in mean),
        "interpolation": RESAMPLING[known],
    }
    try:
        if not _RANDAUGMENT.fullmatch(notation):
            raise ValueError
        distort = rand_augment_transform(notation, settings)
    except (AssertionError, KeyError, ValueError):
        raise AssayError(
            f"{where} is '{notation}': expected timm's notation, e.g. rand-m9-mstd0.5-inc1"
        ) from None
    for operation in distort.ops:
        if operation.aug_fn is posterize:
            operation.aug_fn = _posterize
    return distort


def _posterize(picture: Image.Image, bits: int, **_: Any) -> Image.Image:
    """timm's; at full strength it asks for 0 bits, which gave black before Pillow refused it."""
    return posterize(picture, bits) if bits else Image.new(picture.mode, picture.size)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Python's and NumPy's global random numbers from this seed on; as they were afterwards."""
    states = global_random.getstate(), np.random.get_state()
    global_random.seed(seed)
    np.random.seed(seed)
    try:
        yield
    finally:
        global_random.setstate(states[0])
        np.random.set_state(states[1])
