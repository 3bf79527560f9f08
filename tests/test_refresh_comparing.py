"""flows/refreshing/comparing.py: two records' tables side by side."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.records.records import Record
from flows.refreshing import comparing
from flows.refreshing.comparing import as_markdown, compare, rows_of
from tests.conftest import REPO

HEADING = "kind,detector,trained_on,tested_on,condition,seed,auroc\n"


def record(tree: dict[str, bytes], digit: str) -> Record:
    one = Record(
        digit * 64, digit * 64, f"assay/{digit * 16}", digit * 40, "", {}, "", "", False, (), (), (), Path()
    )
    TREES[one.commit] = tree
    return one


TREES: dict[str, dict[str, bytes]] = {}


@pytest.fixture(autouse=True)
def _trees(monkeypatch: pytest.MonkeyPatch) -> None:
    TREES.clear()
    monkeypatch.setattr(comparing, "file_of", lambda root, one, path: TREES[one.commit].get(path))
    monkeypatch.setattr(Record, "about", {"results": "results"})


def tree(generators: list[str], cells: str, ranking: list[str], **aurocs: float) -> dict[str, bytes]:
    document = yaml.safe_load((REPO / "presets/mini.yaml").read_text())
    every = document["generators"]
    document["generators"] = {name: every[name] for name in generators}
    document["train"] = {**document["train"], "generators": ["dcgan", "ddpm"], "sets": {}}
    document["attributors"] = {}
    document["detectors"] = {"one": document["detectors"]["npr"], "two": document["detectors"]["npr"]}
    number = {
        name: {"cross_generator": {"clean": {"auroc": {"value": value}}}} for name, value in aurocs.items()
    }
    summary: dict[str, Any] = {
        "detectors": number,
        "ranking": {"detectors": ranking},
        "set_aside": {"vqdm": "generate@vqdm: so"},
    }
    return {
        "params.yaml": yaml.safe_dump(document).encode(),
        "results/cells.csv": (HEADING + cells).encode(),
        "results/summary.json": json.dumps(summary).encode(),
    }


OLD = """\
cell,one,dcgan,ddpm,clean,0,0.8
cell,one,dcgan,dcgan,clean,0,0.9
cell,one,dcgan,ddpm,jpeg65,0,0.7
cell,two,dcgan,dcgan,clean,0,
cross_generator,one,,,clean,0,0.8
"""
NEW = """\
cell,one,dcgan,ddpm,clean,0,0.6
cell,one,dcgan,dcgan,clean,0,0.9
cell,two,dcgan,dcgan,clean,0,0.5
cell,one,dcgan,ldm,clean,0,0.1
cell,one,dcgan,ldm,clean,1,0.3
cell,one,dcgan,ldm,clean,mean,0.2
cell,one,ddpm,ldm,clean,0,0.6
cell,one,dcgan,ldm,jpeg65,0,0.1
cell,two,dcgan,ldm,clean,0,0.7
cell,one,dcgan,ldm,,0,0.1
"""


def test_what_changed_is_counted_and_named() -> None:
    before = record(tree(["dcgan", "ddpm"], OLD, ["one", "two"], one=0.8, two=0.4), "a")
    after = record(tree(["dcgan", "ddpm", "ldm"], NEW, ["two", "one"], one=0.6, two=0.7), "b")
    found = compare(Path(), after, before)
    assert found.came == ("ldm",) and found.went == ()
    assert found.cells == {"new": 4, "changed": 2, "gone": 1, "same": 1}
    assert found.largest is not None
    assert (str(found.largest[0]), found.largest[1:]) == ("one trained on dcgan, tested on ddpm", (0.8, 0.6))
    assert found.worst_new is not None and found.worst_new[1] == 0.2, "the mean over seeds, clean images"
    assert found.newcomers == {"ldm": {"one": pytest.approx(0.4), "two": 0.7}}
    assert found.means["one"]["cross_generator clean"] == (0.8, 0.6)
    text = as_markdown(found)
    for line in (
        "new generators: ldm",
        "not made: vqdm (generate@vqdm: so); `assay refresh --retry vqdm`",
        "cells: 4 new, 2 changed, 1 gone, 1 the same",
        "worst new cell: AUROC 0.200, one trained on dcgan, tested on ldm",
        "not trained on: two, one (before: one, two)",
    ):
        assert line in text
    assert "0.800 -> 0.600" in text
    assert rows_of(found)[0]["cross_generator clean"] == "0.800 -> 0.600"
    assert json.loads(json.dumps(found.as_dict()))["cells"]["new"] == 4


def test_what_a_generator_was_trained_on_is_no_stranger() -> None:
    cells = "cell,one,dcgan,ddpm,clean,0,0.9\ncell,one,ddpm,ddpm,clean,0,1.0\n"
    before = record(tree(["dcgan", "ddpm"], OLD, []), "a")
    TREES[before.commit]["params.yaml"] = b"generators: {dcgan: {}}\n"
    after = record(tree(["dcgan", "ddpm"], cells, []), "b")
    assert compare(Path(), after, before).newcomers == {"ddpm": {"one": 0.9, "two": None}}


def test_the_first_record_is_compared_with_nothing() -> None:
    found = compare(Path(), record(tree(["dcgan", "ddpm"], OLD, ["one"], one=0.8), "b"), None)
    assert found.before is None and found.newcomers == {} and found.worst_new is None
    text = as_markdown(found)
    assert text.startswith("# The first recorded benchmark") and "->" not in text and "0.800" in text


def test_records_without_tables_are_compared_by_their_generators() -> None:
    before = record({"params.yaml": b"generators: {a: {}, b: {}}\n"}, "a")
    after = record({"params.yaml": b"generators: {b: {}, c: {}}\n"}, "b")
    found = compare(Path(), after, before)
    assert (found.came, found.went, found.cells["new"]) == (("c",), ("a",), 0)
    assert "gone generators: a" in as_markdown(found)
