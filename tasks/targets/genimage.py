"""The tree of GenImage: GENERATOR/{train,val}/{ai,nature}/, with the class first in the name.

GenImage has no val of its own: `val` is its test set. Our train and val both go to its `train`; which is
which stays in the export's manifest. Every real picture stands beside one generator.
"""

from pathlib import Path

from tasks.targets.files import FileTarget
from tasks.targets.picture import Picture


class Target(FileTarget):
    """As the README of the release has it, without the folders of its archives."""

    def path(self, picture: Picture) -> Path:
        """Where it goes, in the export."""
        side = "val" if picture.side == "test" else "train"
        kind = "nature" if picture.row["label"] == 0 else "ai"
        index = picture.row.get("class_index")
        name = picture.file if index is None else f"{int(index):03d}_{picture.file}"
        return Path(picture.beside) / side / kind / name
