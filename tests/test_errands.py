"""flows/elsewhere but for workers: what goes to another clone, what is done there, what comes back."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from assets.dag import load_dag
from assets.errors import AssayError
from assets.lineage import read_lock
from flows.elsewhere import clone, fragments
from flows.elsewhere.arrivals import read_errand, read_outcome
from flows.elsewhere.away import Away
from flows.elsewhere.errand import Errand, ErrandFailed, Outcome
from flows.elsewhere.errands import do_parcel, perform
from flows.elsewhere.settled import note, still_open
from flows.planning.plan import Planned, plan
from flows.running import dvc
from flows.running.workspace import only_run
from tests import clones, toy


@pytest.fixture
def origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(toy.ROOT))
    monkeypatch.setenv("TOY_TRACE", str(tmp_path / "trace"))
    (tmp_path / "store").mkdir()
    return clones.origin(tmp_path / "origin", str(tmp_path / "store"))


def _planned(stage: str, force: bool = False) -> Planned:
    return Planned(stage, stage.partition("@")[0], ("new",), None, None, False, force)


def _away(root: Path) -> Away:
    return Away(root, dvc.Control(), {})


def _send(home: Path, worker: Path, stage: str) -> dvc.Ran:
    """One errand, over the wire and back, with all checks of both sides."""
    away = _away(home)
    errand = away._errand(_planned(stage))
    over_the_wire = json.loads(json.dumps(errand.as_dict()))
    outcome = perform(worker, read_errand(over_the_wire), patience=5)
    ran = away._take(errand, json.loads(json.dumps(outcome.as_dict())), "test")
    away.settle(ran)
    return ran


@pytest.mark.slow
def test_stages_in_other_clones_give_the_same_lock(origin: Path, tmp_path: Path) -> None:
    """Two clones take turns; a third, without data, ends with the entries that DVC alone writes."""
    home, one, two = (clones.clone(origin, tmp_path / name) for name in ("home", "one", "two"))
    toy.set_params(home, seed=2)  # not committed
    hows = [_send(home, one, "generate@a").how, _send(home, two, "collect@photos").how]
    hows.append(_send(home, two, "train@a-net-0").how)
    assert hows == ["ran"] * 3
    assert _send(home, two, "generate@a").how == "restored"
    assert toy.traced(tmp_path / "trace") == ["generate@a", "collect@photos", "train@a-net-0"]
    by_dvc = toy.toy_repo(tmp_path / "by_dvc")
    toy.set_params(by_dvc, seed=2)
    toy.dvc(by_dvc, "repro", "-q", "train@a-net-0")
    assert toy.lock(home) == toy.lock(by_dvc)
    assert not (home / "artifacts").exists()
    for worker in (one, two):
        assert not (worker / "dvc.lock").exists(), "it was lent, and is as it was"
        assert subprocess.check_output(["git", "status", "--porcelain"], cwd=worker) == b""
        assert not (worker / "data/b").exists(), "only what a stage reads is fetched"
    assert [stage.stage for stage in still_open(home, load_dag(home), plan(home, ["train"]))] == []


@pytest.mark.slow
def test_what_lies_in_a_clone_from_before_is_not_read(origin: Path, tmp_path: Path) -> None:
    home, worker = clones.clone(origin, tmp_path / "home"), clones.clone(origin, tmp_path / "worker")
    for name in ("artifacts/generate/a", "artifacts/collect/old"):
        (worker / name).mkdir(parents=True)
        (worker / name / "made.txt").write_text("by a run with other parameters")
    for stage in ("generate@a", "collect@photos"):
        _send(home, worker, stage)
    (worker / "artifacts/generate/a/made.txt").write_text("changed by hand")
    _send(home, worker, "train@a-net-0")
    by_dvc = toy.lock(toy.finished_repo(tmp_path / "by_dvc"))
    assert toy.lock(home)["train@a-net-0"] == by_dvc["train@a-net-0"]
    (worker / "data/a/mine.txt").write_text("a picture of somebody's own")
    with pytest.raises(dvc.StageFailed) as failure:
        _send(home, worker, "generate@a")
    assert "pull" in failure.value.tail
    assert (worker / "data/a/mine.txt").exists()


@pytest.mark.slow
def test_a_clone_with_other_code_goes_to_the_commit_or_says_so(origin: Path, tmp_path: Path) -> None:
    home, worker = clones.clone(origin, tmp_path / "home"), clones.clone(origin, tmp_path / "worker")
    (home / "generate.py").write_text("# other code\n")
    with pytest.raises(dvc.StageFailed) as failure:
        _send(home, worker, "generate@a")
    assert "generate.py differs" in failure.value.tail and str(worker) in failure.value.tail
    clones.commit(home, "other code")
    subprocess.run(["git", "push", "-q", "origin", "HEAD:refs/heads/other"], cwd=home, check=True)
    assert _send(home, worker, "generate@a").how == "ran"
    (home / "generate.py").write_text("# again\n")
    clones.commit(home, "again")
    (worker / "toy.py").write_text(toy.TOY + "\n")
    with pytest.raises(dvc.StageFailed) as failure:
        _send(home, worker, "generate@a")
    assert "has changes of its own (M toy.py)" in failure.value.tail


@pytest.mark.slow
def test_in_the_runs_own_folder_nothing_travels(origin: Path, tmp_path: Path) -> None:
    home = toy.finished_repo(tmp_path / "home")  # without a remote
    toy.set_params(home, seed=3)
    before = toy.lock(home)
    with only_run(home):
        assert _send(home, home, "generate@a").how == "ran"
    after = toy.lock(home)
    assert after["generate@a"]["params"]["params.yaml"]["seed"] == 3
    assert before.keys() == after.keys()
    copy = toy._copy(home, tmp_path / "copy")
    with pytest.raises(dvc.StageFailed) as failure:
        _send(home, copy, "generate@a")
    assert "neither a DVC remote nor a shared cache" in failure.value.tail, "a copy is another folder"


@pytest.mark.slow
def test_clones_with_one_cache_need_no_remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(toy.ROOT))
    origin = toy.toy_repo(tmp_path / "origin")
    toy.dvc(origin, "config", "cache.dir", str(tmp_path / "cache"))
    toy.dvc(origin, "add", "-q", "data")
    clones.commit(origin, "a shared cache")
    home, worker = clones.clone(origin, tmp_path / "home"), clones.clone(origin, tmp_path / "worker")
    assert _send(home, worker, "generate@a").how == "ran"
    assert (worker / "data/a/x.txt").exists()
    assert _send(home, clones.clone(origin, tmp_path / "third"), "generate@a").how == "restored"


@pytest.mark.slow
def test_a_clone_whose_errand_was_killed_is_as_it_was(origin: Path, tmp_path: Path) -> None:
    home, worker = clones.clone(origin, tmp_path / "home"), clones.clone(origin, tmp_path / "worker")
    own = (worker / "params.yaml").read_text()
    clone._set_aside(worker)
    (worker / "params.yaml").write_text("of an errand that was killed")
    (worker / "dvc.lock").write_text("")
    assert _send(home, worker, "generate@a").how == "ran"
    assert (worker / "params.yaml").read_text() == own
    assert not (worker / "dvc.lock").exists()


@pytest.mark.slow
def test_a_failed_stage_comes_back_with_its_last_lines(
    origin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, worker = clones.clone(origin, tmp_path / "home"), clones.clone(origin, tmp_path / "worker")
    monkeypatch.setenv("TOY", json.dumps({"fail": ["generate@a"]}))
    with pytest.raises(dvc.StageFailed, match="exited with 3") as failure:
        _send(home, worker, "generate@a")
    assert "the reason of the failure" in failure.value.tail
    assert "the reason of the failure" in (home / ".assay/logs/generate@a.log").read_text()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("stage", "report; touch /tmp/x"),
        ("stage", "--force"),
        ("inputs", {"../elsewhere": {"md5": "0" * 32}}),
        ("inputs", {"/etc/passwd": {"md5": "0" * 32}}),
        ("inputs", {"artifacts/x": {"md5": "../../x"}}),
        ("inputs", {"artifacts/x": {"md5": "0" * 32, "cloud": "x"}}),
        ("code", {"--option": "0" * 32}),
        ("commit", "--upload-pack=touch"),
        ("limit", -1),
        ("beat", 0),
        ("version", 2),
        ("force", 1),
        ("elsewhere", ["a/../../b"]),
    ],
)
def test_an_errand_that_reaches_out_of_the_clone_is_refused(field: str, value: Any) -> None:
    document = {**_errand().as_dict(), field: value}
    with pytest.raises(AssayError, match="no errand for this clone"):
        read_errand(document)


def _errand(**changed: Any) -> Errand:
    plain: dict[str, Any] = {
        "stage": "generate@a",
        "force": False,
        "params": "",
        "data": None,
        "code": {"dvc.yaml": "0" * 32},
        "commit": None,
        "inputs": {},
        "elsewhere": (),
        "share": False,
        "limit": None,
        "beat": 30.0,
        "token": "x",
    }
    return Errand(**{**plain, **changed})


def test_an_errand_survives_the_wire() -> None:
    errand = _errand(
        inputs={"artifacts/a": {"md5": f"{'0' * 32}.dir", "size": 3, "nfiles": 1, "hash": "md5"}}
    )
    assert read_errand(json.loads(json.dumps(errand.as_dict()))) == errand
    with pytest.raises(AssayError, match="its fields"):
        read_errand({"stage": "report"})
    with pytest.raises(AssayError, match="no outcome"):
        read_outcome({"how": "ran"})


@pytest.mark.slow
def test_what_does_not_fit_the_clones_graph_is_refused(origin: Path, tmp_path: Path) -> None:
    home, worker = clones.clone(origin, tmp_path / "home"), clones.clone(origin, tmp_path / "worker")
    good = _away(home)._errand(_planned("generate@a"))
    stranger = {"artifacts/collect/photos": {"md5": "0" * 32}}
    data = (home / "data.dvc").read_text()
    for changed, said in (
        ({"inputs": stranger}, "its inputs are not what"),
        ({"code": {"dvc.yaml": good.code["dvc.yaml"]}}, "its code is not what"),
        ({"data": data.replace("path: data", "path: ../data")}, "pins something else"),
        ({"stage": "generate@nope"}, "there is no stage"),
        ({"params": good.params.replace("seed:", "sead:")}, "sead"),
    ):
        errand = Errand(**{**good.as_dict(), "elsewhere": (), **changed})
        outcome = perform(worker, errand, patience=5)
        assert (outcome.how, said in outcome.tail) == ("failed", True), outcome.tail


def test_an_entry_that_is_not_what_was_asked_for_is_refused(tmp_path: Path) -> None:
    root = toy.finished_repo(tmp_path / "home")
    dag, entry = load_dag(root), read_lock(root)["train@a-net-0"]
    assert fragments.check_entry(root, dag, "train@a-net-0", entry, {}) is None
    wrong = {
        "another command": {**entry, "cmd": "true"},
        "other files": {**entry, "outs": [{"path": "../x", "md5": "0" * 32}]},
        "other parameters": {**entry, "params": {"params.yaml": {"detectors.net": {}}}},
    }
    for said, bad in wrong.items():
        assert said in str(fragments.check_entry(root, dag, "train@a-net-0", bad, {}))
    other = fragments.check_entry(root, dag, "train@a-net-0", entry, {"artifacts/generate/a": "1" * 32})
    assert "read another artifacts/generate/a" in str(other)


def test_entries_survive_as_yaml(tmp_path: Path) -> None:
    """Words that look like numbers in one YAML or the other, numbers as keys, and how DVC reads them."""
    words = ["1e-05", "12e03", "0o17", "no", "1_000", ".5", "null", "2015-11", "1:30", "é"]
    entry: dict[str, Any] = {
        "cmd": "x",
        "params": {"params.yaml": {"words": words, "n": {65: 1e-05, 2: True}}},
    }
    assert fragments.from_text(fragments.as_text(entry)) == entry
    fragments.write_lock(tmp_path, {"a": entry})
    from ruamel.yaml import YAML  # what DVC reads with

    assert YAML(typ="safe").load(tmp_path / "dvc.lock")["stages"] == {"a": entry}


def test_merged_entries_leave_dvc_content(tmp_path: Path) -> None:
    root = toy.finished_repo(tmp_path / "home")
    before = read_lock(root)
    fragments.merge(root, {"generate@a": before["generate@a"]})
    assert read_lock(root) == before
    assert dvc.status(root) == {}


@pytest.mark.slow
def test_without_data_only_what_differs_is_open(tmp_path: Path) -> None:
    """A folder's md5 says nothing where there is no folder: what a stage had read is noted beside."""
    root = toy.finished_repo(tmp_path / "home")
    dag, recorded = load_dag(root), read_lock(root)
    for name in toy.STAGES[:-1]:
        note(root, dag, name, recorded[name], elsewhere=True)
    for path in ("artifacts", "data"):
        subprocess.run(["rm", "-r", str(root / path)], check=True)

    def open_now() -> set[str]:
        return {stage.stage for stage in still_open(root, load_dag(root), plan(root))}

    assert open_now() == set()
    (root / "generate.py").write_text("# other code\n")
    assert open_now() == set(toy.STAGES) - {"collect@photos"}
    (root / "generate.py").write_text("# code of one family\n")
    changed = {**recorded["collect@photos"], "outs": [{"path": "artifacts/collect/photos", "md5": "1" * 32}]}
    fragments.merge(root, {"collect@photos": changed})
    assert open_now() == {"train@a-net-0", "evaluate@a-a", "evaluate@a-b", "report"}
    fragments.merge(root, recorded)
    (root / "data.dvc").write_text((root / "data.dvc").read_text().replace("md5: ", "md5: 0", 1))
    assert "generate@a" in open_now()


@pytest.mark.slow
def test_a_clusters_process_uses_a_clone_that_is_free(
    origin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, one, two = (clones.clone(origin, tmp_path / name) for name in ("home", "one", "two"))
    errand = _away(home)._errand(_planned("generate@a"))
    monkeypatch.delenv("ASSAY_REPO", raising=False)
    with pytest.raises(AssayError, match="ASSAY_REPO is not set"):
        do_parcel(errand.as_dict())
    monkeypatch.setenv("ASSAY_REPO", f"{one}:{two}")
    with only_run(one):
        outcome = read_outcome(do_parcel(errand.as_dict()))
    assert outcome.where.endswith(str(two))


def test_a_failure_travels_between_processes() -> None:
    outcome = Outcome("a", "failed", 1.0, "there", False, "", "the tail", "the reason", True)
    failure = ErrandFailed(outcome)
    kind, arguments = failure.__reduce__()
    again = kind(*arguments)
    assert (again.stage, again.reason, again.tail, again.may_pass) == ("a", "the reason", "the tail", True)
