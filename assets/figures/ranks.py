"""Does the best detector stay the best? Ranks from condition to condition."""

import pandas as pd

from assets.figures.drawing import SMALL, WIDTH, Drawing, Panel, text_width
from assets.figures.figure import Figure
from assets.figures.numbers import about_looks, auroc_of, looks
from assets.report.results import Results
from assets.statistics.means import CROSS_GENERATOR, PLAIN_MEAN

_OVER = {
    CROSS_GENERATOR: "over the test generators that it was not trained on",
    PLAIN_MEAN: "over all test generators (of some detectors it is not known what they were trained on, or "
    "there is nothing else)",
}


def figures(results: Results) -> list[Figure]:
    """One chart if there are two detectors and two conditions or more."""
    for kind in (CROSS_GENERATOR, PLAIN_MEAN):
        values = _values(results, kind)
        if min(values.shape) >= 2:
            return [_chart(results, kind, values)]
        if results.params.degrade == {} or len(results.params.scorers) < 2:
            break
    return []


def _values(results: Results, kind: str) -> pd.DataFrame:
    """AUROC, detectors by conditions; empty unless every detector has one under every condition."""
    found = {
        condition: {name: auroc_of(results, kind, name, condition) for name in results.params.scorers}
        for condition in results.params.conditions
    }
    if any(one is None for column in found.values() for one in column.values()):
        return pd.DataFrame()
    return pd.DataFrame(
        {c: {name: one.value for name, one in col.items() if one} for c, col in found.items()}
    )


def _chart(results: Results, kind: str, values: pd.DataFrame) -> Figure:
    title = "Ranks of the detectors"
    ranks = values.rank(ascending=False, method="average")
    names, conditions = list(values.index), list(values.columns)
    alt = "Each detector is a line through its rank by mean AUROC under every condition. " + " ".join(
        f"{name}: {', '.join(f'{rank:g}' for rank in ranks.loc[name])}." for name in names
    )
    drawing = Drawing("ranks", title, alt)
    side = min(110.0, max(text_width(name) for name in names) + 10)
    slant = max(text_width(name, SMALL) for name in conditions) > (WIDTH - 2 * side) / len(conditions)
    head = 30.0 if not slant else 22 + 0.72 * max(text_width(name, SMALL) for name in conditions)
    height = 24.0 * len(names)
    top = drawing.grow(height + head) + head - 4
    x_range = (0.0, len(conditions) - 1.0)
    panel = Panel(drawing, side, top, WIDTH - 2 * side, height, x_range, (len(names) + 0.5, 0.5))
    for at, condition in enumerate(conditions):
        x, _ = panel.at(at, 1)
        drawing.line([(x, top), (x, top + height)], width=0.6, opacity=0.22)
        if slant:
            drawing.text(x, top - 6, condition, height=SMALL, soft=True, turn=-45)
        else:
            drawing.text(x, top - 6, condition, anchor="middle", height=SMALL, soft=True)
    places = {at: values.iloc[:, at].rank(ascending=False, method="first") for at in (0, -1)}
    for name, look in looks(results).items():
        line = [(float(at), float(rank)) for at, rank in enumerate(ranks.loc[name])]
        panel.curve(line, look, width=2.4)
        for at, (condition, (x, rank)) in enumerate(zip(conditions, line, strict=True)):
            tip = f"{name}, {condition}: rank {rank:g}, AUROC {values.loc[name].iloc[at]:.3f}"
            panel.mark(x, rank, look, 4.2, tip)
        drawing.text(side - 9, panel.at(0, float(places[0][name]))[1] + 3.8, name, anchor="end")
        drawing.text(WIDTH - side + 9, panel.at(0, float(places[-1][name]))[1] + 3.8, name)
    caption = (
        f"Detectors in the order of their mean AUROC {_OVER[kind]}, the best on top, under every condition. "
        "Equal numbers share the middle of their places. Lines that cross are detectors whose order is "
        "not the same on other images; neighbours may differ by less than their intervals."
        f"{about_looks(results)}"
    )
    return Figure("ranks", "ranks", title, alt, caption, drawing.svg())
