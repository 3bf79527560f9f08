"""The report, end to end, on a benchmark that nobody had to run."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from assets.errors import AssayError
from assets.lineage import Hashes
from assets.params import REAL
from assets.predictions import predictions_path, read_predictions, write_predictions
from tasks import report as stage
from tasks.report import write_report
from tests.made_up import (
    benchmark_params,
    rows,
    write_audit,
    write_audit_all,
    write_benchmark,
    write_json,
    write_spectrum,
    write_summaries,
)
from tests.page_reader import Read

LINEAGE, RECIPE = "ab12" * 16, "cd34" * 16
HASHES = Hashes(LINEAGE, RECIPE)


def results(root: Path) -> dict[str, bytes]:
    folder = root / "results"
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def mini(tmp_path_factory):
    """A report on 4 generators, 2 detectors and 7 conditions."""
    root = tmp_path_factory.mktemp("mini")
    params = benchmark_params()
    write_benchmark(root, params)
    write_report(root, params, HASHES)
    return root, params


@pytest.fixture
def small(tmp_path):
    """What the report reads for 2 generators, 1 detector and 2 conditions, not yet reported."""
    params = benchmark_params(("dcgan", "ldm"), ("resnet18",), ("jpeg65",))
    write_benchmark(tmp_path, params, 21, 14)
    return tmp_path, params


def test_two_runs_give_the_same_bytes_and_a_removed_generator_leaves_no_trace(mini, tmp_path):
    root, params = mini
    first = results(root)
    whole = {"index.html", "cells.csv", "cells.json", "summary.json", "lineage.json", "metrics.json"}
    assert whole | {"DATACARD.md", "detectors/cnnspot.md", "plots/conditions.csv"} <= set(first)
    assert {f"tables/degraded.{kind}" for kind in ("md", "tex", "csv", "json")} <= set(first)
    again = tmp_path / "again"
    shutil.copytree(root / "artifacts", again / "artifacts")
    for stage_name in ("audit", "dedupe", "split", "evaluate/dcgan"):  # a generator that was removed
        folder = again / "artifacts" / stage_name / "ghost"
        folder.mkdir()
        (folder / "summary.json").write_text("not even JSON")
    write_report(again, params, HASHES)
    assert results(again) == first
    assert not any(b"ghost" in content for content in first.values())


def test_every_file_carries_both_hashes(mini):
    root, _ = mini
    for name, content in results(root).items():
        drawn = name.startswith(("figures/", "plots/")) or name == "metrics.json"  # for others' programs
        assert drawn or (LINEAGE.encode() in content and RECIPE.encode() in content), name


def test_the_long_tables_hold_every_cell(mini):
    root, params = mini
    with (root / "results" / "cells.csv").open(encoding="utf-8") as handle:
        lines = list(csv.DictReader(handle))
    cells = [line for line in lines if line["kind"] == "cell" and line["condition"]]
    assert len(cells) == 4 * 4 * 2 * 7
    document = json.loads((root / "results" / "cells.json").read_text())
    assert len(document["rows"]) == len(lines)
    summary = json.loads((root / "results" / "summary.json").read_text())
    assert summary["num_cells"] == len(cells)
    assert summary["test_images"] == {REAL: 40, **dict.fromkeys(params.generators, 30)}
    assert set(summary["sha256"]) == set(results(root)) - {"summary.json"}


def test_headlines_agree_with_the_table(mini):
    root, _ = mini
    summary = json.loads((root / "results" / "summary.json").read_text())
    table = json.loads((root / "results" / "cells.json").read_text())["rows"]
    cells = [row for row in table if (row["kind"], row["condition"]) == ("cell", "clean")]
    cross = [row for row in cells if row["trained_on"] != row["tested_on"]]
    best = max((row for row in cross if row["tested_on"] == "ldm"), key=lambda row: row["auroc"])
    trusted = next(row for row in summary["trust"] if row["tested_on"] == "ldm")["cross_generator"]
    assert (trusted["detector"], trusted["trained_on"]) == (best["detector"], best["trained_on"])
    assert trusted["auroc"]["value"] == best["auroc"]
    own = {(row["detector"], row["trained_on"]): row["auroc"] for row in cells if row not in cross}
    fall = max(own[row["detector"], row["trained_on"]] - row["auroc"] for row in cross)
    drop = summary["worst_generator_drop"]
    assert drop["from"]["value"] - drop["to"]["value"] == pytest.approx(fall, abs=2e-6)
    assert summary["audit"] == {"dcgan": "leak", "ddpm": "clean", "ldm": "clean", "vqdm": "clean"}
    order = summary["ranking"]["detectors"]
    means = [summary["detectors"][name]["cross_generator"]["clean"]["auroc"]["value"] for name in order]
    assert means == sorted(means, reverse=True)


def test_the_page_holds_every_chapter(mini):
    root, _ = mini
    page = Read((root / "results" / "index.html").read_text("utf-8"))
    sections = {one.get("id") for one in page.all("section")}
    assert {path.stem for path in (root / "results" / "tables").glob("*.csv")} <= sections
    links = {one.get("href") or "" for one in page.all("a")}
    files = {link for link in links if not link.startswith("#")}
    assert files and all((root / "results" / file).is_file() for file in files)


def test_hostile_names_are_text_on_the_page(small):
    root, params = small
    hostile = '<script>alert("x")</script>'
    write_audit(root, "ldm", leak=True, advice=[hostile])
    spec = params.generators["ldm"]
    params = params.model_copy(update={"generators": {**params.generators, hostile: spec}})
    for name in ("dedupe", "split"):
        shutil.copytree(root / "artifacts" / name / "ldm", root / "artifacts" / name / hostile)
    write_audit(root, hostile, leak=True)
    write_spectrum(root, hostile, params.spectrum.side)
    for trained_on in params.train.generators:
        frame = read_predictions(predictions_path(root, trained_on, "ldm"))
        own = frame["id"].astype(str) + "-hostile"
        frame = frame.assign(id=own, tested_on=hostile, generator=hostile, class_name=hostile)
        write_predictions(predictions_path(root, trained_on, hostile), frame)
    dedupe = {"item": "ldm", "images": 57, "kept": 56, "unreadable": 0, "removed": {hostile: 1}}
    write_json(root / "artifacts" / "dedupe" / "ldm" / "summary.json", dedupe)
    write_report(root, params, HASHES)
    text = (root / "results" / "index.html").read_text()
    assert len(Read(text).all("script")) == 2  # the data and our own
    assert text.count("&lt;script&gt;") > 5
    assert "<script>" not in (root / "results" / "tables" / "cross_generator.md").read_text()


def test_seeds_no_data_and_no_degradations_fit_on_the_page(tmp_path):
    params = benchmark_params(("dcgan", "ldm"), ("resnet18",), (), (0, 1), train=("dcgan",))
    write_benchmark(tmp_path, params, 21, 14)
    write_predictions(predictions_path(tmp_path, "dcgan", "ldm"), rows("dcgan", "ldm", []))
    write_summaries(tmp_path, "ldm", 0)
    write_report(tmp_path, params, HASHES)
    text = (tmp_path / "results" / "index.html").read_text()
    Read(text)
    assert "no data" in text and "±" in text and "2 training seeds" in text
    assert not (tmp_path / "results" / "tables" / "degraded.md").exists()


# ---- what does not add up


def test_a_missing_file_is_named(small):
    root, params = small
    path = predictions_path(root, "ldm", "dcgan")
    path.unlink()
    with pytest.raises(AssayError, match=r"ldm/dcgan/predictions.parquet is not there"):
        write_report(root, params, HASHES)
    assert not (root / "results").exists()


@pytest.mark.parametrize("stage_name", ["dedupe", "split"])
def test_a_missing_summary_is_named(small, stage_name):
    root, params = small
    (root / "artifacts" / stage_name / "ldm" / "summary.json").unlink()
    with pytest.raises(AssayError, match=f"{stage_name}/ldm/summary.json is not there"):
        write_report(root, params, HASHES)


def test_images_that_are_unaccounted_for_are_refused(small):
    root, params = small
    path = root / "artifacts" / "dedupe" / "ldm" / "summary.json"
    document = json.loads(path.read_text())
    write_json(path, {**document, "images": document["images"] + 1})
    with pytest.raises(AssayError, match=r"dedupe of ldm: 67 images, but 56 kept and 10 removed"):
        write_report(root, params, HASHES)


def test_a_split_that_lost_images_is_refused(small):
    root, params = small
    path = root / "artifacts" / "split" / REAL / "summary.json"
    document = json.loads(path.read_text())
    document["images"]["train"] -= 1
    write_json(path, document)
    with pytest.raises(AssayError, match=r"split of real: 83 images on its sides, but dedupe kept 84"):
        write_report(root, params, HASHES)


def test_test_images_without_predictions_are_refused(small):
    root, params = small
    write_summaries(root, "ldm", 15)
    with pytest.raises(AssayError, match=r"ldm: split put 15 images into test, but .* about 14"):
        write_report(root, params, HASHES)


def test_an_audit_of_another_generator_is_refused(small):
    root, params = small
    source = root / "artifacts" / "audit" / "dcgan" / "audit.json"
    shutil.copy(source, root / "artifacts" / "audit" / "ldm" / "audit.json")
    with pytest.raises(AssayError, match=r"ldm/audit.json is about dcgan, expected ldm"):
        write_report(root, params, HASHES)


def test_report_prints_the_hashes_of_the_benchmark(small, monkeypatch):
    root, params = small

    class Known:
        def __init__(self, where: Path) -> None:
            self.where = where

        def benchmark(self) -> Hashes:
            return Hashes(lineage=f"{self.where.name:0>64}", recipe=RECIPE)

        def of_path(self, path: str) -> str:
            return f"stage of {path}"

        def stage(self, name: str) -> Hashes:
            return Hashes(lineage=f"hash of {name}", recipe="")

    monkeypatch.setattr(stage, "Lineage", Known)
    stage.report(root, params)
    with (root / "results" / "cells.csv").open(encoding="utf-8") as handle:
        cell = next(row for row in csv.DictReader(handle) if row["kind"] == "cell")
    where = f"artifacts/evaluate/{cell['trained_on']}/{cell['tested_on']}"
    assert cell["evaluation"] == f"hash of stage of {where}"
    printed = json.loads((root / "results" / "lineage.json").read_text())
    assert printed == {"lineage": f"{root.name:0>64}", "recipe": RECIPE}


def test_what_leaks_from_train_to_test_is_refused_or_left_out(small):
    root, params = small
    write_audit_all(root, [("ldm", "ldm-0003", "near-duplicate", "dcgan", "dcgan-kept-0007")])
    with pytest.raises(AssayError, match=r"ldm-0003 of ldm .* dcgan-kept-0007 of dcgan(.|\n)*leave_out"):
        write_report(root, params, HASHES)
    spec = params.report.model_copy(update={"leaks": "leave_out"})
    write_report(root, params.model_copy(update={"report": spec}), HASHES)
    with (root / "results" / "cells.csv").open(encoding="utf-8") as handle:
        cells = [row for row in csv.DictReader(handle) if row["kind"] == "cell"]
    counted = {row["tested_on"]: int(row["n_generated"]) for row in cells if row["condition"] == "clean"}
    assert counted["ldm"] == counted["dcgan"] - 1
    assert "1 of ldm" in (root / "results" / "DATACARD.md").read_text()
