"""Report: tables, figures and one page, from predictions, audits and summaries."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from assets.attributed import tabulate_attributions
from assets.attribution_table import write_attribution_tables
from assets.attributions import attributions_path, read_attributions
from assets.errors import AssayError
from assets.files import replacing, sha256_of, write_json, write_text
from assets.headline import Audits, headline
from assets.heatmap import cross_generator_heatmap, degraded_heatmap
from assets.inventory import Holding, check_tested, read_document, read_holding
from assets.lineage import PRINTED, benchmark
from assets.loader import read_side
from assets.page import PageData, render_page
from assets.params import REAL, Params, load_params
from assets.predictions import predictions_path, read_predictions
from assets.tables import write_tables
from assets.tabulate import Tabulated, tabulate
from tasks.command import arguments_for, run_stage

FILES = (
    *(f"{table}.{kind}" for table in ("cross_generator", "degraded") for kind in ("csv", "json", "md")),
    "heatmap_cross_generator.png",
    "heatmap_degraded.png",
    "index.html",
)
"""What the report writes besides summary.json and the hashes; with attributors also `ATTRIBUTION_FILES`."""
ATTRIBUTION_FILES = tuple(f"attribution.{kind}" for kind in ("csv", "json", "md"))


def report(root: Path, params: Params) -> None:
    """Write results/ from what the parameters name in artifacts/, and nothing else that lies there.

    Raises:
        AssayError: something is missing, malformed, or does not add up.
    """
    hashes = benchmark(root)
    write_report(root, params, hashes.lineage, hashes.recipe)


def write_report(root: Path, params: Params, lineage: str, recipe: str) -> None:
    """As `report`, with the hashes to print."""
    out = root / "results"
    holdings = [read_holding(root, item) for item in (REAL, *params.generators)]
    audits: Audits = {name: _audit(root, name) for name in params.generators}
    answered = {}
    if params.split.reals != "all":
        answered = {name: _answered(root, name) for name in params.generators}
    tabulated = tabulate(params, lambda *pair: read_predictions(predictions_path(root, *pair)), answered)
    for holding in holdings:
        check_tested(holding, tabulated.num_images[holding.item])

    write_tables(out, tabulated, params, lineage, recipe)
    attributed = None
    if params.attributors:
        attributed = tabulate_attributions(
            params, lambda *names: read_attributions(attributions_path(root, *names))
        )
        write_attribution_tables(out, attributed, params, lineage, recipe)
    figures = {
        "heatmap_cross_generator.png": cross_generator_heatmap(tabulated, params, lineage, recipe),
        "heatmap_degraded.png": degraded_heatmap(tabulated, params, lineage, recipe),
    }
    for name, png in figures.items():
        with replacing(out / name) as temporary:
            temporary.write_bytes(png)
    numbers = headline(tabulated, params, audits)
    page = PageData(params, tabulated, numbers, audits, holdings, figures, lineage, recipe, attributed)
    write_text(out / "index.html", render_page(page))
    write_json(out / PRINTED, {"lineage": lineage, "recipe": recipe})
    files = (*FILES, *(ATTRIBUTION_FILES if attributed else ()))
    _write_summary(out, numbers, holdings, tabulated, files, lineage, recipe)


def _write_summary(
    out: Path,
    numbers: dict[str, Any],
    holdings: list[Holding],
    tabulated: Tabulated,
    files: Sequence[str],
    lineage: str,
    recipe: str,
) -> None:
    summary = {
        "lineage": lineage,
        "recipe": recipe,
        "num_cells": len(tabulated.per_seed),
        **numbers,
        "images": {holding.item: holding.images for holding in holdings},
        "test_images": tabulated.num_images,
        "sha256": {name: sha256_of(out / name) for name in files},
    }
    write_json(out / "summary.json", summary)


def _answered(root: Path, generator: str) -> frozenset[str]:
    """The real images that test images of a generator are paired with."""
    test = read_side(root / "artifacts" / "split" / generator, "test")
    return frozenset(test["pair_id"].dropna())


def _audit(root: Path, generator: str) -> dict[str, Any]:
    path = root / "artifacts" / "audit" / generator / "audit.json"
    audit = read_document(path)
    for key in ("generator", "verdict", "n_real", "n_generated", "features", "advice"):
        if key not in audit:
            raise AssayError(f"{path}: '{key}' is missing: it was written by another version")
    if audit["generator"] != generator:
        raise AssayError(f"{path} is about {audit['generator']}, expected {generator}")
    return audit


def main(arguments: list[str]) -> None:
    """python -m tasks.report"""
    arguments_for(arguments, "")
    report(Path(), load_params())


if __name__ == "__main__":
    run_stage(main)
