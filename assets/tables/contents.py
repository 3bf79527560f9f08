"""ImagiNet's contents: photos, paintings, faces, all else; and what was left out of a training."""

from dataclasses import replace

from assets.params import CLEAN, CONTENTS
from assets.report.results import Results
from assets.statistics.averages import averaged
from assets.statistics.cells import CONTENT, POOLED
from assets.statistics.metrics import TITLES
from assets.tables.cell_table import (
    about_intervals,
    about_trainings,
    cell_value,
    definition,
    join,
    unit_of,
)
from assets.tables.comparisons import PAIRED, Head, change_value, metric_value, value_table
from assets.tables.pooled_table import MEAN, pooled_table
from assets.tables.table import Chapter, Line, Table

METRICS = ("auroc", "balanced_accuracy")
_WHAT = f"Columns: {POOLED[CONTENT]}. {MEAN}: over the contents, each weighing the same."


def chapter(results: Results) -> Chapter | None:
    """Per content, then what leaving some out does; None if test images show one content alone."""
    params = results.params
    there = {cell.tested_on for cell in results.tabulated.rows if cell.kind == CONTENT}
    contents = [name for name in CONTENTS if name in there]
    if len(contents) < 2:
        return None
    left_out = [name for name, sample in params.train.samples.items() if sample.contents]
    tables = []
    for metric in METRICS:
        tables.append(
            pooled_table(
                results,
                CONTENT,
                contents,
                metric,
                [CLEAN],
                name=metric,
                title=f"Per content: {TITLES[metric]}",
                caption=join(definition(metric), "Clean test images.", _WHAT, about_trainings(params)),
            )
        )
    if left_out:
        tables += [_left_out(results, metric, contents, left_out) for metric in METRICS]
    for metric in METRICS if params.degrade else ():
        tables.append(
            pooled_table(
                results,
                CONTENT,
                contents,
                metric,
                [*params.degrade],
                name=f"{metric}_conditions",
                title=f"Per content under every condition: {TITLES[metric]}",
                caption=join(definition(metric), "Degraded test images.", _WHAT, about_trainings(params)),
                folded=True,
            )
        )
    intro = [
        "How detectors do on photos, paintings, faces and everything else, as ImagiNet asks: one that knows "
        "generated photos need not know generated paintings."
    ]
    if left_out:
        intro.append(
            "Some trainings were shown no image, real or generated, of some contents. How they do on those, "
            "beside the contents that they were shown (framed), says whether a detector learnt traces of "
            "generators or what pictures show."
        )
    return Chapter("contents", "Contents", (*intro, about_intervals(params)), tuple(tables))


def _left_out(results: Results, metric: str, contents: list[str], samples: list[str]) -> Table:
    """Contents trained on, contents not trained on, and the difference of their means."""
    params, find, level = results.params, results.tabulated.find, results.params.report.level
    lines = []
    for detector in params.detectors:
        for sample in samples:
            chosen = params.train.samples[sample].contents or ()
            cells = [find(CONTENT, detector, sample, name, CLEAN) for name in contents]
            there = [
                replace(cell, seen=cell.tested_on in chosen if cell.seen is None else cell.seen)
                for cell in cells
                if cell is not None
            ]
            if len(there) < len(cells):
                continue
            seen = averaged([cell.metrics[metric] for cell in there if cell.seen])
            unseen = averaged([cell.metrics[metric] for cell in there if not cell.seen])
            values = [cell_value(cell, metric, level) for cell in there]
            means = metric_value(seen, metric, level, True), metric_value(unseen, metric, level, False)
            lines.append(
                Line((detector, sample), (*values, *means, change_value(seen, unseen, metric, level)))
            )
    unit = unit_of(metric)
    return value_table(
        [
            *(Head(name, unit) for name in contents),
            Head("seen", unit, mean=True),
            Head("unseen", unit, mean=True),
            Head("difference", "points", mean=True),
        ],
        lines,
        name=f"left_out_{metric}",
        title=f"Contents left out of a training: {TITLES[metric]}",
        caption=join(
            definition(metric),
            f"Clean test images. Columns: {POOLED[CONTENT]}. Framed: contents that the training was shown. "
            "seen, unseen: means over the contents that it was and was not shown, each weighing the same. "
            "difference: unseen less seen.",
            PAIRED,
            about_trainings(params),
        ),
    )
