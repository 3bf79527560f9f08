"""The log that a training leaves is the one that DVCLive would write."""

import json
import os
import subprocess
import sys
from pathlib import Path

from models.detectors.training.logs import Line, write_logs

THEIRS = """
import json, sys
from dvclive import Live

with Live("theirs", save_dvc_exp=False, report=None, dvcyaml=None, monitor_system=False) as live:
    for values in json.loads(sys.argv[1]):
        for name, value in values.items():
            live.log_metric(name, value)
        live.next_step()
    live._step -= 1  # DVCLive counts a step on, also after the last one
print(json.dumps(Live("ours/dvclive", resume=True, save_dvc_exp=False, report=None, dvcyaml=None).summary))
"""


def line(phase: str, epoch: int, loss: float, lr: float, *val: float) -> Line:
    found = dict(zip(("val_loss", "val_auroc", "val_accuracy"), val or (None,) * 3, strict=True))
    return {"phase": phase, "epoch": epoch, "loss": loss, **found, "lr": lr}


def test_the_files_are_those_of_dvclive(workdir: Path) -> None:
    write_logs(Path("ours"), [line("a", 1, 0.5, 1e-3)])
    write_logs(
        Path("ours"),
        [line("a", 1, 0.5, 1e-3), line("b", 1, 1 / 3, 2e-05, 0.4, 1.0, 0.75), line("b", 2, 0.25, 0, 1, 1, 1)],
    )
    log = Path("ours/log.csv").read_text()
    assert log == (
        "phase,epoch,loss,val_loss,val_auroc,val_accuracy,lr\n"
        "a,1,0.5,,,,0.001\nb,1,0.333333,0.4,1.0,0.75,2e-05\nb,2,0.25,1,1,1,0\n"
    )
    logged = [
        {"train/loss": 0.5, "train/lr": 1e-3},
        {"train/loss": 0.333333, "train/lr": 2e-05, "val/loss": 0.4, "val/auroc": 1.0, "val/accuracy": 0.75},
        {"train/loss": 0.25, "train/lr": 0, "val/loss": 1, "val/auroc": 1, "val/accuracy": 1},
    ]
    done = subprocess.run(
        [sys.executable, "-c", THEIRS, json.dumps(logged)],
        env={**os.environ, "DVCLIVE_LOGLEVEL": "ERROR", "DVC_STUDIO_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    ours, theirs = files(Path("ours/dvclive")), files(Path("theirs"))
    assert json.loads(ours.pop("metrics.json")) == json.loads(theirs.pop("metrics.json"))
    assert ours == theirs and len(ours) == 5
    read = json.loads(done.stdout)
    assert read["val"] == {"loss": 1, "auroc": 1, "accuracy": 1} and read["step"] == 2


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}
