"""The 1,000 classes, read from timm's lists."""

import sys
from pathlib import Path

import pytest

from assets.errors import AssayError
from assets.prompting import imagenet


def test_indices_are_those_that_everybody_uses() -> None:
    names = imagenet.class_names()
    assert len(names) == len(imagenet.synsets()) == 1000
    known = {0: "tench", 1: "goldfish", 109: "brain coral", 112: "conch", 594: "harp", 999: "toilet tissue"}
    assert {index: names[index] for index in known} == known
    assert imagenet.lemmas(0) == ("tench", "Tinca tinca")
    assert [imagenet.synset_index(wnid) for wnid in ("n01440764", "n03495258", "n00000000", "")] == [
        0,
        594,
        None,
        None,
    ]
    assert all(imagenet.synset_index(wnid) == index for index, wnid in enumerate(imagenet.synsets()))


@pytest.mark.parametrize("index", [-1, 1000])
def test_no_such_class(index: int) -> None:
    with pytest.raises(AssayError, match=f"has no class {index}: its classes are 0 to 999"):
        imagenet.class_name(index)


def test_lists_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "timm/data/_info").mkdir(parents=True)
    (tmp_path / "timm/__init__.py").write_text("raise AssertionError('it was loaded')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    imagenet.synsets.cache_clear()
    try:
        with pytest.raises(AssayError, match=r"imagenet_synsets\.txt cannot be read .*: install timm again"):
            imagenet.synsets()
        (tmp_path / "timm/data/_info/imagenet_synsets.txt").write_text("n01440764\n" * 1000)
        with pytest.raises(AssayError, match="has 1 classes, not 1000"):
            imagenet.synsets()
    finally:
        monkeypatch.undo()
        imagenet.synsets.cache_clear()
