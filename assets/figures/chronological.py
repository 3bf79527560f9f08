"""Trained on the past, tested on what came next."""

from collections.abc import Sequence

from assets.figures.drawing import WIDTH, Drawing, Panel, share_floor, share_ticks
from assets.figures.figure import Figure
from assets.figures.numbers import Bounded, about_intervals, about_looks, legend_of, looks, with_intervals
from assets.params import CLEAN
from assets.report.results import Results
from assets.statistics.averages import averaged
from assets.statistics.bootstrap import interval
from assets.statistics.cells import CELL
from assets.statistics.studies import Chronology, chronologies

_PANELS = {
    "next": "next period",
    "past": "the past, trained on",
}


def figures(results: Results) -> list[Figure]:
    """One figure a chain of trainings; nothing if no two follow each other in time."""
    return [_chain(results, chain, at) for at, chain in enumerate(chronologies(results.params), 1)]


def _chain(results: Results, chain: Chronology, at: int) -> Figure:
    params = results.params
    title = "AUROC on the past and on the next period"
    until = [max(params.generators[name].released for name in step.window) for step in chain.steps]
    alt = (
        f"Line charts over trainings on all generators released up to {', '.join(until)}: mean AUROC of "
        "every detector on the generators of the next period, and on those it was trained on."
    )
    drawing = Drawing(f"chronological_{at}", title, alt)
    look = {name: one for name, one in looks(results).items() if name in params.detectors}
    drawing.legend(legend_of(look))
    trained = [*look]
    numbers = {name: _numbers(results, chain, name) for name in trained}
    every = [one for found in numbers.values() for line in found.values() for one in line if one]
    floor = share_floor([one.value for one in every])
    top = drawing.grow(186) + 22
    width = (WIDTH - 34 - 30) / 2
    steps = len(chain.steps)
    for column, (which, words) in enumerate(_PANELS.items()):
        x_range = (-0.3, steps - 0.7)
        panel = Panel(drawing, 34 + column * (width + 30), top, width, 120, x_range, (floor, 1))
        every_other = 1 + (steps - 1) // 4
        ticks = [(float(k), day if k % every_other == 0 else "") for k, day in enumerate(until)]
        panel.axes(ticks, share_ticks(floor), words, x_title="trained up to")
        panel.guessing()
        for name in trained:
            line = [(float(k), one) for k, one in enumerate(numbers[name][which]) if one]
            panel.curve([(k, one.value) for k, one in line], look[name])
            for k, one in line:
                if with_intervals(results):
                    panel.whisker(k, one.low, one.high, look[name])
                panel.mark(k, one.value, look[name], 2.8, f"{name}, {until[int(k)]}: {one.value:.3f}")
    caption = (
        "Clean test images, AUROC. Each training saw every generator released up to the month below it. "
        "Left: mean over the generators released from then until the next training; the last training has no "
        "next period unless generators came later. Right: mean over all generators trained on. 0.5 is "
        "guessing."
        f"{about_intervals(results)}{about_looks(results)}"
    )
    return Figure(drawing.name, "chronological", title, alt, caption, drawing.svg())


def _numbers(results: Results, chain: Chronology, detector: str) -> dict[str, list[Bounded | None]]:
    """For every training, the mean over the next window and the mean over all windows so far."""
    windows = chain.windows
    following = [windows[k + 1] if k + 1 < len(windows) else () for k in range(len(chain.steps))]
    past = [[name for window in windows[: k + 1] for name in window] for k in range(len(chain.steps))]
    return {
        which: [
            _mean(results, detector, step.source, names)
            for step, names in zip(chain.steps, found, strict=True)
        ]
        for which, found in (("next", following), ("past", past))
    }


def _mean(results: Results, detector: str, source: str, names: Sequence[str]) -> Bounded | None:
    cells = [results.tabulated.find(CELL, detector, source, name, CLEAN) for name in names]
    mean = averaged([cell.metrics["auroc"] for cell in cells if cell is not None])
    if mean.value is None:
        return None
    bounds = interval(mean.draws, results.params.report.level)
    return Bounded(mean.value, *(bounds or (mean.value, mean.value)))
