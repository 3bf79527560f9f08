"""The report, end to end, on a benchmark that nobody had to run."""

import csv
import html.parser
import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from assets.errors import AssayError
from assets.headline import sentences, shown
from assets.lineage import Hashes
from assets.page import PageData, render_page
from assets.params import REAL
from assets.predictions import predictions_path, read_predictions, write_predictions
from assets.tabulate import tabulate
from tasks import report as stage
from tasks.report import FILES, write_report
from tests.made_up import (
    GENERATORS,
    benchmark_params,
    rows,
    write_audit,
    write_benchmark,
    write_json,
    write_summaries,
)

LINEAGE, RECIPE = "ab12" * 16, "cd34" * 16


def results(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((root / "results").iterdir())}


@pytest.fixture(scope="module")
def mini(tmp_path_factory):
    """A report on 4 generators, 2 detectors and 7 conditions."""
    root = tmp_path_factory.mktemp("mini")
    params = benchmark_params()
    write_benchmark(root, params)
    write_report(root, params, LINEAGE, RECIPE)
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
    assert set(first) == {*FILES, "lineage.json", "summary.json"}
    again = tmp_path / "again"
    shutil.copytree(root / "artifacts", again / "artifacts")
    for stage_name in ("audit", "dedupe", "split", "evaluate/dcgan"):  # a generator that was removed
        folder = again / "artifacts" / stage_name / "ghost"
        folder.mkdir()
        (folder / "summary.json").write_text("not even JSON")
    write_report(again, params, LINEAGE, RECIPE)
    assert results(again) == first
    assert not any(b"ghost" in content for content in first.values())


def test_every_file_carries_both_hashes(mini):
    root, _ = mini
    for name, content in results(root).items():
        if name.endswith(".png"):
            text = Image.open(root / "results" / name).text
            assert (text["Lineage"], text["Recipe"]) == (LINEAGE, RECIPE)
            assert "Software" not in text
        else:
            assert LINEAGE.encode() in content and RECIPE.encode() in content, name


def test_the_long_tables_hold_every_cell(mini):
    root, params = mini
    with (root / "results" / "degraded.csv").open(encoding="utf-8") as handle:
        lines = list(csv.DictReader(handle))
    cells = [line for line in lines if line["kind"] == "cell" and line["condition"]]
    assert len(cells) == 4 * 4 * 2 * 7
    document = json.loads((root / "results" / "cross_generator.json").read_text())
    assert {row["condition"] for row in document["rows"]} == {"clean"}
    assert sum(row["kind"] == "cell" for row in document["rows"]) == 4 * 4 * 2
    summary = json.loads((root / "results" / "summary.json").read_text())
    assert summary["num_cells"] == len(cells)
    assert summary["test_images"] == {REAL: 40, **dict.fromkeys(params.generators, 30)}
    assert set(summary["sha256"]) == set(FILES)


def test_headlines_agree_with_the_table(mini):
    root, _ = mini
    summary = json.loads((root / "results" / "summary.json").read_text())
    table = json.loads((root / "results" / "cross_generator.json").read_text())["rows"]
    cells = [row for row in table if row["kind"] == "cell"]
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


