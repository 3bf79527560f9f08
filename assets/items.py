"""Where the images of an item, a generator or `real`, lie."""

from pathlib import Path

from assets.params import CLEAN, REAL, Params


def image_folders(root: Path, params: Params, item: str, condition: str = CLEAN) -> list[Path]:
    """The image sets that hold the images of `item` under a condition, only those the parameters name."""
    artifacts = root / "artifacts"
    if condition != CLEAN:
        return [artifacts / "degrade" / item / condition]
    if item == REAL:
        return [artifacts / "collect" / name for name in params.real]
    return [artifacts / "generate" / item]
