"""Small multiples, one panel a detector: what it does where it was and was not trained on what is tested."""

from collections.abc import Iterator

from assets.figures.drawing import BLUE, GREEN, ORANGE, WIDTH, Drawing, Panel, Style
from assets.params import CLEAN
from assets.report.results import Results
from assets.statistics.cells import CELL
from assets.statistics.curves import Curve

GROUPS: dict[bool | None, tuple[str, Style]] = {
    True: ("generators trained on", Style(BLUE, "", "circle")),
    False: ("generators not trained on", Style(ORANGE, "5 2", "square")),
    None: ("not known whether trained on", Style(GREEN, "2 2", "triangle")),
}
"""`Params.seen` -> how its curves are called and look."""
_TICKS = [(0.0, "0"), (0.5, ".5"), (1.0, "1")]


def curves_of(results: Results, detector: str) -> dict[bool | None, list[Curve]]:
    """Its clean cells that have images of both classes, of the trainings that means are over."""
    params = results.params
    found: dict[bool | None, list[Curve]] = {}
    for seen in GROUPS:
        curves = [
            results.tabulated.curves[key]
            for source in params.averaged_rows(detector)
            for tested_on in params.generators
            if params.seen(detector, source, tested_on) is seen
            and (key := (CELL, detector, source, tested_on, CLEAN)) in results.tabulated.curves
        ]
        if curves:
            found[seen] = curves
    return found


def squares(
    drawing: Drawing,
    of: dict[str, dict[bool | None, list[Curve]]],
    x_title: str,
    y_title: str,
    marks: bool = True,
) -> Iterator[tuple[str, Panel]]:
    """A legend, then a square panel from 0 to 1 for every detector, in rows of up to three."""
    there = {seen for groups in of.values() for seen in groups}
    drawing.legend([entry for seen, entry in GROUPS.items() if seen in there], marks=marks)
    columns = min(3, max(2, len(of)))
    side = min(150.0, (WIDTH - 40 - 30 * (columns - 1)) / columns)
    for at, name in enumerate(of):
        if at % columns == 0:
            top = drawing.grow(side + 58) + 18
        panel = Panel(drawing, 40 + at % columns * (side + 30), top, side, side, (0, 1), (0, 1))
        panel.axes(_TICKS, _TICKS, name, x_title=x_title, y_title=y_title if at % columns == 0 else "")
        panel.rule((0, 0), (1, 1))
        yield name, panel
