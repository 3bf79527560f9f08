"""Means of cells, each under a name that says what it is over."""

from collections.abc import Callable, Sequence

import numpy as np

from assets.params import Params
from assets.statistics.averages import averaged, with_deviation
from assets.statistics.cells import ALL, Cell, Estimate
from assets.statistics.metrics import LOWER_IS_BETTER, METRICS

IN_DOMAIN = "in_domain"
CROSS_GENERATOR = "cross_generator"
CROSS_FAMILY = "cross_family"
PLAIN_MEAN = "plain_mean"
WORST = "worst_generator"
MEANS = {
    IN_DOMAIN: "mean over cells whose test generator was trained on (the diagonal)",
    CROSS_GENERATOR: "mean over cells whose test generator was not trained on (the diagonal left out)",
    CROSS_FAMILY: "mean over cells whose test generator is of a family (GAN, latent diffusion, ...) of which "
    "no generator was trained on",
    PLAIN_MEAN: "mean over all cells, the diagonal included: what GenImage prints as Avg",
    WORST: "no mean but the worst of the cells of one training over all test generators, those trained on "
    "included: the lowest value, the highest of an error; where several trainings stand together, the mean "
    "of their worst. Its interval is of the worst in each resample",
}
"""Kind -> what it is."""

Key = tuple[str, str, str, str, str]
"""`Cell.key`."""


def over_seeds(per_seed: Sequence[Cell]) -> list[Cell]:
    """Average the rows that differ in nothing but the training seed; resample by resample for intervals.

    The interval says what other test images would give; `sd` what other training seeds would.
    """
    together: dict[Key, list[Cell]] = {}
    for cell in per_seed:
        together.setdefault(cell.key, []).append(cell)
    return [_seed_mean(cells) if len(cells) > 1 else cells[0] for cells in together.values()]


def _seed_mean(cells: Sequence[Cell]) -> Cell:
    first = cells[0]
    metrics = {name: with_deviation([cell.metrics[name] for cell in cells]) for name in METRICS}
    return Cell(*first.key, "mean", len(cells), first.num_cells, metrics, first.tally, first.seen)


def means(per_seed: Sequence[Cell], params: Params) -> list[Cell]:
    """Every mean of `MEANS` for every condition and for the mean over degradations, over seeds at last.

    Per detector: over test sets for each training generator or set (GenImage Tables 3 and 5), over training
    generators for each test set (GenImage Table 4; not of the worst), and over both.

    Args: per_seed: cells of pairs.
    """
    out: list[Cell] = []
    for seed in dict.fromkeys(cell.seed for cell in per_seed):
        cells = [cell for cell in per_seed if cell.seed == seed]
        plain = _seed_means(cells, params, seed)
        out += [*plain, *over_degradations([*cells, *plain], params)]
    return over_seeds(out)


def _seed_means(cells: Sequence[Cell], params: Params, seed: str) -> list[Cell]:
    out: list[Cell] = []
    blocks: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        blocks.setdefault((cell.detector, cell.condition), []).append(cell)
    for detector in params.scorers:
        if seed not in map(str, params.seeds_of(detector)):
            continue
        for condition in params.conditions:
            here = blocks.get((detector, condition), [])
            out += _means_of_a_block(here, params, detector, condition, seed)
    return out


def _means_of_a_block(
    here: Sequence[Cell], params: Params, detector: str, condition: str, seed: str
) -> list[Cell]:
    """All means of one detector under one condition."""
    out: list[Cell] = []
    rows, averaged = params.rows_of(detector), params.averaged_rows(detector)
    of_row = {row: [cell for cell in here if cell.trained_on == row] for row in rows}
    together = [cell for row in averaged for cell in of_row[row]]

    def add(kind: str, trained_on: str, tested_on: str, cells: Sequence[Cell]) -> None:
        out.append(mean_of(cells, (kind, detector, trained_on, tested_on, condition), seed))

    for kind, belongs in _BELONGS.items():
        for row in rows:
            add(kind, row, ALL, [cell for cell in of_row[row] if belongs(cell, params)])
        chosen = [cell for cell in together if belongs(cell, params)]
        for column in params.generators:
            add(kind, ALL, column, [cell for cell in chosen if cell.tested_on == column])
        add(kind, ALL, ALL, chosen)
    worst = {row: worst_of(of_row[row], (WORST, detector, row, ALL, condition), seed) for row in rows}
    out += worst.values()
    add(WORST, ALL, ALL, [worst[row] for row in averaged])
    return out


def mean_of(cells: Sequence[Cell], key: Key, seed: str) -> Cell:
    """The plain mean of one seed's cells, weighing the same; those without data are left out, not counted."""
    metrics = {name: averaged([cell.metrics[name] for cell in cells]) for name in METRICS}
    return Cell(*key, seed, 1, sum(cell.num_cells for cell in cells), metrics)


def worst_of(cells: Sequence[Cell], key: Key, seed: str) -> Cell:
    """The worst value of one seed's cells, metric by metric, and the worst of every resample.

    Cells without data are left out, not counted.
    """
    metrics = {name: _worst([cell.metrics[name] for cell in cells], name) for name in METRICS}
    return Cell(*key, seed, 1, sum(cell.num_cells for cell in cells), metrics)


def _worst(estimates: Sequence[Estimate], metric: str) -> Estimate:
    worst = np.max if metric in LOWER_IS_BETTER else np.min
    there = [one for one in estimates if one.value is not None]
    if not there:
        return Estimate(None)
    draws = [one.draws for one in there if one.draws is not None]
    value = float(worst([one.value for one in there]))
    return Estimate(value, worst(draws, axis=0) if len(draws) == len(there) else None)


def over_degradations(rows: Sequence[Cell], params: Params) -> list[Cell]:
    """One seed's rows, averaged over all conditions but the clean one and the twins."""
    together: dict[tuple[str, str, str, str], list[Cell]] = {}
    for row in rows:
        if row.condition in params.degradations:
            together.setdefault(row.key[:4], []).append(row)
    return [mean_of(same, (*key, ALL), same[0].seed) for key, same in together.items()]


def _of_another_family(cell: Cell, params: Params) -> bool:
    """Whether what was trained on is known, and nothing of the family of the generator tested on."""
    seen = {name: params.seen(cell.detector, cell.trained_on, name) for name in params.generators}
    families = {params.generators[name].family for name, was in seen.items() if was}
    return None not in seen.values() and params.generators[cell.tested_on].family not in families


_BELONGS: dict[str, Callable[[Cell, Params], bool]] = {
    IN_DOMAIN: lambda cell, params: cell.seen is True,
    CROSS_GENERATOR: lambda cell, params: cell.seen is False,
    CROSS_FAMILY: _of_another_family,
    PLAIN_MEAN: lambda cell, params: True,
}
"""Which cells a mean is over."""
