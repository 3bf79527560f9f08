"""Heat maps of the tables as PNG; equal tables give equal bytes."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from assets.grids import NO_DATA, TITLES, Grid, Row, cross_generator_grid, degraded_grid
from assets.means import IN_DOMAIN, PLAIN_MEAN
from assets.params import Params
from assets.tabulate import Tabulated

# Orange below guessing, nearly white at guessing (0.5), blue above: told apart with any colour vision.
_COLOURS = LinearSegmentedColormap.from_list("assay", ["#b35806", "#f6f3ee", "#2166ac"])
_CELL = 0.86, 0.4  # inches
_DPI = 144


@dataclass(frozen=True)
class _Panel:
    title: str
    rows: list[str]
    columns: list[str]
    values: np.ndarray
    texts: list[list[str]]
    y_label: str
    x_label: str


def cross_generator_heatmap(
    tabulated: Tabulated, params: Params, lineage: str, recipe: str, metric: str = "auroc"
) -> bytes:
    """A PNG with a panel per detector: trained on (rows) x tested on (columns), clean images."""
    grid = cross_generator_grid(tabulated, params, metric)
    num_columns = len(params.generators)
    panels = []
    for detector in params.scorers:
        rows = [row for row in grid.rows if row.detector == detector and not row.is_mean]
        labels = [row.label for row in rows]
        panels.append(_panel(grid, detector, rows, labels, num_columns, ("trained on", "tested on")))
    return _png(panels, f"{grid.title}, clean test images", lineage, recipe)


def degraded_heatmap(
    tabulated: Tabulated, params: Params, lineage: str, recipe: str, metric: str = "auroc"
) -> bytes:
    """A PNG with two panels: in-domain and plain mean; detectors (rows) x conditions (columns)."""
    panels = []
    for kind in (IN_DOMAIN, PLAIN_MEAN):
        grid = degraded_grid(tabulated, params, metric, kind)
        labels = [f"{row.detector} | {row.label}" for row in grid.rows]
        axes = "detector | trained on", "condition"
        panels.append(_panel(grid, kind, list(grid.rows), labels, len(grid.columns), axes))
    return _png(panels, f"{TITLES[metric]}, mean over test sets", lineage, recipe)


def _panel(
    grid: Grid, title: str, rows: Sequence[Row], labels: list[str], num_columns: int, axes: tuple[str, str]
) -> _Panel:
    cells = [row.cells[:num_columns] for row in rows]
    numbers = [[None if cell is None else cell.metrics[grid.metric].value for cell in line] for line in cells]
    texts = [[NO_DATA if cell is None else grid.value(cell) for cell in line] for line in cells]
    columns = [name.replace(" ", "\n") for name in grid.columns[:num_columns]]
    return _Panel(title, labels, columns, np.array(numbers, np.float64), texts, *axes)


def _png(panels: Sequence[_Panel], title: str, lineage: str, recipe: str) -> bytes:
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # what a user's matplotlibrc says must not change the bytes
        figure = _figure(panels, title, lineage)
        buffer = io.BytesIO()
        metadata = {"Software": None, "Title": title, "Lineage": lineage, "Recipe": recipe}
        figure.savefig(buffer, format="png", dpi=_DPI, metadata=metadata)
    return buffer.getvalue()


def _figure(panels: Sequence[_Panel], title: str, lineage: str) -> Figure:
    across = 2 if len(panels) > 1 and len(panels[0].columns) <= 5 else 1
    down = -(-len(panels) // across)
    margin = 0.5 + 0.085 * max(len(label) for panel in panels for label in panel.rows)
    width = across * (len(panels[0].columns) * _CELL[0] + margin + 0.3)
    height = down * (max(len(panel.rows) for panel in panels) * _CELL[1] + 1.1) + 0.9
    figure = Figure(figsize=(max(width, 5.0), height), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=13, fontweight="bold")
    figure.supxlabel(f"lineage {lineage[:16]}", fontsize=7, color="#666666", x=0.99, ha="right")
    axes = figure.subplots(down, across, squeeze=False).ravel()
    for axis, panel in zip(axes, panels, strict=False):
        _draw(axis, panel)
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    return figure


def _draw(axis: Axes, panel: _Panel) -> None:
    axis.imshow(np.ma.masked_invalid(panel.values), cmap=_COLOURS, vmin=0.0, vmax=1.0, aspect="auto")
    axis.set_facecolor("#dddddd")
    axis.set_title(panel.title, fontsize=11, parse_math=False)
    axis.set_xticks(range(len(panel.columns)), panel.columns, fontsize=9, parse_math=False)
    axis.set_yticks(range(len(panel.rows)), panel.rows, fontsize=9, parse_math=False)
    axis.set_xlabel(panel.x_label, fontsize=9)
    axis.set_ylabel(panel.y_label, fontsize=9)
    axis.tick_params(length=0)
    if max(len(line) for name in panel.columns for line in name.split("\n")) > 9:
        axis.tick_params("x", rotation=30)
    for spine in axis.spines.values():
        spine.set_visible(False)
    for (row, column), value in np.ndenumerate(panel.values):
        far = np.isfinite(value) and abs(value - 0.5) > 0.33
        axis.text(
            column,
            row,
            panel.texts[row][column],
            ha="center",
            va="center",
            fontsize=9,
            color="white" if far else "#222222",
        )