class _Page(html.parser.HTMLParser):
    VOID = frozenset({"meta", "img", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def read_page(text: str) -> _Page:
    page = _Page()
    page.feed(text)
    assert not page.open
    return page


def test_the_page_is_whole_and_needs_no_network(mini):
    root, _ = mini
    page = read_page((root / "results" / "index.html").read_text())
    assert page.tags.count("caption") == page.tags.count("table") >= 10
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in page.links)
    assert "script" not in page.tags


def test_hostile_names_are_text_on_the_page(small):
    root, params = small
    hostile = '<script>alert("x")</script>'
    write_audit(root, "ldm", leak=True, advice=[hostile])
    spec = params.generators["ldm"]
    params = params.model_copy(
        update={
            "generators": {**params.generators, hostile: spec},
            "degrade": {"jpeg65": hostile},
        }
    )
    for name in ("dedupe", "split"):
        shutil.copytree(root / "artifacts" / name / "ldm", root / "artifacts" / name / hostile)
    write_audit(root, hostile, leak=True)
    for trained_on in params.train.generators:
        frame = read_predictions(predictions_path(root, trained_on, "ldm"))
        frame = frame.assign(tested_on=hostile, generator=hostile, class_name=hostile)
        write_predictions(predictions_path(root, trained_on, hostile), frame)
    dedupe = {"item": "ldm", "images": 57, "kept": 56, "unreadable": 0, "removed": {hostile: 1}}
    write_json(root / "artifacts" / "dedupe" / "ldm" / "summary.json", dedupe)
    write_report(root, params, LINEAGE, RECIPE)
    text = (root / "results" / "index.html").read_text()
    assert "script" not in read_page(text).tags
    assert text.count("&lt;script&gt;") > 5
    assert "<script>" not in (root / "results" / "cross_generator.md").read_text()


def test_seeds_no_data_and_no_degradations_fit_on_the_page(tmp_path):
    params = benchmark_params(("dcgan", "ldm"), ("resnet18",), (), (0, 1), train=("dcgan",))
    write_benchmark(tmp_path, params, 21, 14)
    write_predictions(predictions_path(tmp_path, "dcgan", "ldm"), rows("dcgan", "ldm", []))
    write_summaries(tmp_path, "ldm", 0)
    write_report(tmp_path, params, LINEAGE, RECIPE)
    text = (tmp_path / "results" / "index.html").read_text()
    read_page(text)
    assert "no data" in text and "±" in text and "2 training seeds" in text
    assert "degraded mean" not in (tmp_path / "results" / "degraded.md").read_text()


def test_summary_says_in_words_what_the_numbers_say(mini):
    root, params = mini
    numbers = json.loads((root / "results" / "summary.json").read_text())
    audits = {name: {"verdict": numbers["audit"][name]} for name in GENERATORS}
    said = " ".join(sentences(numbers, params, audits))
    assert numbers["ranking"]["detectors"][0] in said
    assert "file metadata alone tells real from generated images for dcgan;" in said
    assert "No shortcut was found for ddpm, ldm and vqdm." in said
    assert numbers["worst_condition_drop"]["condition"] in said
    audits = {name: {"verdict": "clean"} for name in GENERATORS}
    assert "found no shortcut" in " ".join(sentences(numbers, params, audits))


def test_shown_numbers():
    assert shown(None) == "no data"
    assert shown({"value": None, "low": None, "high": None}) == "no data"
    assert shown({"value": 0.5, "low": None, "high": None}) == "0.50"
    assert shown({"value": 0.871, "low": 0.834, "high": 0.902}) == "0.871 (0.834–0.902)"
    assert shown({"value": 0.01, "low": -0.1, "high": 0.12}) == "0.01 (-0.10 to 0.12)"


# ---- what does not add up


def test_a_missing_file_is_named(small):
    root, params = small
    path = predictions_path(root, "ldm", "dcgan")
    path.unlink()
    with pytest.raises(AssayError, match=r"ldm/dcgan/predictions.parquet is not there"):
        write_report(root, params, LINEAGE, RECIPE)
    assert not (root / "results").exists()


@pytest.mark.parametrize("stage_name", ["dedupe", "split"])
def test_a_missing_summary_is_named(small, stage_name):
    root, params = small
    (root / "artifacts" / stage_name / "ldm" / "summary.json").unlink()
    with pytest.raises(AssayError, match=f"{stage_name}/ldm/summary.json is not there"):
        write_report(root, params, LINEAGE, RECIPE)


def test_images_that_are_unaccounted_for_are_refused(small):
    root, params = small
    path = root / "artifacts" / "dedupe" / "ldm" / "summary.json"
    document = json.loads(path.read_text())
    write_json(path, {**document, "images": document["images"] + 1})
    with pytest.raises(AssayError, match=r"dedupe of ldm: 67 images, but 56 kept and 10 removed"):
        write_report(root, params, LINEAGE, RECIPE)


def test_a_split_that_lost_images_is_refused(small):
    root, params = small
    path = root / "artifacts" / "split" / REAL / "summary.json"
    document = json.loads(path.read_text())
    document["images"]["train"] -= 1
    write_json(path, document)
    with pytest.raises(AssayError, match=r"split of real: 83 images on its sides, but dedupe kept 84"):
        write_report(root, params, LINEAGE, RECIPE)


def test_test_images_without_predictions_are_refused(small):
    root, params = small
    write_summaries(root, "ldm", 15)
    with pytest.raises(AssayError, match=r"ldm: split put 15 images into test, but .* about 14"):
        write_report(root, params, LINEAGE, RECIPE)


def test_an_audit_of_another_generator_is_refused(small):
    root, params = small
    source = root / "artifacts" / "audit" / "dcgan" / "audit.json"
    shutil.copy(source, root / "artifacts" / "audit" / "ldm" / "audit.json")
    with pytest.raises(AssayError, match=r"ldm/audit.json is about dcgan, expected ldm"):
        write_report(root, params, LINEAGE, RECIPE)


def test_report_prints_the_hashes_of_the_benchmark(small, monkeypatch):
    root, params = small
    monkeypatch.setattr(stage, "benchmark", lambda where: Hashes(lineage=f"{where.name:0>64}", recipe=RECIPE))
    stage.report(root, params)
    printed = json.loads((root / "results" / "lineage.json").read_text())
    assert printed == {"lineage": f"{root.name:0>64}", "recipe": RECIPE}


def test_page_renders_from_data_alone(small):
    root, params = small
    write_report(root, params, LINEAGE, RECIPE)
    numbers = json.loads((root / "results" / "summary.json").read_text())
    tabulated = tabulate(params, lambda *pair: read_predictions(predictions_path(root, *pair)))
    images = dict.fromkeys(("heatmap_cross_generator.png", "heatmap_degraded.png"), b"png")
    audits = {
        name: json.loads((root / "artifacts" / "audit" / name / "audit.json").read_text())
        for name in params.generators
    }
    data = PageData(params, tabulated, numbers, audits, [], images, "<b>", RECIPE)
    assert "&lt;b&gt;" in render_page(data)
