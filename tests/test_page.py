"""The page as text: whole, escaped, accessible, deterministic; what it does is in test_page_in_browser.py."""

import base64
import hashlib
import itertools
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from assets.errors import AssayError
from assets.page.drawing import DrawingError, drawing
from assets.page.embedded import as_script, embedded, numbered, stage_of
from assets.page.facets import Facets
from assets.page.layout import lay_out, shade_class
from assets.page.page import FOLDER, render_page
from assets.params import Params
from assets.report.headline import headline
from assets.report.results import Results
from assets.tables.table import Chapter, Column, Line, Table, Value
from tests.made_up import benchmark_params
from tests.made_up_page import (
    LINEAGE,
    RECIPE,
    made_up_chapters,
    made_up_figures,
    made_up_gallery,
    made_up_results,
)
from tests.page_reader import Read

HOSTILE = '</script><script>alert("x")</script>\' onload=alert(1) \u2028<!--&amp;'


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """2 generators, 2 detectors, 3 conditions, 2 seeds."""
    params = benchmark_params(("dcgan", "ldm"), conditions=("jpeg65", "blur3"), seeds=(0, 1))
    return made_up_results(tmp_path_factory.mktemp("page"), params, n_real=42, n_generated=35)


def page(results: Results, **other) -> str:
    """The page of made-up chapters, figures and pictures."""
    if "gallery" not in other:
        other["gallery"] = made_up_gallery(results)
    parts = {"chapters": made_up_chapters(results), "figures": made_up_figures(), **other}
    return render_page(results, numbers=headline(results), **parts)


def test_equal_data_give_equal_bytes(results):
    assert page(results) == page(results)


def test_the_page_needs_nothing_but_itself_and_the_folder_beside_it(results):
    text = page(results)
    read = Read(text)
    targets = [one.get("src") or one.get("href") or "" for _, one in read.elements]
    links = [target for target in targets if target]
    beside = re.compile(r"(tables/[a-z]+|summary|lineage|cells)\.(csv|md|tex|json)")
    assert all(link.startswith(("data:", "#")) or beside.fullmatch(link) for link in links)
    ids = [one["id"] for _, one in read.elements if "id" in one]
    assert len(set(ids)) == len(ids)
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)
    assert not re.search(r"\w://\w", re.sub(r'xmlns="[^"]*"', "", text))
    assert LINEAGE in text and RECIPE in text


