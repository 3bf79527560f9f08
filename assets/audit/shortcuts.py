"""What may give a picture's class away besides how it was made, from manifest rows and from files."""

import numpy as np
import pandas as pd
from PIL import Image

from assets.audit.metadata import NONE, metadata
from assets.audit.watermark import watermark

FEATURES: dict[str, tuple[str, ...]] = {
    "format": ("format", "mode"),
    "dimensions": ("width", "height", "aspect", "pixels", "multiple"),
    "bytes": ("bytes", "bits_per_pixel"),
    "jpeg": ("jpeg_quality", "jpeg_subsampling", "jpeg_tables"),
    "metadata": (
        *("exif", "camera", "software", "text", "xmp", "icc", "c2pa", "says_generated"),
        *("jfif", "progressive"),
    ),
    "watermark": ("watermark",),
    "appearance": ("brightness", "contrast", "saturation"),
}
"""Feature set -> its columns."""
YES_OR_NO = ("camera", "xmp", "c2pa", "says_generated", "jfif", "progressive")
"""Columns of 0 and 1."""
FROM_FILES = ("metadata", "watermark", "appearance")
"""Sets that no manifest tells: files are opened for them."""
SHOWN = ("appearance",)
"""Sets about what pictures show: reported, but no part of the verdict."""
SIZE = "size_in_pixels"
"""A column for words alone: `512 x 512`."""

TITLES = {
    "format": "file format",
    "mode": "colour mode",
    SIZE: "size in pixels",
    "width": "width in pixels",
    "height": "height in pixels",
    "aspect": "width / height",
    "pixels": "number of pixels",
    "multiple": "largest power of two, up to 64, that divides both sides",
    "bytes": "file length in bytes",
    "bits_per_pixel": "bits of file per pixel",
    "jpeg_quality": "JPEG quality",
    "jpeg_subsampling": "chroma subsampling",
    "jpeg_tables": "JPEG quantisation tables",
    "exif": "number of EXIF tags",
    "camera": "a camera in EXIF",
    "software": "software named in the file",
    "text": "text chunks and comments",
    "xmp": "XMP",
    "icc": "colour profile",
    "c2pa": "content credentials (C2PA)",
    "says_generated": "the words trainedAlgorithmicMedia",
    "jfif": "a JFIF header",
    "progressive": "progressive or interlaced",
    "watermark": "invisible watermark",
    "brightness": "mean brightness (0 to 255)",
    "contrast": "contrast (standard deviation of brightness)",
    "saturation": "mean saturation (0 to 1)",
}
"""Column -> what it is called for people."""

_NO_JPEG = -1.0
_THUMBNAIL = 32


def from_manifest(rows: pd.DataFrame) -> pd.DataFrame:
    """What manifest rows say of their files, one row an image: numbers, and categories as text."""
    width, height = rows["width"].astype(float), rows["height"].astype(float)
    size = rows["size"].astype(float)
    both = width.astype(int) | height.astype(int) | 64
    return pd.DataFrame(
        {
            "format": rows["format"].astype(str),
            "mode": rows["mode"].astype(str),
            "width": width,
            "height": height,
            SIZE: width.astype(int).astype(str) + " x " + height.astype(int).astype(str),
            "aspect": width / height,
            "pixels": width * height,
            "multiple": (both & -both).astype(float),
            "bytes": size,
            "bits_per_pixel": 8 * size / (width * height),
            # No JPEG is a value of its own here: that a file has no tables is what a detector can see.
            "jpeg_quality": rows["jpeg_quality"].astype("Float64").fillna(_NO_JPEG).astype(float),
            "jpeg_subsampling": rows["jpeg_subsampling"].fillna(NONE).astype(str),
            "jpeg_tables": rows["jpeg_tables"].fillna(NONE).astype(str),
        },
        index=rows.index,
    )


def from_file(data: bytes, pixels: np.ndarray) -> dict[str, object]:
    """The columns of `FROM_FILES`: from a file's bytes, and from (H, W, 3) uint8, what they decode to.

    Appearance is measured on a thumbnail of 32 x 32 averaged pixels, so that compression and noise hardly
    matter.
    """
    return {**metadata(data)._asdict(), **_from_pixels(pixels)}


def as_table(found: dict[str, dict[str, object]]) -> pd.DataFrame:
    """What `from_file` found, by key, as a table; yes and no become numbers."""
    columns = [column for name in FROM_FILES for column in FEATURES[name]]
    table = pd.DataFrame.from_dict(found, orient="index", columns=columns)
    return table.astype(dict.fromkeys(YES_OR_NO, float))


def thumbnail(pixels: np.ndarray) -> np.ndarray:
    """(32, 32, 3) float: the picture's averaged colours, 0..255."""
    small = Image.fromarray(pixels).resize((_THUMBNAIL, _THUMBNAIL), Image.Resampling.BOX)
    return np.asarray(small, np.float64)


def _from_pixels(pixels: np.ndarray) -> dict[str, object]:
    small = thumbnail(pixels)
    luma = small @ np.array([0.299, 0.587, 0.114])
    most, least = small.max(axis=2), small.min(axis=2)
    return {
        "watermark": watermark(pixels) or NONE,
        "brightness": round(float(luma.mean()), 6),
        "contrast": round(float(luma.std()), 6),
        "saturation": round(float(((most - least) / np.maximum(most, 1)).mean()), 6),
    }
