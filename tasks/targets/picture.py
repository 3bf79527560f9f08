"""One picture to export, and where it went."""

from typing import Any, NamedTuple

from assets.images.packing import file_name

SIDES = {"train": "train", "val": "val", "test": "test", None: "all"}
"""Side of the split -> folder or shard name; None: the picture is on no side."""


class Picture(NamedTuple):
    """One picture to export."""

    set: str
    """The image set that it is from: a source of real images, or a generator."""
    row: dict[str, Any]
    """Its row in the manifest."""
    side: str | None
    """train, val or test; None if it is exported without."""
    beside: str
    """The generator that a real picture stands beside, for layouts that have real ones of each; its own."""

    @property
    def file(self) -> str:
        """The name of its file: the id, and the ending of its format."""
        return file_name(str(self.row["id"]), str(self.row["format"]))


class Placed(NamedTuple):
    """Where a picture lies in an export."""

    file: str
    """Path in the export."""
    member: str | None = None
    """Name in a tar; row number, as text, in a parquet file; None for a file of its own."""
