"""What names say: which files are pictures, the published side, the ImageNet class."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from assets.prompting.imagenet import class_name, synset_index
from assets.splitting.groups import prompt_group
from tasks.sources.places import File

ENDINGS = {".jpg", ".jpeg", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".mpo"}

_SIDES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_VALIDATION = re.compile(r"ILSVRC2012_val_\d{8}")
_WNID = re.compile(r"(n\d{8})(?:_|$)")


def is_picture(name: str) -> bool:
    """Whether a file's ending is a picture's."""
    return Path(name).suffix.lower() in ENDINGS


def subfolders(folder: Path) -> list[Path]:
    """The folders directly in `folder`, sorted; files cost nothing, however many there are.

    A folder that may not be read has none.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(folder / entry.name for entry in entries if entry.is_dir())
    except OSError:
        return []


def walk(folder: Path) -> Iterator[tuple[File, bool]]:
    """All files below `folder` in a fixed order, and whether each is a picture by its ending."""
    for parent, folders, names in os.walk(folder):
        folders.sort()
        place = Path(parent)
        for name in sorted(names):
            yield File(place, name), is_picture(name)


def printable(name: str) -> str:
    """Any file name as text that can be written: what is no UTF-8 is escaped."""
    return name.encode("utf-8", "backslashreplace").decode()


def side_of(name: str) -> str | None:
    """The side of the split that a file or folder's name says, e.g. `train-00000-of-00004.parquet`."""
    for word in re.split(r"[^a-z]+", name.lower()):
        if word in _SIDES:
            return _SIDES[word]
    return None


def side_of_folder(name: str) -> str | None:
    """The side that a folder is for, if its whole name says so."""
    return _SIDES.get(name.lower())


def imagenet_columns(name: str, validation: Mapping[str, int] | None = None) -> dict[str, object]:
    """class_index and class_name that the name of a file or folder of ImageNet-1k says; {} if none.

    Args: validation: the classes of `ILSVRC2012_val_NNNNNNNN`, whose names do not say them.
    """
    if (match := _VALIDATION.match(name)) and validation and match[0] in validation:
        return class_columns(validation[match[0]])
    match = _WNID.match(name)
    index = synset_index(match[1]) if match else None
    return {} if index is None else class_columns(index)


def class_columns(index: int) -> dict[str, object]:
    """class_index and class_name of a 0-based ImageNet-1k class."""
    return {"class_index": index, "class_name": class_name(index)}


def prompt_columns(prompt: object) -> dict[str, object]:
    """prompt, and the group of all images that were drawn from it, whatever generator drew them."""
    text = " ".join(str(prompt).split()) if isinstance(prompt, str) else ""
    if not text:
        return {}
    return {"prompt": str(prompt).encode("utf-8", "replace").decode(), "group": prompt_group(text)}
