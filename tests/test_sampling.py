"""Which images an epoch shows: balanced, every one in its turn, and the same ones as ever by default."""

from collections import Counter

from assets.seeds import rng
from models.detectors.training.sampling import epoch_batches, epoch_images

REAL = [f"r{number}" for number in range(10)]
FAKE = [f"g{number}" for number in range(4)]


def ids(*sources: list[str], epoch: int = 0, repeats: int = 1) -> list[str]:
    return [image for _, image in epoch_images(sources, epoch, ("x",), repeats)]


def as_it_was(sides: tuple[list[str], list[str]], epoch: int) -> list[str]:
    """The first version's order, for one generator."""
    count = min(map(len, sides))
    turns = []
    for label, names in enumerate(sides):
        first, last = epoch * count, (epoch + 1) * count
        rounds = range(first // len(names), -(-last // len(names)))
        dealt = [str(name) for turn in rounds for name in rng("x", "order", label, turn).permutation(names)]
        skipped = rounds.start * len(names)
        turns.append(dealt[first - skipped : last - skipped])
    return [image for pair in zip(*turns, strict=True) for image in pair]


def test_one_generator_is_shown_as_ever() -> None:
    for epoch in range(8):
        assert ids(REAL, FAKE, epoch=epoch) == as_it_was((REAL, FAKE), epoch)
        assert ids(FAKE, REAL, epoch=epoch) == as_it_was((FAKE, REAL), epoch)


def test_an_epoch_is_balanced_and_goes_through_every_image() -> None:
    epochs = [ids(REAL, FAKE, epoch=epoch) for epoch in range(5)]
    for images in epochs:
        assert [image[0] for image in images] == ["r", "g"] * 4
        assert sorted(images[1::2]) == FAKE
    seen = Counter(image for images in epochs for image in images[::2])
    assert seen == dict.fromkeys(REAL, 2)
    assert len({tuple(images[1::2]) for images in epochs}) > 1
    assert epochs[3] == ids(REAL, FAKE, epoch=3)


def test_generators_of_a_set_are_alike_and_half_is_real() -> None:
    many = [f"a{number}" for number in range(9)], [f"b{number}" for number in range(3)]
    epochs = [ids(REAL, *many, epoch=epoch) for epoch in range(30)]
    for images in epochs:
        assert [image[0] for image in images] == ["r", "a", "r", "b"] * 3
    seen = Counter(image for images in epochs for image in images)
    assert {seen[image] for image in many[0]} == {10} and {seen[image] for image in many[1]} == {30}
    assert {seen[image] for image in REAL} == {18}


def test_few_real_images_limit_the_generators_alike() -> None:
    images = ids(REAL[:5], [f"a{n}" for n in range(9)], [f"b{n}" for n in range(9)])
    assert Counter(image[0] for image in images) == {"r": 4, "a": 2, "b": 2}
    images = ids(["r"], ["a0", "a1"], ["b0", "b1"], ["c0", "c1"])  # fewer than generators: they come again
    assert [image[0] for image in images] == ["r", "a", "r", "b", "r", "c"]


def test_an_attributor_sees_generators_alone() -> None:
    images = ids([], ["a0", "a1", "a2"], ["b0", "b1"])
    assert [image[0] for image in images] == ["a", "b"] * 2
    seen = Counter(
        image for epoch in range(3) for image in ids([], ["a0", "a1", "a2"], ["b0", "b1"], epoch=epoch)
    )
    assert seen == {"a0": 2, "a1": 2, "a2": 2, "b0": 3, "b1": 3}


def test_repeated_augmentation_shows_fewer_images_in_more_copies() -> None:
    sources = ([f"r{number}" for number in range(9)], [f"g{number}" for number in range(9)])
    seen: Counter[tuple[int, str]] = Counter()
    for epoch in range(6):
        images = epoch_images(sources, epoch, ("x",), 3)
        assert len(images) == 18 == len(set(images))
        for side in (images[::2], images[1::2]):
            assert [copy for copy, _ in side] == [0, 1, 2] * 3
            assert all(len({image for _, image in side[at : at + 3]}) == 1 for at in (0, 3, 6))
        seen.update(images)
    assert seen == {(copy, image): 2 for source in sources for image in source for copy in range(3)}


def test_an_epoch_of_copies_is_as_long_as_any() -> None:
    found = epoch_images((REAL[:7], REAL[:7]), 0, ("x",), 3)
    assert [copy for copy, _ in found[::2]] == [0, 1, 2, 0, 1, 2, 0]


def test_batches_are_of_one_length() -> None:
    for count in range(2, 70, 2):
        for most in (2, 3, 16, 100):
            batches = epoch_batches(list(map(str, range(count))), most)
            lengths = {len(batch) for batch in batches}
            assert max(lengths) <= most and max(lengths) - min(lengths) <= 1
            assert [image for batch in batches for image in batch] == list(map(str, range(count)))


def test_no_batch_has_a_single_image() -> None:
    assert min(len(b) for n in range(2, 200, 2) for m in (3, 5, 7) for b in epoch_batches(["x"] * n, m)) >= 2
