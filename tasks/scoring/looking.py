"""What detectors see of people's pictures."""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np

from assets.images.loader import Pictures
from assets.images.picture import PictureError, Smaller, decode
from assets.machine import eval_batch
from models.detectors.scoring import Centres, Look
from tasks.sources.places import File, Unreadable

_THREADS = min(8, os.cpu_count() or 1)
"""That decode, while the detectors look at what was decoded before."""


class Seen(NamedTuple):
    """A picture as detectors see it, or why they cannot."""

    path: Path
    crops: list[np.ndarray]
    """(3, S, S) uint8, one for each look; empty for one that cannot be read."""
    width: int = 0
    """In pixels, upright."""
    height: int = 0
    reason: str | None = None


def load(paths: Sequence[Path], looks: tuple[Look, ...]) -> Iterator[list[Seen]]:
    """Read, decode and crop, batch by batch in the order given, always one batch ahead.

    Only the crops are kept, so that a batch of large pictures needs little memory.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        ahead: deque[list[Future[Seen]]] = deque()
        size = eval_batch()
        for start in range(0, len(paths), size):
            ahead.append([pool.submit(_seen, path, looks) for path in paths[start : start + size]])
            if len(ahead) > 1:
                yield [future.result() for future in ahead.popleft()]
        while ahead:
            yield [future.result() for future in ahead.popleft()]


class _Single:
    """One picture's bytes, where `Centres` expects the pictures of a benchmark."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = (0, 0)
        """Height and width, once it was decoded."""

    def pixels(self, image: str, smaller: Smaller | None = None) -> np.ndarray:
        """As `assets.images.loader.Pictures.pixels`."""

        def times(size: tuple[int, int]) -> int:
            self.size = size
            return 1 if smaller is None else smaller(size)

        return decode(self._data, times)


def _seen(path: Path, looks: tuple[Look, ...]) -> Seen:
    try:
        single = _Single(File(path.parent, path.name).read())
        crops = Centres(cast(Pictures, single), looks)(str(path))
    except (Unreadable, PictureError) as error:
        return Seen(path, [], reason=str(error))
    return Seen(path, crops, single.size[1], single.size[0])
