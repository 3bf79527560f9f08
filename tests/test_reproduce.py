"""assay reproduce on toy repositories: what is pulled, computed, tampered with, refused."""

import atexit
import hashlib
import json
import math
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.settings import PREFECT_API_URL, temporary_settings

from assets.dag import Dag, Stage, load_dag
from assets.errors import AssayError
from flows.records import records
from flows.reproduce import Different, reproduce
from flows.reproducing import settings
from flows.reproducing.comparing import first_differing, largest_difference
from flows.reproducing.computing import variables
from flows.reproducing.content import Content, outputs_of
from flows.reproducing.inside import files_of, pins_of, refuse_outside
from flows.reproducing.surroundings import differences
from tests import prefect_server, toy

_GIT = ["git", "-c", "user.name=toy", "-c", "user.email=toy@toy"]
_HEADING = "kind,detector,trained_on,tested_on,condition,seed,auroc,lineage"


@pytest.fixture
def prefect(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    variables = prefect_server.start()
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", str(toy.ROOT))
    monkeypatch.delenv("TOY", raising=False)
    with temporary_settings({PREFECT_API_URL: variables["PREFECT_API_URL"]}):
        yield


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefect: None) -> Path:
    """A fresh clone of a recorded repository, with DVC's remote to itself, in which one stands."""
    shutil.copytree(_recorded(), tmp_path / "origin", symlinks=True)
    subprocess.run(["git", "clone", "-q", "origin", "clone"], cwd=tmp_path, check=True)
    toy.dvc(
        tmp_path / "clone", "remote", "add", "-q", "-d", "--local", "store", str(tmp_path / "origin/store")
    )
    monkeypatch.chdir(tmp_path / "clone")
    return tmp_path / "clone"


@cache
def _recorded() -> Path:
    """A finished repository with a record; its last commit has other code, which would fail.

    Its stages are run as the real ones are, `python -m tasks.toy`, while PYTHONPATH leads to our own tasks/.
    $TOY can make them write other bytes.
    """
    scratch = tempfile.mkdtemp(prefix="assay-recorded-")
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    root = toy.toy_repo(Path(scratch) / "origin")
    code = (root / "toy.py").read_text()
    row = "c,net,a,b,clean,0,%s,1"
    cells = f'(out / "cells.csv").write_text("{_HEADING}\\n{row}\\n" % orders.get("auroc", 0.75))'
    for before, after in {
        'f"made by {out}\\n"': 'f"made by {out}\\n" + orders.get("bytes", {}).get(stage, "")',
        '    (out / "tables").mkdir()': f'    {cells}\n    (out / "tables").mkdir()',
    }.items():
        assert before in code
        code = code.replace(before, after)
    (root / "tasks").mkdir()
    (root / "tasks/__init__.py").touch()
    (root / "tasks/toy.py").write_text(code)
    (root / "toy.py").unlink()
    pipeline = (root / "dvc.yaml").read_text().replace("python toy.py", "python -m tasks.toy")
    (root / "dvc.yaml").write_text(
        pipeline.replace("toy.py", "tasks/toy.py").replace("tasks/tasks/", "tasks/")
    )
    (root / ".gitignore").write_text("/data\n/artifacts\n/results\n/.assay/\n/store\n__pycache__\n")
    (root / ".dvcignore").write_text("__pycache__\n")
    toy.dvc(root, "repro", "-q")
    subprocess.run([*_GIT, "add", "-A"], cwd=root, check=True)
    subprocess.run([*_GIT, "commit", "-qm", "recorded"], cwd=root, check=True)
    toy.dvc(root, "remote", "add", "-q", "-d", "store", str(root / "store"))
    toy.dvc(root, "push", "-q")
    toy.dvc(root, "remote", "remove", "store")
    assert records.record(root)
    (root / "tasks/toy.py").write_text("raise SystemExit('the code of today')\n")
    subprocess.run([*_GIT, "commit", "-qam", "today"], cwd=root, check=True)
    return root


def _hash() -> str:
    (found,) = records.records(_recorded())
    return found.lineage


