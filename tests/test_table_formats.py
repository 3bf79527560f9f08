"""A chapter in every format: digits, units, hostile names, and what programs read back."""

import csv
import io
import json
import re
import shutil
import subprocess

import jsonschema
import pytest

from assets.report.results import Results
from assets.statistics.tabulate import Tabulated
from assets.tables.formats.csv_ import COLUMNS, csv_
from assets.tables.formats.json_ import json_
from assets.tables.formats.latex import escape, latex
from assets.tables.formats.markdown import markdown, markdown_table
from assets.tables.formats.numbers import NO_DATA, bounds, number, spread, whole
from assets.tables.table import Chapter, Column, Line, Table, Value
from assets.tables.write import write_chapters
from tests.imports import ROOT
from tests.made_up import benchmark_params

HOSTILE = '<script>alert("x")</script>|[a](http://b)\n\x1b[31m50 %_&$#{}^~\\'
SHARE = Column("AUROC", "share", 2)
PERCENT = Column("accuracy, %", "percent", 1)
POINTS = Column("difference", "points", 1)
COUNT = Column("images", "count", 0)


@pytest.fixture
def results():
    return Results(benchmark_params(), Tabulated([], [], [], {}), {}, [], "ab" * 32, "cd" * 32)


def chapter(name="one"):
    lines = (
        Line(
            ("resnet18", HOSTILE),
            (Value(0.87, 0.83, 0.9, 0.021, seen=True), Value(0.873, 0.85, 0.89), Value(-0.012, -0.03, 0.01)),
        ),
        Line(("cnnspot", "mean"), (Value(), None, Value(text="too few real images")), mean=True),
    )
    made = Table(
        "first",
        "A title of 50 %",
        "What it is. How it was done.",
        ("detector", "trained on"),
        (SHARE, PERCENT, Column("gain", "points", 1, mean=True)),
        lines,
        ("a note.",),
    )
    again = Table("second", "Again", "Another thing. How it was done.", ("x",), (COUNT,), (), ())
    return Chapter(name, HOSTILE, ("An intro.",), (made, again))


# ---- numbers


@pytest.mark.parametrize(
    ("value", "column", "expected"),
    [
        (Value(0.876, 0.83, 0.9), SHARE, "0.88 (0.83–0.90)"),
        (Value(0.873, 0.85, 0.89, 0.0213), PERCENT, "87.3 ± 2.1 (85.0–89.0)"),
        (Value(0.012), POINTS, "+1.2"),
        (Value(-0.012, -0.03, 0.01), POINTS, "-1.2 (-3.0 to +1.0)"),
        (Value(-0.0001), POINTS, "0.0"),
        (Value(-0.001, -0.1, 0.1), SHARE, "0.00 (-0.10 to 0.10)"),
        (Value(1.234, sd=0.1), Column("Cllr", "number", 2), "1.23 ± 0.10"),
        (Value(12000), COUNT, "12,000"),
        (Value(0), COUNT, "0"),
        (Value(), SHARE, NO_DATA),
        (Value(text="jpeg(65)"), Column("recipe", "text"), "jpeg(65)"),
        (None, SHARE, ""),
    ],
)
def test_numbers_are_printed_by_their_unit(value, column, expected):
    assert whole(value, column) == expected


def test_no_data_has_neither_deviation_nor_interval():
    nothing = Value(None, 0.1, 0.2, 0.3)
    assert (number(nothing, SHARE), spread(nothing, SHARE), bounds(nothing, SHARE)) == (NO_DATA, "", "")


# ---- Markdown


def test_markdown_aligns_and_says_who_made_it(results):
    text = markdown(chapter(), results)
    assert f"lineage `{'ab' * 32}`" in text and f"recipe `{'cd' * 32}`" in text
    table = [line for line in text.splitlines() if line.startswith("| ")]
    assert len({len(line) for line in table[:4]}) == 1
    assert "0.87† ± 0.02 (0.83–0.90)" in table[2] and "87.3 (85.0–89.0)" in table[2]
    assert "-1.2 (-3.0 to +1.0)" in table[2]
    assert table[3].split("|")[3:6] == [
        f" {NO_DATA:>24} ",
        " " * 18,
        f" {'too few real images':>19} ",
    ]
    assert "*a note.*" in text and "*†: " in text


def test_markdown_says_the_same_sentence_once(results):
    text = markdown(chapter(), results)
    assert text.count("How it was done.") == 1 and "Another thing. The rest as above." in text


def test_hostile_names_stay_in_their_place(results):
    text = markdown(chapter(), results)
    assert "<script" not in text and "\x1b" not in text and "\\[a](http" in text
    assert len([line for line in text.splitlines() if line.startswith("# ")]) == 1
    cells = markdown_table(["name", "n"], [[HOSTILE, "1"]]).splitlines()[-1]
    assert len(re.findall(r"(?<!\\)\|", cells)) == 3


