"""`assay lineage` and `assay record`: what A and B may be, what is printed, what is refused."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from assets.lineage import Lineage
from flows import cli
from flows.records import records
from tests import toy

# Numbers that depend on a parameter, from a program of its own: nothing but the report runs again for it.
CELLS = """\
import pathlib, yaml
count = yaml.safe_load(pathlib.Path("params.yaml").read_text())["generators"]["b"]["count"]
head = "kind,detector,trained_on,tested_on,condition,seed,auroc,auroc_low,auroc_high"
row = f"cell,net,a,b,clean,0,{count / 20},,"
pathlib.Path("results/cells.csv").write_text(f"{head}\\n{row}\\n")
"""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recorded benchmarks, the second with more images of b; it is what the checkout has."""
    root = toy.finished_repo(tmp_path_factory.mktemp("tracing") / "repo")
    (root / "cells.py").write_text(CELLS)
    text = (root / "dvc.yaml").read_text()
    text = text.replace("cmd: python toy.py results", "cmd: python toy.py results && python cells.py")
    (root / "dvc.yaml").write_text(
        text.replace("[artifacts/evaluate, toy.py]", "[artifacts/evaluate, toy.py, cells.py]")
    )
    toy.dvc(root, "repro", "-q", "--single-item", "report")
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@x"]
    subprocess.run([*git, "add", "-A"], cwd=root, check=True)
    subprocess.run([*git, "commit", "-qm", "numbers \x1b[31m"], cwd=root, check=True)
    assert records.record(root)
    more = {**toy.PARAMS["generators"], "b": {**toy.PARAMS["generators"]["b"], "count": 12}}
    toy.set_params(root, generators=more)
    toy.dvc(root, "repro", "-q")
    assert records.record(root)
    return root


