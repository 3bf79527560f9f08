"""Thumbnails inside the page, and what each detector said of them."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from assets.errors import AssayError
from assets.gallery import Hard, Score, Wall, gallery_folder
from assets.page.facets import Facets, printed


@dataclass(frozen=True)
class Said:
    """What one detector said of one image."""

    score: Score
    wrong: bool
    """Whether it calls the image wrongly at P = 0.5."""
    about: str


@dataclass(frozen=True)
class Picture:
    """One image of the gallery."""

    item: str
    generated: bool
    src: str
    """Data URI of the thumbnail."""
    about: str
    image: Hard
    said: tuple[Said, ...]
    """The wrongest first."""

    @property
    def num_wrong(self) -> int:
        """Of the trainings that were asked, those that call it wrongly."""
        return round(self.image.wrong * self.image.asked)


def pictures(gallery: Sequence[Wall], root: Path, facets: Facets) -> list[Picture]:
    """Every image of the gallery with its thumbnail.

    Raises:
        AssayError: a thumbnail is not there or no JPEG.
    """
    folder = gallery_folder(root)
    return [_picture(wall, image, folder, facets) for wall in gallery for image in wall.images]


def _picture(wall: Wall, image: Hard, folder: Path, facets: Facets) -> Picture:
    generated = wall.label == 1
    scores = sorted(
        image.scores, key=lambda one: (one.p if generated else -one.p, one.detector, one.trained_on)
    )
    said = [
        Said(one, (one.p > 0.5) != generated, printed(facets.of_judge(one.detector, one.trained_on)))
        for one in scores
    ]
    about = printed(facets.of_item(wall.item, image.content))
    return Picture(wall.item, generated, _data_uri(folder / image.file), about, image, tuple(said))


def _data_uri(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError:
        raise AssayError(f"{path} is not there: `assay run` makes it anew") from None
    if not content.startswith(b"\xff\xd8\xff"):
        raise AssayError(f"{path} is no JPEG: remove {path.parent} and `assay run` makes it anew")
    return f"data:image/jpeg;base64,{base64.b64encode(content).decode()}"
