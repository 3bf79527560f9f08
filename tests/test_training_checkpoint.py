"""A training that was killed goes on as if nothing had happened, and never from the wrong place."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from assets.errors import AssayError
from models.detectors.training import part
from models.detectors.training.checkpoint import Checkpoints
from tasks.train import train
from tests.bench import SMALL, benchmark, write_benchmark
from tests.conftest import REPO

PLAIN = {**SMALL, "epochs": 2, "model": "test_vit", "options": {"drop_path": 0.3}}  # draws random numbers
FULL = {
    **PLAIN,
    "model": "test_resnet",
    "options": {},
    "epochs": 3,
    "recipe": {
        "optimizer": "sgd", "nesterov": True, "schedule": "plateau", "patience": 1, "stop": True, "clip": 1.0,
        "monitor": "loss", "accumulate": 2, "ema": 0.9, "mixup": 0.2, "cutmix": 1.0, "smoothing": 0.1,
    },
}  # fmt: skip
SPLITS = {**SMALL, "epochs": 2, "recipe": {"splits": 2, "erase": 0.5}}
SETTINGS = benchmark(detectors={"plain": PLAIN, "full": FULL, "splits": SPLITS})

RUNS = """
import os, signal, sys
from pathlib import Path
from unittest.mock import patch
import torch
from models.detectors.training import part
from models.detectors.training.checkpoint import Checkpoints
from tasks.train import train
from tests.test_training_checkpoint import SETTINGS

def training(name, killed_after, tearing):
    write, save, count = Checkpoints.write, torch.save, 0

    def counted(self, content):
        nonlocal count
        write(self, content)
        count += 1
        if count == killed_after:
            os.kill(os.getpid(), signal.SIGKILL)

    def torn(content, path):
        if count + 1 < killed_after:
            return save(content, path)
        save(content, path)
        os.truncate(path, path.stat().st_size // 2)
        os.kill(os.getpid(), signal.SIGKILL)

    if killed_after:
        part.EPOCH_SECONDS = part.STEP_SECONDS = 0
        patch.object(Checkpoints, "write", counted).start()
        if tearing:
            patch.object(torch, "save", torn).start()
    train(Path(), SETTINGS, "fake", name, 0)

for run in sys.argv[1:]:
    name, killed_after, tearing = run.split(",")
    print(run, file=sys.stderr, flush=True)
    child = os.fork()
    if not child:
        training(name, int(killed_after), tearing == "torn")
        sys.stderr.flush()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    expected = -signal.SIGKILL if int(killed_after) else 0
    assert os.waitstatus_to_exitcode(status) == expected, run
    if not int(killed_after):
        folder = Path("artifacts/train/fake") / f"{name}-s0"
        print(name, *(hash(path.read_bytes()) for path in sorted(folder.rglob("*")) if path.is_file()))
        assert not list(Path(".assay/partial").glob(f"{name}-s0-*")), "the checkpoints are still there"
"""


def test_killed_at_any_moment_and_started_again(workdir: Path) -> None:
    write_benchmark(SETTINGS)
    plan = {  # checkpoints written until the kill; an epoch of `plain` has 4 steps, of `full` 2
        "plain": ["0", "2", "3", "2,torn", "0"],
        "full": ["0", "1", "2", "0"],
        "splits": ["0", "6", "0"],
    }
    runs = [f"{name},{point}" if "," in point else f"{name},{point},"
            for name, points in plan.items() for point in points]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", RUNS, *runs], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(REPO), "PYTHONHASHSEED": "0"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    ended = done.stdout.splitlines()
    assert len(ended) == 2 + 2 + 2
    assert len(set(ended)) == 3, "every file is the same, whenever the training was killed"
    said = [line for line in done.stderr.splitlines() if "resumes" in line or "," in line]
    assert [line.partition(" resumes at ")[2] for line in said if "resumes" in line] == [
        "epoch 1 of 2, after 2 of its steps",
        "epoch 2 of 2",
        "epoch 2 of 2, after 1 of its steps",
        "epoch 1 of 3, after 1 of its steps",
        "epoch 2 of 3",
        "epoch 2 of 2, after 1 of its steps",
    ]


def test_a_damaged_checkpoint_is_told_and_not_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = Checkpoints(tmp_path)
    kept.write({"epoch": 1, "net": {"a": torch.ones(3)}})
    (first,) = tmp_path.iterdir()
    older = first.read_bytes()
    kept.write({"epoch": 2})
    (second,) = tmp_path.iterdir()
    assert second.name.startswith("000002-")
    assert kept.newest() == {"epoch": 2}
    second.write_bytes(second.read_bytes()[:-1] + b"!")
    first.write_bytes(older)
    found = kept.newest()
    assert found is not None and found["epoch"] == 1 and torch.equal(found["net"]["a"], torch.ones(3))
    assert f"{second} is damaged" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [first]
    first.write_bytes(b"")
    assert kept.newest() is None


def test_checkpoints_of_other_parameters_are_not_taken_up(
    workdir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = benchmark(detectors={"small": {**SMALL, "epochs": 2}})
    write_benchmark(settings)
    monkeypatch.setattr(part, "EPOCH_SECONDS", 0)
    _stop_at_the_second_checkpoint(monkeypatch)
    with pytest.raises(AssayError, match="full"):
        train(Path(), settings, "fake", "small", 0)
    assert not Path("artifacts/train").exists()
    monkeypatch.undo()
    monkeypatch.chdir(workdir)
    other = benchmark(detectors={"small": {**SMALL, "epochs": 2, "lr": 0.002}})
    train(Path(), other, "fake", "small", 0)
    train(Path(), settings, "fake", "small", 1)
    assert "resumes" not in capsys.readouterr().err
    train(Path(), settings, "fake", "small", 0)
    assert "train fake/small/0: resumes at epoch 2 of 2" in capsys.readouterr().err


def _stop_at_the_second_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    write = Checkpoints.write

    def once(self: Checkpoints, content: dict[str, object]) -> None:
        if list(self.folder.glob("*.pt")):
            raise AssayError("the disk is full")
        write(self, content)

    monkeypatch.setattr(Checkpoints, "write", once)


def test_ctrl_c_keeps_where_it_stands(
    workdir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import signal

    settings = benchmark(detectors={"small": {**SMALL, "epochs": 2}})
    write_benchmark(settings)
    train(Path(), settings, "fake", "small", 0)
    expected = Path("artifacts/train/fake/small-s0/weights.safetensors").read_bytes()
    step, handler = part.Part._step, signal.getsignal(signal.SIGINT)
    steps = 0

    def pressed(self: part.Part, *arguments: object) -> None:
        nonlocal steps
        step(self, *arguments)  # type: ignore[arg-type]
        steps += 1
        if steps == 3:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(part.Part, "_step", pressed)
    with pytest.raises(KeyboardInterrupt):
        train(Path(), settings, "fake", "small", 0)
    assert signal.getsignal(signal.SIGINT) is handler
    assert "train fake/small/0: stopped; started again, it goes on from here" in capsys.readouterr().err
    train(Path(), settings, "fake", "small", 0)
    assert "resumes at epoch 1 of 2, after 3 of its steps" in capsys.readouterr().err
    assert steps == 8
    assert Path("artifacts/train/fake/small-s0/weights.safetensors").read_bytes() == expected
