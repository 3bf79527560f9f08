"""How AUROC falls: against the argument of an operation where it is swept, else condition by condition."""

from assets.figures.drawing import SMALL, WIDTH, Drawing, Panel, Point, share_floor, share_ticks, text_width
from assets.figures.figure import Figure
from assets.figures.numbers import (
    about_intervals,
    about_looks,
    auroc_of,
    kinds_of,
    legend_of,
    looks,
    titles_of,
    with_intervals,
)
from assets.params import CLEAN
from assets.report.results import Results
from assets.tables.degraded import Sweep, sweeps

_AXES = {
    "jpeg": "JPEG quality",
    "webp": "WebP quality",
    "avif": "AVIF quality",
    "resize": "resize factor",
    "resize_pixels": "shorter side in px",
    "blur": "blur sigma in px",
    "noise": "noise deviation",
}
_CLEAN_AT = {"resize": 1.0, "blur": 0.0, "noise": 0.0}
"""The argument that leaves a picture as it is. Other sweeps have the clean images beside the axis."""
_APART = 0.22
"""Share of a panel's width for what stands beside the axis."""


def figures(results: Results) -> list[Figure]:
    """Curves for sweeps, dots for all other conditions; nothing without conditions."""
    found = sweeps(results.params, shortest=2)
    swept = {name for sweep in found for name in sweep.conditions}
    others = [name for name in results.params.degrade if name not in swept]
    drawn = [_curves(results, found)] if found else []
    return [*drawn, _dots(results, others)] if others else drawn


def _curves(results: Results, found: list[Sweep]) -> Figure:
    title = "AUROC as images get worse"
    kinds = kinds_of(results, [CLEAN])
    alt = (
        f"Line charts, one row for each of {', '.join(_AXES[sweep.name] for sweep in found)}: mean AUROC of "
        f"every detector from clean images on the left to the strongest degradation on the right."
    )
    drawing = Drawing("degradation_curves", title, alt)
    look = looks(results)
    drawing.legend(legend_of(look))
    width = (WIDTH - 34 - 30 * (len(kinds) - 1)) / max(len(kinds), 1)
    floor = share_floor(_values(results, kinds, [CLEAN, *(name for one in found for name in one.conditions)]))
    for sweep in found:
        top = drawing.grow(166) + 20
        for column, kind in enumerate(kinds):
            panel = Panel(drawing, 34 + column * (width + 30), top, width, 104, (0, 1), (floor, 1))
            _sweep(results, panel, sweep, kind, titles_of(kinds)[kind])
    caption = (
        "Mean AUROC of each detector over its trainings and the test generators that they were (left) or "
        "were not (right) trained on, against the argument of one operation done to real and generated test "
        f"images alike. 0.5 is guessing.{about_intervals(results)}{about_looks(results)}"
    )
    return Figure("degradation_curves", "degraded", title, alt, caption, drawing.svg())


def _sweep(results: Results, panel: Panel, sweep: Sweep, kind: str, title: str) -> None:
    across = _across(sweep)
    labels = {name: f"{argument:g}" for name, argument in sweep.conditions.items()}
    ticks = [(across[CLEAN], "clean"), *((across[name], label) for name, label in labels.items())]
    y_ticks = share_ticks(*panel.y_range)
    panel.axes(_apart(ticks, panel.width), y_ticks, title, x_title=_AXES[sweep.name])
    panel.guessing()
    names = [CLEAN, *sweep.conditions]
    for detector, look in looks(results).items():
        points: list[Point] = []
        for name in names:
            if found := auroc_of(results, kind, detector, name):
                points.append((across[name], found.value))
                if with_intervals(results):
                    panel.whisker(across[name], found.low, found.high, look)
        panel.curve(points, look)
        for name in names:
            if found := auroc_of(results, kind, detector, name):
                panel.mark(across[name], found.value, look, 2.8, f"{detector}, {name}: {found.value:.3f}")


def _across(sweep: Sweep) -> dict[str, float]:
    """Condition -> where it lies from left (0) to right (1), arguments to scale."""
    arguments = dict(sweep.conditions)
    start = 0.04
    if sweep.name in _CLEAN_AT:
        arguments = {CLEAN: _CLEAN_AT[sweep.name], **arguments}
    else:
        start += _APART
    in_order = list(arguments.values())
    first, span = in_order[0], in_order[-1] - in_order[0]
    across = {name: start + (0.96 - start) * (value - first) / span for name, value in arguments.items()}
    return {CLEAN: 0.04, **across}


def _apart(ticks: list[tuple[float, str]], width: float) -> list[tuple[float, str]]:
    """The same ticks, without the labels that would run into the one before."""
    kept: list[tuple[float, str]] = []
    edge = -1.0
    for at, label in ticks:
        half = text_width(label, SMALL) / width / 2
        fits = at - half > edge
        kept.append((at, label if fits else ""))
        edge = at + half + 0.02 if fits else edge
    return kept


def _dots(results: Results, others: list[str]) -> Figure:
    title = "AUROC under every condition"
    rows = [CLEAN, *others]
    kinds = kinds_of(results, rows)
    alt = f"Dot plot: mean AUROC of every detector under {', '.join(rows)}, one row a condition."
    drawing = Drawing("condition_dots", title, alt)
    look = looks(results)
    drawing.legend(legend_of(look), lines=False)
    left = min(130.0, max(text_width(name) for name in rows) + 8)
    width = (WIDTH - left - 6 - 14 * (len(kinds) - 1)) / max(len(kinds), 1)
    height = 22.0 * len(rows)
    top = drawing.grow(height + 40) + 20
    floor = share_floor(_values(results, kinds, rows))
    for column, kind in enumerate(kinds):
        panel = Panel(drawing, left + column * (width + 14), top, width, height, (floor, 1), (len(rows), 0))
        panel.axes(share_ticks(floor)[:: 1 if width > 200 else 2], [], titles_of(kinds)[kind])
        if floor < 0.5:
            panel.rule((0.5, 0), (0.5, len(rows)))
        for row, name in enumerate(rows):
            y = panel.at(floor, row + 0.5)[1]
            drawing.line([(panel.left, y), (panel.left + width, y)], width=0.6, opacity=0.22)
            if column == 0:
                drawing.text(left - 6, y + 3.5, name, anchor="end")
            for detector, shape in look.items():
                if found := auroc_of(results, kind, detector, name):
                    tip = f"{detector}, {name}: {found.value:.3f}"
                    panel.mark(found.value, row + 0.5, shape, 3.2, tip)
    caption = (
        f"Mean AUROC of each detector over its trainings and the test generators that they were or were not "
        f"trained on. {'Conditions are done to real and generated test images; ' if others else ''}0.5 is "
        f"guessing.{about_looks(results)}"
    )
    return Figure("condition_dots", "degraded", title, alt, caption, drawing.svg())


def _values(results: Results, kinds: list[str], conditions: list[str]) -> list[float]:
    found = [
        auroc_of(results, kind, detector, condition)
        for kind in kinds
        for detector in results.params.scorers
        for condition in conditions
    ]
    return [one.value for one in found if one]
