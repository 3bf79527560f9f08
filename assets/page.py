"""results/index.html: the whole report on one page that needs no network."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jinja2

from assets.attributed import DEFINITIONS as ATTRIBUTION_METRICS
from assets.attributed import GENERATOR, Attributed, Confusion, Row
from assets.cells import Cell
from assets.grids import NO_DATA, Grid, about_intervals, cross_generator_grid, degraded_grid
from assets.headline import Audits, sentences, shown
from assets.inventory import Holding
from assets.means import CROSS_GENERATOR, IN_DOMAIN, MEANS, PLAIN_MEAN
from assets.params import CLEAN, REAL, Params
from assets.tabulate import Tabulated

_METRICS = ("auroc", "balanced_accuracy", "accuracy", "accuracy_real", "accuracy_generated", "ap")
_SHADES = 10


@dataclass(frozen=True)
class PageData:
    """What the page is made from."""

    params: Params
    tabulated: Tabulated
    numbers: dict[str, Any]
    """`assets.headline.headline`."""
    audits: Audits
    holdings: Sequence[Holding]
    """One an item, `real` first."""
    images: dict[str, bytes]
    """File name -> PNG."""
    lineage: str
    recipe: str
    attributed: Attributed | None = None
    """Which generator made it? None without attributors."""


class Attribution(NamedTuple):
    """One attributor's part of the page."""

    confusion: Confusion
    members: tuple[str, ...]
    rows: dict[str, Row]
    """By generator."""


def render_page(data: PageData) -> str:
    """The page as HTML; equal data give equal text, and every name in it is escaped."""
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals |= {
        "shade": shade,
        "shown": shown,
        "shades": range(1, _SHADES + 1),
        "no_data": NO_DATA,
    }
    params = data.params
    reasons = sorted({reason for holding in data.holdings for reason in holding.removed})
    return environment.get_template("page.html.j2").render(
        params=params,
        summary=sentences(data.numbers, params, data.audits),
        numbers=data.numbers,
        audits=data.audits,
        holdings=data.holdings,
        reasons=[reason for reason in reasons if reason != "unreadable"],
        cross=[cross_generator_grid(data.tabulated, params, metric) for metric in _METRICS],
        degraded=_degraded(data),
        images={name: _data_uri(png) for name, png in data.images.items()},
        shades=range(1, _SHADES + 1),
        feature_sets=_feature_sets(data.audits),
        about_intervals=about_intervals(params),
        means=MEANS,
        kinds=(IN_DOMAIN, CROSS_GENERATOR, PLAIN_MEAN),
        real=REAL,
        attributions=[] if data.attributed is None else _attributions(data.attributed, params),
        attribution_metrics=ATTRIBUTION_METRICS,
        lineage=data.lineage,
        recipe=data.recipe,
    )


def shade(grid: Grid, cell: Cell) -> str:
    """The CSS class of a cell's background: `up1`..`up10` above guessing (0.5), `down1`.. below."""
    value = cell.metrics[grid.metric].value
    if value is None:
        return "none"
    if grid.metric in ("accuracy_real", "accuracy_generated", "ap"):  # guessing is not 0.5 there
        return "flat"
    steps = round(abs(value - 0.5) * 2 * _SHADES)
    return "flat" if steps == 0 else f"{'up' if value > 0.5 else 'down'}{min(steps, _SHADES)}"


def _attributions(attributed: Attributed, params: Params) -> list[Attribution]:
    """What each attributor says of clean images, in the order of the parameters."""
    found = []
    for confusion in attributed.confusions:
        if confusion.condition == CLEAN:
            key = (confusion.detector, confusion.trained_on, CLEAN)
            rows = {
                row.tested_on: row
                for row in attributed.rows
                if (row.detector, row.trained_on, row.condition) == key and row.kind == GENERATOR
            }
            found.append(Attribution(confusion, params.train.sets[confusion.trained_on], rows))
    return found


def _degraded(data: PageData) -> list[tuple[str, Grid]]:
    return [
        (kind, degraded_grid(data.tabulated, data.params, metric, kind))
        for kind in (IN_DOMAIN, PLAIN_MEAN, CROSS_GENERATOR)
        for metric in ("auroc", "accuracy")
    ]


def _feature_sets(audits: Audits) -> list[str]:
    """Every feature set of any audit, in the order of the first that has it."""
    return list(dict.fromkeys(name for audit in audits.values() for name in audit["features"]))


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
