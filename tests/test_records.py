"""flows/records/records.py and what it is made of: a finished benchmark in git, whatever state git is in."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from assets.errors import AssayError
from assets.lineage import Lineage, LineageError, recorded_benchmark
from flows.records import records
from flows.records.finished import NotFinished, finished
from flows.records.records import Record, file_of, find, lineage_of, push, record, record_finished, unpack
from flows.records.snapshot import without_credentials
from tests import toy

HELD = [
    "data.dvc",
    "dvc.lock",
    "dvc.yaml",
    "generate.py",
    "params.yaml",
    "record.json",
    "results/lineage.json",
    "results/summary.json",
    "results/tables/cross_generator.csv",
    "results/tables/cross_generator.md",
    "toy.py",
]


@pytest.fixture(autouse=True)
def _nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No user.name anywhere, no global configuration: as on a fresh machine."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "none"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_OPTIONAL_LOCKS", "0")  # else `git status`, below, writes the index


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return toy.finished_repo(tmp_path / "repo")


def git(folder: Path, *arguments: str, status: int = 0) -> str:
    named = ["-c", "user.name=somebody", "-c", "user.email=some@body", "-c", "protocol.file.allow=always"]
    done = subprocess.run(
        ["git", *named, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def kept(root: Path) -> Record:
    found = record(root)
    assert found is not None
    return found


def held(root: Path, one: Record) -> list[str]:
    return git(root, "ls-tree", "-r", "--name-only", "--full-tree", one.commit).splitlines()


def state(root: Path) -> list[object]:
    """All that a record must leave as it is."""
    index = root / git(root, "rev-parse", "--git-path", "index").strip()
    files = sorted(path for path in root.rglob("*") if path.is_file() and ".git" not in path.parts)
    return [
        index.read_bytes(),
        git(root, "for-each-ref", "refs/heads"),
        (root / git(root, "rev-parse", "--git-path", "HEAD").strip()).read_text(),
        git(root, "status", "--porcelain"),
        [(path, path.stat().st_mtime_ns, path.read_bytes()) for path in files],
    ]


def edit_lock(root: Path, change: Callable[[dict[str, Any]], object]) -> None:
    document = yaml.safe_load((root / "dvc.lock").read_text())
    change(document["stages"])
    (root / "dvc.lock").write_text(yaml.safe_dump(document))


def test_a_finished_benchmark_is_kept_and_nothing_of_the_users_changes(root: Path) -> None:
    (root / "secret.txt").write_text("nobody depends on it")
    (root / ".env").write_text("TOKEN=1")
    before = state(root)
    one = kept(root)
    assert state(root) == before
    hashes = recorded_benchmark(root)
    assert (one.lineage, one.recipe) == (hashes.lineage, hashes.recipe)
    assert one.tag == f"assay/{hashes.lineage[:16]}" and git(root, "cat-file", "-t", one.tag) == "tag\n"
    assert git(root, "rev-parse", f"{one.commit}^") == git(root, "rev-parse", "HEAD")
    assert sorted(set(held(root, one)) - {path for path in held(root, one) if path[0] == "."}) == HELD
    assert not {"secret.txt", ".env"} & set(held(root, one))
    for path in HELD:
        if path != "record.json":
            assert file_of(root, one, path) == (root / path).read_bytes(), path
    assert (one.generators, one.detectors, one.subject, one.changed) == (("a", "b"), ("net",), "toy", False)
    assert one.summary["net"]["in_domain"]["clean"]["auroc"]["value"] == 0.75
    stages = json.loads(file_of(root, one, "record.json") or b"")["stages"]
    assert stages["generate@b"][0] == Lineage(root).stage("generate@b").lineage[:16]
    assert lineage_of(root, one).tree() == Lineage(root).tree()
    assert "dangling tag" not in git(root, "fsck", "--strict")


def test_it_is_kept_once(root: Path) -> None:
    one = kept(root)
    tag = git(root, "rev-parse", one.tag)
    git(root, "commit", "--allow-empty", "-qm", "later")
    assert kept(root) == one and git(root, "rev-parse", one.tag) == tag
    assert records.records(root) == [one]


def test_two_processes_at_once_make_one_record(root: Path) -> None:
    code = "from pathlib import Path; from flows.records.records import record; print(record(Path()).commit)"
    environment = toy.environment()
    running = [
        subprocess.Popen([sys.executable, "-c", code], cwd=root, env=environment, stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    said = {process.communicate()[0] for process in running}
    assert [process.returncode for process in running] == [0, 0, 0]
    assert said == {f"{kept(root).commit}\n".encode()}


def test_what_is_on_the_disk_counts_and_what_git_does_not_track_stays_out(root: Path) -> None:
    for name in ("mine.py", "notes.md", "local.cfg", "gone.txt", ".env"):
        (root / name).write_text("committed\n")
    git(root, "add", "-f", "mine.py", "notes.md", "local.cfg", "gone.txt", ".env")
    git(root, "commit", "-qm", "more")
    (root / "notes.md").write_text("edited\n")
    (root / "gone.txt").unlink()
    git(root, "rm", "-q", "--cached", "local.cfg")
    (root / "local.cfg").write_text("a password\n")
    (root / "staged.txt").write_text("a password\n")
    git(root, "add", "staged.txt")
    git(root, "update-index", "--assume-unchanged", "mine.py")
    (root / "mine.py").write_text("a password\n")
    (root / ".dvc/config.local").write_text("password = 1\n")
    before = state(root)
    one = kept(root)
    assert state(root) == before
    assert one.changed
    assert file_of(root, one, "notes.md") == b"edited\n"
    assert file_of(root, one, "mine.py") == b"committed\n"
    assert not {"gone.txt", "local.cfg", "staged.txt", ".env", ".dvc/config.local"} & set(held(root, one))


def test_new_code_that_a_stage_depends_on_is_kept_unless_it_is_a_mass_or_a_secret(root: Path) -> None:
    (root / "code").mkdir()
    git(root, "config", "core.autocrlf", "true")  # the hashes in dvc.lock are of the bytes on the disk
    for name in ("new.py", "key.pem", ".env", "a file.txt"):
        (root / "code" / name).write_bytes(b"one\r\ntwo\r\n")
    (root / "code" / "large.bin").write_bytes(b"0" * 5_000_001)
    text = (root / "dvc.yaml").read_text()
    (root / "dvc.yaml").write_text(
        text.replace("deps: [artifacts/evaluate,", "deps: [code, artifacts/evaluate,")
    )
    toy.dvc(root, "repro", "-q", "--single-item", "report")
    one = kept(root)
    assert {"code/new.py", "code/a file.txt"} == {path for path in held(root, one) if path[:4] == "code"}
    assert file_of(root, one, "code/new.py") == b"one\r\ntwo\r\n"
    assert file_of(root, one, "dvc.lock") == (root / "dvc.lock").read_bytes()
    assert one.left_out == ("code/.env", "code/key.pem", "code/large.bin")
    assert one.changed


def test_credentials_stay_out(root: Path) -> None:
    config = root / ".dvc" / "config"
    secret = "['remote \"r\"']\n    url = s3://bucket/x\n    secret_access_key = hidden\n    region = eu\n"
    web = "['remote \"w\"']\n    url = https://me:hidden@host/x?sig=hidden\n    password = hidden\n"
    config.write_text(config.read_text() + secret + web)
    git(root, "commit", "-qam", "in git it was, which is not our doing")
    found = (file_of(root, kept(root), ".dvc/config") or b"").decode()
    assert "hidden" not in found and "region = eu" in found and "url = https://host/x\n" in found
    assert without_credentials(found) == found


def test_a_repository_without_commits(tmp_path: Path, root: Path) -> None:
    shutil.rmtree(root / ".git")
    assert record(root) is None, "there is no git"
    git(root, "init", "-q")
    (root / "other.txt").write_text("nobody depends on it")
    git(root, "add", "other.txt")
    one = kept(root)
    assert one.changed and one.subject == "" and "other.txt" not in held(root, one)
    assert lineage_of(root, one).recorded_benchmark().lineage == one.lineage


def test_a_folder_of_a_larger_repository(tmp_path: Path, root: Path) -> None:
    top = tmp_path / "larger"
    workspace = top / "sub" / "bench"
    shutil.copytree(root, workspace, ignore=shutil.ignore_patterns(".git"))
    git(tmp_path, "init", "-q", "larger")
    (top / "other.txt").write_text("of others\n")
    git(top, "add", "other.txt", "sub/bench/toy.py")
    git(top, "commit", "-qm", "first")
    (top / "other.txt").write_text("their business\n")
    one = kept(workspace)
    assert one.folder == "sub/bench/" and one.changed
    assert git(top, "show", f"{one.commit}:other.txt") == "of others\n"
    assert file_of(workspace, one, "params.yaml") == (root / "params.yaml").read_bytes()
    assert lineage_of(workspace, one).recorded_benchmark().lineage == one.lineage
    unpack(workspace, one, tmp_path / "out", ["."])
    assert (tmp_path / "out" / "dvc.lock").read_bytes() == (root / "dvc.lock").read_bytes()
    assert not (tmp_path / "out" / "other.txt").exists()
    (top / ".gitignore").write_text("/sub\n")
    git(top, "rm", "-qr", "--cached", "sub")
    assert record(workspace) is None, "a repository that ignores the workspace is another one"


def test_hooks_worktrees_and_a_merge_in_progress(tmp_path: Path, root: Path) -> None:
    for hook in ("pre-commit", "post-index-change", "reference-transaction", "commit-msg", "post-commit"):
        path = root / ".git" / "hooks" / hook
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\ntouch '{tmp_path}/hook-ran'\nexit 1\n")
        path.chmod(0o755)
    plain = ["-c", "core.hooksPath=/dev/null"]
    (root / "notes.md").write_text("one\n")
    git(root, *plain, "add", "notes.md")
    git(root, *plain, "commit", "-qm", "one")
    git(root, *plain, "branch", "other")
    git(root, *plain, "worktree", "add", "-q", "-f", str(tmp_path / "tree"), "other")
    (tmp_path / "tree" / "notes.md").write_text("theirs\n")
    git(tmp_path / "tree", *plain, "commit", "-qam", "theirs")
    (root / "notes.md").write_text("ours\n")
    git(root, *plain, "commit", "-qam", "ours")
    git(root, *plain, "merge", "-q", "other", status=1)
    before = state(root)
    one = kept(root)
    assert state(root) == before and (root / ".git" / "MERGE_HEAD").exists()
    assert b"<<<<<<<" in (file_of(root, one, "notes.md") or b"")
    assert not (tmp_path / "hook-ran").exists()
    tree = tmp_path / "tree"
    for name in ("artifacts", "results", "data"):
        shutil.copytree(root / name, tree / name)
    shutil.copyfile(root / "dvc.lock", tree / "dvc.lock")
    git(root, *plain, "tag", "-d", one.tag)
    again = kept(tree)
    assert file_of(tree, again, "notes.md") == b"theirs\n"
    assert records.records(root) == [again]


def test_variables_of_a_hook_lead_nowhere_else(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "init", "-q", "elsewhere")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere" / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "elsewhere" / ".git" / "index"))
    one = kept(root)
    monkeypatch.undo()
    assert git(root, "tag", "--list").split() == [one.tag]
    assert git(tmp_path / "elsewhere", "tag", "--list") == ""


def test_clone_and_push_bring_records_along(tmp_path: Path, root: Path) -> None:
    one = kept(root)
    git(tmp_path, "clone", "-q", str(root), "clone")
    clone = tmp_path / "clone"
    assert [found.lineage for found in records.records(clone)] == [one.lineage]
    assert lineage_of(clone, find(clone, one.lineage)).tree() == Lineage(root).tree()

    git(tmp_path, "init", "-q", "--bare", "shared.git")
    git(tmp_path / "shared.git", "config", "receive.fsckObjects", "true")
    with pytest.raises(AssayError, match=r"no remote 'origin' \(there are: none\); `git remote add origin"):
        push(root, "origin")
    git(root, "remote", "add", "origin", str(tmp_path / "shared.git"))
    assert push(root, "origin") == [one.tag]
    assert push(root, "origin") == []
    git(tmp_path, "clone", "-q", "shared.git", "second")
    assert find(tmp_path / "second", one.recipe[:8]).lineage == one.lineage
    git(root, "remote", "set-url", "origin", str(tmp_path / "away.git"))
    with pytest.raises(AssayError, match="does not appear to be a git repository"):
        push(root, "origin")


def test_a_shallow_clone_says_so(tmp_path: Path, root: Path) -> None:
    one = kept(root)
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{root}", "shallow")
    shallow = tmp_path / "shallow"
    with pytest.raises(
        AssayError, match=r"cut off \(`git clone --depth`\): git fetch origin 'refs/tags/assay"
    ):
        find(shallow, one.lineage)
    git(shallow, *records.FETCH.replace("'", "").split()[1:])
    assert lineage_of(shallow, find(shallow, one.lineage)).recorded_benchmark().lineage == one.lineage


def test_records_are_found_by_both_hashes_and_listed_newest_first(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records.time, "time", lambda: 1_000_000_000.0)
    first = kept(root)
    toy.set_params(root, report={"level": 0.9})
    toy.dvc(root, "repro", "-q", "--single-item", "report")
    monkeypatch.setattr(records.time, "time", lambda: 2_000_000_000.0)
    second = kept(root)
    assert records.records(root) == [second, first]
    assert first.made == "2001-09-09T01:46:40Z"
    assert find(root, second.recipe[:12].upper()) == second and find(root, first.tag) == first
    with pytest.raises(
        AssayError, match=r"no record has a hash that begins with 0123abcd; .*lists the 2 there"
    ):
        find(root, "0123abcd")
    with pytest.raises(AssayError, match="too short"):
        find(root, "abc")
    alike = [one.__class__(**{**vars(one), "recipe": "f" * 64}) for one in (first, second)]
    monkeypatch.setattr(records, "records", lambda root: alike)
    with pytest.raises(
        AssayError, match=f"is the recipe of several records: .*{second.lineage[:16]}.*the lineage"
    ):
        find(root, "ffff")


def test_a_record_that_was_tampered_with_is_refused(tmp_path: Path, root: Path) -> None:
    one = kept(root)
    message = git(root, "for-each-ref", "--format=%(contents)", f"refs/tags/{one.tag}")
    unpack(root, one, tmp_path / "out", ["."])
    out = tmp_path / "out"
    edit_lock(out, lambda stages: stages["generate@b"].update(cmd="another"))
    git(out, "init", "-q")
    git(out, "add", "-Af")
    git(out, "commit", "-qm", "forged")
    git(out, "tag", "-a", "-m", message, one.tag)
    with pytest.raises(LineageError, match=f"{one.tag} is not what was recorded"):
        lineage_of(out, find(out, one.lineage))
    git(out, "tag", "-f", "-a", "-m", message.replace(one.lineage, "0" * 64), one.tag)
    with pytest.raises(AssayError, match="is not a record that this version"):
        records.records(out)
    git(out, "tag", "-d", one.tag)
    git(out, "tag", "assay/of-mine")
    assert records.records(out) == []


def test_some_files_are_unpacked(tmp_path: Path, root: Path) -> None:
    (root / "toy.py").chmod(0o755)
    (root / "link").symlink_to("toy.py")
    git(root, "add", "link")
    git(root, "commit", "-qam", "link")
    one = kept(root)
    unpack(root, one, tmp_path / "out", ["toy.py", "results/tables", "link"])
    found = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*"))
    assert found == ["results/tables/cross_generator.csv", "results/tables/cross_generator.md", "toy.py"]
    assert (
        os.access(tmp_path / "out" / "toy.py", os.X_OK) and (tmp_path / "out/link").resolve().name == "toy.py"
    )
    with pytest.raises(AssayError, match="has no results/page"):
        unpack(root, one, tmp_path / "out", ["toy.py", "results/page"])
    assert file_of(root, one, "results/page") is None and file_of(root, one, "results") is None
    (root / "link").unlink()
    (root / "link").symlink_to("../../outside")
    git(root, "tag", "-d", one.tag)
    with pytest.raises(AssayError, match="outside of the record"):
        unpack(root, kept(root), tmp_path / "again", ["."])


def _is_refused(root: Path, match: str) -> None:
    with pytest.raises(NotFinished, match=match):
        record_finished(root)
    assert record(root) is None and records.records(root) == []


def test_only_what_is_finished_and_all_of_a_piece_is_kept(root: Path) -> None:
    lock, params, code = ((root / name).read_text() for name in ("dvc.lock", "params.yaml", "toy.py"))
    edit_lock(root, lambda stages: stages.pop("generate@b"))
    _is_refused(root, "generate@b has not run")
    (root / "dvc.lock").write_text(lock)
    toy.set_params(root, seed=2)
    _is_refused(root, "code or parameters have changed since the report was made")
    (root / "params.yaml").write_text(params)
    (root / "generate.py").write_text("# other code\n")
    _is_refused(root, r"generate@a ran with another generate.py than there is now")
    (root / "generate.py").write_text("# code of one family\n")
    (root / "toy.py").write_text(code + "#")
    _is_refused(root, "code or parameters have changed")
    (root / "toy.py").write_text(code)
    text = (root / "dvc.yaml").read_text()
    (root / "dvc.yaml").write_text(text.replace("toy.py artifacts/generate", "toy.py  artifacts/generate"))
    _is_refused(root, "generate@a ran as .* and dvc.yaml says")
    (root / "dvc.yaml").write_text(text.replace('[seed, "generators', '["generators'))
    _is_refused(root, "generate@a ran with other parameters")
    (root / "dvc.yaml").write_text(text)
    table = root / "results" / "tables" / "cross_generator.md"
    before = table.read_text()
    table.write_text(before.replace("a table", "a better table"))
    _is_refused(root, "results is not what the report wrote")
    table.write_text(before)
    assert record(root)
    shutil.rmtree(root / "results")
    with pytest.raises(NotFinished, match="the tables print no hash"):
        finished(root)


def test_every_hash_in_the_lock_counts(root: Path) -> None:
    """Whatever is changed in dvc.lock, what is there is no finished benchmark any more."""
    whole = yaml.safe_load((root / "dvc.lock").read_text())
    places = [
        (stage, part, number)
        for stage, entry in whole["stages"].items()
        for part in ("deps", "outs")
        for number in range(len(entry.get(part) or ()))
    ]
    assert len(places) > 20
    dag = Lineage(root).dag
    for stage, part, number in places:
        changed = json.loads(json.dumps(whole))
        file = changed["stages"][stage][part][number]
        file["md5"] = "0" * 32
        (root / "dvc.lock").write_text(yaml.safe_dump(changed))
        if dag.outs_behind(file["path"]) and file["path"] not in dag.out_of:
            assert finished(root), "a folder counts by the stages in it"
            continue
        with pytest.raises(NotFinished):
            finished(root)
