"""Near-duplicates: perceptual hashes a few bits apart, joined into clusters."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

_BLOCK = 2048


def as_bits(hashes: pd.Series) -> np.ndarray:
    """(N,) uint64 from 16-digit hex strings. Unsigned: `np.bitwise_count` counts the bits of |x|."""
    return np.array([int(text, 16) for text in hashes], dtype=np.uint64)


def near_pairs(hashes: np.ndarray, radius: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """All pairs i < j whose hashes differ in at most `radius` bits, in blocks of (i, j, distance).

    Args: hashes: (N,) uint64; radius: bits, 0..64. Exhaustive: N^2 / 2 comparisons, 64 bits each.
    """
    if hashes.dtype != np.uint64:
        raise TypeError(f"hashes must be uint64, got {hashes.dtype}")
    for start in range(0, len(hashes), _BLOCK):
        block = hashes[start : start + _BLOCK, None]
        distance = np.bitwise_count(block ^ hashes[None, start:])
        first, second = np.nonzero(distance <= radius)
        upper = first < second
        first, second = first[upper], second[upper]
        yield first + start, second + start, distance[first, second]


def clusters(hashes: pd.Series, radius: int) -> pd.Series:
    """Cluster number of every hash: pairs within `radius` bits are joined (union-find).

    Args: hashes: 16-digit hex strings.
    Returns: the smallest position in the same cluster, on the index of `hashes`.
    """
    parent = np.arange(len(hashes))
    for first, second, _ in near_pairs(as_bits(hashes), radius):
        for a, b in zip(first.tolist(), second.tolist(), strict=True):
            low, high = sorted((_root(parent, a), _root(parent, b)))
            parent[high] = low
    roots = [_root(parent, position) for position in range(len(hashes))]
    return pd.Series(roots, index=hashes.index, dtype=np.int64)


def _root(parent: np.ndarray, position: int) -> int:
    while parent[position] != position:
        parent[position] = parent[parent[position]]  # halve the path
        position = parent[position]
    return int(position)
