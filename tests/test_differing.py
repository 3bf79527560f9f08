"""assets/differing.py: from two trees, and two tables, to what differs."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from assets.differing import Side, differences, is_code
from assets.differing_cells import cell_differences
from assets.lineage import Lineage
from tests import toy

HEAD = (
    "kind,detector,trained_on,tested_on,condition,seed,n_real,auroc,auroc_low,auroc_high,ap,ap_low,lineage\n"
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.finished_repo(tmp_path_factory.mktemp("differing") / "repo")


def changed(root: Path, **edits: dict[str, Any]) -> list[dict[str, Any]]:
    """The tree of a lock in which some entries of stages are other ones."""
    text = (root / "dvc.lock").read_text()
    document = yaml.safe_load(text)
    for place, values in edits.items():
        stage, _, part = place.partition("__")
        entry = document["stages"][stage.replace("_at_", "@").replace("_", "-")]
        if part == "params":
            entry["params"]["params.yaml"] = values
            continue
        for key, value in values.items():
            if part == "cmd":
                entry["cmd"] = value
            else:
                next(file for file in entry[part] if file["path"] == key)["md5"] = value
    try:
        (root / "dvc.lock").write_text(yaml.safe_dump(document))
        return Lineage(root).tree()
    finally:
        (root / "dvc.lock").write_text(text)


def test_nothing_differs(root: Path) -> None:
    rows = Lineage(root).tree()
    found = differences(Side("one", rows), Side("other", copy.deepcopy(rows)))
    assert found["same"] == "lineage"
    assert not any(found[part] for part in ("parameters", "commands", "code", "inputs", "only_a", "only_b"))
    assert found["bytes"] == [] and found["cells"] is None and found["environment"] is None
    assert found["stages"] == {"same": len(rows), "other_recipe": 0, "other_bytes": 0, "same_outputs": 0}


def test_what_was_asked_for(root: Path) -> None:
    before = Lineage(root).tree()
    whole = yaml.safe_load((root / "params.yaml").read_text().replace("1e-05", "1.0e-05"))
    whole["generators"]["b"]["count"] = 12
    whole["generators"]["c"] = {"from": "data/c"}
    del whole["given"]
    whole["fit"] = {"x": None}
    after = changed(
        root,
        generate_at_b__params={"seed": 1, "generators.b": whole["generators"]["b"]},
        report__params=whole,
        generate_at_a__cmd={"cmd": "python toy.py --new"},
        collect_at_photos__deps={"data/photos": "1" * 32},
        generate_at_b__deps={"generate.py": "2" * 32},
    )
    found = differences(Side("one", before), Side("other", after))
    assert found["same"] is None
    assert found["parameters"] == [
        {
            "file": "params.yaml",
            "key": "generators.b.count",
            "old": 10,
            "new": 12,
            "stages": ["generate@b", "benchmark"],
        },
        {"file": "params.yaml", "key": "fit.x", "new": None, "stages": ["benchmark"]},
        {"file": "params.yaml", "key": "generators.c", "new": {"from": "data/c"}, "stages": ["benchmark"]},
        {"file": "params.yaml", "key": "given", "old": {}, "stages": ["benchmark"]},
    ]
    cmd = "python toy.py artifacts/generate/a"
    assert found["commands"] == [{"stage": "generate@a", "old": cmd, "new": "python toy.py --new"}]
    assert [(one["path"], one["new"], one["stages"]) for one in found["code"]] == [
        ("generate.py", "2" * 32, ["generate@b"])
    ]
    assert [(one["path"], one["new"]) for one in found["inputs"]] == [("data/photos", "1" * 32)]
    assert found["bytes"] == [] and found["stages"]["same"] == 0
    assert found["stages"]["same_outputs"] == len(before) - 1, "all but the benchmark, which lists none"
    assert json.loads(json.dumps(found)) == found


def test_where_bytes_part(root: Path) -> None:
    """Only where a stage got the same and made something else; what follows from it is not blamed."""
    before = Lineage(root).tree()
    after = changed(
        root,
        generate_at_b__outs={"artifacts/generate/b": "3" * 32},
        evaluate_at_a_b__deps={"artifacts/generate/b": "3" * 32},
        evaluate_at_a_b__outs={"artifacts/evaluate/a/b": "4" * 32},
    )
    found = differences(Side("one", before), Side("other", after))
    assert found["same"] == "recipe" and found["parameters"] == []
    assert [(one["stage"], one["same_recipe"]) for one in found["bytes"]] == [("generate@b", True)]
    assert found["bytes"][0]["outputs"][0]["new"] == "3" * 32
    assert found["stages"] == {"same": 4, "other_recipe": 0, "other_bytes": 3, "same_outputs": 0}


def test_stages_of_other_names_and_stages_of_one_side(root: Path) -> None:
    lineage = Lineage(root)
    found = differences(Side("a", lineage.tree("generate@a")), Side("b", lineage.tree("generate@b")))
    assert found["only_a"] == found["only_b"] == []
    assert found["commands"][0]["stage"] == "generate@a / generate@b"
    keys = {one["key"]: (one.get("old"), one.get("new")) for one in found["parameters"]}
    assert keys["generators.a"][1] is None and keys["generators.b"][0] is None
    whole = differences(Side("a", lineage.tree()), Side("b", lineage.tree("train@a-net-0")))
    assert whole["only_a"] == ["generate@b", "evaluate@a-a", "evaluate@a-b", "benchmark"]
    assert whole["only_b"] == [] and whole["stages"] == {
        "same": 3,
        "other_recipe": 0,
        "other_bytes": 0,
        "same_outputs": 0,
    }


@pytest.mark.parametrize(
    ("path", "code"),
    [("tasks/fit.py", True), ("constraints.txt", True), ("assets/tables", True), ("data/a", False)],
)
def test_code_and_data(path: str, code: bool) -> None:
    assert is_code(path) is code


def test_environments_are_compared(root: Path) -> None:
    rows = Lineage(root).tree()
    one = {"python": "3.11", "packages": {"torch": "2.1", "numpy": "2"}, "devices": []}
    other = {"python": "3.11", "packages": {"torch": "2.2"}, "devices": ["X"]}
    found = differences(Side("a", rows, None, one), Side("b", rows, None, other))
    assert found["environment"] == [
        {"key": "packages.torch", "old": "2.1", "new": "2.2"},
        {"key": "packages.numpy", "old": "2"},
        {"key": "devices", "old": [], "new": ["X"]},
    ]


def test_tables_are_compared_cell_by_cell() -> None:
    a = HEAD + (
        "cell,net,x,x,clean,0,10,0.9,0.8,1.0,0.5,0.4,abc\n"
        "cell,net,x,y,clean,0,10,0.7,0.6,0.8,0.5,0.4,abc\n"
        "cell,net,x,y,blur,0,10,0.6,,,,,abc\n"
        "mean,net,,,clean,0,,0.8,,,,,abc\n"
    )
    b = HEAD + (
        "cell,net,x,x,clean,0,10,0.91,0.8,1.0,0.5,0.4,def\n"
        "cell,net,x,y,clean,0,12,0.5,0.6,0.8,,,def\n"
        "cell,net,x,y,blur,0,10,0.60,,,,,def\n"
        "cell,net,x,z,clean,0,10,0.5,,,,,def\n"
    )
    found = cell_differences(a, b)
    assert found["rows"] == [4, 4, 3]
    assert found["only_a"] == {"rows": 1, "kind": ["mean"], "trained_on": [""], "tested_on": [""]}
    assert found["only_b"] == {"rows": 1, "tested_on": ["z"]}
    where = {
        "kind": "cell",
        "detector": "net",
        "trained_on": "x",
        "tested_on": "y",
        "condition": "clean",
        "seed": "0",
    }
    assert found["metrics"] == [
        {
            "metric": "n_real",
            "differ": 1,
            "no_data": 0,
            "largest": 2.0,
            "old": 10.0,
            "new": 12.0,
            "cell": where,
        },
        {"metric": "auroc", "differ": 2, "no_data": 0, "largest": 0.2, "old": 0.7, "new": 0.5, "cell": where},
        {"metric": "ap", "differ": 0, "no_data": 1},
    ]
    assert cell_differences(a, a)["metrics"] == []
