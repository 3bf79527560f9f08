"""Real or generated: what names give away, and the refusal of an import that contradicts them."""

import re
from collections import Counter
from collections.abc import Iterable

from assets.errors import AssayError

_GENERATED = {"ai", "fake", "fakes", "generated", "synthetic", "deepfake", "deepfakes", "aigc"}
_REAL = {"nature", "natural", "real", "reals", "authentic", "genuine"}
_STRONG = {"fake", "fakes", "generated", "deepfake", "deepfakes", "aigc"}
"""Words that mean it in the middle of a name too; others do not (`Synthetic_Cubism` is a style)."""
_FILLERS = {
    *("train", "training", "val", "valid", "validation", "test", "testing", "dev", "data", "dataset"),
    *("image", "images", "imgs", "img", "picture", "pictures", "pic", "pics", "photo", "photos", "set"),
    *("sample", "samples", "class", "label", "all", "only"),
}
_FILES = (
    (re.compile(r"(ILSVRC2012_(val|test|train)_|n\d{8}_\d+\.JPEG$)"), False, "an ImageNet photograph"),
    (re.compile(r"\d+_(sdv4|sdv5|biggan|adm|midjourney|wukong)_"), True, "GenImage's generated images"),
    (re.compile(r"(GLIDE|VQDM)_\d+_\d+_\d+_\d+_"), True, "GenImage's generated images"),
    (re.compile(r"(fake|generated|synthetic)[_-]", re.IGNORECASE), True, "a generated image"),
    (re.compile(r"real[_-]", re.IGNORECASE), False, "a real image"),
)


def hint(name: str) -> bool | None:
    """What the name of a folder, set, column value or repository says: True generated, False real."""
    words = {word for word in re.split(r"[^a-z]+", name.lower()) if word}
    if words & _GENERATED and words & _REAL:
        return None  # `fake_vs_real`
    if words & _STRONG:
        return True
    telling = words - _FILLERS
    if telling and telling <= _GENERATED:
        return True
    if telling and telling <= _REAL:
        return False
    return None


def file_hint(name: str) -> tuple[bool | None, str]:
    """What the name of a file says, and what it is the name of."""
    for pattern, generated, what in _FILES:
        if pattern.match(name):
            return generated, what
    return None, ""


def check(real: bool, names: Iterable[str], files: Iterable[str], checked: bool, mend: str) -> None:
    """Refuse a label that names contradict.

    Args:
        real: what the pictures are about to be called.
        names: of the folders that hold them, the image set, the repository.
        files: names of the pictures; more than half of them have to contradict.
        checked: the user has looked and knows better.
        mend: what to type if the names are right.
    Raises:
        AssayError: with the names that contradict.
    """
    if checked:
        return
    said = [f"'{name}'" for name in dict.fromkeys(names) if hint(name) is real]
    counts: Counter[str] = Counter()
    total = 0
    for name in files:
        total += 1
        generated, what = file_hint(name)
        if generated is real:
            counts[what] += 1
            if counts[what] == 1:
                first = name
    if counts.total() * 2 > total:
        what = counts.most_common(1)[0][0]
        said.append(f"{counts.total()} of {total} files are named like {what} ('{first}')")
    if said:
        refuse(real, said, mend)


def refuse(real: bool, evidence: list[str], mend: str) -> None:
    """Raises: AssayError, always: the pictures are about to be called what `evidence` contradicts."""
    called, other = ("real", "generated") if real else ("generated", "real")
    shown = ", ".join(evidence[:5]) + (f" and {len(evidence) - 5} more" if len(evidence) > 5 else "")
    raise AssayError(
        f"the pictures would be labelled {called}, but names say {other}: {shown}; {mend}, or, if you have "
        f"looked and they are {called}, add --polarity-checked"
    )
