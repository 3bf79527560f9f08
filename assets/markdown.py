"""Grids as Markdown that reads well both in a terminal and on GitHub."""

from collections.abc import Sequence

from assets.cells import CELL
from assets.grids import Grid, about_intervals, cross_generator_grid, degraded_grid
from assets.means import CROSS_GENERATOR, IN_DOMAIN, PLAIN_MEAN
from assets.params import CLEAN, REAL, Params
from assets.tabulate import Tabulated


def cross_generator_markdown(tabulated: Tabulated, params: Params, lineage: str, recipe: str) -> str:
    """The cross-generator table: AUROC with intervals, then the other metrics."""
    metrics = ("auroc", "accuracy", "balanced_accuracy", "ap", "accuracy_real", "accuracy_generated")
    grids = [cross_generator_grid(tabulated, params, metric) for metric in metrics]
    parts = ["# Cross-generator table", _hashes(lineage, recipe), grids[0].layout, about_intervals(params)]
    parts += [_section(grid, grid.title) for grid in grids]
    return "\n\n".join([*parts, "## Images", _images(tabulated, params)]) + "\n"


def degraded_markdown(tabulated: Tabulated, params: Params, lineage: str, recipe: str) -> str:
    """The degraded table: in-domain, all test sets and the others, by AUROC and by accuracy."""
    parts = ["# Degraded table", _hashes(lineage, recipe), about_intervals(params), _conditions(params)]
    for kind in (IN_DOMAIN, PLAIN_MEAN, CROSS_GENERATOR):
        grids = [degraded_grid(tabulated, params, metric, kind) for metric in ("auroc", "accuracy")]
        parts += [f"## {kind}", grids[0].layout]
        parts += [_section(grid, f"{grid.title}: {kind}", "###") for grid in grids]
    return "\n\n".join(parts) + "\n"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], num_labels: int = 1) -> str:
    """A pipe table, padded so that its columns align as plain text; numbers to the right of the labels."""
    lines = [[_escape(text) for text in line] for line in [header, *rows]]
    widths = [max(3, *(len(line[column]) for line in lines)) for column in range(len(header))]

    def text(line: Sequence[str]) -> str:
        cells = [
            value.ljust(width) if column < num_labels else value.rjust(width)
            for column, (value, width) in enumerate(zip(line, widths, strict=True))
        ]
        return f"| {' | '.join(cells)} |"

    rule = [
        "-" * width if column < num_labels else "-" * (width - 1) + ":" for column, width in enumerate(widths)
    ]
    return "\n".join([text(lines[0]), text(rule), *(text(line) for line in lines[1:])])


def _section(grid: Grid, title: str, heading: str = "##") -> str:
    notes = [f"*{note}*" for note in grid.notes]
    return "\n\n".join([f"{heading} {title}", grid.definition, _grid_table(grid), *notes])


def _grid_table(grid: Grid) -> str:
    rows = []
    for row in grid.rows:
        cells = []
        for cell in row.cells:
            parts = [] if cell is None else [grid.value(cell), grid.spread(cell)]
            if cell is not None and grid.metric == "auroc" and (bounds := grid.interval(cell)):
                parts.append(f"({bounds})")
            cells.append(" ".join(part for part in parts if part))
        rows.append([row.detector, row.label, *cells])
    return markdown_table(["detector", "trained on", *grid.columns], rows, num_labels=2)


def _images(tabulated: Tabulated, params: Params) -> str:
    tallies = {
        cell.tested_on: cell.tally
        for cell in reversed(tabulated.cells)
        if cell.kind == CELL and cell.condition == CLEAN and cell.tally is not None
    }
    rows = [
        [
            name,
            str(tabulated.num_images[name]),
            str(tally.n_generated),
            str(tally.n_real),
            str(tally.n_unreadable),
            str(tally.groups),
        ]
        for name in params.generators
        if (tally := tallies.get(name)) is not None
    ]
    head = ["tested on", "test images", "scored", f"scored {REAL}", "unreadable of both", "groups of both"]
    return markdown_table(head, rows)


def _conditions(params: Params) -> str:
    rows = [[name, recipe or "as they are"] for name, recipe in params.conditions.items()]
    return markdown_table(["condition", "recipe"], rows, num_labels=2)


def _hashes(lineage: str, recipe: str) -> str:
    return f"lineage `{lineage}`  \nrecipe `{recipe}`"


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
