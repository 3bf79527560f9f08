"""The page from its parts; equal data give equal bytes, and every name in it is escaped."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from assets.figures.figure import Figure
from assets.gallery import Wall
from assets.page.data import data_tables
from assets.page.drawing import drawing
from assets.page.embedded import as_script, embedded, numbered
from assets.page.facets import Facets, printed
from assets.page.layout import ShownTable, lay_out
from assets.page.pictures import pictures
from assets.params import CLEAN
from assets.report.findings import findings, shown
from assets.report.results import Results
from assets.statistics.cells import ALL, CELL, CONTENT
from assets.statistics.means import CROSS_GENERATOR, IN_DOMAIN, MEANS
from assets.tables.cell_table import Row, about_intervals, about_means, metric_table
from assets.tables.table import Chapter, Table

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Section:
    """One chapter with its figures, ready for the template."""

    name: str
    title: str
    intro: tuple[str, ...]
    figures: tuple[tuple[Figure, Markup], ...]
    tables: tuple[ShownTable, ...]


def render_page(
    results: Results,
    chapters: Sequence[Chapter],
    figures: Sequence[Figure],
    gallery: Sequence[Wall],
    numbers: Mapping[str, Any],
) -> str:
    """The page as HTML.

    Args:
        gallery: `assets.gallery.read_gallery`; its thumbnails are read from artifacts/gallery.
        numbers: `assets.report.headline.headline` of the same results.
    Raises:
        AssayError: a thumbnail is missing, or a figure holds what a page must not.
    """
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        loader=jinja2.FileSystemLoader(FOLDER),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    contents = {cell.tested_on for cell in results.tabulated.pooled if cell.kind == CONTENT}
    contents |= {image.content for wall in gallery for image in wall.images if image.content}
    facets = Facets(results.params, contents)
    places = numbered(results)
    script = (FOLDER / "page.js").read_text("utf-8")
    return environment.get_template("page.html.j2").render(
        results=results,
        params=results.params,
        numbers=numbers,
        findings=findings(dict(numbers), results),
        sections=sections(chapters, figures, facets, places),
        pictures=pictures(gallery, results.root, facets),
        glance=lay_out(glance(results), "whom-to-trust", facets, places),
        data=[lay_out(table, "the-data", facets, places) for table in data_tables(results.params)],
        choices=facets.choices,
        document=as_script(embedded(results, facets)),
        place=lambda best, on: places[CELL, best["detector"], best["trained_on"], on, CLEAN],
        about_item=lambda name: printed(facets.of_item(name)),
        shown=shown,
        cross=CROSS_GENERATOR,
        own=IN_DOMAIN,
        about_intervals=about_intervals(results.params),
        css=Markup((FOLDER / "page.css").read_text("utf-8")),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def glance(results: Results) -> Table:
    """Every mean of every detector, clean and degraded."""
    find, params = results.tabulated.find, results.params
    conditions = {CLEAN: "", **({ALL: ", degraded"} if params.degradations else {})}
    columns = [(kind, condition) for kind in MEANS for condition in conditions]
    return metric_table(
        "auroc",
        name="glance",
        title="Every detector at a glance",
        caption="Over all training and test generators, on clean images and as mean over the degradations. "
        + about_means(),
        columns=[f"{kind}{conditions[condition]}" for kind, condition in columns],
        rows=[
            Row((detector,), tuple(find(kind, detector, ALL, ALL, condition) for kind, condition in columns))
            for detector in params.scorers
        ],
        level=params.report.level,
        heads=("detector",),
    )


def sections(
    chapters: Sequence[Chapter], figures: Sequence[Figure], facets: Facets, places: Mapping[Any, int]
) -> list[Section]:
    """Chapters in their order, each with its figures; figures of no chapter get sections of their own."""
    named = {chapter.name: chapter for chapter in chapters}
    for figure in figures:
        named.setdefault(
            figure.chapter, Chapter(figure.chapter, figure.chapter.replace("_", " ").capitalize(), (), ())
        )
    return [
        Section(
            name,
            chapter.title,
            chapter.intro,
            tuple((figure, drawing(figure)) for figure in figures if figure.chapter == name),
            tuple(lay_out(table, name, facets, places) for table in chapter.tables),
        )
        for name, chapter in named.items()
    ]
