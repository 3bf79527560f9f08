"""ROC curves: how much is found at what price in false alarms."""

import numpy as np

from assets.figures.cells import GROUPS, curves_of, squares
from assets.figures.drawing import Drawing
from assets.figures.figure import Figure
from assets.report.results import Results
from assets.statistics.curves import Curve
from assets.statistics.metrics import Floats

_GRID = np.linspace(0, 1, 51)
"""Shares of false alarms at which curves are averaged."""


def figures(results: Results) -> list[Figure]:
    """One figure; nothing without a cell that has images of both classes."""
    of = {name: found for name in results.params.scorers if (found := curves_of(results, name))}
    if not of:
        return []
    title = "ROC curves"
    alt = (
        f"ROC curves of {', '.join(of)}: share of generated images found against share of false alarms, mean "
        "over generators trained on and over generators not trained on, each with the band of its cells."
    )
    drawing = Drawing("roc", title, alt)
    for name, panel in squares(drawing, of, "false alarms", "found", marks=False):
        for seen, curves in of[name].items():
            label, look = GROUPS[seen]
            low, mean, high = averaged(curves)
            panel.band(_points(low), _points(high), look.colour)
            panel.curve([(0.0, 0.0), *_points(mean)], look, tip=f"{name}, {label}")
    caption = (
        "Clean test images, first training seed. Share of generated images called generated (found) against "
        "share of real images called generated (false alarms), over all thresholds. Lines: the mean over "
        "cells (a training and a test generator) at each share of false alarms (vertical averaging; Fawcett "
        "2006); bands: from the lowest to the highest cell. Dashed diagonal: guessing."
    )
    return [Figure("roc", "cross_generator", title, alt, caption, drawing.svg())]


def averaged(curves: list[Curve]) -> tuple[Floats, Floats, Floats]:
    """Lowest, mean and highest share found at every share of false alarms of the grid.

    Where a curve rises straight up, it counts with the upper end: what is found at that price.
    """
    found = np.stack([np.interp(_GRID, curve.fpr, curve.tpr) for curve in curves])
    return found.min(axis=0), found.mean(axis=0), found.max(axis=0)


def _points(shares: Floats) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in zip(_GRID, shares, strict=True)]
