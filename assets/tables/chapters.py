"""The chapters of the tables, in the order of the report: a new one is a file, an import and a line here."""

from collections.abc import Callable
from dataclasses import replace

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
from assets.tables.cell_table import about_set_aside
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
    found = [chapter for make in CHAPTERS if (chapter := make(results)) is not None]
    asides = {name: aside.why for name, aside in results.params.report.set_aside.items()}
    if lost := about_set_aside(asides):  # whichever table is read alone, it says what it lacks
        found = [replace(chapter, intro=(*chapter.intro, lost)) for chapter in found]
    return found
