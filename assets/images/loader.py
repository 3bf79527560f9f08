"""The images that a stage works through: which ones a split gives it, and their pixels."""

from pathlib import Path

import numpy as np
import pandas as pd

from assets.frames import read_frame
from assets.images.imageset import ImageSet, ImageSetError, open_sets
from assets.images.manifest import OK
from assets.images.picture import PictureError, Smaller
from assets.progress import progress

SPLIT = "split.parquet"
KEPT_BYTES = 1024**3
"""Pictures are kept in memory when all of them together take no more than this, decoded."""


def read_side(folder: Path, side: str) -> pd.DataFrame:
    """The rows of a split table that are on one side (`train`, `val` or `test`), sorted by id.

    Args: folder: artifacts/split/ITEM.
    Raises:
        AssayError: the table is not there or damaged.
    """
    return read_rows(folder / SPLIT, side, "split")


def read_rows(path: Path, side: str, maker: str) -> pd.DataFrame:
    """The rows of any table with `id` and `side` that are on one side, sorted by id.

    Raises:
        AssayError: the table is not there or damaged; `maker` is the stage that makes it.
    """
    table = read_frame(path, ("id", "side"), maker)
    return table[table["side"] == side].sort_values("id", kind="stable").reset_index(drop=True)


class Pictures:
    """Pixels of images by id, out of one or several image sets; safe to use in forked workers."""

    def __init__(self, paths: list[Path]) -> None:
        """Open the sets in these folders.

        Raises:
            ImageSetError: a set is not there, or two of them share an id.
        """
        self._holder: dict[str, ImageSet] = open_sets(paths)
        self._names = " + ".join(map(str, paths))
        sets = {id(opened): opened for opened in self._holder.values()}
        rows = pd.concat([opened.rows for opened in sets.values()]) if sets else pd.DataFrame()
        self._unreadable: dict[str, str] = {}
        self._bytes: dict[str, int] = {}
        if not rows.empty:
            bad = rows[rows["status"] != OK]
            self._unreadable = dict(zip(bad["id"], bad["reason"].fillna("unreadable"), strict=True))
            size = rows["width"].fillna(0).astype("int64") * rows["height"].fillna(0).astype("int64") * 3
            self._bytes = dict(zip(rows["id"], size, strict=True))
        self._kept: dict[str, np.ndarray] = {}

    def reason(self, image: str) -> str | None:
        """Why the picture with this id cannot be used, as its manifest says; None if it can.

        Raises:
            ImageSetError: no set holds this image.
        """
        if image not in self._holder:
            raise ImageSetError(f"{self._names} has no image {image}: `assay run` makes it anew")
        return self._unreadable.get(image)

    def keep(self, images: list[str]) -> None:
        """Decode these images once and keep them, if together they are small (`KEPT_BYTES`)."""
        if sum(self._bytes[image] for image in images) <= KEPT_BYTES:
            self._kept |= {image: self.pixels(image) for image in progress(images, "decode", len(images))}

    def pixels(self, image: str, smaller: Smaller | None = None) -> np.ndarray:
        """The decoded picture, (H, W, 3) uint8.

        Args: smaller: asked once how many times smaller a JPEG may be decoded, as in
        `assets.images.picture.decode`.
        Raises:
            ImageSetError: no such image, an unreadable one, or bytes that are not those of the manifest.
        """
        kept = self._kept.get(image)
        if kept is not None:
            times = 1 if smaller is None else smaller((kept.shape[0], kept.shape[1]))
            if times == 1:
                return kept
            # Decoded anew: what a picture looks like must not depend on whether it was kept.
            smaller = lambda _: times  # noqa: E731
        self.reason(image)
        holder = self._holder[image]
        try:
            return holder.pixels(image, smaller)
        except PictureError as error:  # the manifest says that it could be decoded
            raise ImageSetError(
                f"{holder.path}: {image} can no longer be decoded ({error}): its bytes have changed; "
                f"`dvc checkout --force {holder.path}` or `dvc pull` brings the right ones back"
            ) from None
