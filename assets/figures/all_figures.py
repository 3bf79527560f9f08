"""The figures, in the order of the report: a new one is a file, an import and a line here."""

from collections.abc import Callable

from assets.figures import (
    chronological,
    correlation,
    degradation_curves,
    ranks,
    reliability,
    roc,
    scale,
    spectra,
)
from assets.figures.figure import Figure
from assets.report.results import Results

FIGURES: tuple[Callable[[Results], list[Figure]], ...] = (
    roc.figures,
    degradation_curves.figures,
    scale.figures,
    chronological.figures,
    correlation.figures,
    spectra.figures,
    ranks.figures,
    reliability.figures,
)


def all_figures(results: Results) -> list[Figure]:
    """Every figure that there is something to draw for."""
    return [figure for draw in FIGURES for figure in draw(results)]
