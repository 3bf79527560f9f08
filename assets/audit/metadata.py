"""What a file carries beside its pixels: EXIF, text chunks, XMP, a colour profile, content credentials.

Only headers are read, and only a few words of what stands there are kept: names and values in a file are
whatever its maker wrote.
"""

import io
import re
import warnings
from contextlib import suppress
from typing import Any, NamedTuple

from PIL import ExifTags, Image

from assets.images.picture import FORMATS

NONE = "none"
_PROFILES = ("Display P3", "Adobe RGB", "ProPhoto", "sRGB", "GIMP", "c2", "Artifex", "Gray")
"""Words in colour profiles, from the telling to the common one."""


class Metadata(NamedTuple):
    """One file's; the fields are feature columns of the audit."""

    exif: int = 0
    """EXIF tags of the picture itself."""
    camera: bool = False
    """EXIF names a maker or a model."""
    software: str = NONE
    """What EXIF, or a text chunk, says it was written with."""
    text: str = NONE
    """Keys of PNG text chunks, and comments: `parameters` (Stable Diffusion web UI), `workflow` (ComfyUI)."""
    xmp: bool = False
    icc: str = NONE
    """A word of the colour profile, or `other`."""
    c2pa: bool = False
    """A JUMBF box with a C2PA manifest (content credentials); whether it is valid is not looked at."""
    says_generated: bool = False
    """IPTC's `trainedAlgorithmicMedia` stands somewhere in the file."""
    jfif: bool = False
    """A JFIF header: what encoders write and cameras often leave out."""
    progressive: bool = False
    """Progressive JPEG or interlaced PNG or GIF."""


def metadata(data: bytes) -> Metadata:
    """Read it from a file's bytes; what cannot be read, or stands behind a PNG's pixels, counts as not there.

    Sources: C2PA specification 2.1, A.3 (embedding into JPEG, PNG, WebP, ...: a JUMBF superbox labelled
    `c2pa` in all of them); IPTC Digital Source Type NewsCodes.
    """
    found = Metadata(
        c2pa=b"jumb" in data and b"c2pa" in data,
        says_generated=b"trainedAlgorithmicMedia" in data or b"TrainedAlgorithmicMedia" in data,
    )
    # Hostile headers make Pillow raise nearly anything, also late: while EXIF or a text chunk is parsed.
    with warnings.catch_warnings(), suppress(Exception):
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            found = found._replace(**_of_header(image))
            found = found._replace(**_of_exif(image, found))
    return found


def _of_header(image: Image.Image) -> dict[str, Any]:
    info = image.info
    # Not `image.text`: it decodes the picture to see what stands behind the pixels.
    texts = {str(key): text for key, text in info.items() if image.format == "PNG" and isinstance(text, str)}
    keys = sorted({_words(key, 24) for key in texts if not key.startswith("XML:com.adobe")} - {""})
    keys += ["comment"] if info.get("comment") and not texts else []
    software = next((value for key, value in texts.items() if key.lower() == "software"), None)
    return {
        "software": _words(software, 40) or NONE,
        "text": ", ".join(keys[:6]) or NONE,
        "xmp": "xmp" in info or "XML:com.adobe.xmp" in info,
        "icc": _profile(info.get("icc_profile")),
        "jfif": "jfif" in info,
        "progressive": bool(info.get("progressive") or info.get("progression") or info.get("interlace")),
    }


def _of_exif(image: Image.Image, found: Metadata) -> dict[str, Any]:
    if image.format == "PNG" and not {"exif", "Raw profile type exif"} & image.info.keys():
        return {}  # Pillow would decode the picture to look behind the pixels
    exif = image.getexif()
    written_with = _words(exif.get(ExifTags.Base.Software), 40)
    return {
        "exif": len(exif),
        "camera": ExifTags.Base.Make in exif or ExifTags.Base.Model in exif,
        "software": written_with or found.software,
    }


def _profile(profile: object) -> str:
    if not isinstance(profile, bytes) or not profile:
        return NONE
    for name in _PROFILES:  # ASCII in old profiles, UTF-16 in new ones
        if name.encode() in profile or name.encode("utf-16-be") in profile:
            return name
    return "other"


def _words(value: object, most: int) -> str:
    """Plain ASCII of bounded length, whatever stood in the file."""
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value or "")
    return re.sub(r"[^A-Za-z0-9 ._:+-]+", " ", text[: 4 * most]).strip()[:most].strip()
