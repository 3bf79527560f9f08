"""Which generators are alike: how detectors carry over from one to the other (GenImage)."""

from assets.report.results import Results
from assets.statistics.correlation import Correlation, correlate
from assets.tables.cell_table import (
    about_intervals,
    about_reals,
    definition,
    estimate_value,
    join,
)
from assets.tables.comparisons import Head, metric_value, value_table
from assets.tables.table import Chapter, Line, Table, Value


def chapter(results: Results) -> Chapter | None:
    """Transfer, nearest neighbours and the tree; None if fewer than three generators are trained on."""
    found = correlate(results.tabulated, results.params)
    if found is None:
        return None
    left = f" Left out, for want of data: {', '.join(found.left_out)}." if found.left_out else ""
    return Chapter(
        "correlation",
        "Which generators are alike",
        (
            "Two generators are alike to detectors if training on one finds images of the other. Such "
            "relatives make a mean over generators look better than it is: whoever trained on one has as "
            f"good as seen the other.{left}",
            "Transfer is the AUROC on clean test images, mean over all detectors. The distance of two "
            "generators is 1 less the mean of the transfers there and back: 0 if each finds the other "
            "without a fault, 0.5 if that is guessing. Average linkage joins the nearest two, then again, "
            "the distance of two clusters being the mean over their pairs.",
            about_intervals(results.params),
        ),
        (_transfer(results, found), _nearest(results, found), _merges(found)),
    )


def _transfer(results: Results, found: Correlation) -> Table:
    level = results.params.report.level
    lines = [
        Line(
            (trained_on,),
            tuple(
                metric_value(found.transfer[trained_on, tested_on], "auroc", level, trained_on == tested_on)
                for tested_on in found.order
            ),
        )
        for trained_on in found.order
    ]
    return value_table(
        [Head(name, "share") for name in found.order],
        lines,
        name="transfer",
        title="Transfer: AUROC, mean over detectors",
        caption=join(
            definition("auroc"),
            f"Clean test images, mean over the detectors {', '.join(results.params.detectors)}. Lines: the "
            "generator trained on, columns: tested on, both in the order of the tree, so that relatives "
            "stand side by side.",
            about_reals(results.params),
        ),
        heads=("trained on",),
    )


def _nearest(results: Results, found: Correlation) -> Table:
    lines = [
        Line(
            (one.generator, one.nearest),
            (
                estimate_value(one.distance, results.params.report.level),
                None if one.sure is None else Value(one.sure),
                *(
                    metric_value(found.transfer[pair], "auroc", results.params.report.level)
                    for pair in ((one.generator, one.nearest), (one.nearest, one.generator))
                ),
            ),
        )
        for one in found.nearest
    ]
    return value_table(
        [
            Head("distance", "share"),
            Head("sure", "percent", exact=True),
            Head("transfer there", "share"),
            Head("transfer back", "share"),
        ],
        lines,
        name="nearest",
        title="The nearest generator of each",
        caption=join(
            "distance: 1 less the mean of the transfers there (trained on the generator, tested on its "
            "nearest) and back. sure: share of the bootstrap resamples in which the same generator is the "
            "nearest."
        ),
        heads=("generator", "nearest"),
    )


def _merges(found: Correlation) -> Table:
    lines = [
        Line((" + ".join(one), " + ".join(other)), (Value(height),)) for one, other, height in found.merges
    ]
    return value_table(
        [Head("distance", "share", exact=True)],
        lines,
        name="merges",
        title="The tree, merge by merge",
        caption="Clusters that are joined, the nearest first; their distance is the mean over their pairs.",
        heads=("one cluster", "other cluster"),
        folded=True,
    )
