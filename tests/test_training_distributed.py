"""Several processes train what one trains."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from safetensors.torch import load_file

from assets.params import Params
from models.detectors.training import distributed
from models.detectors.training.distributed import Processes, named_devices
from tasks.train import train
from tests.bench import SMALL, benchmark, write_benchmark
from tests.conftest import REPO

FOLDER = Path("artifacts/train/fake/small-s0")


def trained_by_two(settings: Params) -> subprocess.CompletedProcess[str]:
    Path("params.yaml").write_text(yaml.safe_dump(settings.model_dump(mode="json", by_alias=True)))
    return subprocess.run(
        [sys.executable, "-m", "tasks.train", "fake", "small", "0"],
        env={**os.environ, "PYTHONPATH": str(REPO), "ASSAY_DEVICE": "cpu,cpu"},
        capture_output=True,
        text=True,
    )


def test_two_processes_train_what_one_trains(workdir: Path) -> None:
    # no batch norm, whose statistics are those of a process's share where the device cannot add them up
    recipe = {"accumulate": 2, "ema": 0.9, "clip": 1.0}
    detector = {**SMALL, "model": "test_vit", "epochs": 2, "batch": 10, "recipe": recipe}
    settings = write_benchmark(benchmark(detectors={"small": detector}), real=(1,))
    done = trained_by_two(settings)
    assert (done.returncode, done.stderr) == (0, "")
    two, log = load_file(FOLDER / "weights.safetensors"), pd.read_csv(FOLDER / "log.csv")
    train(Path(), settings, "fake", "small", 0)
    one = load_file(FOLDER / "weights.safetensors")
    assert (
        max(float((one[name] - two[name]).abs().max()) for name in one) < 5e-4
    )  # Adam divides by tiny numbers
    expected = pd.read_csv(FOLDER / "log.csv")
    pd.testing.assert_frame_equal(log, expected, rtol=1e-3)


@pytest.mark.parametrize(("first", "second"), [("fail", "fail"), ("fail", "wait"), ("wait", "fail")])
def test_a_mistake_is_told_once(
    workdir: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], first: str, second: str
) -> None:
    Path("one.py").write_text(
        "import os, sys, time\n"
        "assert os.environ['WORLD_SIZE'] == '2' and os.environ['RANK'] == os.environ['LOCAL_RANK']\n"
        "if sys.argv[1 + int(os.environ['RANK'])] == 'wait':\n"
        "    time.sleep(1000)\n"
        "sys.exit(print('error: a mistake', file=sys.stderr) or 2)\n"
    )
    monkeypatch.setattr(distributed, "_PATIENCE", 0.5)
    with pytest.raises(SystemExit) as ended:
        distributed.launch("one", [first, second], ["cpu", "cpu"])
    assert ended.value.code == 2
    assert capfd.readouterr().err == "error: a mistake\n"


@pytest.mark.parametrize("count", range(0, 9))
def test_shares_make_up_the_whole(count: int) -> None:
    items, shares = list(range(count)), []
    for rank in range(3):
        processes = Processes("cpu")
        processes.count, processes.rank = 3, rank
        shares.append(processes.share(items))
    assert [item for share in shares for item in share] == items
    lengths = set(map(len, shares))
    assert max(lengths) - min(lengths) <= 1


def test_several_devices_only_where_they_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert named_devices() == []
    monkeypatch.setenv("ASSAY_DEVICE", "cuda:1, cuda:3")
    assert named_devices() == ["cuda:1", "cuda:3"]
