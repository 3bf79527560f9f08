"""How far a detector's probabilities can be believed: thresholds, few false alarms, calibration."""

from assets.params import CLEAN
from assets.report.results import Results
from assets.statistics.cells import ALL
from assets.statistics.means import CROSS_GENERATOR, IN_DOMAIN
from assets.tables.cell_table import (
    Row,
    about_intervals,
    about_means,
    about_reals,
    about_trainings,
    definition,
    join,
    metrics_table,
)
from assets.tables.table import Chapter, Table

_METRICS = (
    "accuracy",
    "balanced_accuracy",
    "eer",
    "tpr_at_5",
    "tpr_at_1",
    "ece",
    "brier",
    "cllr",
)


def chapter(results: Results) -> Chapter:
    """One table over all trainings, one with each training."""
    params = results.params
    return Chapter(
        "calibration",
        "Thresholds and calibration",
        (
            "A detector may rank images well (AUROC) and still be of little use at 0.5, because its "
            "probabilities are too high or too low, or because it calls too many real images generated. "
            "These numbers tell: what it finds when few false alarms are allowed, whether its probabilities "
            "are true, and what a threshold chosen on validation images gains over 0.5.",
            "For EER, ECE, Brier score and Cllr lower is better.",
            about_intervals(params),
        ),
        (_table(results, False), _table(results, True)),
    )


def _table(results: Results, each: bool) -> Table:
    """Over all trainings or, with `each`, a line for each training."""
    params, find = results.params, results.tabulated.find
    rows = []
    for detector in params.scorers:
        for trained_on in params.rows_of(detector) if each else (ALL,):
            for kind in (IN_DOMAIN, CROSS_GENERATOR):
                cell = find(kind, detector, trained_on, ALL, CLEAN)
                if cell is not None and cell.metrics["auroc"].value is not None:
                    heads = (detector, trained_on, kind) if each else (detector, kind)
                    rows.append(Row(heads, (cell,)))
    over = "Lines: one training each." if each else "Lines: means over all trainings."
    return metrics_table(
        _METRICS,
        name="each_training" if each else "over_trainings",
        title="Every training" if each else "Over all trainings",
        caption=join(
            f"Clean test images. {over} {about_means((IN_DOMAIN, CROSS_GENERATOR))}",
            *(definition(metric) for metric in _METRICS),
            about_trainings(params) if each else "",
            about_reals(params),
        ),
        rows=rows,
        level=params.report.level,
        heads=("detector", "trained on", "mean") if each else ("detector", "mean"),
        folded=each,
    )
