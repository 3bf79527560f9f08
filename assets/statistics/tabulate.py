"""From predictions to every cell and every mean: what all tables, figures and pages are made from."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np
import pandas as pd

from assets.params import CLEAN, ELSEWHERE, REAL, Params
from assets.predictions import given_source
from assets.progress import counter
from assets.statistics.cells import CELL, Cell, GroupDraws, pair_cells
from assets.statistics.comparing import delong
from assets.statistics.curves import Curve, curve
from assets.statistics.means import means, over_degradations, over_seeds
from assets.statistics.metrics import Floats
from assets.statistics.pooled import pooled_cells
from assets.statistics.scores import Ledger, Scores, lay_out

Reader = Callable[[str, str], pd.DataFrame]
"""(trained_on, tested_on) -> the rows of that predictions file; see `assets.predictions.predictions_path`."""
Key = tuple[str, str, str, str, str]
"""`Cell.key`: kind, detector, trained_on, tested_on, condition."""


@dataclass(frozen=True)
class DeLong:
    """The AUROCs of several detectors on the same images, and how they vary together."""

    detectors: tuple[str, ...]
    """Those trained on one source, then those made elsewhere."""
    aurocs: Floats
    """(K,) over the images that all of them scored."""
    covariance: Floats
    """(K, K)."""


@dataclass(frozen=True)
class Tabulated:
    """Everything the tables are made from."""

    per_seed: list[Cell]
    """One for every detector x trained_on x tested_on x condition x seed."""
    cells: list[Cell]
    """The same over seeds (with a single seed, the same cells)."""
    means: list[Cell]
    """Every kind of `assets.statistics.means.MEANS`, over seeds."""
    num_images: dict[str, int]
    """Image set (a generator, or `real`) -> test images, scored or not, left out or not."""
    pooled: list[Cell] = field(default_factory=list)
    """Every kind of `assets.statistics.cells.POOLED`, over seeds, and their means over the degradations."""
    left_out: dict[str, int] = field(default_factory=dict)
    """Image set -> test images that count for no detector; only sets that have some."""
    curves: dict[Key, Curve] = field(default_factory=dict)
    """Of clean cells over the first seed."""
    delong: dict[tuple[str, str, str], DeLong] = field(default_factory=dict)
    """(trained_on, tested_on, condition) -> its detectors compared; clean images, first seed."""

    @property
    def rows(self) -> list[Cell]:
        """Cells, pooled cells and means, over seeds."""
        return [*self.cells, *self.pooled, *self.means]

    def find(self, kind: str, detector: str, trained_on: str, tested_on: str, condition: str) -> Cell | None:
        """The one of `rows` with this key; None if there is none."""
        return self._by_key.get((kind, detector, trained_on, tested_on, condition))

    @cached_property
    def _by_key(self) -> dict[Key, Cell]:
        return {cell.key: cell for cell in self.rows}


def tabulate(
    params: Params,
    read: Reader,
    answered: Mapping[str, frozenset[str]] = {},
    left_out: Mapping[str, frozenset[str]] = {},
    seen_classes: Mapping[str, frozenset[str]] = {},
    seen_contents: Mapping[str, frozenset[str]] = {},
) -> Tabulated:
    """Read every pair that the parameters name and compute all cells and means.

    Args:
        read: called from several threads.
        answered: generator -> the real test images that its cells count; all of them if it is not there.
        left_out: image set -> test images that count for no detector (they are known from the training).
        seen_classes: sample -> the classes among its training images; it gets cells of kind `classes`.
        seen_contents: trained_on -> the contents among its training images.
    Raises:
        PredictionsError: files that are missing, malformed or at odds (`assets.statistics.scores`), or that
        say
            nothing about an image of `answered` or `left_out`.
    """
    ledger, draws, clean = Ledger(), GroupDraws(params), _Clean(params)
    per_seed: list[Cell] = []
    pooled: list[Cell] = []
    num_images: dict[str, int] = {}
    answered = {name: images - left_out.get(REAL, frozenset()) for name, images in answered.items()}
    files = [(source, source, [*params.detectors]) for source in params.sources]
    files += [(given_source(name), ELSEWHERE, [name]) for name in params.given]
    with (
        counter("tabulating", len(files) * len(params.generators), "pairs") as bar,
        ThreadPoolExecutor(num_threads()) as pool,
    ):
        for source, trained_on, detectors in files:
            read_one = partial(_read_one, read, source, trained_on, params, detectors)
            sets: dict[str, Scores] = {}
            for scores in pool.map(read_one, [REAL, *params.generators]):
                num_images[scores.tested_on] = ledger.admit(scores).ids.size
                sets[scores.tested_on] = scores.without(left_out.get(scores.tested_on, frozenset()))
            real = sets.pop(REAL)
            together = pool.submit(
                pooled_cells, real, sets, draws, params, answered, seen_classes, seen_contents
            )
            pairs = [
                pool.submit(pair_cells, real, generated, draws, params, answered.get(name))
                for name, generated in sets.items()
            ]
            for pair in pairs:
                per_seed += pair.result()
                bar.update(1)
            pooled += together.result()
            for name, generated in sets.items():
                clean.keep(real, generated, answered.get(name))
        ledger.close()
        curves = dict(clean.curves())
        compared = dict(pool.map(clean.compared, clean.pairs))
    return Tabulated(
        per_seed,
        over_seeds(per_seed),
        means(per_seed, params),
        num_images,
        over_seeds([*pooled, *_degraded(pooled, params)]),
        {name: len(images) for name, images in left_out.items() if images},
        curves,
        {key: found for key, found in compared.items() if found is not None},
    )


def num_threads() -> int:
    """As many as this process has processors; results do not depend on it."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _read_one(
    read: Reader, source: str, trained_on: str, params: Params, detectors: Sequence[str], tested_on: str
) -> Scores:
    return lay_out(read(source, tested_on), trained_on, tested_on, params, detectors)


