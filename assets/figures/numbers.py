"""What figures look up in the tables: mean AUROCs by detector, and how they are called."""

from typing import NamedTuple

from assets.figures.drawing import GREY, Style, style
from assets.params import CLEAN
from assets.report.results import Results
from assets.statistics.bootstrap import interval
from assets.statistics.cells import ALL
from assets.statistics.means import CROSS_GENERATOR, IN_DOMAIN, PLAIN_MEAN

IN_WORDS = {
    IN_DOMAIN: "generators trained on",
    CROSS_GENERATOR: "generators not trained on",
    PLAIN_MEAN: "all generators",
}
"""What a mean is over, as short as the title of a panel."""
_IN_FEWER = {IN_DOMAIN: "trained on", CROSS_GENERATOR: "not trained on", PLAIN_MEAN: "all generators"}


MANY = 8
"""With more detectors than this, one less than so many are in colour and all others in grey."""
OTHERS = Style(GREY, "", "dot")


class Bounded(NamedTuple):
    """A number with its interval; both ends are the number itself where there is none."""

    value: float
    low: float
    high: float


def auroc_of(
    results: Results, kind: str, detector: str, condition: str, trained_on: str = ALL, tested_on: str = ALL
) -> Bounded | None:
    """An AUROC of the tables; None: no data."""
    cell = results.tabulated.find(kind, detector, trained_on, tested_on, condition)
    if cell is None or (value := cell.metrics["auroc"].value) is None:
        return None
    bounds = interval(cell.metrics["auroc"].draws, results.params.report.level)
    return Bounded(value, *(bounds or (value, value)))


def titles_of(kinds: list[str]) -> dict[str, str]:
    """Titles of panels side by side."""
    return {kind: (IN_WORDS if len(kinds) < 3 else _IN_FEWER)[kind] for kind in kinds}


def kinds_of(results: Results, conditions: list[str]) -> list[str]:
    """The means that there are numbers for; all generators only if some detector has no other mean.

    That is a detector of which it is not known what it was trained on.
    """
    found = {
        (detector, kind)
        for detector in results.params.scorers
        for kind in IN_WORDS
        for condition in conditions
        if auroc_of(results, kind, detector, condition)
    }
    known = {detector for detector, kind in found if kind != PLAIN_MEAN}
    kinds = [kind for kind in (IN_DOMAIN, CROSS_GENERATOR) if any(kind == had for _, had in found)]
    return [*kinds, PLAIN_MEAN] if {detector for detector, _ in found} - known else kinds


def coloured(results: Results) -> list[str]:
    """Detectors with a look of their own, in the order of the parameters: all, or the best of many."""
    names = [*results.params.scorers]
    if len(names) <= MANY:
        return names

    def rank(name: str) -> tuple[float, int]:
        means = [auroc_of(results, kind, name, CLEAN) for kind in (CROSS_GENERATOR, PLAIN_MEAN)]
        found = [mean.value for mean in means if mean]
        return (-found[0] if found else 1.0, names.index(name))

    best = sorted(names, key=rank)[: MANY - 1]
    return [name for name in names if name in best]


def looks(results: Results) -> dict[str, Style]:
    """Every detector looks the same in all figures; those without a look of their own come first, in grey."""
    own = coloured(results)
    others = [name for name in results.params.scorers if name not in own]
    return {**dict.fromkeys(others, OTHERS), **{name: style(index) for index, name in enumerate(own)}}


def legend_of(look: dict[str, Style]) -> list[tuple[str, Style]]:
    """One entry a look."""
    own = [(name, one) for name, one in look.items() if one != OTHERS]
    return [*own, (f"{len(look) - len(own)} others", OTHERS)] if len(own) < len(look) else own


def about_looks(results: Results) -> str:
    """Why some are grey, if some are."""
    if len(results.params.scorers) <= MANY:
        return ""
    return (
        f" In colour: the {MANY - 1} detectors of the highest mean AUROC on clean images of generators that "
        "they were not trained on; rest the mouse on a grey dot for its name."
    )


def several(names: list[str]) -> str:
    """a, b and c."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def with_intervals(results: Results) -> bool:
    """Whether intervals are drawn: those of more detectors would hide the lines."""
    return len(results.params.scorers) <= 6


def about_intervals(results: Results) -> str:
    """What thin bars are, if there are any."""
    if not with_intervals(results):
        return ""
    level = results.params.report.level * 100
    return f" Thin bars: {level:g} % bootstrap intervals over groups of test images."