# ---- LaTeX


def test_latex_is_whole_and_escaped(results):
    text = latex(chapter(), results)
    assert text.startswith("% ") and f"% lineage {'ab' * 32}" in text
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") == 2
    assert r"\caption{A title of 50 \%. What it is. How it was done. a note. $^\dagger$: " in text
    assert r"\label{tab:one:first}" in text
    assert r"\assayfit{\begin{tabular}{llrr@{\hspace{1.5em}}r}" in text
    assert r"\shortstack[r]{0.87$^\dagger$\\{\tiny $\pm$ 0.02}\\{\tiny (0.83--0.90)}}" in text
    assert r"\shortstack[r]{too few real\\images}" in text
    assert r"\shortstack[r]{$-$1.2\\{\tiny ($-$3.0 to +1.0)}}" in text
    assert r"\textit{mean}" in text and r"\textbf" not in text


def test_latex_rows_have_as_many_places_as_the_table(results):
    body = re.findall(r"\\toprule\n(.*?)\\bottomrule", latex(chapter(), results), re.S)[0]
    rows = [row for row in body.splitlines() if row.endswith(r"\\[2pt]")]
    assert len(rows) == 2
    assert all(len(re.findall(r"(?<!\\)&", row)) == 4 for row in rows)


def test_latex_escapes_everything_that_it_would_read():
    assert escape("50 %_&$#{}") == r"50 \%\_\&\$\#\{\}"
    assert escape("a\\b^~") == r"a\textbackslash{}b\textasciicircum{}\textasciitilde{}"
    assert escape("naïve – ± 字\x1b") == r"naïve -- $\pm$ ? "
    left = re.sub(r"\\[%_&$#{}]|\\text[a-z]+\{\}|\$[<>|]\$", "", escape(HOSTILE))
    assert not set(left) & set("%_&$#{}^~\\<>|\n")


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex here")
@pytest.mark.parametrize("packages", ["booktabs", "booktabs,graphicx"])
def test_latex_compiles_with_booktabs_alone(results, tmp_path, packages):
    (tmp_path / "table.tex").write_text(latex(chapter(), results), "utf-8")
    body = r"\begin{document}\input{table}\end{document}"
    document = rf"\documentclass{{article}}\usepackage{{{packages}}}{body}"
    (tmp_path / "paper.tex").write_text(document, "utf-8")
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "paper.tex"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert ("Overfull" in done.stdout) == (packages == "booktabs")


# ---- for programs


def test_csv_has_a_row_a_value(results):
    lines = list(csv.DictReader(io.StringIO(csv_(chapter(), results))))
    assert list(lines[0]) == list(COLUMNS) and len(lines) == 5
    first = lines[0]
    assert (first["table"], first["line"], first["column"]) == ("first", f"resnet18 | {HOSTILE}", "AUROC")
    assert [first[name] for name in ("value", "low", "high", "sd", "seen")] == [
        "0.87",
        "0.83",
        "0.9",
        "0.021",
        "true",
    ]
    assert lines[1]["value"] == "0.873" and lines[1]["unit"] == "percent"
    assert (lines[3]["value"], lines[3]["text"]) == ("", "")
    assert lines[4]["text"] == "too few real images"
    assert {line["lineage"] for line in lines} == {"ab" * 32}


def test_json_is_as_its_schema_says(results):
    schema = json.loads((ROOT / "assets/tables/schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    document = json.loads(json_(chapter(), results))
    validator.validate(document)
    first = document["tables"][0]
    assert first["lines"][0]["values"][0] == {
        "value": 0.87,
        "low": 0.83,
        "high": 0.9,
        "sd": 0.021,
        "seen": True,
    }
    assert first["lines"][1]["values"][1] is None and first["lines"][1]["mean"] is True
    assert first["lines"][0]["heads"][1] == HOSTILE
    assert document["schema"] == "urn:assay:chapter:1" and document["interval"]["level"] == 0.95
    first["columns"][0]["unit"] = "furlongs"
    assert list(validator.iter_errors(document))
    first["columns"][0]["unit"] = "share"
    del first["lines"][0]["values"][0]["high"]
    assert list(validator.iter_errors(document)), "an interval has two ends"


def test_every_chapter_is_written_in_every_format(results, tmp_path):
    write_chapters(tmp_path / "tables", [chapter(), chapter("two")], results)
    names = {path.name for path in (tmp_path / "tables").iterdir()}
    assert names == {f"{name}.{suffix}" for name in ("one", "two") for suffix in ("md", "tex", "csv", "json")}
