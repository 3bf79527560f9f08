"""Classes of the ILSVRC2012 validation images, whose names do not say them."""

import re
from pathlib import Path

from assets.errors import AssayError
from assets.prompting.imagenet import CLASSES, synset_index

_NAME = re.compile(r"ILSVRC2012_val_\d{8}")
_COUNT = 50_000


def read_ground_truth(path: Path) -> dict[str, int]:
    """Image name without ending (`ILSVRC2012_val_00000001`) -> 0-based class index.

    Known forms: a WordNet id a line for all 50,000 images in order; `NAME WNID` or `NAME,WNID ...` (Kaggle's
    LOC_val_solution.csv); `NAME INDEX` with 0-based indices (Caffe's val.txt).

    Raises:
        AssayError: not there, or of none of these forms.
    """
    try:
        lines = [line.strip() for line in path.read_text("utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise AssayError(f"--ground-truth {path}: {getattr(error, 'strerror', None) or error}") from None
    if lines and all(line.isdecimal() for line in lines[:10]):
        raise AssayError(
            f"--ground-truth {path} has bare numbers, which count classes in the challenge's own order: "
            "give a file with WordNet ids, e.g. imagenet_2012_validation_synset_labels.txt or Kaggle's "
            "LOC_val_solution.csv"
        )
    if lines and re.fullmatch(r"n\d{8}", lines[0]):
        if len(lines) != _COUNT:
            raise AssayError(
                f"--ground-truth {path} has {len(lines):,} lines, one for each of {_COUNT:,} needed"
            )
        keys = [f"ILSVRC2012_val_{number:08d}" for number in range(1, _COUNT + 1)]
        return {
            key: _index(line, path, number)
            for number, (key, line) in enumerate(zip(keys, lines, strict=True), 1)
        }
    named = {}
    for number, line in enumerate(lines, 1):
        match = _NAME.match(line)
        if match is None:
            if number == 1:
                continue  # a heading
            raise AssayError(
                f"--ground-truth {path}, line {number}: no ILSVRC2012_val_NNNNNNNN in {line[:60]!r}"
            )
        said = re.sub(r"^\.JPEG", "", line[match.end() :], flags=re.IGNORECASE)
        named[match[0]] = _index(re.split(r"[\s,]+", said.strip(" ,\t"))[0], path, number)
    if not named:
        raise AssayError(f"--ground-truth {path} names no ILSVRC2012_val image")
    return named


def _index(word: str, path: Path, number: int) -> int:
    index = int(word) if word.isdecimal() else synset_index(word)
    if index is None or index >= CLASSES:
        raise AssayError(f"--ground-truth {path}, line {number}: {word!r} is no class of ImageNet-1k")
    return index
