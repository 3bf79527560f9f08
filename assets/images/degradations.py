"""Degradations of pictures, written as recipes: `blur(0,3)@0.5|jpeg(30,100)@0.5`.

A recipe is a chain of operations, `name(value)` or `name(lowest,highest)`, each with an optional
`@probability`. A range is drawn from uniformly, for each picture anew. Brackets hold recipes of which each
picture gets one, all equally likely (write one twice to double its chance): `(jpeg(50)|flip/webp(50))@0.5`.
What a recipe does to a picture depends on the recipe, the pixels and the random generator alone: real and
generated pictures are treated alike.

resize(0.5)   both sides times a factor (a number with a decimal point; above 1.0 it enlarges)
resize(112)   the shorter side brought to so many pixels, aspect kept; a smaller picture stays as it is
jpeg(65)      baseline JPEG, chroma 4:2:0, IJG quality
webp(75)      lossy WebP quality
avif(50)      lossy AVIF quality, chroma 4:2:0
blur(3)       Gaussian, sigma in pixels
noise(0.02)   Gaussian, standard deviation as a share of the range from black to white
crop(0.5)     a window of that share of both sides, at a random place
crop(128)     a square window of that side in pixels; on a side where the picture is smaller it stays whole
centre(0.5)   the same window in the middle; centre(450) likewise
square(256)   a square window of that side, at a random place; a smaller picture is mirrored outwards.
              square(256,1000): of a side drawn from 256 to the picture's shorter side, at most 1000
to(256)       both sides brought to so many pixels, whatever the aspect was: Lanczos over 8 x 8 pixels, not
              antialiased, as OpenCV does it
zoom(256)     a window of 8 % to all of the area, 3:4 to 4:3 in shape, brought to a square of that side
flip          mirrored left to right
"""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image, features

from assets.errors import AssayError, did_you_mean
from assets.images.picture import MAX_PIXELS, PictureError, decode, encode

Number = int | float
Operation = Callable[[np.ndarray, Number, np.random.Generator], np.ndarray]


class DegradationError(AssayError):
    """A recipe that cannot be read, or asks for what its operation cannot do."""


class Step(NamedTuple):
    """One operation of a recipe."""

    name: str
    low: Number
    """Of the argument; 0 for an operation without one."""
    high: Number
    """Equal to `low` where the argument is no range."""
    probability: float

    def __str__(self) -> str:
        rule = _RULES[self.name]
        if rule is None:
            return f"{self.name}{_chance(self.probability)}"
        ends = [self.low] if self.low == self.high else [self.low, self.high]
        texts = [str(end) if rule.whole else str(end).removesuffix(".0") for end in ends]
        return f"{self.name}({','.join(texts)}){_chance(self.probability)}"

    def drawn(self, random: np.random.Generator, shorter: int) -> Number:
        """The argument for one picture, whose shorter side has so many pixels."""
        high = self.high
        if self.name == "square":  # what is drawn has to fit
            high = max(self.low, min(high, shorter))
        if self.low == high:
            return self.low
        if isinstance(self.low, int):
            return int(random.integers(self.low, int(high), endpoint=True))
        return float(random.uniform(self.low, high))


@dataclass(frozen=True)
class Choice:
    """Recipes of which each picture gets one."""

    recipes: tuple["Recipe", ...]
    probability: float

    def __str__(self) -> str:
        return f"({'/'.join(map(str, self.recipes))}){_chance(self.probability)}"


