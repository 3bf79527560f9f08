"""Every condition: what JPEG, scaling, blur and the rest do (GenImage's Table 5), and sweeps."""

from dataclasses import dataclass

from assets.images.degradations import Step, parse
from assets.params import CLEAN, Params
from assets.report.results import Results
from assets.statistics.cells import ALL
from assets.statistics.means import CROSS_GENERATOR, IN_DOMAIN, MEANS, PLAIN_MEAN
from assets.tables.cell_table import (
    MEAN_OF_DEGRADED,
    Row,
    about_intervals,
    about_means,
    about_reals,
    about_trainings,
    heading,
    join,
    metric_table,
    over_conditions,
)
from assets.tables.table import Chapter, Column, Line, Table, Value

_METRICS = ("auroc", "accuracy")
_KINDS = (IN_DOMAIN, PLAIN_MEAN, CROSS_GENERATOR)
_OPEN = ((IN_DOMAIN, "auroc"), (IN_DOMAIN, "accuracy"), (CROSS_GENERATOR, "auroc"))
_SWEPT = {"jpeg": -1, "webp": -1, "avif": -1, "resize": -1, "blur": 1, "noise": 1}
"""Operations that make a sweep: 1 if a larger argument does more harm, -1 if a smaller one does."""
_SHORTEST_SWEEP = 3


@dataclass(frozen=True)
class Sweep:
    """Conditions that are one operation, with one argument after the other."""

    name: str
    conditions: dict[str, float]
    """Name -> argument, the mildest first."""


def chapter(results: Results) -> Chapter | None:
    """One table a mean and metric, one a sweep, and the recipes; None without conditions."""
    params = results.params
    if not params.degrade:
        return None
    return Chapter(
        "degraded",
        "Degraded table",
        (
            "Test images, real and generated, are degraded before detectors see them; training images never "
            "are, unless a detector's recipe says so. GenImage's Table 5 is the accuracy under in_domain of "
            "one training generator: tested on the generator trained on.",
            about_intervals(params),
        ),
        (
            *(_table(results, kind, metric) for kind in _KINDS for metric in _METRICS),
            *(_sweep(results, sweep, metric) for sweep in sweeps(params) for metric in _METRICS),
            _recipes(params),
        ),
    )


def sweeps(params: Params, shortest: int = _SHORTEST_SWEEP) -> list[Sweep]:
    """The sweeps among the conditions: one operation done to both classes, with so many arguments or more.

    A factor (0.5) and a side in pixels (112) are different arguments, so different sweeps.
    """
    found: dict[str, dict[str, float]] = {}
    for name, recipe in params.degrade.items():
        steps = parse(recipe).steps if isinstance(recipe, str) else ()
        step = steps[0] if len(steps) == 1 else None
        if isinstance(step, Step) and step.name in _SWEPT and step.low == step.high and step.probability == 1:
            whole = step.name == "resize" and isinstance(step.low, int)
            found.setdefault(f"{step.name}{'_pixels' if whole else ''}", {})[name] = float(step.low)
    return [
        Sweep(name, dict(sorted(of.items(), key=lambda item: item[1] * _SWEPT[name.partition("_")[0]])))
        for name, of in found.items()
        if len(set(of.values())) >= shortest
    ]


def _table(results: Results, kind: str, metric: str) -> Table:
    params, find = results.params, results.tabulated.find
    conditions = over_conditions(params)
    rows = []
    for detector in params.scorers:
        mean_too = [ALL] if len(params.averaged_rows(detector)) > 1 else []
        for trained_on in [*params.rows_of(detector), *mean_too]:
            cells = tuple(find(kind, detector, trained_on, ALL, name) for name in conditions)
            rows.append(Row((detector, trained_on or "mean"), cells, trained_on == ALL))
    return metric_table(
        metric,
        name=f"{kind}_{metric}",
        title=f"{heading(metric)}: {kind}",
        caption=join(
            f"Each number is {kind}: {MEANS[kind]}. Columns: the condition, applied to real and "
            f"generated test images. {MEAN_OF_DEGRADED}: mean over the conditions, {CLEAN} and the "
            "twins (report.twins) left out. Over GenImage's six alone it is its Table 5's Avg.",
            "Last line of a detector: mean over training generators."
            if any(row.mean for row in rows)
            else "",
            about_trainings(params),
            about_reals(params),
        ),
        columns=[name or MEAN_OF_DEGRADED for name in conditions],
        rows=rows,
        level=params.report.level,
        num_means=len(conditions) - len(params.conditions),
        folded=(kind, metric) not in _OPEN,
    )


def _sweep(results: Results, sweep: Sweep, metric: str) -> Table:
    params, find = results.params, results.tabulated.find
    conditions = [CLEAN, *sweep.conditions]
    rows = []
    for detector in params.scorers:
        for kind in (IN_DOMAIN, CROSS_GENERATOR):
            cells = tuple(find(kind, detector, ALL, ALL, name) for name in conditions)
            if any(cell is not None and cell.metrics["auroc"].value is not None for cell in cells):
                rows.append(Row((detector, kind), cells))
    operation, _, unit = sweep.name.partition("_")
    arguments = [f"{operation}({argument:g})" for argument in sweep.conditions.values()]
    return metric_table(
        metric,
        name=f"sweep_{sweep.name}_{metric}",
        title=f"{heading(metric)}: {operation} from mild to harsh" + (f" ({unit})" if unit else ""),
        caption=join(
            f"One operation, done ever harder: {', '.join(arguments)}. Lines: means over all trainings.",
            about_means((IN_DOMAIN, CROSS_GENERATOR)),
        ),
        columns=[CLEAN, *arguments],
        rows=rows,
        level=params.report.level,
        heads=("detector", "mean"),
        folded=metric != "auroc",
    )


def _recipes(params: Params) -> Table:
    def told(recipe: str) -> Value:
        return Value(text=recipe or "as they are")

    return Table(
        "recipes",
        "What each condition does",
        "The recipe by which test images of each class are degraded, operation by operation.",
        ("condition",),
        (Column("real images", "text", 0), Column("generated images", "text", 0)),
        tuple(
            Line((name,), tuple(told(params.recipe(name, label)) for label in (0, 1)))
            for name in params.conditions
        ),
    )
