"""detectors/NAME.md: what a detector is, what it was trained on, how well it does and where it fails.

Sections follow Mitchell et al., Model Cards for Model Reporting (arXiv 1810.03993).
"""

from collections.abc import Iterator, Sequence

from assets.params import CLEAN
from assets.report.results import Results
from assets.statistics.bootstrap import interval
from assets.statistics.cells import ALL, CELL, Cell
from assets.statistics.means import CROSS_GENERATOR, IN_DOMAIN, MEANS
from assets.tables.formats.markdown import markdown_table

_SHOWN = ("auroc", "accuracy", "balanced_accuracy", "accuracy_real", "accuracy_generated", "ece")


def detector_cards(results: Results) -> dict[str, str]:
    """Name -> card as Markdown, of every detector that says real or generated."""
    return {name: "\n\n".join(_card(results, name)) + "\n" for name in results.params.scorers}


def _card(results: Results, name: str) -> Iterator[str]:
    params = results.params
    yield f"# {name}"
    yield f"lineage `{results.lineage}`  \nrecipe `{results.recipe}`"
    yield "## What it is"
    yield "\n".join(_settings(results, name))
    yield "## What it was trained on"
    if name in params.given:
        given = params.given[name]
        yield f"Made elsewhere: {given.trained_on or 'its makers do not say on what'}."
    else:
        lines = [f"- {source}: {', '.join(members)}" for source, members in params.sources.items()]
        yield f"Each of these, with seeds {', '.join(map(str, params.train.seeds))}:\n\n" + "\n".join(lines)
    yield "## How well it does"
    level = params.report.level
    rows = [
        [kind, condition or "mean of degraded", *(_number(cell, metric, level) for metric in _SHOWN)]
        for kind in (IN_DOMAIN, CROSS_GENERATOR)
        for condition in (*params.conditions, ALL)
        if (cell := _mean(results, kind, name, condition)) is not None
    ]
    yield markdown_table(["mean", "condition", *_SHOWN], rows, num_labels=2)
    yield "; ".join(f"{kind}: {MEANS[kind]}" for kind in (IN_DOMAIN, CROSS_GENERATOR)) + "."
    yield "## Where it fails"
    yield "\n".join(_worst(results, name))


def _settings(results: Results, name: str) -> Iterator[str]:
    spec = results.params.judges[name]
    for key, value in spec.model_dump(exclude_defaults=True, mode="json").items():
        yield f"- {key}: `{value}`"


def _mean(results: Results, kind: str, name: str, condition: str) -> Cell | None:
    found = results.tabulated.find(kind, name, ALL, ALL, condition)
    return found if found is not None and found.metrics["auroc"].value is not None else None


def _worst(results: Results, name: str) -> Iterator[str]:
    """The five clean cells with the lowest AUROC."""
    cells = [
        cell
        for cell in results.tabulated.cells
        if (cell.kind, cell.detector, cell.condition) == (CELL, name, CLEAN)
        and cell.metrics["auroc"].value is not None
    ]
    for cell in _sorted(cells)[:5]:
        number = _number(cell, "auroc", results.params.report.level)
        yield f"- trained on {cell.trained_on}, tested on {cell.tested_on}: AUROC {number}"
    if not cells:
        yield "No data."


def _sorted(cells: Sequence[Cell]) -> list[Cell]:
    return sorted(cells, key=lambda cell: (cell.metrics["auroc"].value or 0.0, cell.key))


def _number(cell: Cell, metric: str, level: float) -> str:
    estimate = cell.metrics[metric]
    if estimate.value is None:
        return "no data"
    bounds = interval(estimate.draws, level)
    return f"{estimate.value:.3f}" + (f" ({bounds[0]:.2f} to {bounds[1]:.2f})" if bounds else "")
