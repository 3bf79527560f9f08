"""The drills of tests/drills as tests; failures.py, mending.py and guard.py one by one."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from assets.errors import AssayError
from flows.running import dvc, failures, guard, mending, slots
from tests.drills import catalogue, disks
from tests.drills.real import Real, families, in_turn
from tests.drills.scene import Seen, Toy, kill, undisturbed, until

_QUICK = {"generate dvc"}
_NAMES = [pytest.param(name, marks=[] if name in _QUICK else pytest.mark.slow) for name in catalogue.DRILLS]
_LOCK = """\
schema: '2.0'
stages:
  a:
    cmd: make a
    outs:
    - path: a
      md5: a123
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    return undisturbed(tmp_path_factory.mktemp("whole") / "repo")


@pytest.mark.parametrize("name", _NAMES)
def test_drill(name: str, whole: Toy, tmp_path: Path) -> None:
    if name in catalogue.MOUNTS and not disks.may_mount():
        pytest.skip("this process may not mount a file system")
    seen: Seen = catalogue.DRILLS[name](whole, tmp_path / "drill" / "repo")
    assert seen.same, seen


@pytest.mark.slow
def test_kills_in_the_real_stages(tmp_path: Path) -> None:
    whole = Real(tmp_path / "whole" / "repo")
    for family, stage in families(whole).items():
        seen = in_turn(whole, tmp_path / family / "repo", stage)
        assert seen.same, seen


_RAN = "Running stage 'a':\n> python -m tasks.a\n"
_FAILED = "ERROR: failed to reproduce 'a': "


