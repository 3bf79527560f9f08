"""Do more training images, more classes, more images of each class make better detectors?"""

from assets.params import CLEAN, Params
from assets.report.results import Results
from assets.statistics.cells import ALL
from assets.statistics.means import CROSS_GENERATOR, IN_DOMAIN
from assets.statistics.metrics import TITLES
from assets.statistics.studies import COUNTS, Scale, scales
from assets.tables.cell_table import (
    MEAN_OF_DEGRADED,
    about_intervals,
    about_means,
    about_reals,
    about_trainings,
    cell_value,
    definition,
    join,
    unit_of,
)
from assets.tables.comparisons import Head, value_table
from assets.tables.table import Chapter, Line, Table, Value

METRICS = ("auroc", "accuracy")
KINDS = (IN_DOMAIN, CROSS_GENERATOR)
NAMES = {
    "images": "generated training images",
    "classes": "classes trained on",
    "per_class": "generated training images of each class and generator",
}
EVERYTHING = "all"


def chapter(results: Results) -> Chapter | None:
    """One table a study and metric; None if no two trainings differ in size alone."""
    params = results.params
    studies = scales(params)
    if not studies:
        return None
    return Chapter(
        "scale",
        "How much to train on",
        (
            "Trainings on the same generators that differ in one thing: how many images, how many classes, "
            "or how many images of each class. Smaller ones are contained in larger ones. GenImage reports "
            "that more is better, on other generators and on degraded images too; here every number has its "
            "interval.",
            about_intervals(params),
        ),
        tuple(
            _table(results, study, f"{varied}_{at}", metric)
            for varied in COUNTS
            for at, study in enumerate((one for one in studies if one.varied == varied), 1)
            for metric in METRICS
        ),
    )


def _table(results: Results, study: Scale, name: str, metric: str) -> Table:
    params, find, level = results.params, results.tabulated.find, results.params.report.level
    conditions = [(CLEAN, ""), *([(ALL, f", {MEAN_OF_DEGRADED}")] if params.degradations else [])]
    columns = [(kind, condition, kind + told) for condition, told in conditions for kind in KINDS]
    lines = []
    for detector in params.detectors:
        for count, source in study.steps:
            size = Value(count, text=None if count is not None else EVERYTHING)
            values = [
                cell_value(find(kind, detector, source, ALL, condition), metric, level)
                for kind, condition, _ in columns
            ]
            lines.append(Line((detector, source), (size, *values)))
    generators = params.sources[study.steps[0][1]]
    return value_table(
        [
            Head(NAMES[study.varied], "count", exact=True),
            *(Head(told, unit_of(metric)) for _, _, told in columns),
        ],
        lines,
        name=f"{name}_{metric}",
        title=f"{NAMES[study.varied].capitalize()} ({' + '.join(generators)}): {TITLES[metric]}",
        caption=join(
            definition(metric),
            f"First column: {NAMES[study.varied]}, as asked for: there may be fewer. {EVERYTHING}: no limit.",
            about_means(KINDS),
            _degraded(params),
            about_trainings(params),
            about_reals(params),
        ),
    )


def _degraded(params: Params) -> str:
    if not params.degradations:
        return ""
    return f"{MEAN_OF_DEGRADED}: mean over the conditions {', '.join(params.degradations)}."