@pytest.fixture
def root(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = Path(shutil.copytree(prepared, tmp_path / "repo", symlinks=True))
    monkeypatch.chdir(root)
    return root


def assay(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> tuple[str, str]:
    """Run `assay ARGUMENTS` in this process; what it printed to either stream."""
    before = sys.argv
    sys.argv = ["assay", *arguments]
    try:
        with pytest.raises(SystemExit) as end:
            cli.main()
    finally:
        sys.argv = before
    printed = capsys.readouterr()
    assert (end.value.code or 0) == status, printed.out + printed.err
    return printed.out, printed.err


def first_and_second(root: Path) -> tuple[records.Record, records.Record]:
    now = Lineage(root).recorded_benchmark().lineage
    first, second = sorted(records.records(root), key=lambda one: one.lineage == now)
    return first, second


def test_the_list_of_records(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = first_and_second(root)
    out, _ = assay(capsys, "lineage", "--list")
    lines = out.splitlines()
    assert "numbers ?[31m" in out and "\x1b" not in out, "what a terminal obeys is not passed on"
    assert f"*  {second.lineage[:16]}" in out and f"   {first.lineage[:16]}" in out
    assert len(lines) == 5 and "(and changes)" in next(line for line in lines if line.startswith("*"))
    rows = json.loads(assay(capsys, "lineage", "--list", "--json")[0])
    assert {row["lineage"]: row["here"] for row in rows} == {first.lineage: False, second.lineage: True}
    assert rows[0]["generators"] == ["a", "b"]
    assert "leave out now" in assay(capsys, "lineage", "--list", "now", status=2)[1]


def test_a_hash_of_a_record_is_traced_by_the_records_own_files(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, _ = first_and_second(root)
    out, err = assay(capsys, "lineage", first.lineage[:10])
    assert f"not of this checkout as it is now, but of the record {first.tag}" in err
    assert f"lineage {first.lineage}" in out and '"count": 10' in out
    rows = records.lineage_of(root, first).tree("generate@b")
    by_stage = json.loads(assay(capsys, "lineage", rows[-1]["recipe"][:12], "--json")[0])
    assert by_stage == rows
    assert json.loads(assay(capsys, "lineage", f"{first.tag}:artifacts/generate/b", "--json")[0]) == rows
    (root / "dvc.lock").unlink()
    assert assay(capsys, "lineage", first.lineage)[0] == out
    assert "none of the 2 records" in assay(capsys, "lineage", "0123456789abcdef", status=2)[1]
    assert "git fetch origin 'refs/tags/assay" in assay(capsys, "lineage", "0123456789abcdef", status=2)[1]


def test_what_differs_is_told_from_parameters_to_numbers(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = first_and_second(root)
    out, _ = assay(capsys, "lineage", first.lineage[:8], "now")
    assert out.splitlines()[:3] == [
        f"a  {first.lineage[:16]}  benchmark of the record {first.tag}",
        f"b  {second.lineage[:16]}  benchmark of this checkout",
        "not the same was asked for",
    ]
    assert "\nparameters (a -> b)\n  generators.b.count: 10 -> 12\n" in out
    assert "auroc   1     0.1       0.5  0.6  kind=cell detector=net" in out
    assert "\nenvironment: the same" in out
    assert "4 are the same to the byte" in out
    backwards, _ = assay(capsys, "lineage", "now", first.lineage[:8])
    assert "generators.b.count: 12 -> 10" in backwards
    found = json.loads(assay(capsys, "lineage", first.tag, second.recipe, "--json")[0])
    assert found["parameters"][0]["old"] == 10 and found["cells"]["metrics"][0]["new"] == 0.6
    same, _ = assay(capsys, "lineage", second.lineage[:8], ".")
    assert "the same to the byte" in same and "all 1 rows that both have are equal" in same


def test_stages_and_paths_and_other_commits_are_compared(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, _ = first_and_second(root)
    out, _ = assay(capsys, "lineage", f"{first.lineage[:8]}:generate@b", "generate@b")
    assert "generators.b.count: 10 -> 12" in out and "numbers" not in out
    assert assay(capsys, "lineage", f"{first.tag}:generate@b", "artifacts/generate/b")[0] == out
    two, _ = assay(capsys, "lineage", "generate@a", "generate@b")
    assert "generators.a: {" in two and "a: python toy.py artifacts/generate/a" in two
    commit, _ = assay(capsys, "lineage", "HEAD", "now")
    assert "benchmark of the commit" in commit and "environment: not recorded for both" in commit
    (root / "toy.py").write_text(toy.TOY + "#\n")
    assert "HEAD~1: " in assay(capsys, "lineage", "HEAD~1", "now", status=2)[1], "no dvc.lock was there"
    assert "neither a hash, a stage" in assay(capsys, "lineage", "no-such-thing", "now", status=2)[1]
    assert "no stage makes generate@c" in assay(capsys, "lineage", "HEAD:generate@c", status=2)[1]
    assert "too short" in assay(capsys, "lineage", "abc", status=2)[1]
    assert "compares two" in assay(capsys, "lineage", "a", "b", "c", status=2)[1]


def test_code_that_differs_is_named_with_what_to_type(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, _ = first_and_second(root)
    document = (root / "dvc.lock").read_text()
    old = next(row for row in Lineage(root).tree() if row["stage"] == "benchmark")["inputs"]["cells.py"]
    (root / "dvc.lock").write_text(document.replace(old, "c6" * 16))
    out, _ = assay(capsys, "lineage", first.tag, "now")
    assert "\ncode\n  cells.py: differs (read by benchmark)\n" in out
    assert f"line by line: git diff {first.tag} -- cells.py" in out
    out, _ = assay(capsys, "lineage", "now", first.tag)
    assert f"line by line: git diff -R {first.tag} -- cells.py" in out


def test_recording_by_hand(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, second = first_and_second(root)
    out, _ = assay(capsys, "record")
    assert out.startswith(f"{second.tag}  lineage {second.lineage[:16]}")
    assert f"git push origin refs/tags/{second.tag}" in out
    subprocess.run(["git", "init", "-q", "--bare", tmp_path / "shared.git"], check=True)
    subprocess.run(["git", "remote", "add", "origin", tmp_path / "shared.git"], cwd=root, check=True)
    sent = json.loads(assay(capsys, "record", "--push", "origin", "--json")[0])["pushed"]
    assert set(sent) == {one.tag for one in records.records(root)}
    assert "it has them all" in assay(capsys, "record", "--push", "origin")[0]
    assert "there are: origin" in assay(capsys, "record", "--push", "elsewhere", status=2)[1]
    (root / "params.yaml").write_text((root / "params.yaml").read_text().replace("seed: 1", "seed: 2"))
    assert "have changed since the report was made; `assay run`" in assay(capsys, "record", status=2)[1]
    shutil.rmtree(root / ".git")
    assert "in no git repository" in assay(capsys, "record", status=2)[1]
    assert "no benchmark is recorded" in assay(capsys, "lineage", "--list")[0]