def _different(*arguments: Any, **options: Any) -> dict[str, Any]:
    with pytest.raises(Different) as raised:
        reproduce(*arguments, **options)
    assert str(raised.value).startswith("different: first at ")
    return raised.value.verdict.as_dict()


def test_a_fresh_clone_pulls_it_and_finds_the_same_bytes(clone: Path) -> None:
    (record,) = records.records(clone)
    subprocess.run(["git", "tag", "-d", record.tag], cwd=clone, check=True)  # it is fetched again
    found = reproduce(record.lineage[:8])
    assert found["verdict"] == "identical to the byte"
    assert found["lineage"] == {"recorded": record.lineage, "here": record.lineage}
    assert (found["restored"], found["computed"], found["lost"]) == (7, ["report"], [])
    assert found["notes"] == ["the tables were made again, from the recorded inputs: the same bytes"]
    assert (found["environment"], found["hashed"]["files"] > 20) == ({}, True)
    worktree = Path(found["worktree"])
    assert worktree == clone / ".assay/reproduce" / record.lineage[:16]
    assert "the code of today" not in (worktree / "tasks/toy.py").read_text()
    assert "store" not in (worktree / ".dvc/config.local").read_text(), "the record's code sees no remote"
    changed = subprocess.run(["git", "status", "--short"], cwd=clone, capture_output=True, check=True)
    assert changed.stdout == b""


@pytest.mark.slow
def test_what_was_tampered_with_is_named(clone: Path) -> None:
    """A file in the cache, a manifest, a table: DVC itself believes all of them."""
    reproduce(_hash(), remove=True)
    assert len(_worktrees(clone)) == 1, "it is gone, and git knows"
    made = "made by artifacts/generate/a\n"
    cached = _object(clone / ".dvc/cache", made)
    _alter(cached, "made by somebody else\n")
    found = _different(_hash())
    altered = {
        "path": "artifacts/generate/a/made.txt",
        "stage": "generate@a",
        "expected": _md5(made),
        "found": _md5("made by somebody else\n"),
    }
    assert found["altered"] == [altered]
    assert (found["first"], found["at_fault"], found["following"]) == ("generate@a", ["generate@a"], [])
    assert found["computed"] == [], "nothing is computed from what was altered"
    _alter(cached, made)
    assert reproduce(_hash(), remove=True)["outcome"] == "identical", "what was altered is fetched anew"

    table = _object(clone / ".dvc/cache", "| a table |\n")
    _alter(table, "| another table |\n")
    found = _different(_hash())
    assert [one["path"] for one in found["altered"]] == ["results/tables/cross_generator.md"]
    assert (found["first"], found["computed"]) == ("report", ["report"])
    assert "first at report: results/tables/cross_generator.md" in found["verdict"]
    _alter(table, "| a table |\n")

    manifest = Path(found["worktree"]) / "data/a/manifest.parquet"
    cached = _object(clone / ".dvc/cache", manifest.read_bytes())
    _alter(cached, "no manifest")
    manifest.unlink()
    found = _different(_hash())
    four = [f"data/{name}/manifest.parquet" for name in ("a", "b", "c", "photos")]  # of the same bytes
    assert [(one["path"], one["stage"]) for one in found["altered"]] == [(path, "data") for path in four]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "expected", "stage"),
    [
        ("results/tables/cross_generator.md", "results/tables/cross_generator.md in assay/", "record"),
        ("tasks/toy.py", "tasks/toy.py", "collect@photos"),
        ("params.yaml", "params.yaml: seed", "collect@photos"),
        ("dvc.lock", "the lineage of dvc.lock", "record"),
        ("record.json", "record.json: recipe", "record"),
        ("data.dvc", "data/photos", "collect@photos"),
    ],
)
def test_a_record_that_was_tampered_with_is_named(clone: Path, path: str, expected: str, stage: str) -> None:
    (record,) = records.records(clone)
    text = (records.file_of(clone, record, path) or b"").decode()
    changes: dict[str, tuple[str, str]] = {
        "params.yaml": ("seed: 1", "seed: 2"),
        "dvc.lock": (_md5_in(clone, record, "train@a-net-0"), "0" * 32 + ".dir"),
        "record.json": (record.recipe, "0" * 64),
        "data.dvc": (_pinned(clone, record), _md5_in(clone, record, "collect@photos")),
    }
    before, after = changes.get(path, ("\n", "\n\n"))
    assert before in text
    _forge(clone, record, path, text.replace(before, after))
    found = _different(record.lineage)
    assert found["altered"][0]["path"].startswith(expected), found["altered"]
    assert stage in {one["stage"] for one in found["altered"]}


