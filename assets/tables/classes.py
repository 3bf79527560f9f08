"""Classes that a training was shown beside classes that it was not."""

from assets.params import CLEAN
from assets.report.results import Results
from assets.statistics.cells import CLASSES, POOLED, SEEN, UNSEEN
from assets.statistics.metrics import TITLES
from assets.tables.cell_table import (
    TRAINING_HEADS,
    about_intervals,
    about_trainings,
    definition,
    join,
)
from assets.tables.comparisons import Contrast, Pairs, contrast_table
from assets.tables.table import Chapter, Table

METRICS = ("auroc", "accuracy", "balanced_accuracy")


def chapter(results: Results) -> Chapter | None:
    """Clean, then degraded; None if no training is limited to some classes."""
    params = results.params
    if not any(cell.kind == CLASSES for cell in results.tabulated.rows):
        return None
    tables = [_table(results, [CLEAN], "clean", "Classes seen and unseen in training", folded=False)]
    if params.degrade:
        tables.append(
            _table(
                results,
                [*params.degrade],
                "conditions",
                "Classes seen and unseen in training, under every condition",
                folded=True,
            )
        )
    return Chapter(
        "classes",
        "Classes left out",
        (
            "Some trainings were shown images of some classes only (GenImage's image-class generalisation). "
            "Both columns are tested on generators that were trained on, so what differs is what the "
            "pictures show: a large drop means that the detector leans on motifs.",
            about_intervals(params),
        ),
        tuple(tables),
    )


def _table(results: Results, conditions: list[str], name: str, title: str, folded: bool) -> Table:
    params, find = results.params, results.tabulated.find
    rows = []
    for condition in conditions:
        for detector in params.detectors:
            for sample, spec in params.train.samples.items():
                if not spec.classes:
                    continue
                seen, unseen = (find(CLASSES, detector, sample, one, condition) for one in (SEEN, UNSEEN))
                told = (condition,) if conditions != [CLEAN] else ()
                rows.append(
                    Pairs((*told, detector, sample, str(spec.classes)), ((seen, unseen),) * len(METRICS))
                )
    heads = (*TRAINING_HEADS, "classes")
    return contrast_table(
        [
            Contrast(m, f"{TITLES[m]}, {SEEN}", f"{TITLES[m]}, {UNSEEN}", f"{TITLES[m]}, difference")
            for m in METRICS
        ],
        rows,
        name=name,
        title=title,
        caption=join(
            *(definition(metric) for metric in METRICS),
            f"{SEEN}, {UNSEEN}: {POOLED[CLASSES]}. classes: how many were trained on. The difference is "
            f"{UNSEEN} less {SEEN}.",
            about_trainings(params),
        ),
        level=params.report.level,
        heads=heads if conditions == [CLEAN] else ("condition", *heads),
        folded=folded,
    )
