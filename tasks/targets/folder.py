"""A folder of pictures: SIDE/SET/ID.png; real and generated sets lie side by side."""

from pathlib import Path

from tasks.targets.files import FileTarget
from tasks.targets.picture import SIDES, Picture


class Target(FileTarget):
    """`train/real_photos/...`, `test/sd15/...`; without sides `all/...`."""

    def path(self, picture: Picture) -> Path:
        """Where it goes, in the export."""
        name = f"real_{picture.set}" if picture.row["label"] == 0 else picture.set
        return Path(SIDES[picture.side]) / name / picture.file
