"""Trained on x tested on: every pair of generators, and what means of such pairs are over."""

from assets.params import CLEAN, Params
from assets.report.results import Results
from assets.statistics.cells import ALL
from assets.statistics.means import CROSS_GENERATOR, MEANS, PLAIN_MEAN
from assets.statistics.metrics import METRICS
from assets.tables.cell_table import (
    Row,
    about_intervals,
    about_means,
    about_reals,
    about_trainings,
    clean_cells,
    heading,
    join,
    metric_table,
)
from assets.tables.table import Chapter, Table

FIRST = ("auroc", "accuracy", "balanced_accuracy", "ap", "accuracy_real", "accuracy_generated")
"""The tables that are open at first, in this order; one a metric."""


def chapter(results: Results) -> Chapter:
    """One table a metric: lines are trainings, columns test generators and means."""
    params = results.params
    rows = _rows(results)
    order = [*FIRST, *(metric for metric in METRICS if metric not in FIRST)]
    return Chapter(
        "cross_generator",
        "Cross-generator table",
        (
            "Each detector is trained on the images of one generator (or of several) and tested on those of "
            "every other, always together with real images. Numbers on what was trained on are marked: they "
            "say how well a detector knows its own generator, not how well it does on new ones.",
            about_intervals(params),
        ),
        tuple(_table(metric, rows, params) for metric in order),
    )


def _table(metric: str, rows: list[Row], params: Params) -> Table:
    return metric_table(
        metric,
        name=metric,
        title=heading(metric),
        caption=join(
            "Clean test images. Lines: what was trained on. Columns: the generator tested on, then means of "
            f"the line. {about_means()}",
            "Last lines of a detector: mean over training generators for each test generator, over all of "
            "them (plain) or over those trained on another generator (cross)."
            if any(row.mean for row in rows)
            else "",
            about_trainings(params),
            about_reals(params),
        ),
        columns=(*params.generators, *MEANS),
        rows=rows,
        level=params.report.level,
        num_means=len(MEANS),
        folded=metric not in FIRST[:2],
    )


def _rows(results: Results) -> list[Row]:
    params, find = results.params, results.tabulated.find
    rows = []
    for detector in params.scorers:
        for trained_on in params.rows_of(detector):
            cells = clean_cells(results.tabulated, detector, trained_on, params)
            means = [find(kind, detector, trained_on, ALL, CLEAN) for kind in MEANS]
            rows.append(Row((detector, trained_on), (*cells, *means)))
        if len(params.averaged_rows(detector)) > 1:
            rows += [_mean_row(results, detector, kind) for kind in (PLAIN_MEAN, CROSS_GENERATOR)]
    return rows


def _mean_row(results: Results, detector: str, kind: str) -> Row:
    """Over trainings; beside the plain ones, means over all pairs too."""
    params, find = results.params, results.tabulated.find
    cells = [find(kind, detector, ALL, tested_on, CLEAN) for tested_on in params.generators]
    kinds = MEANS if kind == PLAIN_MEAN else (kind,)
    means = [find(mean, detector, ALL, ALL, CLEAN) if mean in kinds else None for mean in MEANS]
    return Row((detector, "mean (plain)" if kind == PLAIN_MEAN else "mean (cross)"), (*cells, *means), True)
