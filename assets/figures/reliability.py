"""Reliability diagrams: of images called generated with P, is a share of P generated?"""

import numpy as np

from assets.figures.cells import GROUPS, curves_of, squares
from assets.figures.drawing import Drawing
from assets.figures.figure import Figure
from assets.report.results import Results
from assets.statistics.curves import Curve
from assets.statistics.metrics import Floats

FEWEST = 10
"""Images in a bin from which on it is drawn."""


def figures(results: Results) -> list[Figure]:
    """One figure; nothing without a cell that has images of both classes."""
    of = {name: found for name in results.params.scorers if (found := curves_of(results, name))}
    if not of:
        return []
    title = "Reliability diagrams"
    alt = (
        f"Reliability diagrams of {', '.join(of)}: share of generated images against the P(generated) that "
        "was said, on generators trained on and on generators not trained on."
    )
    drawing = Drawing("reliability", title, alt)
    for name, panel in squares(drawing, of, "said: P(generated)", "share generated"):
        for seen, curves in of[name].items():
            label, look = GROUPS[seen]
            said, share, weight = pooled(curves)
            points = list(zip(said.tolist(), share.tolist(), strict=True))
            panel.curve(points, look, width=1.5)
            for (x, y), part in zip(points, weight, strict=True):
                tip = f"{name}, {label}: said {x:.2f}, {y:.2f} are generated; {part:.0%} of the images"
                panel.mark(x, y, look, 1.2 + 4.5 * float(part) ** 0.5, tip)
    caption = (
        "Clean test images, first training seed, in 15 bins of P(generated); all cells (a training and a "
        "test generator) weigh alike, and in each of them both classes. Markers grow with the share of "
        f"images in the bin; bins of fewer than {FEWEST} images are left out. On the dashed diagonal "
        "probabilities are true; below it, images are called generated too surely."
    )
    return [Figure("reliability", "calibration", title, alt, caption, drawing.svg())]


def pooled(curves: list[Curve]) -> tuple[Floats, Floats, Floats]:
    """Of every bin with enough images: mean P, share generated, share of the images; cells weigh alike."""
    counts = sum(curve.num_real + curve.num_generated for curve in curves)
    weights = np.stack(
        [
            curve.num_real / curve.num_real.sum() + curve.num_generated / curve.num_generated.sum()
            for curve in curves
        ]
    )
    total = weights.sum(axis=0)
    enough = np.asarray(counts) >= FEWEST
    said, share = (
        np.nansum(weights * np.stack(values), axis=0)[enough] / total[enough]
        for values in ([curve.mean_p for curve in curves], [curve.share for curve in curves])
    )
    return said, share, (total / total.sum())[enough]
