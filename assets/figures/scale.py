"""What more training images, classes, or images of each class bring."""

import math

from assets.figures.drawing import WIDTH, Drawing, Panel, share_floor, share_ticks
from assets.figures.figure import Figure
from assets.figures.numbers import (
    IN_WORDS,
    about_intervals,
    about_looks,
    auroc_of,
    legend_of,
    looks,
    with_intervals,
)
from assets.params import CLEAN
from assets.report.results import Results
from assets.statistics.cells import ALL
from assets.statistics.means import CROSS_GENERATOR, IN_DOMAIN
from assets.statistics.studies import Scale, scales
from assets.tables.scale import NAMES


def figures(results: Results) -> list[Figure]:
    """One figure a study; nothing if no two trainings differ in size alone."""
    return [_study(results, study, at) for at, study in enumerate(scales(results.params), 1)]


def _study(results: Results, study: Scale, at: int) -> Figure:
    params = results.params
    generators = " + ".join(params.sources[study.steps[0][1]])
    title = f"AUROC against {NAMES[study.varied]}"
    alt = (
        f"Line charts: mean AUROC of every detector, trained on {generators}, against {NAMES[study.varied]}: "
        + ", ".join("all" if count is None else str(count) for count, _ in study.steps)
    )
    drawing = Drawing(f"scale_{study.varied}_{at}", title, alt)
    look = {name: one for name, one in looks(results).items() if name in params.detectors}
    drawing.legend(legend_of(look))
    trained = [*look]
    states = {CLEAN: "clean", **({ALL: "degraded, mean over conditions"} if params.degradations else {})}
    numbers = {
        (kind, state, name, source): auroc_of(results, kind, name, state, source)
        for kind in (IN_DOMAIN, CROSS_GENERATOR)
        for state in states
        for name in trained
        for _, source in study.steps
    }
    kinds = [kind for kind in IN_WORDS if any(one for key, one in numbers.items() if key[0] == kind)]
    floor = share_floor([one.value for one in numbers.values() if one])
    across = _across(study)
    width = (WIDTH - 34 - 30 * (len(kinds) - 1)) / max(len(kinds), 1)
    for state, words in states.items():
        drawing.text(0, drawing.grow(22) + 14, words, soft=True)
        top = drawing.grow(160) + 18
        for column, kind in enumerate(kinds):
            panel = Panel(drawing, 34 + column * (width + 30), top, width, 100, (0, 1), (floor, 1))
            ticks = [
                (across[source], "all" if count is None else f"{count:,}") for count, source in study.steps
            ]
            x_title = NAMES[study.varied].split(" of each")[0]
            panel.axes(ticks, share_ticks(floor), IN_WORDS[kind], x_title=x_title)
            panel.guessing()
            for name in trained:
                points = [
                    (source, found)
                    for _, source in study.steps
                    if (found := numbers[kind, state, name, source])
                ]
                panel.curve([(across[source], found.value) for source, found in points], look[name])
                for source, found in points:
                    if with_intervals(results):
                        panel.whisker(across[source], found.low, found.high, look[name])
                    tip = f"{name}, {source}: {found.value:.3f}"
                    panel.mark(across[source], found.value, look[name], 2.8, tip)
    caption = (
        f"Mean AUROC over the test generators that were (left) or were not (right) among {generators}, which "
        f"every detector here was trained on; across: {NAMES[study.varied]} as asked for, on a logarithmic "
        f"scale{', and all there are' if study.steps[-1][0] is None else ''}. 0.5 is guessing."
        f"{about_intervals(results)}{about_looks(results)}"
    )
    return Figure(drawing.name, "scale", title, alt, caption, drawing.svg())


def _across(study: Scale) -> dict[str, float]:
    """Source -> where it lies from left to right: counts on a logarithmic scale, all there are at the end."""
    counts = [(math.log(count), source) for count, source in study.steps if count is not None]
    everything = [source for count, source in study.steps if count is None]
    end = 0.95 if not everything else 0.76
    first, last = counts[0][0], counts[-1][0]
    span = (last - first) or 1.0
    placed = {source: 0.06 + (end - 0.06) * (log - first) / span for log, source in counts}
    return {**placed, **dict.fromkeys(everything, 0.95)}