def test_only_our_own_script_may_run(results):
    read = Read(page(results))
    policy = next(one["content"] or "" for one in read.all("meta") if "http-equiv" in one)
    script = (FOLDER / "page.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy and "default-src 'none'" in policy
    assert script in read.texts["script"]
    assert "</script" not in script and "innerHTML" not in script and "insertAdjacentHTML" not in script


def test_tables_and_headings_are_marked_up(results):
    read = Read(page(results))
    assert len(read.all("table")) == len(read.all("caption")) >= 7
    assert all(one.get("scope") in ("col", "row", "rowgroup") for one in read.all("th"))
    levels = [int(tag[1]) for tag, _ in read.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert all(one["alt"] for one in read.all("img"))
    labels = [one for tag, one in read.elements if one.get("role") in ("region", "img")]
    assert all(one.get("aria-labelledby") or one.get("aria-label") for one in labels)
    assert {"main", "nav", "header"} <= {tag for tag, _ in read.elements}


def test_every_number_leads_to_its_row_and_tab_stops_once_a_table(results):
    [chapter] = made_up_chapters(results)
    numbers = numbered(results)
    table = chapter.tables[0]
    shown = lay_out(table, chapter.name, Facets(results.params), numbers)
    markup = "".join(str(line.places) for _, lines in shown.bodies for line in lines)
    keys = [value.cell for line in table.lines for value in line.values if value and value.cell]
    assert [int(place) for place in re.findall(r'data-c="(\d+)"', markup)] == [numbers[key] for key in keys]
    assert markup.count("<button") == len(keys) == 8
    assert markup.count("tabindex=-1") == len(keys) - 1
    assert shown.group_head == "detector" and shown.heads == ("trained on",)
    assert [name for name, _ in shown.bodies] == ["resnet18", "cnnspot"]
    assert markup.count("<i>trained on</i>") == 4


def test_the_embedded_table_holds_every_row_to_four_digits(results):
    document = json.loads(as_script(embedded(results, Facets(results.params))))
    rows = results.tabulated.rows
    columns, names = document["columns"], document["names"]
    for index, cell in enumerate(rows):
        parts = ("kind", "detector", "trained_on", "tested_on", "condition")
        assert tuple(names[columns[part][index]] for part in parts) == cell.key
        for metric, estimate in cell.metrics.items():
            value = document["values"][metric]["value"][index] if document["values"][metric] else None
            assert (value is None) == (estimate.value is None)
            assert value is None or abs(value / document["scale"] - (estimate.value or 0)) <= 5.1e-5
    assert len(columns["n_real"]) == len(rows)
    assert ["", "dcgan", "ldm", "evaluate@dcgan-ldm"] in [stage[:4] for stage in document["stages"]]
    assert ["", "ldm", "real", "evaluate-real@ldm"] in [stage[:4] for stage in document["stages"]]


def test_stages_have_the_names_that_dvc_gives_them():
    given = {"clip": {"kind": "scores", "weights": "data/clip.csv"}}
    params = benchmark_params(
        sets={"older": ("dcgan", "ddpm")}, samples={"few": {"of": ["ldm"], "images": 10}}, given=given
    )
    assert stage_of(params, "older", "ldm") == "evaluate-set@older-ldm"
    assert stage_of(params, "few", "real") == "evaluate-sample-real@few"
    assert stage_of(params, "elsewhere/clip", "ldm") == "evaluate-given@clip-ldm"


def test_hostile_texts_stay_texts(results):
    table = Table(
        "all",
        HOSTILE,
        HOSTILE,
        (HOSTILE, "generator"),
        (Column(HOSTILE, "text", 0), Column("share")),
        (
            Line((HOSTILE, HOSTILE), (Value(text=HOSTILE), Value(0.5, cell=(HOSTILE,) * 5))),
            Line((HOSTILE, "b"), (None, Value())),
        ),
        (HOSTILE,),
    )
    chapters = [Chapter("evil", HOSTILE, (HOSTILE,), (table,))]
    figures = [replace(figure, title=HOSTILE, alt=HOSTILE, caption=HOSTILE) for figure in made_up_figures()]
    gallery = made_up_gallery(results, prompt=HOSTILE, class_name=HOSTILE, id=HOSTILE, group=HOSTILE)
    cells = [replace(cell, condition=HOSTILE) for cell in results.tabulated.cells]
    audits = {name: {**audit, "verdict": HOSTILE} for name, audit in results.audits.items()}
    evil = replace(
        results,
        tabulated=replace(results.tabulated, cells=cells, left_out={HOSTILE: 3}),
        audits=audits,
        params=with_condition(results.params, HOSTILE),
    )
    plain, read = Read(page(results)), Read(page(evil, chapters=chapters, figures=figures, gallery=gallery))
    assert len(read.all("script")) == len(plain.all("script")) == 2
    known = {name for _, attributes in plain.elements for name in attributes}
    assert {name for _, attributes in read.elements for name in attributes} <= known
    document = json.loads(read.texts["script"].split("\n")[0].partition('"use strict"')[0])
    assert HOSTILE in document["names"]
    assert HOSTILE in read.texts["h2"] and HOSTILE in read.texts["figcaption"] and HOSTILE in read.texts["q"]
    assert HOSTILE in {one.get("aria-label") for _, one in read.elements}


def with_condition(params: Params, name: str) -> Params:
    """The same with one condition more."""
    return params.model_copy(update={"degrade": {**params.degrade, name: name}})


def test_json_in_a_script_is_ascii_without_markup():
    text = as_script({"name": HOSTILE})
    assert not set("<>&\u2028") & set(text) and text.isascii()
    assert json.loads(text) == {"name": HOSTILE}


def test_a_figure_of_no_chapter_gets_a_section(results):
    read = Read(page(results))
    assert "some_other" in {one.get("id") for one in read.all("section")}
    assert "Some other" in read.texts["h2"]
    paths = [one["clip-path"] for one in read.all("path") if "clip-path" in one]
    assert paths == ["url(#falls-c)", "url(#lost-c)"]


@pytest.mark.parametrize(
    ("inside", "message"),
    [
        ("<script>x</script>", "holds <script>"),
        ("<image href='x.png'/>", "holds <image>"),
        ("<path onclick='x'/>", "<path onclick>"),
        ("<use href='https://example.org/a.svg#b'/>", "<use href>"),
        ("<path fill='url(https://example.org)'/>", "<path fill>"),
        ("<style>@import 'x'</style>", "refers outside"),
        ("<path", "not well-formed"),
    ],
)
def test_a_drawing_that_reaches_out_is_refused(inside, message):
    figure = replace(made_up_figures()[0], svg=f'<svg viewBox="0 0 1 1">{inside}</svg>')
    with pytest.raises(DrawingError, match=re.escape(message)):
        drawing(figure)


def test_a_drawing_without_a_view_box_is_refused():
    with pytest.raises(DrawingError, match="viewBox"):
        drawing(replace(made_up_figures()[0], svg="<svg/>"))


def test_a_picture_that_is_none_is_named(results):
    gallery = made_up_gallery(results)
    file: Path = results.root / "artifacts" / "gallery" / "ldm-01.jpg"
    file.write_text("<svg onload=alert(1)>")
    with pytest.raises(AssayError, match=r"ldm-01\.jpg is no JPEG"):
        page(results, gallery=gallery)


def test_the_page_does_without_pictures_figures_chapters_and_degradations(tmp_path):
    params = benchmark_params(("dcgan",), ("resnet18",), ())
    read = Read(page(made_up_results(tmp_path, params), chapters=[], figures=[], gallery=[]))
    assert all("-" in (one.get("id") or "-") for _, one in read.elements)  # chapters are called without one
    assert "hardest-images" not in {one.get("id") for one in read.all("section")}
    assert "nothing to say" in read.texts["td"]


def test_shades():
    assert [shade_class(value) for value in (None, 0.0, 0.04, 0.96, 1.0, -0.5, -3.0)] == [
        "",
        "",
        "",
        "u10",
        "u10",
        "n5",
        "n10",
    ]


def test_lines_and_columns_know_what_they_are_about(results):
    facets = Facets(results.params, {"photo", "face"})
    names = {token: name for choice in facets.choices for token, name in choice.options}
    matrix, degraded, words = made_up_chapters(results)[0].tables

    def told(tokens):
        return {names[token] for token in tokens}

    assert told(facets.of_column(matrix, 1)) == {"latent-diffusion", "clean"}
    assert told(facets.of_line(matrix.lines[0], matrix.heads)) == {"resnet18", "dcgan", "clean"}
    assert told(facets.of_column(degraded, 1)) == {"jpeg65"}
    assert told(facets.of_line(degraded.lines[1], degraded.heads)) == {"cnnspot"}
    assert told(facets.of_line(words.lines[0], words.heads)) == {"gan"}
    assert told(facets.of_item("ldm", "face")) == {"latent-diffusion", "face"}
    assert facets.of_cell(("plain_mean", "", "", "", "")) == frozenset()
    assert {choice.name for choice in facets.choices} == {
        "detector",
        "trained_on",
        "family",
        "content",
        "condition",
    }
