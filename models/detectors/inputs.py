"""What a detector sees of a picture: a square of uint8 pixels, as its `view` says.

Where the square lies follows from the picture's size alone, so that it is known before there are pixels and
a JPEG that is made much smaller anyway need not be decoded in full (`view.scaled_decode`). With that switch
torch resizes instead of Pillow, too: 2 grey levels apart at most where nothing is decoded smaller.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from assets.detection import View
from assets.images.picture import MAX_PIXELS

PLAIN = View()
RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
"""`view.interpolation` as Pillow has it."""
_TRIES = 10
"""Of areas and aspects for a resized crop, before it takes the largest one that fits."""

Size = tuple[int, int]
"""Height and width."""


def prepare(
    pixels: np.ndarray, crop: int, view: View = PLAIN, random: np.random.Generator | None = None
) -> np.ndarray:
    """What a network sees of a picture: in training (`random` is given) or in evaluation.

    Evaluation: resized if `view.resize` says so, then the centre. Training: the same with a square at a
    random place; or a resized crop of the picture as it is (then `view.resize` is evaluation's alone); or
    the centre. Mirroring, turning and noise are `training.views`.

    With `resize` these are torchvision's Resize, CenterCrop, RandomCrop and RandomResizedCrop on Pillow
    images to the digit, except for a picture with a side shorter than the crop: `view.small` says what then
    happens. Without `resize` an odd margin leaves its extra pixel below and to the right.

    Args: pixels: (H, W, 3) uint8; crop: side in pixels.
    Returns: (3, crop, crop) uint8, contiguous.
    """
    return planned(pixels.shape[:2], crop, view, random).cut(pixels)


def planned(size: Size, crop: int, view: View = PLAIN, random: np.random.Generator | None = None) -> "Plan":
    """Where in a picture of this size the square lies; `prepare` says how it is chosen."""
    if random is not None and view.training == "resized-crop":
        whole = Span(0, crop)
        return Plan(size, crop, view, _random_window(size, view, random), (crop, crop), whole, whole)
    if view.training == "centre":
        random = None
    resized = _resized(size, view)
    side = min(*resized, crop) if view.small == "enlarge" else crop
    rows, columns = (_span(length, side, view, random) for length in resized)
    return Plan(size, crop, view, (0, 0, *size), resized, rows, columns)


class Span(NamedTuple):
    """What is looked at along one side of a resized picture."""

    first: int
    length: int
    places: np.ndarray | None = None
    """Which of these pixels become the square's, where some do so more than once; None: all, in order."""


class Plan(NamedTuple):
    """Which part of a picture becomes the square."""

    size: Size
    """The picture's."""
    crop: int
    view: View
    window: tuple[int, int, int, int]
    """Top, left, height and width of what is resized."""
    resized: Size
    """What the window is brought to."""
    rows: Span
    """Of the resized window; both spans are shorter than the crop if they are to be enlarged."""
    columns: Span

    @property
    def times(self) -> int:
        """How many times smaller (1, 2, 4 or 8) a JPEG may be decoded: the rest is still not enlarged."""
        if not self.view.scaled_decode:
            return 1
        shrunk = min(before / after for before, after in zip(self.window[2:], self.resized, strict=True))
        return next(times for times in (8, 4, 2, 1) if times <= max(shrunk, 1))

    def cut(self, pixels: np.ndarray) -> np.ndarray:
        """(3, crop, crop) uint8, contiguous, of the picture, or of one that was decoded smaller."""
        seen = self._looked_at(pixels)
        if self.rows.places is not None:
            seen = seen[self.rows.places]
        if self.columns.places is not None:
            seen = seen[:, self.columns.places]
        return np.ascontiguousarray(seen.transpose(2, 0, 1))

    def _looked_at(self, pixels: np.ndarray) -> np.ndarray:
        """Both spans of the resized window, enlarged if need be."""
        rows, columns = self.rows, self.columns
        enlarging = rows.places is None and rows.length < self.crop
        shape = (self.crop, self.crop) if enlarging else (rows.length, columns.length)
        square = (rows.first, columns.first, rows.length, columns.length)
        smaller = -(-self.size[0] // pixels.shape[0])
        top, left, height, width = (round(number / smaller) for number in self.window)
        pixels = pixels[top : top + height, left : left + width]
        if self.resized != (height, width):
            if math.prod(self.resized) > MAX_PIXELS:  # of a very long picture, no more than what is needed
                tall, wide = height / self.resized[0], width / self.resized[1]
                part = (square[0] * tall, square[1] * wide, square[2] * tall, square[3] * wide)
                return self._by_pillow(pixels, shape, part)
            pixels = self._resized(pixels)
        if enlarging:
            # Pillow looks beyond the border of what it enlarges, as if the whole picture were enlarged.
            return self._by_pillow(pixels, shape, square)
        return pixels[rows.first : rows.first + rows.length, columns.first : columns.first + columns.length]

    def _resized(self, pixels: np.ndarray) -> np.ndarray:
        if not self.view.scaled_decode or self.view.interpolation not in ("bilinear", "bicubic"):
            return self._by_pillow(pixels, self.resized)
        # Where the last bit does not matter, torch is four times as fast. On uint8 it computes in whole
        # numbers, the same on every processor.
        whole = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None]
        resized = functional.interpolate(whole, self.resized, mode=self.view.interpolation, antialias=True)
        return resized[0].permute(1, 2, 0).numpy()

    def _by_pillow(self, pixels: np.ndarray, shape: Size, part: Sequence[float] | None = None) -> np.ndarray:
        """Pixels, or a part (top, left, height, width) of them, brought to (height, width) `shape`."""
        box = None
        if part is not None:
            top, left, height, width = part
            box = (left, top, left + width, top + height)
        method = RESAMPLING[self.view.interpolation]
        return np.asarray(Image.fromarray(pixels).resize(shape[::-1], method, box))


def _resized(size: Size, view: View) -> Size:
    """Of the whole picture after resizing; the longer side is rounded down, as in torchvision."""
    if view.resize is None:
        return size
    if view.squash:
        return (view.resize, view.resize)
    short = min(size)
    height, width = (view.resize if side == short else int(view.resize * side / short) for side in size)
    return height, width


def _span(side: int, cut: int, view: View, random: np.random.Generator | None) -> Span:
    """Where a square of side `cut` lies along a picture's side."""
    if side >= cut:
        return Span(_first(side - cut, view, random), cut)
    if view.small == "reflect":
        # 0 1 2 -> 2 1 [0 1 2] 1 0: there and back again, over and over, the picture in the middle.
        there_and_back = [*range(side), *range(side - 2, 0, -1)]
        start = -((cut - side) // 2)
        return Span(0, side, np.take(there_and_back, range(start, start + cut), mode="wrap"))
    start = _first(-cut % side, view, random)  # what is left over when it is repeated until large enough
    return Span(0, side, np.arange(start, start + cut) % side)


def _first(room: int, view: View, random: np.random.Generator | None) -> int:
    """Where a square begins that has so much room: in the middle, or anywhere."""
    if random is not None:
        return int(random.integers(room, endpoint=True))
    # An odd margin: as torchvision has it after a resize, else (as ever here) the smaller part first.
    return room // 2 if view.resize is None else round(room / 2)


def _random_window(size: Size, view: View, random: np.random.Generator) -> tuple[int, int, int, int]:
    """Top, left, height and width of a window with random area and aspect.

    Source: torchvision's RandomResizedCrop: ten tries, then the largest in the middle with an allowed aspect.
    """
    height, width = size
    slimmest, widest = view.aspect
    for _ in range(_TRIES):
        area = height * width * random.uniform(*view.area)
        aspect = math.exp(random.uniform(math.log(slimmest), math.log(widest)))
        wide, tall = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < wide <= width and 0 < tall <= height:
            top = int(random.integers(height - tall, endpoint=True))
            return top, int(random.integers(width - wide, endpoint=True)), tall, wide
    tall = max(1, round(width / slimmest)) if width / height < slimmest else height
    wide = max(1, round(height * widest)) if width / height > widest else width
    return (height - tall) // 2, (width - wide) // 2, tall, wide
