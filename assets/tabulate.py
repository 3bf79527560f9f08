"""From predictions to every cell and every mean: what all tables, figures and pages are made from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pandas as pd

from assets.cells import Cell, Draws, pair_cells
from assets.means import means, over_seeds
from assets.params import ELSEWHERE, REAL, Params
from assets.predictions import given_source
from assets.progress import counter
from assets.scores import Ledger, lay_out

Reader = Callable[[str, str], pd.DataFrame]
"""(trained_on, tested_on) -> the rows of that predictions file; see `assets.predictions.predictions_path`."""


@dataclass(frozen=True)
class Tabulated:
    """Everything the tables are made from."""

    per_seed: list[Cell]
    """One for every detector x trained_on x tested_on x condition x seed."""
    cells: list[Cell]
    """The same over seeds (with a single seed, the same cells)."""
    means: list[Cell]
    """In-domain, cross-generator and plain means, over seeds."""
    num_images: dict[str, int]
    """Image set (a generator, or `real`) -> test images, scored or not."""


def tabulate(params: Params, read: Reader, answered: Mapping[str, frozenset[str]] = {}) -> Tabulated:
    """Read every pair that the parameters name and compute all cells and means.

    Args: answered: generator -> the real test images that its cells count; all of them if it is not there.
    Raises:
        PredictionsError: files that are missing, malformed or at odds (`assets.scores`).
    """
    ledger = Ledger()
    draws = Draws(params)
    per_seed: list[Cell] = []
    num_images: dict[str, int] = {}
    files = [(source, source, [*params.detectors]) for source in params.sources]
    files += [(given_source(name), ELSEWHERE, [name]) for name in params.given]
    with counter("tabulating", len(files) * len(params.generators), "pairs") as bar:
        for source, trained_on, detectors in files:
            frame = read(source, REAL)
            real = ledger.admit(lay_out(frame, trained_on, REAL, params, detectors))
            num_images[REAL] = real.ids.size
            for tested_on in params.generators:
                frame = read(source, tested_on)
                generated = ledger.admit(lay_out(frame, trained_on, tested_on, params, detectors))
                num_images[tested_on] = generated.ids.size
                per_seed += pair_cells(real, generated, draws, params, answered.get(tested_on))
                bar.update(1)
    ledger.close()
    return Tabulated(per_seed, over_seeds(per_seed), means(per_seed, params), num_images)
