"""A target whose pictures are files of their own."""

from abc import ABC, abstractmethod
from pathlib import Path

from assets.files import write_bytes
from tasks.targets.picture import Picture, Placed


class FileTarget(ABC):
    """Writes a file a picture; one that is there with the right length is not written again."""

    def __init__(self, out: Path) -> None:
        self._out = out

    @abstractmethod
    def path(self, picture: Picture) -> Path:
        """Where a picture goes, in the export."""

    def add(self, picture: Picture, data: bytes) -> Placed:
        """Write one picture."""
        path = self.path(picture)
        place = self._out / path
        if not place.is_file() or place.stat().st_size != len(data):
            write_bytes(place, data)
        return Placed(path.as_posix())

    def close(self) -> None:
        """Nothing is ever left open."""
        return