@pytest.mark.slow
def test_what_nobody_has_any_more_is_computed(clone: Path, tmp_path: Path) -> None:
    store = tmp_path / "origin/store"
    for text in ("made by artifacts/generate/b\n", "made by artifacts/evaluate/a/b\n"):
        _object(store, text).unlink()
    (record,) = records.records(clone)
    listing = _md5_in(clone, record, "evaluate@a-b")
    (store / "files/md5" / listing[:2] / listing[2:]).unlink()
    found = reproduce(_hash())
    assert found["verdict"] == "identical to the byte"
    assert found["lost"] == ["generate@b", "evaluate@a-b"]
    assert sorted(found["computed"]) == ["evaluate@a-b", "generate@b", "report"]
    assert found["restored"] == 5
    shutil.rmtree(store)
    shutil.rmtree(clone / ".dvc/cache")
    shutil.rmtree(found["worktree"])
    with pytest.raises(AssayError, match=f"remote store did not give .*\n.*no folder {store}"):
        reproduce(_hash())


@pytest.mark.slow
def test_all_of_it_is_computed_from_the_raw_inputs(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY_TRACE", str(tmp_path / "trace"))
    found = reproduce(_hash(), rerun=True)
    assert found["verdict"] == "identical to the byte"
    assert found["lineage"]["here"] == _hash()
    assert sorted(toy.traced(tmp_path / "trace")) == sorted(found["computed"]) == sorted(toy.STAGES)
    worktree = Path(found["worktree"])
    assert worktree.name == f"{_hash()[:16]}-rerun"
    with pytest.raises(AssayError, match="was computed anew, not pulled; name another folder"):
        reproduce(_hash(), into=str(worktree))
    (worktree / "tasks/toy.py").write_text("edited")
    with pytest.raises(AssayError, match=r"tasks/toy\.py in .*: not as assay/"):
        reproduce(_hash(), rerun=True)


@pytest.mark.slow
def test_a_stage_that_gives_other_bytes_is_found_and_small_differences_are_measured(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY", json.dumps({"bytes": {"train@a-net-0": "noise"}, "auroc": 0.7500004}))
    found = reproduce(_hash(), rerun=True)
    assert found["verdict"].startswith(
        "equal within 1e-06 (largest difference: auroc of c, net, a, b, clean, 0"
    )
    assert found["largest_difference"]["difference"] == pytest.approx(4e-7)
    assert found["lineage"]["here"] != _hash()
    found = _different(_hash(), rerun=True, tolerance=1e-7)
    assert found["first"] == "train@a-net-0"
    assert found["at_fault"] == ["train@a-net-0"]
    assert found["following"] == ["report"], "whose tables print the hash"
    assert "7 stages had been computed in this worktree before" in found["notes"]
    assert found["verdict"].startswith("different: first at train@a-net-0; largest difference: auroc of ")


@pytest.mark.slow
def test_it_goes_on_after_a_kill(clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = tmp_path / "trace"
    monkeypatch.setenv("TOY_TRACE", str(trace))
    monkeypatch.setenv("TOY", json.dumps({"sleep": {"train@a-net-0": 600}}))
    command = [sys.executable, "-m", "flows.cli", "reproduce", _hash()[:10], "--rerun"]
    flow = subprocess.Popen(command, cwd=clone, start_new_session=True)
    _until(lambda: "train@a-net-0" in toy.traced(trace))
    flow.send_signal(signal.SIGKILL)
    flow.wait(30)
    finished = toy.traced(trace, "end")
    monkeypatch.delenv("TOY")
    trace.unlink()
    found = reproduce(_hash(), rerun=True)
    assert found["verdict"] == "identical to the byte"
    assert set(toy.traced(trace)).isdisjoint(set(finished) - {finished[-1]})
    assert "report" in toy.traced(trace)


@pytest.mark.slow
def test_the_command_line(clone: Path, tmp_path: Path) -> None:
    def ask(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "flows.cli", "reproduce", *arguments]
        return subprocess.run(command, cwd=clone, capture_output=True, text=True, check=False)

    done = ask(_hash()[:8], "--json", "--into", str(tmp_path / "here"))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["outcome"] == "identical"
    done = ask(_hash()[:8], "--into", str(tmp_path / "here"))
    assert done.stdout.splitlines()[-1] == "identical to the byte"
    _alter(_object(clone / ".dvc/cache", "made by artifacts/generate/a\n"), "other\n")
    shutil.rmtree(tmp_path / "here")
    done = ask(_hash()[:8], "--into", str(tmp_path / "here"))
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1].startswith(
        "different: first at generate@a: artifacts/generate/a/made.txt"
    )
    assert "Traceback" not in done.stderr
    for wrong in ("0000beef", "abc"):
        done = ask(wrong)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.splitlines()[-1].startswith("error: ")


def test_an_unknown_hash_a_taken_folder_and_senseless_numbers_are_refused(clone: Path) -> None:
    mistakes: dict[str, tuple[str, dict[str, Any]]] = {
        "no record has a hash that begins with 0000beef": ("0000beef", {}),
        "too short": ("abc", {}),
        "jobs is 0": (_hash(), {"jobs": 0}),
        "the tolerance is -1": (_hash(), {"tolerance": -1.0}),
        "is there already and is no worktree": (
            _hash(),
            {"into": str(clone / "data.dvc").removesuffix(".dvc")},
        ),
    }
    (clone / "data").mkdir()
    (clone / "data/mine.txt").write_text("mine")
    for said, (asked, options) in mistakes.items():
        with pytest.raises(AssayError, match=said):
            reproduce(asked, **options)
    assert (clone / "data/mine.txt").read_text() == "mine"


@pytest.mark.slow
def test_an_environment_of_its_own(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`make setup` of the record is asked for an interpreter, and its stages run with that."""
    (record,) = records.records(clone)
    makefile = (
        "setup:\n\tmkdir -p .venv/bin\n"
        f"\tprintf '#!/bin/sh\\necho ran >> $(CURDIR)/.venv/used\\nexec {sys.executable} \"$$@\"\\n'"
        " > .venv/bin/python\n\tchmod +x .venv/bin/python\n"
    )
    _forge(clone, record, "Makefile", makefile)
    found = reproduce(record.lineage, environment=True)
    assert found["verdict"] == "identical to the byte"
    assert (Path(found["worktree"]) / ".venv/used").read_text().count("ran") >= 2


def test_a_record_that_leads_out_of_its_folder_is_refused(tmp_path: Path) -> None:
    def dag(dep: str = "in", out: str = "out", name: str = "s") -> Dag:
        return Dag([Stage(name, "true", (dep,), (out,), {}, False, {})])

    refuse_outside(dag(), {})
    for wrong in ("../out", "/etc/out", "a/../../b", "~/out", "s3://bucket/out", ".git/hooks", "a/.dvc/x"):
        for made in (dag(out=wrong), dag(dep=wrong)):
            with pytest.raises(AssayError, match="outside its folder"):
                refuse_outside(made, {})
        entry = {"cmd": "true", "outs": [{"path": wrong, "md5": "0"}]}
        with pytest.raises(AssayError, match=r"dvc\.lock: t names"):
            refuse_outside(dag(), {"t": entry})
        (tmp_path / "data.dvc").write_text(yaml.safe_dump({"outs": [{"path": wrong, "md5": "0"}]}))
        with pytest.raises(AssayError, match=r"data\.dvc names"):
            pins_of(tmp_path, ["data.dvc"])
    for name in ("--force", "../x", ".x"):
        with pytest.raises(AssayError, match="a stage with the name"):
            refuse_outside(dag(name=name), {})
    (tmp_path / "data.dvc").write_text("deps: [{path: x}]\nouts: [{path: data, md5: '0'}]\n")
    with pytest.raises(AssayError, match="more than pin"):
        pins_of(tmp_path, ["data.dvc"])


@pytest.mark.slow
def test_links_and_second_pipelines_in_a_record_are_refused(clone: Path) -> None:
    (record,) = records.records(clone)
    link = subprocess.run(
        ["git", "hash-object", "-w", "--stdin"], cwd=clone, input=b"../..", capture_output=True, check=True
    )
    for path, mode in {"artifacts": "120000", "sub/dvc.yaml": "100644"}.items():
        forged = _forge(clone, record, path, link.stdout.decode().strip(), mode)
        with pytest.raises(AssayError, match=f"{path}'.*: refused"):
            files_of(clone, forged)
        _forge(clone, record, path, None)


def test_the_clones_settings_are_given_and_its_secrets_are_not_shown(tmp_path: Path) -> None:
    (tmp_path / "root/.dvc").mkdir(parents=True)
    (tmp_path / "root/.dvc/config").write_text(
        "[core]\n remote = far\n[cache]\n dir = ../cache\n['remote \"far\"']\n url = ../../store\n"
    )
    (tmp_path / "root/.dvc/config.local").write_text(
        "['remote \"far\"']\n secret_access_key = 'hush, #1'\n keyfile = key.pem\n"
    )
    merged = settings.of_clone(tmp_path / "root")
    (tmp_path / "there/.dvc").mkdir(parents=True)
    (tmp_path / "there/.dvc/config").write_text("['remote \"far\"']\n endpointurl = http://elsewhere\n")
    settings.give(tmp_path / "there", merged, tmp_path / "mine", remotes=True)
    local = tmp_path / "there/.dvc/config.local"
    assert stat.S_IMODE(local.stat().st_mode) == 0o600
    assert settings.of_clone(tmp_path / "there") == {
        "core": {"remote": "far", "analytics": "false", "check_update": "false", "autostage": "false"},
        "cache": {"dir": str(tmp_path / "mine")},
        'remote "far"': {
            "url": str(tmp_path / "store"),
            "secret_access_key": "hush, #1",
            "keyfile": str(tmp_path / "root/.dvc/key.pem"),
        },
    }
    said = settings.redacted("ERROR: hush, #1 at https://me:pass@host/path", merged)
    assert said == "ERROR: *** at https://***@host/path"
    settings.give(tmp_path / "there", merged, tmp_path / "mine", remotes=False)
    assert "far" not in local.read_text()


def test_bytes_are_hashed_as_dvc_does_and_differences_named(tmp_path: Path) -> None:
    root = toy.finished_repo(tmp_path / "repo")
    dag, recorded = load_dag(root), toy.lock(root)
    outputs = outputs_of(recorded, dag.order)
    content = Content(root, [root / ".dvc/cache"], 2)
    md5s, findings = content.compare(outputs)
    assert md5s == {out["path"]: out["md5"] for entry in recorded.values() for out in entry["outs"]}
    assert findings == []
    before = (root / "artifacts/generate/a/made.txt").stat()
    _alter(root / "artifacts/generate/a/made.txt", "MADE by artifacts/generate/a\n")
    os.utime(root / "artifacts/generate/a/made.txt", ns=(before.st_atime_ns, before.st_mtime_ns))
    (root / "results/more.txt").write_text("more")
    (root / "results/index.html").unlink()
    shutil.rmtree(root / "artifacts/generate/b")
    md5s, findings = content.compare(outputs)
    named = {finding.path: finding for finding in findings}
    assert set(named) == {
        "artifacts/generate/a/made.txt",
        "artifacts/generate/b",
        "results/more.txt",
        "results/index.html",
    }
    assert named["results/more.txt"].expected is None
    assert named["results/index.html"].found is named["artifacts/generate/b"].found is None
    assert first_differing(dag, recorded, recorded, md5s) == (["generate@a", "generate@b"], ["report"])
    made = json.loads(json.dumps(recorded))
    for dep in made["train@a-net-0"]["deps"]:
        dep["md5"] = "0"
    md5s["artifacts/train/a/net-s0"] = "0"
    assert first_differing(dag, recorded, made, md5s)[1] == ["train@a-net-0", "report"]


def test_numbers_of_two_tables_are_compared() -> None:
    def cells(*rows: str) -> str:
        return "\n".join([_HEADING, *rows, ""])

    one = cells("cell,net,a,b,clean,0,0.75,aaa", "cell,net,a,c,clean,0,,aaa")
    assert largest_difference(one, one.replace("aaa", "bbb")) is None
    found = largest_difference(one, one.replace("0.75", "0.7499"))
    assert found is not None
    assert (found.cell, found.metric) == ("cell, net, a, b, clean, 0", "auroc")
    assert found.difference == pytest.approx(1e-4)
    for other in (one.replace("0,,aaa", "0,0.5,aaa"), one.replace(",c,", ",d,"), one.replace("0.75", "nan")):
        found = largest_difference(one, other)
        assert found is not None
        assert math.isinf(found.difference)
        assert found.as_dict()["difference"] is None


def test_the_records_code_comes_first_and_its_own_environment_before_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(toy.ROOT))
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks/__init__.py").write_text("print('of the record')")
    given = {**os.environ, **variables(tmp_path, own=False), "PYTHONSAFEPATH": "1"}
    said = subprocess.run(
        [sys.executable, "-c", "import tasks"], cwd=tmp_path, env=given, capture_output=True, check=True
    )
    assert said.stdout == b"of the record\n"
    assert variables(tmp_path, own=True)["PATH"].startswith(f"{tmp_path}/.venv/bin:")


def test_other_versions_and_processors_are_told() -> None:
    was = {"python": "CPython 3.11.7", "cpu": {"model": "A", "cores": 2}, "packages": {"torch": "2.1"}}
    now = {
        "python": "CPython 3.11.7",
        "cpu": {"model": "B", "cores": 8},
        "packages": {"torch": "2.2", "x": "1"},
    }
    assert differences(was, now) == {"processor": ["A", "B"], "torch": ["2.1", "2.2"], "x": [None, "1"]}


def _forge(
    clone: Path, record: records.Record, path: str, content: str | None, mode: str = "100644"
) -> records.Record:
    """Let the record's tag say the same of another tree: one in which a file is otherwise, or gone."""

    def git(*arguments: str, given: str = "") -> str:
        environment = {**os.environ, "GIT_INDEX_FILE": str(clone / ".git/forged")}
        done = subprocess.run(
            [*_GIT, *arguments],
            cwd=clone,
            env=environment,
            input=given,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    git("read-tree", record.commit)
    if content is not None:
        blob = content if mode == "120000" else git("hash-object", "-w", "--stdin", given=content)
        git("update-index", "--add", "--cacheinfo", f"{mode},{blob},{path}")
    commit = git("commit-tree", "-m", "forged", git("write-tree"))
    message = git("tag", "-l", "--format=%(contents)", record.tag)
    git("tag", "-f", "-a", "-F", "-", record.tag, commit, given=message)
    (forged,) = records.records(clone)
    return forged


def _md5_in(clone: Path, record: records.Record, stage: str) -> str:
    lock = yaml.safe_load((records.file_of(clone, record, "dvc.lock") or b"").decode())
    return str(lock["stages"][stage]["outs"][0]["md5"])


def _pinned(clone: Path, record: records.Record) -> str:
    pins = yaml.safe_load(records.file_of(clone, record, "data.dvc") or b"")
    return str(pins["outs"][0]["md5"])


def _worktrees(clone: Path) -> list[str]:
    done = subprocess.run(["git", "worktree", "list"], cwd=clone, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def _object(folder: Path, content: str | bytes) -> Path:
    """The one file in a cache or a remote with this content."""
    wanted = content.encode() if isinstance(content, str) else content
    (found,) = [path for path in folder.rglob("*") if path.is_file() and path.read_bytes() == wanted]
    return found


def _alter(path: Path, text: str) -> None:
    """Write over a file, and leave it write-protected: DVC believes such a one in its cache."""
    path.chmod(0o644)
    path.write_text(text)
    path.chmod(0o444)


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _until(condition: Callable[[], bool], seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.1)