@pytest.mark.parametrize(
    ("log", "status", "remote", "may_pass", "reason"),
    [
        (f"{_RAN}{_FAILED}failed to run: python a.py, exited with 75", 255, None, True, "exited with 75"),
        (f"{_RAN}{_FAILED}failed to run: python a.py, exited with -9", 255, None, True, "exited with -9"),
        (f"{_RAN}{_FAILED}failed to run: python a.py, exited with 1", 255, "://", False, "exited with 1"),
        (
            f"{_RAN}WARNING: could not connect\nERROR: Unable to acquire lock\n"
            f"{_FAILED}failed to run: python a.py, exited with 2",
            255,
            "://",
            False,
            "exited with 2",
        ),
        (
            f"{_RAN}exited with 75\n{_FAILED}failed to run: python a.py, exited with 2",
            255,
            None,
            False,
            "with 2",
        ),
        (
            'ERROR: unexpected error - Could not connect to the endpoint URL: "http://127.0.0.1:9/bucket/x/runs"\n'
            "\nHaving any troubles? Hit us up at https://dvc.org/support, we are always happy to help!\n",
            255,
            "://",
            True,
            "Could not connect",
        ),
        (
            f"{_FAILED}[Errno 20] Not a directory: '/store/files/md5/9b/7d2.dir'\n",
            255,
            "/store",
            True,
            "Not a directory: '/store",
        ),
        (
            "WARNING: Some of the cache files do not exist neither locally nor on remote. Missing cache "
            f"files:\nmd5: 9b7d.dir\n{_FAILED}Checkout failed for following targets:\ndata\n",
            255,
            "://",
            True,
            "Checkout failed",
        ),
        (f"{_FAILED}Checkout failed for following targets:\ndata\n", 255, None, False, "Checkout failed"),
        (
            f"{_FAILED}'artifacts/a' is busy, it is being blocked by:\n  (PID 7): dvc repro\n",
            255,
            None,
            True,
            "busy",
        ),
        (f"{_RAN}", 137, None, True, "was killed"),
        (f"{_RAN}", -9, None, True, "was killed"),
        (
            f"{_RAN}{_FAILED}[Errno 28] No space left on device: '/x/y.tmp'",
            255,
            "/x",
            False,
            "the disk is full",
        ),
        (f"{_RAN}", 255, None, False, "dvc ended with status 255"),
    ],
)
def test_why_a_stage_failed_and_whether_that_may_pass(
    log: str, status: int, remote: str | None, may_pass: bool, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.log"
    path.write_text(log)
    found = failures.failure(tmp_path, "a", status, path, remote)
    assert reason in found.reason
    assert found.may_pass is may_pass


def test_words_of_dvc_about_its_own_damaged_files() -> None:
    for text in (
        "'./dvc.lock' validation failed.\n\nrequired key not provided, in schema\n",
        "'./dvc.lock' is invalid (possible merge conflicts).\n",
        f"{_FAILED}Unable to read RWLock-file '.dvc/tmp/rwlock'. JSON structure is corrupted: Expecting",
    ):
        assert failures.is_damaged(text) and failures.is_in_the_way(text)
    assert not failures.is_in_the_way(f"Unable to acquire lock\n{_FAILED}failed to run: x, exited with 2\n")


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A repository with a dvc.lock in its last commit."""
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    (tmp_path / "dvc.lock").write_text(_LOCK)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", "dvc.lock"], cwd=tmp_path, check=True)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "commit", "-qm", "a"], cwd=tmp_path, check=True)
    return tmp_path


def test_a_damaged_lock_is_made_from_the_copy_else_the_last_commit_else_the_run_cache(repo: Path) -> None:
    lock = repo / "dvc.lock"
    newer = _LOCK.replace("a123", "b567")
    lock.write_text(newer)
    assert mending.heal_lock(repo) is None
    lock.write_text(_LOCK[:40])
    assert "last whole copy" in str(mending.heal_lock(repo)) and lock.read_text() == newer
    lock.write_text("schema: '2.0'\nstages:\n")
    assert "last whole copy" in str(mending.heal_lock(repo)) and lock.read_text() == newer
    (repo / ".assay/dvc.lock.good").unlink()
    lock.write_text("")
    assert "last commit" in str(mending.heal_lock(repo)) and lock.read_text() == _LOCK
    (repo / ".assay/dvc.lock.good").unlink()
    (repo / ".git").rename(repo / "git")
    lock.write_text("")
    assert "run cache" in str(mending.heal_lock(repo)) and not lock.exists()


def test_an_unfinished_entry_of_the_run_cache_is_removed(repo: Path) -> None:
    """DVC makes the folder first; one that stays empty stops it at that stage ever after."""
    runs = repo / ".dvc/cache/runs"
    for entry in ("aa/begun/.x.tmp", "ab/whole/entry"):
        (runs / entry).parent.mkdir(parents=True)
        (runs / entry).touch()
    (runs / "ac/empty").mkdir(parents=True)
    mending.heal_lock(repo)
    assert sorted(path.name for path in runs.glob("*/*")) == ["whole"]


def test_a_cache_may_be_elsewhere(repo: Path) -> None:
    assert mending.cache_of(repo) == repo / ".dvc/cache"
    (repo / ".dvc/config").write_text("[core]\n    remote = x\n['remote \"x\"']\n    url = /a%b\n")
    (repo / ".dvc/config.local").write_text("[cache]\n    dir = ../../shared\n")
    assert mending.cache_of(repo) == repo.parent / "shared"


def test_both_sides_of_a_merge_are_left_to_the_user(repo: Path) -> None:
    mending.keep_lock(repo)
    merged = _LOCK.replace("  a:", "<<<<<<< HEAD\n  a:\n=======\n  b:\n>>>>>>> other\n")
    (repo / "dvc.lock").write_text(merged)
    with pytest.raises(AssayError, match=r"git checkout --ours dvc\.lock"):
        mending.heal_lock(repo)
    assert (repo / "dvc.lock").read_text() == merged


def test_only_living_dvcs_stay_in_the_table_of_paths_in_use(repo: Path) -> None:
    command = [sys.executable, "-c", "import time; time.sleep(60)", "dvc"]
    with subprocess.Popen(command) as living:
        until(lambda: b"dvc" in Path(f"/proc/{living.pid}/cmdline").read_bytes())
        mine, dead = {"pid": living.pid, "cmd": "dvc"}, {"pid": os.getpid(), "cmd": "dvc"}
        table = repo / ".dvc/tmp/rwlock"
        table.write_text(
            json.dumps({"read": {"/a": [mine, dead], "/b": [dead]}, "write": {"/c": dead, "/d": mine}})
        )
        mending.heal_lock(repo)
        assert json.loads(table.read_text()) == {"read": {"/a": [mine]}, "write": {"/d": mine}}
        living.kill()
    for damaged in ("", '{"wri', "[]", '{"read": 3}'):
        table.write_text(damaged)
        mending.heal_lock(repo)
        assert not table.exists()


def test_a_dvc_that_is_still_dying_is_waited_for(repo: Path) -> None:
    command = [sys.executable, "-c", "import time; time.sleep(60)", "dvc"]
    with subprocess.Popen(command) as dying:
        until(lambda: b"dvc" in Path(f"/proc/{dying.pid}/cmdline").read_bytes())
        user = {"pid": dying.pid, "cmd": "dvc repro --single-item a"}
        (repo / ".dvc/tmp/rwlock").write_text(json.dumps({"read": {"/a": [user]}, "write": {"/c": user}}))
        begun = time.monotonic()
        mending.await_end(repo, "b")
        assert time.monotonic() - begun < 0.5, "another stage's was waited for"
        threading.Timer(1, dying.kill).start()
        mending.await_end(repo, "a")
        assert dying.poll() is not None or not _runs(dying.pid)


@pytest.mark.parametrize("second", [False, True])
def test_nothing_of_a_command_outlives_its_guard(second: bool, tmp_path: Path) -> None:
    """Whichever of the guard's two processes is killed; the command does nothing to die by itself."""
    sleep = "import os, time; open('{}', 'w').write(str(os.getpid())); time.sleep(60)"
    child = f"subprocess.Popen([sys.executable, '-c', {sleep.format('child')!r}])"
    command = f"import subprocess, sys; {child}; {sleep.format('own')}"
    guarded = subprocess.Popen(
        [sys.executable, "-I", "-S", guard.__file__, sys.executable, "-c", command],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    processes = [int(until(lambda name=name: _text(tmp_path / name))) for name in ("own", "child")]  # type: ignore[misc]
    leader = os.getpgid(processes[0])
    assert leader not in (guarded.pid, processes[0]) and os.getpgid(processes[1]) == leader
    kill(leader if second else guarded.pid)
    begun = time.monotonic()
    until(lambda: not any(_runs(process) for process in processes))
    assert time.monotonic() - begun < guard.GRACE, "it was waited for"
    assert guarded.wait(30) == (137 if second else -9)


def test_what_a_command_leaves_behind_ends_with_it(tmp_path: Path) -> None:
    sleep = "import os, time; open('child', 'w').write(str(os.getpid())); time.sleep(60)"
    wait = "import pathlib, time\nwhile not pathlib.Path('child').exists(): time.sleep(0.01)"
    command = (
        f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {sleep!r}])\n{wait}\nsys.exit(4)"
    )
    guarded = subprocess.Popen(
        [sys.executable, "-I", "-S", guard.__file__, sys.executable, "-c", command],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
    )
    assert guarded.wait(60) == 4
    until(lambda: not _runs(int(_text(tmp_path / "child"))))


