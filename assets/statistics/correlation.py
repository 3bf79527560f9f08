"""Which generators are alike, judged by how well detectors go from one to the other (GenImage).

Transfer a_ij: AUROC of detectors trained on generator i and tested on j, mean over detectors. Two
generators are as far apart as 1 - (a_ij + a_ji) / 2: 0 if training on either tells the other from real
images without a fault, 0.5 if that is guessing. The diagonal says nothing about two generators and is left
out. Distances are clustered by average linkage (UPGMA; Sokal and Michener 1958): the distance of two clusters
is the mean over their pairs, so that heights in the tree are means of the distances in the matrix.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from assets.params import CLEAN, Params
from assets.statistics.averages import averaged
from assets.statistics.cells import CELL, Estimate
from assets.statistics.metrics import Floats
from assets.statistics.tabulate import Tabulated

FEWEST = 3
"""Generators of which a clustering says anything."""
_DIGITS = 12  # so that sums in another order give the same order of merges


@dataclass(frozen=True)
class Nearest:
    """The generator that one is most like."""

    generator: str
    nearest: str
    distance: Estimate
    sure: float | None
    """Share of the bootstrap resamples in which it is the nearest; None without resamples."""


@dataclass(frozen=True)
class Correlation:
    """How generators go together."""

    generators: tuple[str, ...]
    """N, in the order of the parameters; those without data for a pair are left out."""
    transfer: dict[tuple[str, str], Estimate]
    """(trained on, tested on) -> AUROC, mean over detectors."""
    distance: Floats
    """(N, N) symmetric, 0 on the diagonal."""
    linkage: Floats
    """(N - 1, 4) as scipy.cluster.hierarchy has it: two clusters that merge, their distance, their size."""
    order: tuple[str, ...]
    """The generators as the leaves of the tree, neighbours side by side."""
    nearest: tuple[Nearest, ...]
    """One a generator."""
    left_out: tuple[str, ...] = ()
    """Generators without data for some pair."""

    @property
    def merges(self) -> list[tuple[tuple[str, ...], tuple[str, ...], float]]:
        """The members of both clusters that merge, and their distance, the nearest first."""
        clusters: list[tuple[str, ...]] = [(name,) for name in self.generators]
        found = []
        for first, second, height, _ in self.linkage:
            both = clusters[int(first)], clusters[int(second)]
            clusters.append(both[0] + both[1])
            found.append((*both, float(height)))
        return found


def correlate(tabulated: Tabulated, params: Params) -> Correlation | None:
    """Cluster the generators that were trained on one at a time; None if fewer than three have data."""
    every = tuple(name for name in params.generators if name in params.train.generators)
    transfer = {(i, j): _transfer(tabulated, params, i, j) for i in every for j in every}
    generators = _with_data(every, transfer)
    if len(generators) < FEWEST:
        return None
    apart = {
        (i, j): _distance(transfer[i, j], transfer[j, i]) for i in generators for j in generators if i != j
    }
    distance = np.zeros((len(generators), len(generators)))
    for (i, j), estimate in apart.items():
        distance[generators.index(i), generators.index(j)] = round(estimate.value or 0.0, _DIGITS)
    linkage, leaves = _cluster(distance)
    return Correlation(
        generators,
        {pair: estimate for pair, estimate in transfer.items() if {*pair} <= {*generators}},
        distance,
        linkage,
        tuple(generators[leaf] for leaf in leaves),
        tuple(_nearest(name, generators, apart) for name in generators),
        tuple(name for name in every if name not in generators),
    )


def _transfer(tabulated: Tabulated, params: Params, trained_on: str, tested_on: str) -> Estimate:
    cells = [tabulated.find(CELL, name, trained_on, tested_on, CLEAN) for name in params.detectors]
    return averaged([cell.metrics["auroc"] for cell in cells if cell is not None])


def _with_data(every: Sequence[str], transfer: dict[tuple[str, str], Estimate]) -> tuple[str, ...]:
    """What is left when those with most pairs without data go, until no such pair is left."""
    left = [*every]
    while True:
        missing = {
            name: sum(
                transfer[pair].value is None for other in left for pair in ((name, other), (other, name))
            )
            for name in left
        }
        if not any(missing.values()):
            return tuple(left)
        left.remove(max(left, key=lambda name: missing[name]))


def _distance(there: Estimate, back: Estimate) -> Estimate:
    both = averaged([there, back])
    assert both.value is not None
    return Estimate(1 - both.value, None if both.draws is None else 1 - both.draws)


def _cluster(distance: Floats) -> tuple[Floats, list[int]]:
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    tree = linkage(squareform(distance), "average", optimal_ordering=True)
    return tree, [int(leaf) for leaf in leaves_list(tree)]


def _nearest(name: str, generators: Sequence[str], apart: dict[tuple[str, str], Estimate]) -> Nearest:
    others = [other for other in generators if other != name]
    distances = [apart[name, other] for other in others]
    best = min(range(len(others)), key=lambda at: distances[at].value or 0.0)
    draws = [one.draws for one in distances if one.draws is not None]
    sure = None
    if len(draws) == len(others):
        finite = np.stack(draws)[:, np.isfinite(draws).all(axis=0)]
        sure = float(np.mean(finite.argmin(axis=0) == best)) if finite.size else None
    return Nearest(name, others[best], distances[best], sure)
