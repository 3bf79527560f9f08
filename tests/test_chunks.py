"""Chunks of an image set: claimed once, final when closed, the same set whoever makes them."""

from pathlib import Path

import pytest

from assets.errors import AssayError
from assets.images.chunks import Chunks
from assets.images.imageset import ImageSet
from assets.images.picture import encode
from tests.conftest import textured


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def make(chunks: Chunks, number: int) -> bool:
    """Make one chunk; False if somebody else does or did."""
    with chunks.claim(number) as shard:
        if shard is None:
            return False
        for index in chunks.images(number):
            shard.add(f"a-{index}", encode(textured(index)), label=1, generator="a")
    return True


def test_chunks_in_any_order_give_the_same_set(workdir: Path) -> None:
    for name, order in (("forth", (0, 1, 2, 3)), ("back", (3, 1, 2, 0))):
        chunks = Chunks(Path(name) / "a", "key", total=10, per_chunk=3)
        assert chunks.count == 4 and list(chunks.images(3)) == [9]
        assert all(make(chunks, number) for number in order)
        chunks.place()
    assert contents(Path("forth/a")) == contents(Path("back/a"))
    made = ImageSet(Path("forth/a"))
    made.verify()
    assert made.rows["id"].tolist() == [f"a-{index}" for index in range(10)]
    assert not list(Path(".assay/partial").iterdir())


def test_a_chunk_is_made_once(workdir: Path) -> None:
    chunks = Chunks(Path("a"), "key", total=6, per_chunk=3)
    with chunks.claim(0) as mine:
        assert mine is not None
        with chunks.claim(0) as theirs:
            assert theirs is None
        assert make(chunks, 1)
    assert not make(chunks, 0) and not make(chunks, 1)
    assert chunks.num_finished(range(2)) == 6


def test_an_unfinished_chunk_is_made_anew(workdir: Path) -> None:
    chunks = Chunks(Path("a"), "key", total=4, per_chunk=2)
    assert make(chunks, 0)
    with pytest.raises(KeyboardInterrupt), chunks.claim(1) as shard:
        assert shard is not None
        shard.add("a-2", encode(textured(2)), label=1, generator="a")
        raise KeyboardInterrupt
    with pytest.raises(AssayError, match="chunk 1 of 2 is not finished"):
        chunks.place()
    again = Chunks(Path("a"), "key", total=4, per_chunk=2)
    assert again.num_finished(range(2)) == 2 and not make(again, 0) and make(again, 1)
    again.place()
    assert len(ImageSet(Path("a"))) == 4


@pytest.mark.parametrize("change", [{"key": "other"}, {"total": 5}, {"per_chunk": 1}])
def test_what_decides_the_images_decides_where_they_are_kept(
    workdir: Path, change: dict[str, object]
) -> None:
    settings: dict[str, object] = {"key": "key", "total": 4, "per_chunk": 2}
    make(Chunks(Path("a"), **settings), 0)  # type: ignore[arg-type]
    assert make(Chunks(Path("a"), **{**settings, **change}), 0)  # type: ignore[arg-type]
