"""GenImage's Table 3: all detectors trained on one generator, tested on every one."""

from assets.params import CLEAN, ELSEWHERE
from assets.report.results import Results
from assets.statistics.cells import ALL
from assets.statistics.means import CROSS_GENERATOR, MEANS, PLAIN_MEAN
from assets.tables.cell_table import (
    Row,
    about_intervals,
    about_reals,
    about_trainings,
    clean_cells,
    join,
    metric_table,
)
from assets.tables.table import Chapter, Table


def chapter(results: Results) -> Chapter:
    """One table for each training: lines are detectors, columns test generators."""
    params = results.params
    sources = [*params.sources, *([ELSEWHERE] if params.given else [])]
    return Chapter(
        "train_on_one",
        "Trained on one, tested on all (GenImage's Table 3)",
        (
            "All detectors that learnt from the same images, side by side: the protocol of GenImage's Table "
            "3, where a ResNet-50 trained on Stable Diffusion 1.4 has 72.1 % on average over the eight test "
            "generators. Nothing here is a mean over trainings: that is the chapter over_trainings "
            "(GenImage's Table 4), where the same ResNet-50 has 66.9 %.",
            about_intervals(params),
        ),
        tuple(_table(results, source) for source in sources),
    )


def _table(results: Results, source: str) -> Table:
    params, find = results.params, results.tabulated.find
    rows = []
    for detector in params.scorers:
        if source in params.rows_of(detector):
            cells = clean_cells(results.tabulated, detector, source, params)
            means = [find(kind, detector, source, ALL, CLEAN) for kind in (PLAIN_MEAN, CROSS_GENERATOR)]
            rows.append(Row((detector,), (*cells, *means)))
    trained = "Made elsewhere" if source == ELSEWHERE else f"Trained on {source}"
    return metric_table(
        "accuracy",
        name=f"accuracy_{source}",
        title=f"{trained}: accuracy at 0.5, %",
        caption=join(
            f"Clean test images. {trained}; columns: the generator tested on. Avg: "
            f"{MEANS[PLAIN_MEAN]}. {CROSS_GENERATOR}: {MEANS[CROSS_GENERATOR]}.",
            about_trainings(params),
            about_reals(params),
        ),
        columns=(*params.generators, "Avg", CROSS_GENERATOR),
        rows=rows,
        level=params.report.level,
        num_means=2,
        heads=("detector",),
        folded=source in params.pooled,
    )
