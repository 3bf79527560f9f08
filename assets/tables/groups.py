"""ImagiNet's Track I: the test images of a group of generators together, and the mean over the groups."""

from assets.params import CLEAN
from assets.report.results import Results
from assets.statistics.averages import averaged
from assets.statistics.cells import GROUP, POOLED, Cell, Estimate
from assets.statistics.metrics import TITLES
from assets.tables.cell_table import about_intervals, about_trainings, definition, join
from assets.tables.pooled_table import MEAN, pooled_table
from assets.tables.table import Chapter, Table

AT_HALF = "balanced_accuracy_at_half"
TITLE_AT_HALF = "Balanced accuracy at 0.5"
DEFINITION_AT_HALF = (
    f"{TITLE_AT_HALF}: mean of the shares of real and of generated images called rightly, at P(generated) = "
    "0.5."
)
READINGS = ("auroc", "balanced_accuracy", AT_HALF)


def chapter(results: Results) -> Chapter | None:
    """One table a metric, clean and degraded; None without `report.groups`."""
    params = results.params
    if not params.report.groups:
        return None
    return Chapter(
        "groups",
        "Groups of generators (ImagiNet's Track I)",
        (
            "Generators that are alike are tested as one: all their test images together, as ImagiNet does "
            "with GANs, Stable Diffusion, Midjourney and DALL·E 3. Its Mean is the mean over the groups, so "
            "a group of one generator weighs as much as a group of seven.",
            "ImagiNet prints balanced accuracy at 0.5, after recalibrating every detector on 80 of its test "
            "images. Here no test image tunes anything: one table has 0.5 as it comes, one the threshold "
            "that was chosen on val, which stands for what that recalibration is after.",
            about_intervals(params),
        ),
        (
            *(_table(results, reading, [CLEAN]) for reading in READINGS),
            *(_table(results, reading, [*params.degrade]) for reading in READINGS if params.degrade),
        ),
    )


def balanced_at_half(cell: Cell) -> Estimate:
    """The mean of the shares of real and of generated images called rightly at 0.5; both are needed."""
    both = [cell.metrics[name] for name in ("accuracy_real", "accuracy_generated")]
    return averaged(both) if None not in [one.value for one in both] else Estimate(None)


def _table(results: Results, reading: str, conditions: list[str]) -> Table:
    params = results.params
    at_half = reading == AT_HALF
    metric = "balanced_accuracy" if at_half else reading
    title = TITLE_AT_HALF if at_half else TITLES[metric]
    clean = conditions == [CLEAN]
    members = "; ".join(f"{name} = {' + '.join(names)}" for name, names in params.report.groups.items())
    return pooled_table(
        results,
        GROUP,
        [*params.report.groups],
        metric,
        conditions,
        name=reading if clean else f"{reading}_conditions",
        title=f"Per group of generators{'' if clean else ', every condition'}: {title}",
        caption=join(
            DEFINITION_AT_HALF if at_half else definition(metric),
            f"{'Clean' if clean else 'Degraded'} test images. Columns: {POOLED[GROUP]}: {members}. Framed: "
            f"at least one generator of the group was trained on. {MEAN}: over the groups, each weighing the "
            "same.",
            about_trainings(params),
        ),
        read=balanced_at_half if at_half else None,
        folded=not clean,
    )
