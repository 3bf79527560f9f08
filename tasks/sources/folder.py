"""A plain folder: every picture below it; the folder above a picture is its class."""

from pathlib import Path

from assets.errors import AssayError, did_you_mean
from tasks.sources import polarity
from tasks.sources.archives import unpacking
from tasks.sources.entry import Entry, Found, Source, Wanted
from tasks.sources.ground_truth import read_ground_truth
from tasks.sources.names import ENDINGS, imagenet_columns, printable, side_of_folder, walk
from tasks.sources.places import File

TAKES = {"name", "real", "content", "family", "released", "generated", "ground_truth", "polarity_checked"}


def find(folder: Path, wanted: Wanted) -> Found:
    """All pictures below `folder` as one set; as two if `wanted.generated` names folders of generated ones.

    A class folder, or a file, that bears a WordNet id (`n01440764`) gives the ImageNet class. A first folder
    `train`, `val` or `test` is the side that the pictures were published on.

    Raises:
        AssayError: no such folder, no picture in it, names that contradict the label.
    """
    assert wanted.name is not None
    if not folder.is_dir():
        raise AssayError(f"{folder} is not a folder: give the folder that holds the pictures")
    classes = read_ground_truth(wanted.ground_truth) if wanted.ground_truth else {}
    listed = list(walk(folder))
    entries = [_entry(folder, file, wanted.generated, classes) for file, picture in listed if picture]
    if not entries:
        kinds = " ".join(sorted(ENDINGS))
        how = unpacking(file.path for file, _ in listed)
        mend = f"; {how}" if how else f" (endings looked for: {kinds})"
        raise AssayError(f"{folder} holds no pictures{mend}")
    ignored = len(listed) - len(entries)
    if wanted.generated:
        return Found(_divided(folder, entries, wanted), ignored=ignored)
    inside = _folders(entries)
    if {True, False} <= {polarity.hint(part) for part in inside}:
        fakes = ",".join(sorted(part for part in inside if polarity.hint(part)))
        mend = (
            f"leave --real out and say --family and --generated {fakes}: the others become a set of real ones"
        )
    else:
        mend = "leave --real out and say --family" if wanted.real else "say --real instead of --family"
    own = folder.resolve()
    # `fake/train` tells as much as `fake`, but `real/sdxl` says nothing sure about sdxl.
    around = [own.name, own.parent.name] if side_of_folder(own.name) else [own.name]
    _check(entries, wanted.real, [wanted.name, *around, *inside], wanted, mend)
    content = wanted.content or "photo"
    return Found(
        [Source(wanted.name, wanted.real, entries, content, wanted.family, wanted.released)], ignored=ignored
    )


def _divided(folder: Path, entries: list[Entry], wanted: Wanted) -> list[Source]:
    """data/NAME of the pictures in the folders that `generated` names, data/NAME_real of the others."""
    inside = _folders(entries)
    for name in wanted.generated:
        if name not in inside:
            raise AssayError(f"{folder}: --generated {name} is no folder in it; {did_you_mean(name, inside)}")
    content = wanted.content or "photo"
    made = Source(str(wanted.name), False, [], content, wanted.family, wanted.released)
    real = Source(f"{wanted.name}_real", True, [], content)
    for entry in entries:
        parts = Path(entry.key).parts[:-1]
        (made if set(wanted.generated) & set(parts) else real).entries.append(entry)
    for source in (made, real):
        mend = "look at --generated again"
        _check(source.entries, source.real, _folders(source.entries), wanted, mend)
    return [source for source in (made, real) if source.entries]


def _entry(folder: Path, file: File, generated: tuple[str, ...], classes: dict[str, int]) -> Entry:
    within = file.folder.relative_to(folder)
    side = side_of_folder(within.parts[0]) if within.parts else None
    columns: dict[str, object] = {"side": side} if side else {}
    above = [part for part in within.parts if _may_be_class(part) and part not in generated]
    by_folder = imagenet_columns(above[-1]) if above else {}
    by_name = {} if by_folder else imagenet_columns(file.name, classes)
    columns |= by_folder or by_name or ({"class_name": printable(above[-1])} if above else {})
    return Entry((within / file.name).as_posix(), file, columns)


def _may_be_class(folder: str) -> bool:
    return side_of_folder(folder) is None and polarity.hint(folder) is None


def _folders(entries: list[Entry]) -> list[str]:
    return sorted({part for entry in entries for part in Path(entry.key).parts[:-1]})


def _check(entries: list[Entry], real: bool, names: list[str], wanted: Wanted, mend: str) -> None:
    files = (entry.key.rpartition("/")[2] for entry in entries)
    polarity.check(real, names, files, wanted.polarity_checked, mend)
