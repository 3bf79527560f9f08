"""The log of a training: log.csv, and the files that DVCLive writes, for `dvc plots` and the editors.

DVCLive itself is not used, because importing it loads DVC, which a machine that trains need not have. Its
layout: plots/metrics/NAME.tsv with `step` and the value, and metrics.json with the last value of each.
"""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from assets.files import write_text

LOG = "log.csv"
LIVE = "dvclive"
Line = dict[str, str | int | float | None]
"""One epoch: `phase`, `epoch`, `loss`, `val_loss`, `val_auroc`, `val_accuracy` and `lr`."""
METRICS = {
    "train/loss": "loss",
    "train/lr": "lr",
    "val/loss": "val_loss",
    "val/auroc": "val_auroc",
    "val/accuracy": "val_accuracy",
}
"""Name in DVCLive -> column of log.csv."""


def write_logs(folder: Path, lines: Sequence[Line]) -> None:
    """Write all epochs so far to folder/log.csv and folder/dvclive."""
    write_text(folder / LOG, _table(list(lines[0]), lines, ","))
    live = folder / LIVE
    summary: dict[str, Any] = {}
    for metric, column in METRICS.items():
        short = metric.rpartition("/")[2]
        points = [
            {"step": step, short: line[column]} for step, line in enumerate(lines) if line[column] is not None
        ]
        if points:
            write_text(live / "plots" / "metrics" / f"{metric}.tsv", _table(["step", short], points, "\t"))
            group, name = metric.split("/")
            summary.setdefault(group, {})[name] = _rounded(points[-1][short])
    write_text(live / "metrics.json", json.dumps({**summary, "step": len(lines) - 1}, indent=4) + "\n")


def _table(columns: list[str], lines: Sequence[Line], delimiter: str) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, delimiter=delimiter, lineterminator="\n")
    writer.writeheader()
    for line in lines:
        writer.writerow({name: _rounded(value) for name, value in line.items()})
    return text.getvalue()


def _rounded(value: Any) -> Any:
    """Six digits of a float; nothing for what is not there."""
    return float(f"{value:.6g}") if isinstance(value, float) else value
