"""Which images an epoch shows, in which order: all sources in equal parts."""

import math
from typing import TypeVar

import numpy as np

from assets.seeds import rng

Origin = tuple[str | int, ...]
"""What all random choices of one training derive from."""
Picked = tuple[int, str]
"""Copy (0 unless augmentation is repeated) and image id."""
Item = TypeVar("Item")


def epoch_images(
    sources: tuple[list[str], ...], epoch: int, origin: Origin, repeats: int = 1
) -> list[Picked]:
    """The images of one epoch in order: real and generated in turn, and of the generators each in turn.

    The rarest source is seen once, of the others as many as keep real and generated in balance and the
    generators alike. A source is gone through in a new random order each time; one with more images goes
    on in the next epoch where this one ends.

    Repeated augmentation (Hoffer et al. 2020, arXiv 1901.09335, as DeiT's sampler has it): an epoch stays as
    long, of an image come `repeats` copies in a row, and so only one image in `repeats` is seen.

    Args: sources: ids of real images (none: an attributor's), then of each generator's.
    """
    reals, *generators = sources
    each = min(map(len, generators))
    if reals:
        each = max(1, min(each, len(reals) // len(generators)))
    fakes = [
        _dealt(ids, each, epoch, (*origin, "order", number), repeats)
        for number, ids in enumerate(generators, start=1)
    ]
    generated = [picked for turn in zip(*fakes, strict=True) for picked in turn]
    if not reals:
        return generated
    real = _dealt(reals, len(generated), epoch, (*origin, "order", 0), repeats)
    return [picked for pair in zip(real, generated, strict=True) for picked in pair]


def epoch_batches(images: list[Item], most: int) -> list[list[Item]]:
    """Cut an epoch into batches of at most `most` images, no two differing by more than one in length.

    Equal lengths, because batch normalisation cannot work on a single image left over.
    """
    pieces = np.array_split(np.arange(len(images)), math.ceil(len(images) / most))
    return [[images[index] for index in piece] for piece in pieces]


def _dealt(ids: list[str], count: int, epoch: int, origin: Origin, repeats: int) -> list[Picked]:
    """`count` copies of the images of one source, whose earlier epochs were dealt as many."""
    distinct = math.ceil(count / repeats)
    first, last = epoch * distinct, (epoch + 1) * distinct
    rounds = range(first // len(ids), -(-last // len(ids)))
    dealt = [str(name) for turn in rounds for name in rng(*origin, turn).permutation(ids)]
    skipped = rounds.start * len(ids)
    return [(copy, name) for name in dealt[first - skipped : last - skipped] for copy in range(repeats)][
        :count
    ]