@dataclass(frozen=True)
class Recipe:
    """A chain of operations; `str` gives its canonical text, which `parse` reads back to an equal recipe."""

    steps: tuple[Step | Choice, ...]

    def __str__(self) -> str:
        return "|".join(map(str, self.steps))

    def operations(self, random: np.random.Generator | None = None) -> Iterator[Step]:
        """The operations that are done to one picture, each drawn when it is asked for.

        Without a random generator: all of them, and of each choice the first recipe.
        """
        for step in self.steps:
            if random is not None and step.probability < 1 and random.random() >= step.probability:
                continue
            if isinstance(step, Step):
                yield step
            else:
                pick = 0 if random is None else int(random.integers(len(step.recipes)))
                yield from step.recipes[pick].operations(random)

    def apply(self, pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """Degrade (H, W, 3) uint8 pixels; the result is (H', W', 3) uint8, at least 1 x 1.

        Raises:
            PictureError: the picture has a longer side than a codec of the recipe can hold, or is
                enlarged to more than `MAX_PIXELS`.
        """
        pixels, codec = self._up_to_last_codec(pixels, random)
        return pixels if codec is None else decode(codec)

    def encode(self, pixels: np.ndarray, random: np.random.Generator) -> bytes:
        """Degrade pixels and give the result as a file, whose pixels are exactly those of `apply`.

        When the last operation that was done is a codec, the file is what that codec wrote: nothing is
        lost twice. Otherwise it is a PNG.

        Raises:
            PictureError: as `apply`.
        """
        pixels, codec = self._up_to_last_codec(pixels, random)
        return encode(pixels) if codec is None else codec

    def _up_to_last_codec(
        self, pixels: np.ndarray, random: np.random.Generator
    ) -> tuple[np.ndarray, bytes | None]:
        """The degraded pixels, or the bytes whose pixels are what comes out."""
        data: bytes | None = None
        for step in self.operations(random):
            if data is not None:
                pixels, data = decode(data), None
            value = step.drawn(random, min(pixels.shape[:2]))
            if step.name in _CODECS:
                data = _compressed(pixels, step.name, int(value))
            else:
                pixels = _OPERATIONS[step.name](pixels, value, random)
        return pixels, data


def parse(recipe: str, where: str = "") -> Recipe:
    """Read a recipe; an empty one leaves pictures as they are.

    Args: where: what begins an error message, e.g. `degrade.jpeg65`.
    Raises:
        DegradationError: not of the form above, an unknown operation (the nearest is named), an argument
            missing, too many, or out of range.
    """
    start = f"{where}: " if where else ""
    if not recipe.strip():
        return Recipe(())
    try:
        return _parse_chain(recipe)
    except _Refused as refused:
        raise DegradationError(f"{start}recipe '{recipe}': {refused}") from None


class _Refused(Exception):
    """What is wrong with one step."""


class _Rule(NamedTuple):
    """What an operation takes, for whole numbers and for numbers with a decimal point."""

    what: str
    """For messages."""
    whole: tuple[int, int] | None
    """Lowest and highest whole number; None: a whole number is read as one with a decimal point."""
    decimal: tuple[float, float] | None
    """Lowest and highest other number; None: only whole numbers are taken."""
    above: bool = False
    """Whether the lowest `decimal` itself is too low."""


_RULES: dict[str, _Rule | None] = {
    "resize": _Rule(
        "pixels (whole, 8 to 16383) or a factor (with a decimal point, above 0.0, at most 8.0)",
        (8, 16383),
        (0, 8),
        above=True,
    ),
    "jpeg": _Rule("a quality (whole, 1 to 100)", (1, 100), None),
    "webp": _Rule("a quality (whole, 1 to 100)", (1, 100), None),
    "avif": _Rule("a quality (whole, 1 to 100)", (1, 100), None),
    "blur": _Rule("sigma in pixels (0 to 50)", None, (0, 50)),
    "noise": _Rule("a standard deviation as a share of black to white (0 to 1)", None, (0, 1)),
    "crop": _Rule(
        "pixels (whole, 8 to 16383) or a share (with a decimal point, above 0.0, at most 1.0)",
        (8, 16383),
        (0, 1),
        above=True,
    ),
    "centre": _Rule(
        "pixels (whole, 8 to 16383) or a share (with a decimal point, above 0.0, at most 1.0)",
        (8, 16383),
        (0, 1),
        above=True,
    ),
    "square": _Rule("pixels (whole, 8 to 8192)", (8, 8192), None),
    "to": _Rule("pixels (whole, 8 to 8192)", (8, 8192), None),
    "zoom": _Rule("pixels (whole, 8 to 16383)", (8, 16383), None),
    "flip": None,
}
_CHOICE = re.compile(r"\((.*)\)\s*(?:@\s*(\S+))?", re.DOTALL)
_STEP = re.compile(r"([A-Za-z_]\w*)\s*(?:\(([^()]*)\))?\s*(?:@\s*(\S+))?")
_WHOLE = re.compile(r"-?\d+")
_DECIMAL = re.compile(r"-?(\d+\.\d*|\.\d+|\d+)([eE][-+]?\d+)?")


def _parse_chain(text: str) -> Recipe:
    return Recipe(tuple(_parse_step(part.strip()) for part in _split(text, "|")))


def _split(text: str, separator: str) -> list[str]:
    """Cut at every separator that stands outside of brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == separator and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def _parse_step(text: str) -> Step | Choice:
    if choice := _CHOICE.fullmatch(text):
        recipes = tuple(_parse_chain(part) for part in _split(choice[1], "/"))
        return Choice(recipes, _parse_probability(text, choice[2]))
    match = _STEP.fullmatch(text)
    if not match:
        raise _Refused(
            f"'{text}' is not name(value) or name(lowest,highest), with or without @probability, nor a "
            "choice (RECIPE/RECIPE) of them"
        )
    name, arguments, chance = match.groups()
    if name not in _RULES:
        raise _Refused(f"unknown operation '{name}'; {did_you_mean(name, _RULES)}")
    if name == "avif" and not features.check("avif"):
        raise _Refused(
            f"'{text}': the Pillow that is installed here was built without AVIF; "
            "`pip install --force-reinstall pillow` brings one that has it"
        )
    low, high = _parse_range(name, text, [part.strip() for part in (arguments or "").split(",")])
    return Step(name, low, high, _parse_probability(text, chance))


def _parse_range(name: str, text: str, parts: list[str]) -> tuple[Number, Number]:
    rule = _RULES[name]
    if rule is None:
        if parts != [""]:
            raise _Refused(f"'{text}': {name} takes no argument")
        return 0, 0
    if not 1 <= len(parts) <= 2 or "" in parts:
        raise _Refused(f"'{text}': {name} takes one value or lowest,highest: {rule.what}")
    values = [_parse_number(part, rule, name, text) for part in parts]
    low, high = values[0], values[-1]
    if type(low) is not type(high):
        raise _Refused(f"'{text}': {parts[0]} is not of the same kind as {parts[1]}: {rule.what}")
    if low > high:
        raise _Refused(f"'{text}': the lowest value comes first: {name}({parts[1]},{parts[0]})")
    return low, high


def _parse_number(part: str, rule: _Rule, name: str, text: str) -> Number:
    if _WHOLE.fullmatch(part) and rule.whole:
        if rule.whole[0] <= int(part) <= rule.whole[1]:
            return int(part)
    elif _DECIMAL.fullmatch(part) and rule.decimal:
        value = float(part)
        low, high = rule.decimal
        if low <= value <= high and not (rule.above and value == low):
            return value
    raise _Refused(f"'{text}': {part} will not do, {name} takes {rule.what}")


def _parse_probability(text: str, chance: str | None) -> float:
    if chance is None:
        return 1.0
    if not _DECIMAL.fullmatch(chance) or not 0 < float(chance) <= 1:
        raise _Refused(f"'{text}': the probability after @ must be above 0 and at most 1")
    return float(chance)


def _chance(probability: float) -> str:
    return "" if probability == 1 else f"@{probability}"


def _resize(pixels: np.ndarray, value: Number, _: np.random.Generator) -> np.ndarray:
    """Bicubic, antialiased when it makes smaller (Pillow widens the kernel by the factor)."""
    height, width = pixels.shape[:2]
    factor = value if isinstance(value, float) else value / min(height, width)
    if isinstance(value, int) and factor >= 1:
        return pixels
    target = (max(1, round(width * factor)), max(1, round(height * factor)))
    if target[0] * target[1] > MAX_PIXELS:
        raise PictureError(f"{width} x {height} enlarged {factor:g} times has more than {MAX_PIXELS} pixels")
    return np.asarray(Image.fromarray(pixels).resize(target, Image.Resampling.BICUBIC))


def _blur(pixels: np.ndarray, sigma: Number, _: np.random.Generator) -> np.ndarray:
    """Each channel by itself; the kernel ends at 4 sigma, the border is mirrored (edge pixel repeated).

    Both are what CNNDetection (Wang et al. 2020, arXiv 1912.11035) takes from scipy's defaults; here values
    are rounded, not cut off.
    """
    from scipy.ndimage import gaussian_filter

    if sigma == 0:
        return pixels
    smooth = gaussian_filter(pixels.astype(np.float32), (sigma, sigma, 0), mode="reflect", truncate=4.0)
    return _to_uint8(smooth)


def _noise(pixels: np.ndarray, share: Number, random: np.random.Generator) -> np.ndarray:
    grain = random.standard_normal(pixels.shape, dtype=np.float32)
    return _to_uint8(pixels + np.float32(255 * share) * grain)


def _crop(pixels: np.ndarray, value: Number, random: np.random.Generator) -> np.ndarray:
    height, width = pixels.shape[:2]
    tall, wide = _window(pixels, value)
    top = random.integers(height - tall, endpoint=True)
    left = random.integers(width - wide, endpoint=True)
    return pixels[top : top + tall, left : left + wide]


def _centre(pixels: np.ndarray, value: Number, _: np.random.Generator) -> np.ndarray:
    """Where torchvision's CenterCrop has it: a half is rounded to the even number."""
    height, width = pixels.shape[:2]
    tall, wide = _window(pixels, value)
    top, left = round((height - tall) / 2), round((width - wide) / 2)
    return pixels[top : top + tall, left : left + wide]


def _window(pixels: np.ndarray, value: Number) -> tuple[int, int]:
    """Height and width of a window: pixels of a side, or a share of each; at most those of the picture."""
    height, width = pixels.shape[:2]
    if isinstance(value, int):
        return min(height, value), min(width, value)
    return max(1, round(height * value)), max(1, round(width * value))


def _square(pixels: np.ndarray, side: Number, random: np.random.Generator) -> np.ndarray:
    """Mirrored outwards in equal parts on both ends, the edge pixel not repeated."""
    missing = [max(0, int(side) - length) for length in pixels.shape[:2]]
    if any(missing):
        both = [(many // 2, many - many // 2) for many in missing]
        pixels = np.pad(pixels, (*both, (0, 0)), "reflect")
    return _crop(pixels, int(side), random)


def _to(pixels: np.ndarray, side: Number, _: np.random.Generator) -> np.ndarray:
    """OpenCV's INTER_LANCZOS4, to within one of its rounded 8-bit levels: columns first, then rows."""
    values = pixels.astype(np.float32)
    for axis in (1, 0):
        values = _eight_taps(values.swapaxes(0, axis), int(side)).swapaxes(0, axis)
    return _to_uint8(values)


def _eight_taps(values: np.ndarray, side: int) -> np.ndarray:
    """The first axis of (L, ..., 3) brought to `side`: each place from the eight nearest, edges repeated."""
    length = len(values)
    place = (np.arange(side) + 0.5) * (length / side) - 0.5
    near = np.floor(place).astype(int)[:, None] + np.arange(-3, 5)
    weight = np.sinc(near - place[:, None]) * np.sinc((near - place[:, None]) / 4)
    weight = (weight / weight.sum(1, keepdims=True)).astype(np.float32)
    near = near.clip(0, length - 1)
    made = np.zeros((side, *values.shape[1:]), np.float32)
    for tap in range(8):
        made += values[near[:, tap]] * weight[:, tap, None, None]
    return made


def _zoom(pixels: np.ndarray, side: Number, random: np.random.Generator) -> np.ndarray:
    """As torchvision's RandomResizedCrop: ten tries for a window that fits, else the largest; bicubic."""
    height, width = pixels.shape[:2]
    for _ in range(10):
        area = height * width * random.uniform(0.08, 1.0)
        shape = math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
        wide, tall = round(math.sqrt(area * shape)), round(math.sqrt(area / shape))
        if 0 < wide <= width and 0 < tall <= height:
            top = int(random.integers(height - tall, endpoint=True))
            left = int(random.integers(width - wide, endpoint=True))
            break
    else:
        wide, tall = max(1, min(width, round(height * 4 / 3))), max(1, min(height, round(width * 4 / 3)))
        top, left = (height - tall) // 2, (width - wide) // 2
    window = Image.fromarray(pixels[top : top + tall, left : left + wide])
    return np.asarray(window.resize((int(side), int(side)), Image.Resampling.BICUBIC))


def _flip(pixels: np.ndarray, _: Number, __: np.random.Generator) -> np.ndarray:
    return pixels[:, ::-1]


_OPERATIONS: dict[str, Operation] = {
    "resize": _resize,
    "blur": _blur,
    "noise": _noise,
    "crop": _crop,
    "centre": _centre,
    "square": _square,
    "to": _to,
    "zoom": _zoom,
    "flip": _flip,
}
_CODECS = {"jpeg": 65500, "webp": 16383, "avif": 32768}
"""Codec -> the longest side in pixels that it can hold."""


def _compressed(pixels: np.ndarray, codec: str, quality: int) -> bytes:
    height, width = pixels.shape[:2]
    if max(height, width) > _CODECS[codec]:
        raise PictureError(f"{width} x {height} is too large for {codec}: at most {_CODECS[codec]} px a side")
    pixels = np.ascontiguousarray(pixels)
    if codec == "jpeg":
        return encode(pixels, "JPEG", quality=quality, subsampling="4:2:0")
    if codec == "avif":  # one thread: tiles, and with them the bytes, would follow the number of cores
        return encode(pixels, "AVIF", quality=quality, subsampling="4:2:0", speed=6, max_threads=1)
    return encode(pixels, "WEBP", quality=quality, method=4)


def _to_uint8(values: np.ndarray) -> np.ndarray:
    rounded: np.ndarray = np.rint(values).clip(0, 255).astype(np.uint8)
    return rounded