def _degraded(per_seed: Sequence[Cell], params: Params) -> list[Cell]:
    """The mean over degradations of every cell, seed by seed."""
    together: dict[str, list[Cell]] = {}
    for cell in per_seed:
        together.setdefault(cell.seed, []).append(cell)
    return [mean for cells in together.values() for mean in over_degradations(cells, params)]


class _Clean:
    """What every detector said about clean images, first seed: for curves and comparisons."""

    def __init__(self, params: Params) -> None:
        self._params = params
        self._said: dict[tuple[str, str], dict[str, tuple[Floats, Floats]]] = {}

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Trained on, tested on."""
        return [*self._said]

    def keep(self, real: Scores, generated: Scores, answered: frozenset[str] | None) -> None:
        """Take note of one pair; `answered` as in `pair_cells`."""
        counted = real.which(answered)
        said = self._said.setdefault((generated.trained_on, generated.tested_on), {})
        for detector in dict.fromkeys(detector for detector, _, _ in generated.logits):
            block = detector, self._params.seeds_of(detector)[0], CLEAN
            said[detector] = real.logits[block][counted], generated.logits[block]

    def curves(self) -> Iterator[tuple[Key, Curve]]:
        """Of every cell that has images of both classes."""
        for (trained_on, tested_on), said in self._said.items():
            for detector, logits in said.items():
                real, generated = (values[np.isfinite(values)] for values in logits)
                if real.size and generated.size:
                    yield (CELL, detector, trained_on, tested_on, CLEAN), curve(real, generated)

    def compared(self, pair: tuple[str, str]) -> tuple[tuple[str, str, str], DeLong | None]:
        """The detectors of a pair, and those made elsewhere, on the images that all of them scored.

        None with fewer than two images of a class.
        """
        said = {**self._said[pair], **self._said.get((ELSEWHERE, pair[1]), {})}
        both = [np.stack([logits[label] for logits in said.values()]) for label in (0, 1)]
        real, generated = (values[:, np.isfinite(values).all(axis=0)] for values in both)
        if min(real.shape[1], generated.shape[1]) < 2:
            return (*pair, CLEAN), None
        return (*pair, CLEAN), DeLong(tuple(said), *delong(real, generated))
