"""One picture: hostile bytes in, RGB pixels and facts about the file out.

Every image of a benchmark is decoded here and nowhere else, so that all stages see the same pixels:
the first frame, EXIF rotation applied, transparency laid over white, 16-bit grey scaled to 8 bits,
then RGB.
"""

import hashlib
import io
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps, JpegImagePlugin

MAX_PIXELS = 120_000_000
"""Pictures with more pixels are refused before they are decoded (a decompression bomb)."""

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
"""Pillow plug-ins that may look at the bytes (JPEG hands MPO on); its other ones never see hostile input."""

Smaller = Callable[[tuple[int, int]], int]
"""Height and width of a picture -> how many times smaller it may be decoded."""

Image.init()  # registers the plug-ins that Pillow loads late; `formats=` refuses names it has not met


class PictureError(ValueError):
    """These bytes are no picture that can be used; the message is the reason kept in the manifest."""


class Facts(NamedTuple):
    """What the file says about itself, without its pixels."""

    width: int
    """Pixels, as stored (before EXIF rotation)."""
    height: int
    format: str
    mode: str
    """Pillow mode of the stored pixels, e.g. `RGB`, `P`, `CMYK`, `I;16`."""
    frames: int
    jpeg_quality: int | None
    """Quality 1..100 of the IJG luma table nearest to the file's (None: not a JPEG)."""
    jpeg_subsampling: str | None
    """`4:4:4`, `4:2:2`, `4:2:0` or `other`."""
    jpeg_tables: str | None
    """First 16 hex digits of the SHA-256 of the quantisation tables."""


class Examined(NamedTuple):
    """All that a manifest row holds about one file."""

    facts: Facts | None
    sha256: str
    """Of the bytes."""
    pixels: str | None
    """SHA-256 of the decoded RGB pixels with their shape: equal pictures in unlike files are equal."""
    phash: str | None
    """64-bit perceptual hash, 16 hex digits."""
    reason: str | None
    """Why the picture cannot be used; None if it can."""


