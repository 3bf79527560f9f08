"""The GenImage release: eight generators and their real images, in the tree of its archives or of its README.

`Midjourney/imagenet_midjourney/{train,val}/{ai,nature}/` and `Midjourney/{train,val}/{ai,nature}/` are both
known, and so is the merged training set. A file's name says which generator made it and which 0-based
ImageNet class it shows. `val` is the test set of the paper. Facts: GenImage (arXiv 2306.08571), its README
and the counts of the released archives.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from assets.errors import AssayError, did_you_mean
from assets.prompting.imagenet import CLASSES
from tasks.sources import polarity
from tasks.sources.archives import unpacking
from tasks.sources.entry import Entry, Found, Source, Tally, Wanted, named
from tasks.sources.genimage_facts import CORRUPT, DRIVE_CORRUPT, SUBSETS
from tasks.sources.ground_truth import read_ground_truth
from tasks.sources.names import class_columns, imagenet_columns, is_picture, printable, subfolders
from tasks.sources.places import File

TAKES = {"only", "reals_by_subset", "ground_truth", "polarity_checked"}
NATURE = "genimage_nature"
"""The set of all real images."""

_BY_TOKEN = {subset.token: name for name, subset in SUBSETS.items()}
_LEADING = re.compile(r"(\d+)_(sdv4|sdv5|biggan|adm|midjourney|wukong)_")
_INSIDE = re.compile(r"(?:GLIDE|VQDM)_\d+_\d+_\d+_(\d+)_(glide|vqdm)_")
_SIDES = {"train": "train", "val": "test"}
_KINDS = ("ai", "nature")
_DEPTH = 4
"""Folders between the given one and `train`, at most."""


class Leaf(NamedTuple):
    """One folder of pictures: `{train,val}/{ai,nature}`."""

    path: Path
    side: str
    kind: str
    subset: str | None
    """By the names of the folders around it; None in a merged tree."""


def recognise(folder: Path) -> str | None:
    """Why this is the GenImage tree; None if it is not for sure."""
    leaves = _leaves(folder)
    if any(leaf.subset for leaf in leaves):
        return f"{_shown(folder, leaves)} is GenImage's tree"
    for leaf in leaves:
        for index, path in enumerate(leaf.path.iterdir()):
            if leaf.kind == "ai" and parse(path.name):
                return f"{leaf.path}/{path.name} is named as GenImage's files are"
            if index > 100:
                break
    if not leaves and any(_volumes(folder)):
        return "it holds the volumes of GenImage's archives"
    return None


def parse(name: str) -> tuple[str, int] | None:
    """The generator and 0-based class index that the name of a generated file says.

    >>> parse("GLIDE_1000_200_08_808_glide_00033.png")
    ('glide', 808)
    """
    match = _LEADING.match(name) or _INSIDE.match(name)
    if match is None or int(match[1]) >= CLASSES:
        return None
    return _BY_TOKEN[match[2]], int(match[1])


def find(folder: Path, wanted: Wanted) -> Found:
    """One set a generator, named as in `SUBSETS`, and the real images as one set or, if wanted, one a subset.

    Raises:
        AssayError: no such tree, only archives, an unknown name in `only`, a ground truth that is none.
    """
    names = [*SUBSETS, *([f"{name}_nature" for name in SUBSETS] if wanted.reals_by_subset else [NATURE])]
    for name in wanted.only:
        if name not in names:
            raise AssayError(f"--only {name}: {did_you_mean(name, names)}")
    if not folder.is_dir():
        raise AssayError(f"{folder} is not a folder: give the folder that GenImage was extracted to")
    leaves = _leaves(folder)
    packed = unpacking(_volumes(folder))
    if not leaves:
        raise AssayError(packed or f"{folder} holds no train/ai, train/nature, val/ai or val/nature folder")
    classes = read_ground_truth(wanted.ground_truth) if wanted.ground_truth else {}
    reading = _Reading(folder, wanted, classes)
    for leaf in leaves:
        if leaf.subset is None or reading.asked(leaf.subset, leaf.kind):
            reading.read(leaf)
    sources = named(reading.sources.values(), wanted.only)
    if not sources:
        raise AssayError(packed or f"{folder}: the folders train and val hold no pictures that are asked for")
    return Found(sources, _notes(reading, leaves, packed), reading.ignored)


class _Reading:
    """The tree as it is read: sets, and counts of everything."""

    def __init__(self, root: Path, wanted: Wanted, classes: dict[str, int]) -> None:
        self.root = root
        self.wanted = wanted
        self.classes = classes
        self.sources = {name: _generated(name) for name in SUBSETS}
        self.counts: Counter[tuple[str, str]] = Counter()
        """Of images by (subset, `side/kind`), where the subset is known."""
        self.tally = Tally()
        self.unnamed = Tally()
        self.moved: Counter[tuple[str, str]] = Counter()
        self.without_class = 0
        self.ignored = 0
        self._keys: set[str] = set()
        self._within = ""

    def asked(self, subset: str, kind: str) -> bool:
        """Whether a generator's images, or its real ones, are to be imported."""
        only = self.wanted.only
        return not only or bool({subset if kind == "ai" else NATURE, f"{subset}_{kind}"} & {*only})

    def read(self, leaf: Leaf) -> None:
        """Take in one folder of pictures.

        Raises:
            AssayError: most of its files are named like pictures of the other kind.
        """
        names = sorted(path.name for path in leaf.path.iterdir())
        self._within = leaf.path.relative_to(self.root).as_posix()
        real = leaf.kind == "nature"
        mend = f"see what {leaf.path} holds"
        polarity.check(real, [], names, self.wanted.polarity_checked, mend)
        for name in names:
            if not is_picture(name):
                self._ignore(leaf, name)
                continue
            hinted, what = polarity.file_hint(name)
            if hinted is real and not self.wanted.polarity_checked:
                self.tally.add(f"in a folder '{leaf.kind}', but named like {what}", self._source(name))
            elif real:
                self._add_real(leaf, name)
            else:
                self._add_generated(leaf, name)

    def _ignore(self, leaf: Leaf, name: str) -> None:
        if (leaf.path / name).is_dir():
            self.tally.add("a folder where GenImage has none", self._source(name))
        else:
            self.ignored += 1

    def _add_generated(self, leaf: Leaf, name: str) -> None:
        parsed = parse(name)
        subset = parsed[0] if parsed else leaf.subset
        if subset is None:
            self.tally.add("its name does not say which generator made it", self._source(name))
            return
        if parsed is None:
            self.unnamed.add("no class in its name", self._source(name))
        elif leaf.subset not in (None, subset):
            self.moved[str(leaf.subset), subset] += 1
        self._add(self.sources[subset], subset, leaf, name, class_columns(parsed[1]) if parsed else {})

    def _add_real(self, leaf: Leaf, name: str) -> None:
        if self.wanted.reals_by_subset and leaf.subset is None:
            raise AssayError(f"{leaf.path}: --reals-by-subset needs to know whose these are; leave it out")
        called = f"{leaf.subset}_nature" if self.wanted.reals_by_subset else NATURE
        columns = imagenet_columns(name, self.classes)
        self.without_class += not columns
        if called not in self.sources:
            self.sources[called] = Source(called, True, [], remarks=_about_reals)
        self._add(self.sources[called], leaf.subset, leaf, name, columns)

    def _add(
        self, source: Source, subset: str | None, leaf: Leaf, name: str, columns: dict[str, object]
    ) -> None:
        """One picture; its key is that of the published tree, wherever the folders lie here."""
        key = f"{source.name}/{leaf.side}/{leaf.kind}/{name}"
        where = self._source(name)
        if key in self._keys:
            self.tally.add("there twice", where)
            return
        self._keys.add(key)
        if subset:
            self.counts[subset, f"{leaf.side}/{leaf.kind}"] += 1
        own = {**columns, "side": leaf.side, "source": printable(where)}
        source.entries.append(Entry(key, File(leaf.path, name), own))

    def _source(self, name: str) -> str:
        return f"{self._within}/{name}"


