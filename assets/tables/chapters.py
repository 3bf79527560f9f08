"""The chapters of the tables, in the order of the report: a new one is a file, an import and a line here."""

from collections.abc import Callable

from assets.report.results import Results
from assets.tables import (
    attribution,
    audit,
    calibration,
    chronological,
    classes,
    comparison,
    contents,
    correlation,
    cross_generator,
    degraded,
    groups,
    images,
    over_trainings,
    published,
    ranks,
    scale,
    train_on_one,
    twins,
)
from assets.tables.table import Chapter

CHAPTERS: tuple[Callable[[Results], Chapter | None], ...] = (
    cross_generator.chapter,
    train_on_one.chapter,
    over_trainings.chapter,
    degraded.chapter,
    twins.chapter,
    contents.chapter,
    groups.chapter,
    classes.chapter,
    scale.chapter,
    chronological.chapter,
    correlation.chapter,
    attribution.chapter,
    comparison.chapter,
    ranks.chapter,
    calibration.chapter,
    published.chapter,
    audit.chapter,
    images.chapter,
)


def all_chapters(results: Results) -> list[Chapter]:
    """Every chapter that has something to say about these results."""
    found = (chapter(results) for chapter in CHAPTERS)
    return [chapter for chapter in found if chapter is not None]
