"""Means of cells, each under a name that says what it is over."""

from collections.abc import Iterable, Sequence

import numpy as np

from assets.cells import ALL, Cell, Estimate
from assets.metrics import METRICS, Floats
from assets.params import CLEAN, Params

IN_DOMAIN = "in_domain"
CROSS_GENERATOR = "cross_generator"
PLAIN_MEAN = "plain_mean"
MEANS = {
    IN_DOMAIN: "mean over cells whose test generator was trained on (the diagonal)",
    CROSS_GENERATOR: "mean over cells whose test generator was not trained on (the diagonal left out)",
    PLAIN_MEAN: "mean over all cells, the diagonal included: what GenImage prints as Avg",
}


def over_seeds(per_seed: Sequence[Cell]) -> list[Cell]:
    """Average the rows that differ in nothing but the training seed; resample by resample for intervals.

    The interval says what other test images would give; `sd` what other training seeds would.
    """
    together: dict[tuple[str, ...], list[Cell]] = {}
    for cell in per_seed:
        together.setdefault(cell.key, []).append(cell)
    return [_seed_mean(cells) if len(cells) > 1 else cells[0] for cells in together.values()]


def _seed_mean(cells: Sequence[Cell]) -> Cell:
    metrics = {}
    for name in METRICS:
        estimates = [cell.metrics[name] for cell in cells]
        values = [estimate.value for estimate in estimates if estimate.value is not None]
        sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
        metrics[name] = Estimate(*_averaged(estimates), sd)
    first = cells[0]
    return Cell(*first.key, "mean", len(cells), first.num_cells, metrics, first.tally, first.seen)


def means(per_seed: Sequence[Cell], params: Params) -> list[Cell]:
    """Every mean of `MEANS` for every condition and for the mean over degradations, over seeds at last.

    Per detector: over test sets for each training generator or set (GenImage Tables 3 and 5), over training
    generators for each test set (GenImage Table 4), and over both.
    """
    out: list[Cell] = []
    for seed in dict.fromkeys(cell.seed for cell in per_seed):
        cells = [cell for cell in per_seed if cell.seed == seed]
        plain = _seed_means(cells, params, seed)
        out += [*plain, *_over_degradations([*cells, *plain])]
    return over_seeds(out)


def _seed_means(cells: Sequence[Cell], params: Params, seed: str) -> list[Cell]:
    out: list[Cell] = []
    columns = [*params.generators, ALL]
    for detector in params.scorers:
        if seed not in map(str, params.seeds_of(detector)):
            continue
        rows = [*params.rows_of(detector), ALL]
        averaged = params.averaged_rows(detector)
        for condition in params.conditions:
            here = [cell for cell in cells if (cell.detector, cell.condition) == (detector, condition)]
            places = [(row, column) for row in rows for column in columns if ALL in (row, column)]
            for trained_on, tested_on in places:
                chosen = [
                    cell
                    for cell in here
                    if (cell.trained_on in averaged if trained_on == ALL else cell.trained_on == trained_on)
                    and tested_on in (ALL, cell.tested_on)
                ]
                out += [
                    mean_of(_of_kind(kind, chosen), (kind, detector, trained_on, tested_on, condition), seed)
                    for kind in MEANS
                ]
    return out


def mean_of(cells: Sequence[Cell], key: tuple[str, str, str, str, str], seed: str) -> Cell:
    """The plain mean of one seed's cells, weighing the same; those without data are left out, not counted."""
    metrics = {name: Estimate(*_averaged([cell.metrics[name] for cell in cells])) for name in METRICS}
    return Cell(*key, seed, 1, sum(cell.num_cells for cell in cells), metrics)


def _of_kind(kind: str, cells: Iterable[Cell]) -> list[Cell]:
    if kind == PLAIN_MEAN:
        return list(cells)
    return [cell for cell in cells if cell.seen is (kind == IN_DOMAIN)]


def _over_degradations(rows: Sequence[Cell]) -> list[Cell]:
    together: dict[tuple[str, str, str, str], list[Cell]] = {}
    for row in rows:
        if row.condition != CLEAN:
            together.setdefault(row.key[:4], []).append(row)
    return [mean_of(same, (*key, ALL), same[0].seed) for key, same in together.items()]


def _averaged(estimates: Sequence[Estimate]) -> tuple[float | None, Floats | None]:
    """Mean value and mean draws of the estimates that have data."""
    with_data = [estimate for estimate in estimates if estimate.value is not None]
    if not with_data:
        return None, None
    value = float(np.mean([estimate.value for estimate in with_data]))
    draws = [estimate.draws for estimate in with_data if estimate.draws is not None]
    return value, np.mean(draws, axis=0) if len(draws) == len(with_data) else None
