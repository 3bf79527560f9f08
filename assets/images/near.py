"""Near-duplicates: perceptual hashes a few bits apart, and the clusters they are joined into.

Hashes are cut into stretches. Two that differ in at most r bits differ in at most r stretches, so with r + m
of them at least m are equal: only hashes that agree in m stretches are compared (the pigeonhole principle).
Exact, and what a few comparisons a hash cost instead of all pairs.
"""

from collections.abc import Iterator
from itertools import combinations, pairwise
from math import comb

import numpy as np
import pandas as pd

_BITS = 64
_SORTING = 60
"""Comparisons that take as long as sorting in one hash (measured, 200,000 hashes)."""


def as_bits(hashes: pd.Series) -> np.ndarray:
    """(N,) uint64 from 16-digit hex strings. Unsigned: `np.bitwise_count` counts the bits of |x|."""
    return np.array([int(text, 16) for text in hashes], dtype=np.uint64)


def near_pairs(hashes: np.ndarray, radius: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """All pairs i < j whose hashes differ in at most `radius` bits, in blocks of (i, j, distance).

    Every pair comes once; memory grows with N, not with the pairs that are compared.

    Args: hashes: (N,) uint64; radius: bits, 0..64.
    """
    if hashes.dtype != np.uint64:
        raise TypeError(f"hashes must be uint64, got {hashes.dtype}")
    masks, agree = _stretches(len(hashes), radius)
    for chosen in combinations(range(len(masks)), agree):
        key = hashes & np.bitwise_or.reduce(masks[list(chosen)], initial=np.uint64(0))
        order = np.argsort(key, kind="stable")
        key, sorted_hashes = key[order], hashes[order]
        left, step = np.arange(len(hashes)), 0
        while len(left):  # each with the hash `step` places on, while that has the same key
            step += 1
            left = left[left + step < len(key)]
            left = left[key[left] == key[left + step]]
            differing = sorted_hashes[left] ^ sorted_hashes[left + step]
            distance = np.bitwise_count(differing)
            near = distance <= radius
            # A pair agrees in other stretches too: it counts where the first of them are looked at.
            near[near] = _first_agreeing(differing[near], masks, agree) == _code(chosen)
            if near.any():
                one, other = order[left[near]], order[left[near] + step]
                yield np.minimum(one, other), np.maximum(one, other), distance[near]


def clusters(hashes: pd.Series, radius: int) -> pd.Series:
    """Cluster number of every hash: pairs within `radius` bits are joined, and what they are joined to.

    Args: hashes: 16-digit hex strings.
    Returns: the smallest position in the same cluster, on the index of `hashes`.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    unlike, first, which = np.unique(as_bits(hashes), return_index=True, return_inverse=True)
    found = [np.stack([one, other]) for one, other, _ in near_pairs(unlike, radius)]
    one, other = np.concatenate([np.empty((2, 0), np.int64), *found], axis=1)
    joined = coo_matrix((np.ones(len(one), bool), (one, other)), shape=(len(unlike),) * 2)
    _, cluster = connected_components(joined, directed=False)
    smallest = pd.Series(first).groupby(cluster).transform("min").to_numpy()
    return pd.Series(smallest[which], index=hashes.index, dtype=np.int64)


def _stretches(count: int, radius: int) -> tuple[np.ndarray, int]:
    """Masks that cut 64 bits into radius + m stretches, and the m that must agree: the cheapest m."""
    if radius > _BITS // 2:
        return np.empty(0, np.uint64), 0  # all are compared with all

    def cost(agree: int) -> float:
        keys = 2.0 ** (_BITS * agree / (radius + agree))
        return float(comb(radius + agree, agree) * (_SORTING + count / 2 / keys))

    agree = min(range(1, 5), key=cost)
    ends = np.linspace(0, _BITS, radius + agree + 1).round().astype(int).tolist()
    masks = [(1 << high) - (1 << low) for low, high in pairwise(ends)]
    return np.array(masks, np.uint64), agree


def _first_agreeing(differing: np.ndarray, masks: np.ndarray, agree: int) -> np.ndarray:
    """The code of the first `agree` stretches in which nothing differs."""
    equal = (differing[:, None] & masks) == 0
    first = equal & (equal.cumsum(axis=1) <= agree)
    codes: np.ndarray = (first * (1 << np.arange(len(masks)))).sum(axis=1)
    return codes


def _code(chosen: tuple[int, ...]) -> int:
    return sum(1 << index for index in chosen)