def decode(data: bytes, smaller: Smaller | None = None) -> np.ndarray:
    """Decode to RGB pixels.

    Args: smaller: asked once, with the picture's height and width, how many times smaller (1, 2, 4 or 8) it
        may be decoded. JPEG can do so while it decodes, and then each side is rounded up; other formats
        come in full.
    Returns: (H, W, 3) uint8.
    Raises:
        PictureError: empty, not an image of a supported format, truncated, damaged, too many pixels.
    """
    with _sorry():
        image = _opened(data)
        at_once = smaller is None or image.format != "JPEG"
        size = (1, 1) if at_once else _upright_size(image)
    times = 1 if smaller is None or at_once else smaller(size)
    with _sorry(), image:
        if times > 1:
            image.draft(None, (max(1, image.width // times), max(1, image.height // times)))
        pixels = _pixels(image)
    if smaller is not None and at_once:
        smaller((pixels.shape[0], pixels.shape[1]))  # whatever it says: there is only all of it
    return pixels


def examine(data: bytes) -> Examined:
    """Decode a file once and collect its facts and hashes; never raises for bad pictures."""
    digest = hashlib.sha256(data).hexdigest()
    try:
        pixels, facts = _decode(data)
    except PictureError as error:
        return Examined(None, digest, None, None, str(error))
    return Examined(facts, digest, pixels_digest(pixels), f"{phash(pixels):016x}", None)


def pixels_digest(pixels: np.ndarray) -> str:
    """Hex SHA-256 of (H, W, 3) uint8 pixels together with their shape."""
    shape = struct.pack("<II", pixels.shape[0], pixels.shape[1])
    return hashlib.sha256(shape + np.ascontiguousarray(pixels).tobytes()).hexdigest()


def phash(pixels: np.ndarray) -> int:
    """The 64-bit perceptual hash of (H, W, 3) uint8 pixels.

    Luma, scaled to 32 x 32, two-dimensional DCT-II; the 8 x 8 lowest frequencies, each above their
    median or not, row by row from the most significant bit. Source: E. Klinger, D. Starkweather, pHash
    (2010); the same form as ImageHash's `phash`.
    """
    from scipy.fft import dctn

    luma = Image.fromarray(pixels).convert("L").resize((32, 32), Image.Resampling.LANCZOS)
    low = dctn(np.asarray(luma, dtype=np.float64), type=2)[:8, :8]
    bits = (low > np.median(low)).ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def encode(pixels: np.ndarray, kind: str = "PNG", **options: int | str | bool) -> bytes:
    """Encode (H, W, 3) uint8 pixels; `options` are Pillow's for this format.

    PNG is stored at compression level 0 unless asked otherwise: pictures of one size then have files of
    one length, so that file length says nothing about how they were made.
    """
    if kind == "PNG":
        options = {"compress_level": 0, **options}
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def jpeg_quality(luma_table: list[int]) -> int:
    """The IJG quality whose luma table is nearest (mean squared error; ties: the higher quality).

    Args: luma_table: the 64 entries of quantisation table 0, in zig-zag order.
    Source: "Fake or JPEG?" (arXiv 2403.17608), which matches qualities in this way.
    """
    table = np.asarray(luma_table, dtype=np.float64)
    errors = ((_IJG_TABLES - table) ** 2).mean(axis=1)
    return 100 - int(np.argmin(errors))


def _decode(data: bytes) -> tuple[np.ndarray, Facts]:
    with _sorry(), _opened(data) as image:
        facts = _facts(image)
        return _pixels(image), facts


@contextmanager
def _sorry() -> Iterator[None]:
    """Whatever goes wrong with hostile bytes, as a PictureError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns about what is decided here
        try:
            yield
        except PictureError:
            raise
        except Image.DecompressionBombError:
            raise PictureError(f"more than {MAX_PIXELS} pixels") from None
        except Image.UnidentifiedImageError:
            raise PictureError("not an image, or of an unsupported format") from None
        except Exception as error:  # hostile bytes make Pillow's decoders raise nearly anything
            text = str(error).split("\n")[0] or type(error).__name__
            raise PictureError(f"damaged: {text}") from None


def _opened(data: bytes) -> Image.Image:
    """Its header is read, its pixels are not."""
    if not data:
        raise PictureError("empty file")
    image = Image.open(io.BytesIO(data), formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        raise PictureError(f"{image.width} x {image.height} is more than {MAX_PIXELS} pixels")
    return image


def _upright_size(image: Image.Image) -> tuple[int, int]:
    """Height and width of a JPEG after EXIF rotation."""
    lying = image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    return (image.width, image.height) if lying else (image.height, image.width)


def _pixels(image: Image.Image) -> np.ndarray:
    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    return np.asarray(_to_rgb(image))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16") or image.mode == "I":
        return Image.fromarray((np.asarray(image).clip(0, 65535) // 256).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise PictureError("floating-point pixels have no defined range")
    if image.has_transparency_data:
        over = image.convert("RGBA")
        white = Image.new("RGBA", over.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, over).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _facts(image: Image.Image) -> Facts:
    quality = subsampling = tables = None
    quantization = getattr(image, "quantization", None)
    if image.format in ("JPEG", "MPO") and quantization:
        quality = jpeg_quality(quantization[min(quantization)])
        code = JpegImagePlugin.get_sampling(image)
        subsampling = {0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}.get(code, "other")
        listed = repr(sorted((key, list(values)) for key, values in quantization.items()))
        tables = hashlib.sha256(listed.encode()).hexdigest()[:16]
    return Facts(
        image.width,
        image.height,
        image.format or "",
        image.mode,
        getattr(image, "n_frames", 1),
        quality,
        subsampling,
        tables,
    )


# Luma quantisation table of quality 50 in Pillow's order (ITU-T T.81, Annex K.1, rows).
_IJG_LUMA = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    dtype=np.int64,
).ravel()


def _ijg_tables() -> np.ndarray:
    """(100, 64): the luma tables of quality 100, 99, ... 1, scaled as libjpeg scales them."""
    quality = np.arange(100, 0, -1)
    scale = np.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    return ((_IJG_LUMA[None, :] * scale[:, None] + 50) // 100).clip(1, 255).astype(np.float64)


_IJG_TABLES = _ijg_tables()
