"""What the page is made from, made up: results, chapters, figures and a gallery."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from assets.figures.figure import Figure
from assets.gallery import Hard, Score, Wall, gallery_folder
from assets.inventory import read_holding
from assets.params import REAL, Params
from assets.predictions import predictions_path, read_predictions
from assets.report.results import Results
from assets.statistics.tabulate import tabulate
from assets.tables.cell_table import Row, clean_cells, metric_table
from assets.tables.table import Chapter, Column, Line, Table, Value
from tests.made_up import write_benchmark

LINEAGE, RECIPE = "ab12" * 16, "cd34" * 16


def made_up_results(root: Path, params: Params, **counts: int) -> Results:
    """Results of predictions that are written under `root`."""
    write_benchmark(root, params, **counts)
    tabulated = tabulate(params, lambda *pair: read_predictions(predictions_path(root, *pair)))
    audits: dict[str, Any] = {
        name: json.loads((root / "artifacts" / "audit" / name / "audit.json").read_text("utf-8"))
        for name in params.generators
    }
    items = (REAL, *params.generators)
    return Results(
        params=params,
        tabulated=tabulated,
        audits=audits,
        holdings=[read_holding(root, item) for item in items],
        lineage=LINEAGE,
        recipe=RECIPE,
        evaluations={(one, item): sha256(f"{one} {item}") for one in params.sources for item in items},
        root=root,
    )


def sha256(text: str) -> str:
    """Something to stand for a lineage hash."""
    return hashlib.sha256(text.encode()).hexdigest()


def made_up_chapters(results: Results) -> list[Chapter]:
    """A matrix, the conditions as columns, and a folded table of words."""
    params, find = results.params, results.tabulated.find
    matrix = metric_table(
        "auroc",
        name="auroc",
        title="AUROC",
        caption="Clean test images.",
        columns=list(params.generators),
        rows=[
            Row((detector, name), tuple(clean_cells(results.tabulated, detector, name, params)))
            for detector in params.detectors
            for name in params.sources
        ],
        level=params.report.level,
    )
    degraded = metric_table(
        "accuracy",
        name="accuracy",
        title="Accuracy by condition",
        caption="In-domain means.",
        columns=list(params.conditions),
        rows=[
            Row((detector,), tuple(find("in_domain", detector, "", "", name) for name in params.conditions))
            for detector in params.detectors
        ],
        level=params.report.level,
        heads=("detector",),
    )
    words = Table(
        "words",
        "What was found",
        "Words alone.",
        ("generator",),
        (Column("found", "text", 0), Column("images", "count", 0)),
        tuple(Line((name,), (Value(text="nothing"), Value(12000.0))) for name in params.generators),
        folded=True,
    )
    return [Chapter("matrix", "A matrix", ("How it was made.",), (matrix, degraded, words))]


def made_up_figures() -> list[Figure]:
    """One in the chapter, one of a chapter that is not there."""
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 20"><defs><clipPath id="c">'
        '<path d="M0 0h9v9z"/></clipPath></defs>'
        '<path clip-path="url(#c)" d="M0 0L40 20" stroke="currentColor"/></svg>'
    )
    return [
        Figure("falls", "matrix", "It falls", "A line that falls", "Drawn from nothing.", svg),
        Figure("lost", "some_other", "Lost", "A line", "Drawn too.", svg),
    ]


def made_up_gallery(results: Results, **texts: Any) -> list[Wall]:
    """Two images of every item; `texts` replace class_name, prompt, ..."""
    folder = gallery_folder(results.root)
    folder.mkdir(parents=True, exist_ok=True)
    walls = []
    for item in (REAL, *results.params.generators):
        images = []
        for index in range(2):
            file = f"{item}-{index:02d}.jpg"
            Image.new("RGB", (48, 32), (90 * index, 120, 200)).save(folder / file)
            scores = tuple(
                Score(detector, source, None if item == REAL else source == item, 0.25 + 0.5 * index)
                for detector in results.params.detectors
                for source in results.params.sources
            )
            image = Hard(
                id=f"{item}-{index:04d}",
                file=file,
                width=48,
                height=32,
                content="photo",
                class_name="tench",
                prompt="photo of tench",
                group="g",
                wrong=0.5,
                asked=4,
                scores=scores,
            )
            images.append(replace(image, **texts))
        walls.append(Wall(item, int(item != REAL), tuple(images)))
    return walls
