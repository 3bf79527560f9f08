"""Means over attributors' rows that ImagiNet's Track II asks for: accuracy, and recall of groups."""

from collections.abc import Callable, Sequence

import numpy as np

from assets.statistics.attributed import GENERATOR, Attributed, Confusion, Row
from assets.statistics.averages import averaged, with_deviation
from assets.statistics.cells import Estimate

About = tuple[str, str, str]
"""Attributor, set, condition."""


def accuracy(attributed: Attributed, about: About, members: Sequence[str]) -> Estimate:
    """Share of all images of these generators that are named rightly; every image weighs the same."""
    return _over_seeds(attributed, about, members, _weighted)


def mean_recall(attributed: Attributed, about: About, generators: Sequence[str]) -> Estimate:
    """Mean of the recalls of these generators; every generator weighs the same."""
    return _over_seeds(
        attributed, about, generators, lambda rows: averaged([row.metrics["recall"] for row in rows])
    )


def named_within(confusion: Confusion, generators: Sequence[str]) -> float | None:
    """Mean over these generators of the share of images for which one of them is named."""
    shares = []
    for name in generators:
        given = dict(zip(confusion.answers, confusion.shares[name], strict=True))
        named = [share for answer, share in given.items() if answer in generators and share is not None]
        if named:
            shares.append(sum(named))
    return float(np.mean(shares)) if shares else None


def _over_seeds(
    attributed: Attributed, about: About, generators: Sequence[str], mean: Callable[[list[Row]], Estimate]
) -> Estimate:
    per_seed: dict[str, list[Row]] = {}
    for row in attributed.per_seed:
        of_them = row.kind == GENERATOR and row.tested_on in generators
        if of_them and (row.detector, row.trained_on, row.condition) == about:
            per_seed.setdefault(row.seed, []).append(row)
    return with_deviation([mean(rows) for rows in per_seed.values()])


def _weighted(rows: list[Row]) -> Estimate:
    """Mean recall in which every generator weighs as much as it has images with an answer."""
    known = [(row.metrics["recall"], row.n or 0) for row in rows if row.metrics["recall"].value is not None]
    total = sum(n for _, n in known)
    if not total:
        return Estimate(None)
    values = [estimate.value * n for estimate, n in known if estimate.value is not None]
    draws = [estimate.draws * float(n) for estimate, n in known if estimate.draws is not None]
    return Estimate(
        float(np.sum(values)) / total, np.sum(draws, axis=0) / total if len(draws) == len(known) else None
    )
