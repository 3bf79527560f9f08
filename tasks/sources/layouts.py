"""The layouts by name: which one a place has, and which options each takes."""

from itertools import islice
from pathlib import Path
from types import ModuleType

from assets.errors import AssayError, did_you_mean
from tasks.sources import exported, folder, genimage, hub, imaginet, journeydb, parquet, webdataset
from tasks.sources.entry import Found, Wanted
from tasks.sources.names import walk

LAYOUTS: dict[str, ModuleType] = {
    "folder": folder,
    "genimage": genimage,
    "imaginet": imaginet,
    "webdataset": webdataset,
    "parquet": parquet,
    "journeydb": journeydb,
    "export": exported,
}
OPTIONS = {
    "name": "--as",
    "real": "--real",
    "content": "--content",
    "family": "--family",
    "released": "--released",
    "only": "--only",
    "reals_by_subset": "--reals-by-subset",
    "ground_truth": "--ground-truth",
    "annotations": "--annotations",
    "image_column": "--image-column",
    "label_column": "--label-column",
    "generated": "--generated",
    "class_column": "--class-column",
    "imagenet_classes": "--imagenet-classes",
    "prompt_column": "--prompt-column",
    "polarity_checked": "--polarity-checked",
}
"""Field of `Wanted` -> what the user types."""
_LOOKED_AT = 10_000


def recognise(place: str) -> tuple[str, str]:
    """The layout of a place, and why.

    Raises:
        AssayError: nothing there, or several layouts are possible.
    """
    if hub.parse(place):
        return "parquet", "it is a dataset on the hub"
    path = Path(place)
    if not path.exists():
        raise AssayError(f"{place} is not there: give a folder, a .tar, a .parquet or hf:OWNER/NAME")
    if path.is_file():
        return _of_file(path)
    for name in ("export", "genimage", "imaginet"):
        if why := LAYOUTS[name].recognise(path):
            return name, why
    reasons = {
        name: why for name in ("webdataset", "parquet", "journeydb") if (why := LAYOUTS[name].recognise(path))
    }
    if reasons and "journeydb" not in reasons:
        picture = next((one for one, is_one in islice(walk(path), _LOOKED_AT) if is_one), None)
        if picture is not None:
            reasons["folder"] = f"{picture.path.relative_to(path)} is a picture"
    if len(reasons) > 1:
        several = "; ".join(f"{name}, as {why}" for name, why in reasons.items())
        raise AssayError(f"{place} can be read in several ways ({several}): say which with --layout")
    return next(iter(reasons.items()), ("folder", "it has no layout of its own"))


def find(place: str, layout: str, wanted: Wanted) -> Found:
    """What `layout` finds at a place.

    Raises:
        AssayError: an option that the layout does not take; see the layout.
    """
    if layout not in LAYOUTS:
        raise AssayError(f"--layout {layout}: {did_you_mean(layout, LAYOUTS)}")
    takes = LAYOUTS[layout].TAKES
    for name in sorted(wanted.given() - takes):
        others = [one for one, module in LAYOUTS.items() if name in module.TAKES]
        raise AssayError(
            f"{OPTIONS[name]} is not for the layout {layout}, but for {', '.join(others)}: leave it out, or "
            "say another --layout"
        )
    if hub.parse(place):
        if layout != "parquet":
            raise AssayError(f"{place}: datasets on the hub are read as parquet, not as {layout}")
        return parquet.find_on_hub(place, wanted)
    found: Found = LAYOUTS[layout].find(Path(place), wanted)
    return found


def _of_file(path: Path) -> tuple[str, str]:
    layouts = {".tar": "webdataset", ".parquet": "parquet"}
    if path.suffix not in layouts:
        raise AssayError(
            f"{path} is a file: give the folder that holds the pictures, a .tar or a .parquet (archives have "
            "to be extracted first)"
        )
    return layouts[path.suffix], f"it is a {path.suffix}"
