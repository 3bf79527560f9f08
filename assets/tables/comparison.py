"""Which detector is better: every pair of detectors on the same images, with what chance could have done."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

from assets.params import CLEAN, ELSEWHERE
from assets.report.results import Results
from assets.statistics.cells import ALL, CELL, Cell
from assets.statistics.comparing import Paired, benjamini_hochberg, delong_p, holm, paired
from assets.statistics.means import CROSS_GENERATOR, IN_DOMAIN, MEANS
from assets.statistics.metrics import TITLES
from assets.tables.cell_table import cell_value, column_of, definition, join, unit_of
from assets.tables.table import Chapter, Column, Line, Table, Value

_HEADS = ("detector", "against")
_MOST_PAIRS = 15
"""Of detectors, in the table that has a column for every test generator."""
_METRICS = ("auroc", "accuracy")
_KINDS = {CROSS_GENERATOR: "on generators not trained on", IN_DOMAIN: "on generators trained on"}

Pair = tuple[str, str]


def chapter(results: Results) -> Chapter | None:
    """None with a single detector, or without groups to draw."""
    tables = [_means_table(results, kind, metric) for kind in _KINDS for metric in _METRICS]
    tables += [_by_generator(results), _by_cell(results)]
    found = tuple(table for table in tables if table is not None)
    if not found:
        return None
    spec = results.params.report
    return Chapter(
        "comparison",
        "Which detector is better?",
        (
            "Every pair of detectors, on the same images. The question is whether one would still be ahead "
            "of the other on other images of the same kind, or whether these images happened to suit it.",
            f"Differences are paired: both detectors are measured on the same {spec.resamples} bootstrap "
            "resamples of groups of images (one photograph, one prompt, one cluster of near-duplicates), and "
            f"intervals cover {spec.level * 100:g} % of the differences. p is the chance of a difference at "
            "least as large if there were none, taking it as normal with the standard deviation of the "
            "resampled differences. The more pairs are compared, the more differ by chance: p is corrected "
            f"for all pairs of its column (Holm 1979). Below {1 - spec.level:.2g} a difference is told from "
            "chance; above, nothing is shown either way.",
            "Other trainings of the same detectors are not in these numbers: they are about images.",
        ),
        found,
    )


def _means_table(results: Results, kind: str, metric: str) -> Table | None:
    """Clean and degraded means of every pair."""
    params, level = results.params, results.params.report.level
    conditions = {"clean": CLEAN, "degraded": ALL} if params.degradations else {"clean": CLEAN}

    def mean(detector: str, condition: str) -> Cell | None:
        return results.tabulated.find(kind, detector, ALL, ALL, condition)

    pairs = _pairs(results, lambda detector: mean(detector, CLEAN), metric)
    columns: list[Column] = []
    values: list[list[Value | None]] = [[] for _ in pairs]
    for name, condition in conditions.items():
        one = [cell_value(mean(pair[0], condition), metric, level) for pair in pairs]
        other = [cell_value(mean(pair[1], condition), metric, level) for pair in pairs]
        told = _compared([(mean(a, condition), mean(b, condition)) for a, b in pairs], metric, level)
        here = [_difference(test, level) for test in told]
        columns += [
            column_of(f"{name}: detector", unit_of(metric), [*one, *other]),
            column_of(f"{name}: against", unit_of(metric), [*one, *other]),
            column_of(f"{name}: difference", "points", here),
            Column(f"{name}: p", "number", 3),
        ]
        for line, *added in zip(values, one, other, here, map(_p, told), strict=True):
            line += added
    if not pairs or not any(value for line in values for value in line[2::4]):
        return None
    return Table(
        f"{kind}_{metric}",
        f"{TITLES[metric]}, {_KINDS[kind]}",
        join(
            definition(metric),
            f"Each detector's {kind} mean of all trainings ({MEANS[kind]}), on clean images and as the mean "
            "over all degradations. Difference: the first less the second detector, in points (hundredths).",
            "A detector made elsewhere has a mean over its own cells, and none if it is not known what it "
            "was trained on."
            if params.given
            else "",
        ),
        _HEADS,
        tuple(columns),
        tuple(Line(pair, tuple(line)) for pair, line in zip(pairs, values, strict=True)),
        folded=(kind, metric) != (CROSS_GENERATOR, "auroc"),
    )


def _by_generator(results: Results) -> Table | None:
    """AUROC differences on every test generator; shaded where they are told from chance."""
    params, level = results.params, results.params.report.level

    def mean(detector: str, tested_on: str) -> Cell | None:
        return results.tabulated.find(CROSS_GENERATOR, detector, ALL, tested_on, CLEAN)

    pairs = _pairs(results, lambda detector: mean(detector, ALL), "auroc")
    if not pairs or len(pairs) > _MOST_PAIRS:
        return None
    places = [(pair, tested_on) for pair in pairs for tested_on in params.generators]
    told = _compared(
        [(mean(a, tested_on), mean(b, tested_on)) for (a, b), tested_on in places], "auroc", level
    )
    by_place = dict(zip(places, (_difference(test, level) for test in told), strict=True))
    columns = []
    for tested_on in params.generators:
        columns.append(column_of(tested_on, "points", [by_place[pair, tested_on] for pair in pairs]))
    return Table(
        "by_generator",
        "AUROC on each generator not trained on",
        join(
            definition("auroc"),
            "Clean images. Each number: mean over trainings on other generators, the first less the second "
            "detector, in points (hundredths), with its paired interval. Coloured: told from chance "
            f"after Holm's correction for all {sum(test is not None for test in told)} numbers of the table.",
        ),
        _HEADS,
        tuple(columns),
        tuple(Line(pair, tuple(by_place[pair, name] for name in params.generators)) for pair in pairs),
        folded=True,
    )


def _by_cell(results: Results) -> Table | None:
    """In how many cells each detector of a pair is ahead, by both tests."""
    params, level = results.params, results.params.report.level
    found: list[tuple[Pair, Paired | None, float, float]] = []
    for (trained_on, tested_on, condition), test in results.tabulated.delong.items():
        for one, other in combinations(range(len(test.detectors)), 2):
            pair = test.detectors[one], test.detectors[other]
            if trained_on != ELSEWHERE and {*pair} <= {*params.given}:
                continue  # of detectors made elsewhere there is one cell, not one for each training
            a, b = (_cell(results, name, trained_on, tested_on, condition) for name in pair)
            drawn = paired(a.metrics["auroc"], b.metrics["auroc"], level) if a and b else None
            ahead = float(test.aurocs[one] - test.aurocs[other])
            found.append((pair, drawn, ahead, delong_p(test.aurocs, test.covariance, one, other)))
    if not found:
        return None
    by_delong = benjamini_hochberg([p for *_, p in found])
    grouped = iter(benjamini_hochberg([drawn.p for _, drawn, *_ in found if drawn]))
    counts: dict[Pair, list[int]] = {}
    for (pair, drawn, ahead, _), p in zip(found, by_delong, strict=True):
        tally = counts.setdefault(pair, [0] * 7)
        tally[0] += 1
        if drawn:
            tally[1 + _side(drawn.difference, next(grouped), 1 - level)] += 1
        tally[4 + _side(ahead, p, 1 - level)] += 1
    names = ("detector ahead", "against ahead", "not told apart")
    tests = "groups", "DeLong"
    return Table(
        "by_cell",
        "In how many cells one is ahead in AUROC",
        join(
            definition("auroc"),
            "A cell is one training and one generator tested on, clean images. Counted: the cells in which "
            f"either is ahead with p below {1 - level:.2g} after Benjamini and Hochberg's correction for all "
            f"{len(found)} comparisons of the table: of those counted as ahead, no larger share is expected "
            "to be ahead by chance. Groups: by resampling groups of images, mean over training seeds. "
            "DeLong: DeLong's test (Sun and Xu 2014) on the images that all detectors of the cell scored, "
            "first seed; it takes all images as independent of each other, so that where images come in "
            "groups it finds more differences than there are grounds for.",
        ),
        _HEADS,
        (
            Column("cells", "count", 0),
            *(Column(f"{test}: {name}", "count", 0) for test in tests for name in names),
        ),
        tuple(Line(pair, tuple(Value(float(count)) for count in tally)) for pair, tally in counts.items()),
        folded=True,
    )


@dataclass(frozen=True)
class _Tested:
    """One comparison, and its p value among all that it was made with."""

    found: Paired
    corrected: float


def _compared(
    cells: Sequence[tuple[Cell | None, Cell | None]], metric: str, level: float
) -> list[_Tested | None]:
    found = [
        paired(one.metrics[metric], other.metrics[metric], level) if one and other else None
        for one, other in cells
    ]
    corrected = iter(holm([test.p for test in found if test]))
    return [_Tested(test, next(corrected)) if test else None for test in found]


def p_value(p: float) -> Value:
    """As it is printed: no chance is exactly 0."""
    return Value(p, text="< 0.001" if p < 0.001 else None)


def _pairs(results: Results, mean: Callable[[str], Cell | None], metric: str) -> list[Pair]:
    """Detectors that have a mean, two at a time, the one with the higher value first."""
    values: dict[str, float] = {}
    for detector in results.params.scorers:
        cell = mean(detector)
        if cell is not None and (value := cell.metrics[metric].value) is not None:
            values[detector] = value
    return list(combinations(sorted(values, key=lambda name: -values[name]), 2))


def _cell(results: Results, detector: str, trained_on: str, tested_on: str, condition: str) -> Cell | None:
    row = ELSEWHERE if detector in results.params.given else trained_on
    return results.tabulated.find(CELL, detector, row, tested_on, condition)


def _side(difference: float, p: float, alarm: float) -> int:
    """0: the first is ahead; 1: the second; 2: not told apart."""
    return 2 if p >= alarm else 0 if difference > 0 else 1


def _difference(test: _Tested | None, level: float) -> Value | None:
    if test is None:
        return None
    found = test.found
    told = test.corrected < 1 - level
    shade = max(-1.0, min(1.0, 4 * found.difference)) if told else None
    return Value(found.difference, found.low, found.high, shade=shade)


def _p(test: _Tested | None) -> Value | None:
    return p_value(test.corrected) if test else None
