"""Is there one ranking of the detectors, or does it depend on whom one asks?"""

from collections.abc import Mapping, Sequence

import numpy as np

from assets.params import CLEAN
from assets.report.results import Results
from assets.statistics.bootstrap import interval
from assets.statistics.cells import ALL, Cell
from assets.statistics.means import CROSS_GENERATOR, MEANS
from assets.statistics.metrics import Floats
from assets.statistics.ranks import kendalls_w, ranked, spearman
from assets.tables.cell_table import MEAN_OF_DEGRADED, join
from assets.tables.comparison import p_value
from assets.tables.table import Chapter, Column, Line, Table, Value

Place = tuple[str, str]
"""Tested on, condition."""
Rankings = Mapping[str, tuple[Place, Floats]]
"""What stands above the column -> where, and the (N,) ranks of the detectors there."""

_OVER = (
    f"Ranked by the {CROSS_GENERATOR} mean of all trainings: {MEANS[CROSS_GENERATOR]}. "
    "The highest has rank 1; equal ones share the mean of their ranks."
)


def chapter(results: Results) -> Chapter | None:
    """None with fewer than two detectors that have a mean over generators not trained on."""
    params = results.params
    means = {name: _value(_mean(results, name, ALL, CLEAN), "auroc") for name in params.scorers}
    detectors = [name for name, value in means.items() if value is not None]
    if len(detectors) < 2:
        return None
    by_generator = _rankings(results, detectors, {name: (name, CLEAN) for name in params.generators})
    by_condition = _rankings(results, detectors, {name: (ALL, name) for name in params.conditions})
    overall = _rankings(results, detectors, {"all": (ALL, CLEAN)})
    tables = [
        _agreement(len(detectors), by_generator, by_condition),
        _ranks_table(
            results,
            detectors,
            overall | by_generator,
            name="by_generator",
            title="Ranks on each generator tested on",
            about="AUROC, clean images. Columns: the generator tested on; all: the mean over them.",
        ),
    ]
    if len(by_condition) > 1:
        tables.append(
            _ranks_table(
                results,
                detectors,
                by_condition,
                name="by_condition",
                title="Ranks under each condition",
                about="AUROC, mean over the generators tested on. Columns: the condition of the images.",
            )
        )
    tables.append(_spearman_table(results, detectors))
    return Chapter(
        "ranks", "How stable is the ranking of the detectors?", _intro(len(detectors)), tuple(tables)
    )


def _intro(num_detectors: int) -> tuple[str, ...]:
    said = (
        f"{num_detectors} detectors, ranked by their AUROC on generators that they were not trained on: once "
        "for each generator tested on, once for each condition of the images. If the rankings agree, the "
        "best detector here is likely the best elsewhere; if not, no single ranking should be believed."
    )
    if num_detectors == 2:
        return said, "Two detectors can only swap places, so agreement between two rankings says little."
    if num_detectors < 6:
        return said, "With so few detectors rankings agree or disagree easily by chance: p says how easily."
    return (said,)


def _mean(results: Results, detector: str, tested_on: str, condition: str) -> Cell | None:
    return results.tabulated.find(CROSS_GENERATOR, detector, ALL, tested_on, condition)


def _value(cell: Cell | None, metric: str) -> float | None:
    return None if cell is None else cell.metrics[metric].value


def _rankings(
    results: Results, detectors: Sequence[str], places: Mapping[str, Place], metric: str = "auroc"
) -> dict[str, tuple[Place, Floats]]:
    """Those of the places where all detectors have a value."""
    found = {}
    for name, place in places.items():
        values = [_value(_mean(results, detector, *place), metric) for detector in detectors]
        there = [value for value in values if value is not None]
        if len(there) == len(detectors):
            found[name] = place, ranked(there)
    return found


