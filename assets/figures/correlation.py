"""How detectors carry over between generators: the matrix in the order of its tree, and the tree."""

from assets.figures.drawing import BLUE, ORANGE, SMALL, WIDTH, Drawing, Point, text_width
from assets.figures.figure import Figure
from assets.report.results import Results
from assets.statistics.correlation import Correlation, correlate

_TREE = 96.0
"""Width of the tree."""
_LEGIBLE = 23.0
"""Side of a cell from which on a number fits into it."""


def figures(results: Results) -> list[Figure]:
    """One figure; nothing with fewer than three generators that are trained on one at a time."""
    found = correlate(results.tabulated, results.params)
    return [] if found is None else [_figure(found)]


def _figure(found: Correlation) -> Figure:
    title = "Which generators are alike to detectors"
    alt = (
        "Matrix of transfer AUROC, trained on by tested on, in the order of a tree of generators. "
        + " ".join(
            f"{' + '.join(one)} and {' + '.join(other)} join at {height:.2f}."
            for one, other, height in found.merges
        )
    )
    drawing = Drawing("correlation", title, alt)
    longest = max(text_width(name) for name in found.order)
    left = min(110.0, longest + 8)
    side = min(46.0, (WIDTH - left - _TREE - 22) / len(found.order))
    head = 24 + 0.72 * longest
    top = drawing.grow(head + side * len(found.order) + 34) + head
    drawing.text(0, top - 8, "trained on", height=SMALL, soft=True)
    drawing.text(left, top - head + 12, "tested on", height=SMALL, soft=True)
    for row, trained_on in enumerate(found.order):
        drawing.text(left - 6, top + side * (row + 0.5) + 3.8, trained_on, anchor="end")
        drawing.text(left + side * (row + 0.5) - 2, top - 6, trained_on, height=SMALL, turn=-45)
        for column, tested_on in enumerate(found.order):
            value = found.transfer[trained_on, tested_on].value
            if value is not None:
                tip = f"trained on {trained_on}, tested on {tested_on}: {value:.3f}"
                _cell(drawing, left + side * column, top + side * row, side, value, tip, row == column)
    _tree(drawing, found, left + side * len(found.order) + 12, top, side)
    caption = (
        "Left: AUROC on clean test images of detectors trained on one generator and tested on another, "
        "mean over all detectors trained here; blue is better than guessing (0.5), orange worse; framed: "
        "trained on what is tested. Right: average linkage; two generators are as far apart as 1 less the "
        "mean of the transfers there and back, 0.5 being guessing."
    )
    return Figure("correlation", "correlation", title, alt, caption, drawing.svg())


def _cell(drawing: Drawing, x: float, y: float, side: float, value: float, tip: str, own: bool) -> None:
    colour = BLUE if value >= 0.5 else ORANGE
    strength = 0.7 * min(1.0, 2 * abs(value - 0.5))
    drawing.box(x + 0.7, y + 0.7, side - 1.4, side - 1.4, fill=colour, opacity=max(strength, 0.02), tip=tip)
    if own:
        drawing.box(x + 1.5, y + 1.5, side - 3, side - 3, stroke=BLUE, stroke_width=1.6)
    if side >= _LEGIBLE:
        text = f"{value:.2f}" if side >= 30 or value >= 0.995 else f"{value:.2f}"[1:]
        drawing.text(x + side / 2, y + side / 2 + 3.6, text, anchor="middle", height=SMALL)


def _tree(drawing: Drawing, found: Correlation, left: float, top: float, side: float) -> None:
    """Leaves at the rows of the matrix, heights running right."""
    far = max(0.5, max(height for _, _, height in found.merges))
    width = WIDTH - left - 12
    bottom = top + side * len(found.order)
    for value in (0.0, 0.25, 0.5):
        x = left + width * value / far
        drawing.line([(x, top), (x, bottom + 3)], width=0.6, opacity=0.22)
        drawing.text(x, bottom + 13, f"{value:g}", anchor="middle", height=SMALL, soft=True)
    drawing.text(left + width / 2, bottom + 26, "distance", anchor="middle", height=SMALL, soft=True)
    place: dict[tuple[str, ...], Point] = {
        (name,): (left, top + side * (found.order.index(name) + 0.5)) for name in found.generators
    }
    for one, other, height in found.merges:
        x = left + width * height / far
        (x_one, y_one), (x_other, y_other) = place[one], place[other]
        corners = [(x_one, y_one), (x, y_one), (x, y_other), (x_other, y_other)]
        tip = f"{' + '.join(one)} and {' + '.join(other)}: {height:.3f}"
        drawing.line(corners, width=1.6, tip=tip)
        place[one + other] = (x, (y_one + y_other) / 2)
