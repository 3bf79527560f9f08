"""Report: tables, figures and one page, from predictions, audits and what other stages looked at."""

import shutil
from pathlib import Path
from typing import Any

from assets.attributions import attributions_path, read_attributions
from assets.audit.leaks import left_out, read_leaks, refuse
from assets.errors import AssayError
from assets.figures.all_figures import all_figures
from assets.files import sha256_of, write_json, write_text
from assets.gallery import read_gallery
from assets.images.loader import read_side
from assets.inventory import check_tested, read_document, read_holding
from assets.lineage import PRINTED, Hashes, Lineage
from assets.page.page import render_page
from assets.params import REAL, Params, load_params
from assets.predictions import given_source, predictions_path, read_predictions
from assets.report.data_card import data_card
from assets.report.detector_card import detector_cards
from assets.report.dvc_files import write_dvc_files
from assets.report.findings import sentences
from assets.report.headline import headline
from assets.report.results import Results
from assets.statistics.attributed import tabulate_attributions
from assets.statistics.tabulate import tabulate
from assets.tables.chapters import all_chapters
from assets.tables.long_table import write_long_table
from assets.tables.write import write_chapters
from tasks.command import arguments_for, run_stage
from tasks.sampling import seen_classes, seen_contents


def report(root: Path, params: Params) -> None:
    """Write results/ from what the parameters name in artifacts/, and nothing else that lies there.

    Raises:
        AssayError: something is missing, malformed, or does not add up; test images that leak from training
            images (`report.leaks`).
    """
    lineage = Lineage(root)
    evaluations = {}
    for source in (*params.sources, *map(given_source, params.given)):
        for item in (REAL, *params.generators):
            stage = lineage.of_path(predictions_path(Path(), source, item).parent.as_posix())
            evaluations[source, item] = lineage.stage(stage).lineage
    write_report(root, params, lineage.benchmark(), evaluations)


def write_report(
    root: Path, params: Params, hashes: Hashes, evaluations: dict[tuple[str, str], str] | None = None
) -> None:
    """As `report`, with the hashes to print: the benchmark's, and those of the evaluations."""
    results = gather(root, params, hashes, evaluations or {})
    out = root / "results"
    for name in ("tables", "figures", "detectors", "plots"):  # what an older set of parameters left there
        shutil.rmtree(out / name, ignore_errors=True)
    chapters = all_chapters(results)
    figures = all_figures(results)
    numbers = headline(results)
    shown = read_gallery(root)
    write_long_table(out, results)
    write_chapters(out / "tables", chapters, results)
    for figure in figures:
        write_text(out / "figures" / f"{figure.name}.svg", figure.svg)
    write_text(out / "index.html", render_page(results, chapters, figures, shown, numbers))
    write_text(out / "DATACARD.md", data_card(results))
    for name, text in detector_cards(results).items():
        write_text(out / "detectors" / f"{name}.md", text)
    write_dvc_files(out, results)
    write_json(out / PRINTED, hashes.as_dict())
    _write_summary(out, results, numbers)


def gather(root: Path, params: Params, hashes: Hashes, evaluations: dict[tuple[str, str], str]) -> Results:
    """Read and tabulate everything that the tables are made from.

    Raises:
        AssayError: see `report`.
    """
    found = read_leaks(root)
    if params.report.leaks == "refuse":
        refuse(found, params)
    holdings = [read_holding(root, item) for item in (REAL, *params.generators)]
    answered = {}
    if params.split.reals != "all":
        answered = {name: _answered(root, name) for name in params.generators}
    tabulated = tabulate(
        params,
        lambda *pair: read_predictions(predictions_path(root, *pair)),
        answered,
        left_out(found, params),
        {name: seen_classes(root, params, name) for name, one in params.train.samples.items() if one.classes},
        {name: seen_contents(root, params, name) for name in params.sources},
    )
    for holding in holdings:
        check_tested(holding, tabulated.num_images[holding.item])
    attributed = None
    if params.attributors:
        attributed = tabulate_attributions(
            params, lambda *names: read_attributions(attributions_path(root, *names))
        )
    return Results(
        params=params,
        tabulated=tabulated,
        audits={name: _audit(root, name) for name in params.generators},
        holdings=holdings,
        lineage=hashes.lineage,
        recipe=hashes.recipe,
        attributed=attributed,
        whole=read_document(root / "artifacts" / "audit_all" / "audit.json"),
        evaluations=evaluations,
        root=root,
    )


def _write_summary(out: Path, results: Results, numbers: dict[str, Any]) -> None:
    files = sorted(path for path in out.rglob("*") if path.is_file() and path.name != "summary.json")
    summary = {
        "lineage": results.lineage,
        "recipe": results.recipe,
        "num_cells": len(results.tabulated.per_seed),
        **numbers,
        "sentences": sentences(numbers, results),
        "images": {holding.item: holding.images for holding in results.holdings},
        "test_images": results.tabulated.num_images,
        "sha256": {path.relative_to(out).as_posix(): sha256_of(path) for path in files},
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
