"""assets/lineage.py on real and made-up dvc.lock files."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from assets import lineage
from assets.errors import AssayError
from assets.lineage import (
    Lineage,
    LineageError,
    benchmark,
    intact_stages,
    is_current,
    printed,
    read_lock,
    recorded_benchmark,
)
from tests import toy


def _edit(root: Path, change: Callable[[dict[str, Any]], object]) -> None:
    document = yaml.safe_load((root / "dvc.lock").read_text())
    change(document["stages"])
    (root / "dvc.lock").write_text(yaml.safe_dump(document))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return toy.finished_repo(tmp_path / "repo")


def test_the_hash_printed_while_running_is_the_one_computed_afterwards(root: Path) -> None:
    on_paper = printed(root)
    assert on_paper is not None
    assert on_paper == recorded_benchmark(root) == benchmark(root)
    assert is_current(root)


def test_dvc_lock_alone_is_enough(root: Path) -> None:
    before = Lineage(root).tree()
    for folder in ("data", "artifacts", "results", ".dvc"):
        shutil.rmtree(root / folder)
    assert Lineage(root).tree() == before


def test_order_in_dvc_lock_does_not_matter(root: Path) -> None:
    before = Lineage(root).tree()
    document = yaml.safe_load((root / "dvc.lock").read_text())
    document["stages"] = dict(reversed(document["stages"].items()))
    for entry in document["stages"].values():
        entry["deps"].reverse()
    (root / "dvc.lock").write_text(yaml.safe_dump(document, sort_keys=False))
    assert Lineage(root).tree() == before


def test_other_bytes_change_the_lineage_and_not_the_recipe(root: Path) -> None:
    before = {row["stage"]: row for row in Lineage(root).tree()}

    def other_bytes(stages: dict[str, Any]) -> None:
        stages["generate@b"]["outs"][0]["md5"] = "0" * 32
        for dep in stages["evaluate@a-b"]["deps"]:
            dep["md5"] = "0" * 32 if dep["path"] == "artifacts/generate/b" else dep["md5"]

    _edit(root, other_bytes)
    after = {row["stage"]: row for row in Lineage(root).tree()}
    assert {name for name in after if after[name]["recipe"] != before[name]["recipe"]} == set()
    changed = {name for name in after if after[name]["lineage"] != before[name]["lineage"]}
    assert changed == {"generate@b", "evaluate@a-b", "benchmark"}


@pytest.mark.parametrize("part", ["cmd", "params", "code", "input"])
def test_everything_that_was_asked_for_changes_both(root: Path, part: str) -> None:
    before = recorded_benchmark(root)

    def change(stages: dict[str, Any]) -> None:
        stage = stages["collect@photos"]
        if part == "cmd":
            stage["cmd"] += " "
        elif part == "params":
            stage["params"]["params.yaml"]["seed"] = 2
        else:
            wanted = "toy.py" if part == "code" else "data/photos"
            next(dep for dep in stage["deps"] if dep["path"] == wanted)["md5"] = "1" * 32

    _edit(root, change)
    after = recorded_benchmark(root)
    assert after.recipe != before.recipe
    assert after.lineage != before.lineage


def test_a_folder_counts_for_the_stages_that_the_dag_has_in_it(root: Path) -> None:
    before = recorded_benchmark(root)

    def leave_behind(stages: dict[str, Any]) -> None:
        stages["evaluate@a-gone"] = {**stages["evaluate@a-a"], "cmd": "gone"}
        next(dep for dep in stages["report"]["deps"] if dep["path"] == "artifacts/evaluate")["md5"] = "2" * 32

    _edit(root, leave_behind)
    assert recorded_benchmark(root) == before


def test_a_stale_lock_is_refused(root: Path) -> None:
    _edit(root, lambda stages: stages["generate@a"]["outs"][0].update(md5="3" * 32))
    with pytest.raises(
        LineageError, match=r"evaluate@a-a used artifacts/generate/a .*generate@a.*assay run eval"
    ):
        recorded_benchmark(root)
    assert Lineage(root).stage("generate@b")


def test_a_stage_that_has_not_run_is_named(root: Path) -> None:
    _edit(root, lambda stages: stages.pop("generate@b"))
    with pytest.raises(LineageError, match="generate@b has not run"):
        benchmark(root)
    assert is_current(root), "nothing can be said while inputs are missing"


def test_a_changed_command_with_equal_bytes_makes_the_tables_out_of_date(root: Path) -> None:
    _edit(root, lambda stages: stages["generate@b"].update(cmd="another"))
    assert not is_current(root)
    assert printed(root) != benchmark(root)


def test_the_running_report_uses_the_code_and_parameters_on_the_disk(root: Path) -> None:
    before = benchmark(root)
    toy.set_params(root, report={"level": 0.9})
    assert benchmark(root) != before
    assert recorded_benchmark(root) == before
    toy.set_params(root)
    (root / "toy.py").write_text(toy.TOY + "# more\n")
    assert benchmark(root).recipe != before.recipe


def test_paths_lead_to_stages(root: Path) -> None:
    lineage = Lineage(root)
    assert lineage.of_path("artifacts/generate/b/made.txt") == "generate@b"
    assert lineage.of_path("./results/cross_generator.md") == "benchmark"
    with pytest.raises(LineageError, match="is an input, read by collect@photos"):
        lineage.of_path("data/photos")
    with pytest.raises(LineageError, match="nor does any read it"):
        lineage.of_path("elsewhere")


def test_a_beginning_is_enough_if_it_is_unique(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lineage = Lineage(root)
    hashes = lineage.stage("generate@b")
    found = lineage.find(hashes.recipe[:10].upper())
    assert (found.name, found.kind, found.hash) == ("generate@b", "recipe", hashes.recipe)
    assert lineage.find(recorded_benchmark(root).lineage).name == "benchmark"
    with pytest.raises(LineageError, match="too short"):
        lineage.find("ab")
    with pytest.raises(LineageError, match="no stage and no benchmark"):
        lineage.find("0" * 64)
    monkeypatch.setattr(lineage, "_known", lambda name: {"lineage": f"abcd{name}", "recipe": f"abcd{name}!"})
    with pytest.raises(LineageError, match="begins several hashes"):
        lineage.find("abcd")


def test_the_tree_is_complete_and_ready_for_json(root: Path) -> None:
    rows = Lineage(root).tree()
    assert [row["stage"] for row in rows] == [*toy.STAGES[:-1], "benchmark"]
    assert json.loads(json.dumps(rows)) == rows
    assert set(rows[1]["inputs"]) == {"data/a", "toy.py", "generate.py"}
    assert [row["stage"] for row in Lineage(root).tree("generate@b")] == ["generate@b"]
    code = hashlib.md5((root / "toy.py").read_bytes()).hexdigest()
    assert rows[-1]["inputs"] == {"toy.py": code}


def test_a_lock_that_was_cut_off_anywhere_is_noticed_or_harmless(root: Path) -> None:
    path = root / "dvc.lock"
    text = path.read_text()
    whole = read_lock(root)
    for cut in range(0, len(text) - 1, 97):
        path.write_text(text[:cut])
        stages = intact_stages(path)
        assert stages is None or all(whole[name] != {} for name in stages)
        assert stages is None or text[:cut].endswith("\n")
    path.write_text("")
    with pytest.raises(AssayError, match="is damaged"):
        read_lock(root, patience=0.0)


def test_no_lock_is_an_empty_one(tmp_path: Path) -> None:
    assert read_lock(tmp_path) == {}


def test_a_folder_of_code_has_the_hash_that_dvc_gives_it(tmp_path: Path) -> None:
    root = toy.toy_repo(tmp_path / "repo")
    (root / ".dvcignore").write_text((toy.ROOT / ".dvcignore").read_text())
    for name in ("b.py", "a/z.py", "a-b.py", "a/deeper/c.py", "__pycache__/b.pyc", "a/__pycache__/z.pyc"):
        path = root / "code" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# {name}\n")
    toy.dvc(root, "add", "-q", "code")
    recorded = yaml.safe_load((root / "code.dvc").read_text())["outs"][0]
    assert lineage.md5_of(root / "code") == recorded["md5"]


def test_every_stage_upstream_has_to_be_there(root: Path) -> None:
    whole = (root / "dvc.lock").read_text()
    for name in toy.STAGES:
        _edit(root, lambda stages, name=name: stages.pop(name))
        with pytest.raises(LineageError, match=f"{name} has not run"):
            recorded_benchmark(root)
        (root / "dvc.lock").write_text(whole)


def test_every_input_has_to_be_what_its_stage_made(root: Path) -> None:
    """Each md5 of a dependency that is one stage's output, changed at either end."""
    whole = (root / "dvc.lock").read_text()
    dag = Lineage(root).dag
    edges = [(name, dep) for name, stage in dag.stages.items() for dep in stage.deps if dep in dag.out_of]
    assert len(edges) == 3
    for name, dep in edges:
        for stage, part in ((name, "deps"), (dag.out_of[dep], "outs")):

            def plant(stages: dict[str, Any], stage: str = stage, part: str = part, dep: str = dep) -> None:
                next(file for file in stages[stage][part] if file["path"] == dep)["md5"] = "5" * 32

            _edit(root, plant)
            with pytest.raises(LineageError, match=f"out of step: .* used {dep} "):
                recorded_benchmark(root)
            (root / "dvc.lock").write_text(whole)


@pytest.mark.parametrize(
    "planted",
    ["deps: [3]", "deps: [{path: x}]", "cmd: [python]", "outs: [{md5: 0}]", "outs: {path: x}"],
)
def test_an_entry_that_makes_no_sense_is_refused(root: Path, planted: str) -> None:
    _edit(root, lambda stages: stages["generate@b"].update(yaml.safe_load(planted)))
    with pytest.raises(AssayError, match="is damaged"):
        read_lock(root, patience=0.0)
