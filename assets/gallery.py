"""The hardest images as the stage `gallery` writes them: gallery.json and thumbnails beside it."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assets.errors import AssayError
from assets.inventory import read_document

GALLERY = "gallery.json"
_FILE = re.compile(r"[a-z][a-z0-9_]*-\d{2,}\.jpg")


@dataclass(frozen=True)
class Score:
    """What one detector said."""

    detector: str
    trained_on: str
    seen: bool | None
    """Whether it was trained on this image's generator; None: not known, or a real image."""
    p: float
    """P(generated), mean over training seeds."""


@dataclass(frozen=True)
class Hard:
    """One image that many detectors get wrong."""

    id: str
    file: str
    """Its thumbnail in the folder of the gallery."""
    width: int
    """Of the thumbnail, in pixels."""
    height: int
    content: str | None
    class_name: str | None
    prompt: str | None
    group: str
    wrong: float
    """Share of the asked trainings (`tasks.gallery.asked`) that call it wrongly, at their val threshold."""
    asked: int
    """How many trainings were asked."""
    scores: tuple[Score, ...]
    """Of every detector and training, asked or not."""


@dataclass(frozen=True)
class Wall:
    """The hardest images of one item, a generator or `real`, the hardest first."""

    item: str
    label: int
    """0 real, 1 generated."""
    images: tuple[Hard, ...]


def gallery_folder(root: Path) -> Path:
    """Where the gallery lies."""
    return root / "artifacts" / "gallery"


def read_gallery(root: Path) -> list[Wall]:
    """Read and check the gallery; `real` comes first. Texts in it came from files: escape them.

    Raises:
        AssayError: gallery.json is not there or malformed, or a thumbnail is missing.
    """
    folder = gallery_folder(root)
    path = folder / GALLERY
    document = read_document(path)
    try:
        walls = [_wall(item) for item in document["items"]]
    except (KeyError, TypeError, ValueError) as error:
        raise AssayError(f"{path} is malformed ({error!r}): `assay run` makes it anew") from None
    for wall in walls:
        for image in wall.images:
            if not (folder / image.file).is_file():
                raise AssayError(f"{folder / image.file} is not there: `assay run` makes it anew")
    return walls


def _wall(found: dict[str, Any]) -> Wall:
    label = int(found["label"])
    if label not in (0, 1):
        raise ValueError(f"label {label}")
    return Wall(str(found["item"]), label, tuple(_hard(image) for image in found["images"]))


def _hard(found: dict[str, Any]) -> Hard:
    if not _FILE.fullmatch(str(found["file"])):  # a path of somebody else's making goes nowhere
        raise ValueError(f"file {found['file']}")
    scores = tuple(
        Score(str(score["detector"]), str(score["trained_on"]), _seen(score["seen"]), _share(score["p"]))
        for score in found["scores"]
    )
    content, class_name, prompt = (
        None if found[key] is None else str(found[key]) for key in ("content", "class_name", "prompt")
    )
    return Hard(
        str(found["id"]),
        str(found["file"]),
        int(found["width"]),
        int(found["height"]),
        content,
        class_name,
        prompt,
        str(found["group"]),
        _share(found["wrong"]),
        int(found["asked"]),
        scores,
    )


def _seen(value: Any) -> bool | None:
    if value is not None and not isinstance(value, bool):
        raise ValueError(f"seen {value}")
    return value


def _share(value: Any) -> float:
    if not 0 <= float(value) <= 1:
        raise ValueError(f"{value} is not in [0, 1]")
    return float(value)