def _generated(name: str) -> Source:
    subset = SUBSETS[name]

    def remarks(rows: pd.DataFrame) -> list[str]:
        known = sum(CORRUPT[file] == name for file in CORRUPT)
        met = sorted(Path(source).name for source in rows["source"] if _is_known(source, name))
        if not met:
            return []
        return [f"{len(met)} of {name}'s {known} files known to be corrupt in the release: {', '.join(met)}"]

    return Source(name, False, [], "photo", subset.family, subset.released, remarks)


def _is_known(source: str, name: str) -> bool:
    path = Path(source)
    return CORRUPT.get(path.name) == name and path.parent.parent.name == "train"


def _about_reals(rows: pd.DataFrame) -> list[str]:
    first, last, total = DRIVE_CORRUPT
    ids = [Path(source).name[:9] for source in rows["source"] if _subset_of(Path(source)) in ("sd15", None)]
    met = sum(first <= wnid <= last for wnid in ids)
    if not met:
        return []
    return [
        f"{met:,} of them among the {total:,} JPEGs {first} to {last} that are damaged in one hosted copy"
    ]


def _notes(reading: _Reading, leaves: list[Leaf], packed: str | None) -> list[str]:
    notes = [*reading.tally.notes()]
    for (there, subset), count in sorted(reading.moved.items()):
        notes.append(f"{count:,} files in {there}'s folders are named like {subset}'s and went to {subset}")
    if len(reading.unnamed):
        notes += reading.unnamed.notes("generated images kept, but with")
    if reading.without_class:
        how = "" if reading.classes else ": --ground-truth FILE gives those of ILSVRC2012_val_*"
        notes.append(f"{reading.without_class:,} real images have no class{how}")
    present = [name for name in SUBSETS if any(one == name for one, _ in reading.counts)]
    for name in present:
        if short := _differences(name, reading):
            notes.append(f"{name}, found of published: {short}")
    asked = [name for name in SUBSETS if any(reading.asked(name, kind) for kind in _KINDS)]
    if absent := [name for name in asked if name not in present]:
        notes.append(f"not in this tree: {', '.join(absent)}")
    if packed and absent:
        notes.append(packed)
    return notes


