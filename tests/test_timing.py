"""Timing detectors: the median after warming up, the best batch, memory by hand; and the comparison runs."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from assets.detection import Judge
from models.detectors import build
from models.detectors.detector import Detector
from models.detectors.timing import measure
from tests.speed import infer

SPEC = Judge(model="test_resnet", crop=32)


class Pretender(Detector):
    """Takes as long as it is told, by a clock that only it moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, costs: dict[int, list[float]]) -> None:
        super().__init__(nn.Linear(2, 1))
        self.now, self.costs, self.asked = 0.0, {b: list(c) for b, c in costs.items()}, list[int]()
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)

    def score(self, pixels: torch.Tensor) -> np.ndarray:
        batch = len(pixels)
        self.asked.append(batch)
        if not self.costs[batch]:
            return np.zeros(batch, np.float32)
        cost = self.costs[batch].pop(0)
        if cost < 0:
            raise torch.OutOfMemoryError
        self.now += cost
        return np.zeros(batch, np.float32)


def test_the_median_after_two_runs_and_the_best_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    costs = {
        1: [9.0, 9.0, 0.010, 0.5, 0.012],
        8: [9.0, 9.0, 0.040, 0.032, 0.001],
        32: [9.0, 9.0, 0.2, 0.2, 0.2],
    }
    timing = measure(Pretender(monkeypatch, costs), SPEC, (32, 8), repeats=3)
    assert timing.milliseconds == pytest.approx(12)
    assert (timing.batch, timing.rate) == (8, pytest.approx(8 / 0.032))
    assert timing.parameters == 3 and timing.device.startswith("CPU, ")


def test_a_batch_that_does_not_fit_ends_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    detector = Pretender(monkeypatch, {1: [1.0, 1.0, 1.0], 8: [-1.0]})
    timing = measure(detector, SPEC, (1, 8, 32), repeats=1)
    assert timing.batch == 1 and 32 not in detector.asked


def test_memory_is_the_weights_and_what_lives_at_a_time() -> None:
    class Grow(nn.Module):
        def forward(self, values: torch.Tensor) -> torch.Tensor:
            doubled = torch.cat([values, values], 1)  # 2 x
            del values
            return torch.cat([doubled, doubled], 1).flatten(1).sum(1, keepdim=True)  # and 4 x

    class Plain(Detector):
        def answers(self, pixels: torch.Tensor) -> torch.Tensor:
            return self.net(pixels)  # type: ignore[no-any-return]

    timing = measure(Plain(Grow()), SPEC, (1,), repeats=1)
    picture, constants, answer = 3 * 32 * 32, 2 * 3 * 4, 8  # constants: mean and deviation, in float32
    assert timing.memory == 6 * picture + constants + answer


def test_more_pictures_take_more_memory() -> None:
    detector = build(SPEC, 0)
    weights = 4 * sum(weight.numel() for weight in detector.parameters())
    one = measure(detector, SPEC, (1,), 1).memory
    assert one > weights


def test_the_comparison_measures_cards(capsys: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(infer, "BASELINE", SPEC)
    shown = ["npr", "ladeda", "resnet18", "--crop", "32", "--batches", "1", "2", "--threads", "1"]
    rows = infer.main([*shown, "--quick", "--device", "cpu", "--repeats", "1", "--out", str(tmp_path / "t")])
    assert [row.name for row in rows] == ["resnet50 (baseline)", "ladeda", "npr", "resnet18"]
    assert rows[0].times == 1 and all(row.timing.milliseconds > 0 for row in rows)
    assert rows[2].timing.parameters == 675_521 and rows[2].crop == 32
    said = capsys.readouterr().out
    assert said.strip() == (tmp_path / "t.md").read_text().strip()
    written = json.loads((tmp_path / "t.json").read_text())
    assert [row["name"] for row in written["rows"]] == [row.name for row in rows]
    assert written["rows"][1]["milliseconds"] == rows[1].timing.milliseconds


def test_large_networks_are_named_and_left_out(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(infer, "BASELINE", SPEC)
    monkeypatch.setattr(infer, "LARGE", 20_000_000)
    rows = infer.main(["npr", "--batches", "1", "--repeats", "1", "--threads", "1", "--device", "cpu"])
    assert len(rows) == 1
    assert "Left out: npr (resnet50 has 26 million weights: with --all)." in capsys.readouterr().out
    with pytest.raises(SystemExit):
        infer.main(["nrp"])
    assert "there is no card 'nrp'; did you mean 'npr'" in capsys.readouterr().err