def _agreement(num_detectors: int, *rankings: Rankings) -> Table:
    """Kendall's W over generators and over conditions."""
    names = "generators tested on, clean images", "conditions, all generators tested on"
    lines = []
    for name, columns in zip(names, rankings, strict=True):
        together = kendalls_w(np.stack([ranks for _, ranks in columns.values()])) if columns else None
        agreed = (Value(together.w), p_value(together.p)) if together else (Value(text="none"), None)
        lines.append(Line((name,), (Value(float(len(columns))), Value(float(num_detectors)), *agreed)))
    nothing = any(value and value.text == "none" for line in lines for value in line.values)
    return Table(
        "agreement",
        "Do the rankings agree?",
        join(
            "Kendall's W of the rankings by AUROC, one for each generator tested on, or one for each "
            "condition: 1 if all are the same, about 0 if they have nothing in common; corrected for ties.",
            _OVER,
            "p: chance of a W at least as high if every ranking were random (Friedman's chi-square; rough "
            "where detectors or rankings are few).",
        ),
        ("rankings over",),
        (
            Column("rankings", "count", 0),
            Column("detectors", "count", 0),
            Column("W", "number", 2),
            Column("p", "number", 3),
        ),
        tuple(lines),
        ("none: fewer than two rankings, or all detectors equal in all of them.",) if nothing else (),
    )


def _ranks_table(
    results: Results, detectors: Sequence[str], rankings: Rankings, *, name: str, title: str, about: str
) -> Table:
    """Every detector's rank, and those that other images could give it; the first column sorts."""
    spec = results.params.report
    drawn = {column: _drawn(results, detectors, place) for column, (place, _) in rankings.items()}
    places = int(any((ranks % 1).any() for _, ranks in rankings.values()))
    _, first = next(iter(rankings.values()))
    lines = []
    for at in np.argsort(first, kind="stable"):
        values = [_rank(ranks, drawn[column], int(at), spec.level) for column, (_, ranks) in rankings.items()]
        lines.append(Line((detectors[at],), tuple(values)))
    return Table(
        name,
        title,
        join(
            about,
            _OVER,
            f"In brackets: the ranks that cover {spec.level * 100:g} % of {spec.resamples} bootstrap "
            "resamples of groups of images, the same resamples for all detectors.",
        ),
        ("detector",),
        tuple(Column(column, "number", places) for column in rankings),
        tuple(lines),
        folded=True,
    )


def _drawn(results: Results, detectors: Sequence[str], place: Place) -> Floats | None:
    """(B, N) ranks in every resample; None where a detector has no draws."""
    draws = []
    for detector in detectors:
        cell = _mean(results, detector, *place)
        if cell is None or cell.metrics["auroc"].draws is None:
            return None
        draws.append(cell.metrics["auroc"].draws)
    stacked = np.stack(draws, axis=1)
    return ranked(stacked[np.isfinite(stacked).all(axis=1)])


def _rank(ranks: Floats, drawn: Floats | None, at: int, level: float) -> Value:
    ends = None if drawn is None or not len(drawn) else interval(drawn[:, at], level)
    low, high = (None, None) if ends is None else (float(np.floor(ends[0])), float(np.ceil(ends[1])))
    return Value(float(ranks[at]), low, high)


def _spearman_table(results: Results, detectors: Sequence[str]) -> Table:
    """Clean against every condition, and AUROC against accuracy."""
    params = results.params

    def ranks(metric: str, condition: str) -> Floats | None:
        found = _rankings(results, detectors, {"": (ALL, condition)}, metric)
        return found[""][1] if found else None

    mean = {MEAN_OF_DEGRADED: ALL} if params.degradations else {}
    pairs = [
        ((f"AUROC, {CLEAN}", f"AUROC, {name}"), ranks("auroc", CLEAN), ranks("auroc", condition))
        for name, condition in ({name: name for name in params.degrade} | mean).items()
    ]
    pairs += [
        ((f"AUROC, {name}", f"accuracy, {name}"), ranks("auroc", condition), ranks("accuracy", condition))
        for name, condition in ({CLEAN: CLEAN} | mean).items()
    ]
    lines, missing = [], False
    for heads, one, other in pairs:
        found = None if one is None or other is None else spearman(one, other)
        missing |= found is None
        lines.append(Line(heads, (Value(found, shade=found),)))
    return Table(
        "spearman",
        "One ranking against another",
        join(
            "Spearman's correlation of two rankings of the same detectors: 1 if they are the same, -1 if one "
            "is the other upside down, about 0 if they have nothing in common. Accuracy: at P(generated) = "
            "0.5.",
            _OVER,
        ),
        ("ranked by", "and by"),
        (Column("Spearman", "number", 2),),
        tuple(lines),
        ("no data: a detector has no number there, or all detectors are equal.",) if missing else (),
    )