def _differences(name: str, reading: _Reading) -> str:
    return ", ".join(
        f"{part} {reading.counts[name, part]:,} of {count:,}"
        for part, count in SUBSETS[name].published.items()
        if reading.asked(name, part.partition("/")[2]) and reading.counts[name, part] != count
    )


def _leaves(folder: Path) -> list[Leaf]:
    """All folders {train,val}/{ai,nature}, in a fixed order."""
    if not folder.is_dir():
        return []
    return list(_find_leaves(folder, _DEPTH))


def _find_leaves(folder: Path, depth: int) -> Iterator[Leaf]:
    for path in subfolders(folder) if depth else []:
        kinds = [kind for kind in _KINDS if (path / kind).is_dir()] if path.name in _SIDES else []
        for kind in kinds:
            yield Leaf(path / kind, _SIDES[path.name], kind, _subset_of((path / kind).absolute()))
        if not kinds:
            yield from _find_leaves(path, depth - 1)


def _subset_of(leaf: Path) -> str | None:
    """The generator that one of the two folders around {train,val}/{ai,nature} names."""
    for part in reversed(leaf.parts[-4:-2]):
        letters = re.sub(r"[^a-z0-9]", "", part.lower())
        for name, subset in SUBSETS.items():
            if letters in subset.folders:
                return name
    return None


def _volumes(folder: Path) -> Iterator[Path]:
    """Files that look like volumes of the release's archives, in `folder` or the folders below it."""
    known = {name for subset in SUBSETS.values() for name in subset.folders}
    for parent in (folder, *subfolders(folder)):
        for path in sorted(parent.glob("*.z*")):
            if re.sub(r"(-\d{3})?\.z.*|[^a-z0-9]", "", path.name.lower()) in known:
                yield path


def _shown(folder: Path, leaves: list[Leaf]) -> str:
    leaf = next(leaf for leaf in leaves if leaf.subset)
    return f"{folder.name}/.../{leaf.path.relative_to(folder).as_posix()}"
