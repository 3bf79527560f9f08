"""The 1,000 classes of ImageNet-1k in their usual order, from timm's lists, without loading timm (or torch).

A class is known by its 0-based index, its WordNet id (`n01440764`) and its lemmas, the synonyms that
WordNet gives it (`tench, Tinca tinca`).
"""

import importlib.util
from functools import cache
from pathlib import Path

from assets.errors import AssayError

CLASSES = 1000


@cache
def synsets() -> tuple[str, ...]:
    """The WordNet ids by class index, e.g. `n01440764` first.

    Raises:
        AssayError: timm is not installed, or its list is not the one that is known.
    """
    found = tuple(_read("imagenet_synsets.txt").split())
    if len(found) != CLASSES or len(set(found)) != CLASSES:
        raise AssayError(f"timm's imagenet_synsets.txt has {len(set(found))} classes, not {CLASSES}: {_MEND}")
    return found


def class_names() -> tuple[str, ...]:
    """The first synonym of every class by index, e.g. `tench`.

    Two names stand twice (`crane`, `maillot`: other senses of one word), so a name is no key.
    """
    return tuple(class_name(index) for index in range(CLASSES))


def class_name(index: int) -> str:
    """The first synonym of a class.

    Raises:
        AssayError: no such class.
    """
    return lemmas(index)[0]


def lemmas(index: int) -> tuple[str, ...]:
    """All synonyms of a class, e.g. (`tench`, `Tinca tinca`).

    Raises:
        AssayError: no such class.
    """
    if not 0 <= index < CLASSES:
        raise AssayError(f"ImageNet-1k has no class {index}: its classes are 0 to {CLASSES - 1}")
    return _lemmas()[index]


def synset_index(wnid: str) -> int | None:
    """The 0-based index of a WordNet id; None if it is none of the 1,000."""
    return _indices().get(wnid)


@cache
def _indices() -> dict[str, int]:
    return {wnid: index for index, wnid in enumerate(synsets())}


@cache
def _lemmas() -> tuple[tuple[str, ...], ...]:
    known: dict[str, tuple[str, ...]] = {}
    for line in _read("imagenet_synset_to_lemma.txt").splitlines():
        wnid, _, text = line.partition("\t")
        known[wnid] = tuple(word.strip() for word in text.split(",") if word.strip())
    if missing := [wnid for wnid in synsets() if not known.get(wnid)]:
        raise AssayError(f"timm's imagenet_synset_to_lemma.txt does not name {missing[0]}: {_MEND}")
    return tuple(known[wnid] for wnid in synsets())


_MEND = "install timm again (`make setup`)"


def _read(name: str) -> str:
    found = importlib.util.find_spec("timm")
    if found is None or found.origin is None:
        raise AssayError(f"timm is not installed, and its {name} is needed: {_MEND}")
    path = Path(found.origin).parent / "data" / "_info" / name
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise AssayError(f"{path} cannot be read ({error.strerror}): {_MEND}") from None
