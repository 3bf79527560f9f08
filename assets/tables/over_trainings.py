"""GenImage's Table 4: the mean over all training generators, for every test generator."""

from assets.params import CLEAN
from assets.report.results import Results
from assets.statistics.cells import ALL
from assets.statistics.means import CROSS_GENERATOR, PLAIN_MEAN
from assets.tables.cell_table import Row, about_intervals, about_reals, heading, join, metric_table
from assets.tables.table import Chapter, Table

_OVER = {
    PLAIN_MEAN: "over all training generators, the test generator itself among them (GenImage's Table 4)",
    CROSS_GENERATOR: "over those training generators that are not the test generator",
}


def chapter(results: Results) -> Chapter | None:
    """Lines are detectors, columns test generators; None if nothing was trained on two generators."""
    params = results.params
    detectors = [name for name in params.scorers if len(params.averaged_rows(name)) > 1]
    if not detectors:
        return None
    return Chapter(
        "over_trainings",
        "Mean over all trainings (GenImage's Table 4)",
        (
            "Each number is a mean over trainings: the same detector was trained on one generator after "
            "the other, and each training tested on the generator of the column. It is the protocol of "
            "GenImage's Table 4, where ResNet-50 has 66.9 % on average. No number here is of one training: "
            "those are in the chapter train_on_one (GenImage's Table 3), where ResNet-50 trained on Stable "
            "Diffusion 1.4 has 72.1 %.",
            f"The mean is over the trainings on {', '.join(params.averaged_rows(detectors[0]))}.",
            about_intervals(params),
        ),
        tuple(_table(results, detectors, metric, kind) for metric in ("accuracy", "auroc") for kind in _OVER),
    )


def _table(results: Results, detectors: list[str], metric: str, kind: str) -> Table:
    params, find = results.params, results.tabulated.find
    rows = [
        Row((name,), tuple(find(kind, name, ALL, column, CLEAN) for column in (*params.generators, ALL)))
        for name in detectors
    ]
    return metric_table(
        metric,
        name=f"{metric}_{kind}",
        title=f"{heading(metric)}: {kind} over trainings",
        caption=join(
            f"Clean test images. Columns: the generator tested on; each number is the mean {_OVER[kind]}. "
            "Last column: the mean over all such pairs of training and test generator, weighing the same.",
            about_reals(params),
        ),
        columns=(*params.generators, "all pairs"),
        rows=rows,
        level=params.report.level,
        num_means=1,
        heads=("detector",),
        folded=metric != "accuracy",
    )
