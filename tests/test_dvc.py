"""flows/running: dvc.py, guard.py, slots.py and workspace.py; child processes, locks and kills."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from assets.errors import AssayError
from flows.running import dvc, guard, slots, workspace
from tests import toy


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(toy.ROOT))
    monkeypatch.setenv("TOY_TRACE", str(tmp_path / "trace"))
    return toy.finished_repo(tmp_path / "repo")


def _order(monkeypatch: pytest.MonkeyPatch, **orders: object) -> None:
    monkeypatch.setenv("TOY", json.dumps(orders))


def test_how_a_stage_came_to_be(root: Path) -> None:
    assert dvc.repro(root, "generate@a").how == "skipped"
    toy.set_params(root, seed=2)
    ran = dvc.repro(root, "generate@a")
    assert (ran.how, ran.log.name) == ("ran", "generate@a.log")
    toy.set_params(root)
    assert dvc.repro(root, "generate@a").how == "restored"
    assert dvc.repro(root, "generate@a", force=True).how == "ran"


def test_a_failure_brings_its_last_lines(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _order(monkeypatch, fail=["generate@a"])
    with pytest.raises(dvc.StageFailed) as failure:
        dvc.repro(root, "generate@a", force=True)
    assert "the reason of the failure" in failure.value.tail
    assert failure.value.log == root / ".assay/logs/generate@a.log"


def test_a_stage_is_ended_when_its_time_is_up(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _order(monkeypatch, sleep={"generate@a": 60})
    with pytest.raises(dvc.StageFailed, match="time allowed"):
        dvc.repro(root, "generate@a", force=True, timeout=8)
    _assert_gone(tmp_path / "trace")


def test_a_stage_is_ended_when_the_run_stops(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _order(monkeypatch, sleep={"generate@a": 60})
    control = dvc.Control()
    threading.Thread(target=_when_started, args=(tmp_path / "trace", control.stop.set), daemon=True).start()
    with pytest.raises(dvc.Stopped):
        dvc.repro(root, "generate@a", force=True, control=control)
    _assert_gone(tmp_path / "trace")


def test_a_lock_that_someone_else_holds_is_waited_for(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = ["'a' is busy, it is being blocked by: ...", "Stage 'generate@a' is cached - skipping run"]
    stub = (
        "import sys, pathlib; n = len(list(pathlib.Path().glob('try*'))); "
        f"pathlib.Path(f'try{{n}}').touch(); print({said!r}[n]); sys.exit(1 - n)"
    )
    monkeypatch.setattr(dvc, "_DVC", [sys.executable, "-c", stub])
    assert dvc.repro(root, "generate@a").how == "restored"


def test_status_and_what_dvc_refuses(root: Path) -> None:
    assert dvc.status(root) == {}
    (root / "dvc.yaml").write_text("stages: {a: {cmd: '${nope}'}}")
    with pytest.raises(AssayError, match=r"dvc status --json.*failed(.|\n)*nope"):
        dvc.status(root)
    with pytest.raises(AssayError, match="not an Assay checkout"):
        dvc.status(root.parent)


def test_pinning_inputs(root: Path) -> None:
    before = (root / "data.dvc").read_text()
    (root / "data" / "more").write_text("more")
    dvc.add(root)
    assert (root / "data.dvc").read_text() != before
    assert dvc.committed(root, "data.dvc") == before
    assert dvc.committed(root, "nothing.dvc") is None


@pytest.mark.parametrize("keep", [True, False])
def test_a_lock_that_was_cut_off_is_healed(root: Path, keep: bool) -> None:
    before = toy.lock(root)
    if keep:
        assert dvc.heal_lock(root) is None
    text = (root / "dvc.lock").read_text()
    (root / "dvc.lock").write_text("" if keep else text[: len(text) // 2])
    assert "was damaged" in str(dvc.heal_lock(root))
    if keep:
        assert toy.lock(root) == before
        assert dvc.status(root) == {}
    else:
        toy.dvc(root, "repro", "-q")
        assert toy.lock(root) == before


def test_nothing_is_left_of_a_command_whose_owner_was_killed(tmp_path: Path) -> None:
    """The owner is killed for good; the guard ends the command and the command's own child."""
    start = f"subprocess.Popen([sys.executable, '-c', {_SLEEPER!r}])"
    nested = f"import subprocess, sys, time; {start}; time.sleep(60)"
    owner = subprocess.Popen(
        [sys.executable, "-c", _OWNER, guard.__file__, sys.executable, nested], cwd=tmp_path
    )
    _until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    owner.kill()
    owner.wait()
    sleeper = int((tmp_path / "pid").read_text())
    _until(lambda: not _alive(sleeper))


_SLEEPER = "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(60)"
_OWNER = """
import subprocess, sys, time
guard, python, code = sys.argv[1:]
guarded = [python, "-I", "-S", guard, python, "-c", code]
subprocess.Popen(guarded, stdin=subprocess.PIPE, start_new_session=True)
time.sleep(60)
"""


def test_guard_passes_the_status_on(tmp_path: Path) -> None:
    command = [sys.executable, "-I", "-S", guard.__file__, sys.executable, "-c", "raise SystemExit(7)"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as child:
        assert child.wait(30) == 7


@pytest.mark.parametrize(
    ("visible", "asked", "found"),
    [
        ("0", "", ["0"]),
        ("1,GPU-abc", "", ["1", "GPU-abc"]),
        ("1,GPU-abc", "cuda:1", ["GPU-abc"]),
        ("0,-1,2", "", ["0"]),
        ("", "", []),
        ("0,1", "cpu", []),
        ("0,1", "cuda", ["0", "1"]),
    ],
)
def test_gpus_that_may_be_used(
    visible: str, asked: str, found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setenv("ASSAY_DEVICE", asked)
    assert slots.devices() == found


def test_gpus_are_listed_by_the_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("ASSAY_DEVICE", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert slots.devices() == []
    program = tmp_path / "nvidia-smi"
    program.write_text(
        "#!/bin/sh\necho 'GPU 0: NVIDIA H200 (UUID: GPU-1)'\necho '  MIG 1g (UUID: MIG-1)'\n"
        "echo 'GPU 1: NVIDIA H200 (UUID: GPU-2)'\n"
    )
    program.chmod(0o755)
    assert slots.devices() == ["0", "1"]


def test_a_gpu_has_one_holder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "_SHARED", tmp_path)
    first, second = slots.take(["0", "1"]), slots.take(["0", "1"])
    assert first and second
    assert (first.device, second.device) == ("0", "1")
    assert slots.take(["0", "1"]) is None
    first.release()
    again = slots.take(["0", "1"])
    assert again and again.environment["CUDA_VISIBLE_DEVICES"] == "0"


def test_a_workspace_has_one_run(tmp_path: Path) -> None:
    with (
        workspace.only_run(tmp_path),
        pytest.raises(AssayError, match=f"another run is at work.*process {os.getpid()}"),
        workspace.only_run(tmp_path),
    ):
        pass
    with workspace.only_run(tmp_path):
        pass


def _assert_gone(trace: Path) -> None:
    _until(lambda: not any(_alive(entry[2]) for entry in toy.trace(trace)))


def _when_started(trace: Path, act: "object") -> None:
    _until(lambda: toy.trace(trace))
    assert callable(act)
    act()


def _alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def _until(condition: "object", seconds: float = 60) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.05)