def test_a_folder_that_serves_as_remote_has_to_be_there(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = repo / "store"
    settings = f"core.remote=store\nremote.store.url={store}\nremote.far.url=s3://bucket/x"
    monkeypatch.setattr(dvc, "_ask", lambda root, *arguments: settings if arguments[0] == "config" else "")
    with pytest.raises(dvc.StageFailed, match=r"store is away") as away:
        dvc.push(repo, "a")
    assert away.value.may_pass and not store.exists()
    store.mkdir()
    dvc.push(repo, "a")


def test_what_could_not_be_pushed_is_pushed_by_the_next_run(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []

    def refuse(root: Path, *arguments: str) -> str:
        asked.append(arguments)
        if arguments[0] == "push" and len(asked) < 3:
            raise AssayError("it is read-only")
        return ""

    monkeypatch.setattr(dvc, "_ask", refuse)
    notes = repo / ".assay/unpushed"
    notes.mkdir(parents=True)
    (notes / "a").touch()
    (notes / "never-finished").touch()
    with pytest.raises(AssayError, match=r"(?s)a: .*could not be pushed.*it is read-only"):
        dvc.push_left(repo)
    assert (notes / "a").exists()
    asked.extend([("",)] * 3)
    dvc.push_left(repo)
    assert [path.name for path in notes.iterdir()] == ["never-finished"]
    assert asked[-1] == ("push", "--run-cache", "a")


def test_a_gpu_has_one_lock_whatever_it_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'GPU 0: A (UUID: GPU-12ab)'\necho 'GPU 1: A (UUID: GPU-34cd)'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(slots, "_SHARED", tmp_path)
    first = slots.take(["0"])
    assert first and slots.take(["GPU-12ab"]) is None and slots.take(["GPU-12"]) is None
    second = slots.take(["GPU-34cd"])
    assert second and second.device == "GPU-34cd" and slots.take(["1"]) is None
    first.release()
    assert slots.take(["GPU-12"])


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
