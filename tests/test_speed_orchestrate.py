"""The measurement of what the flow costs runs, in repositories that DVC finds up to date."""

import re
from pathlib import Path
from typing import Any

import pytest

from assets.dag import load_dag
from assets.lineage import recorded_benchmark
from flows.running import dvc
from tests.speed import orchestrate
from tests.speed.orchestrate import Cost, Repository


def test_a_repository_that_has_run(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repo", stages=13, code=3)  # refuses what DVC calls out of date
    dag = load_dag(repository.root)
    assert len(dag.stages) == repository.stages == 13
    assert dag.ancestors(["report"]) >= {"collect@s0", "train@g000-net-0", "evaluate@g000-g001"}
    assert "code/part002.py" in dag["spectrum@g001"].deps
    before = recorded_benchmark(repository.root)
    assert repository.change(1) == ["generate@g000"]
    assert set(dvc.status(repository.root)) == {"generate@g000"}
    assert recorded_benchmark(repository.root) == before


def test_what_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    rounds = [
        {
            **{name: Cost(2 * slow, 1) for name in ("status", "plan", "repro")},
            "run": Cost(4 * slow, 2),
            **{name: Cost(slow, 1) for name in ("single-item", "one repro")},
            "flow": Cost(1.1 * slow, 1.05),
        }
        for slow in (1, 2, 6)
    ]
    found = orchestrate.tell(rounds)
    assert (found["status"], found["run s over status"]) == (4, 4)
    assert found["flow x single-item"] == pytest.approx(1.1), "ratios are of one round"
    said = capsys.readouterr().out
    assert "run:   8.00 s (4.00 to 24.00; processor 2.00)   4.00 s over status (2.00 to 12.00" in said
    assert "flow:   2.20 s (1.10 to 6.60; processor 1.05)   1.10 x single-item (1.10 to 1.10" in said


@pytest.mark.slow
def test_it_measures(capsys: Any) -> None:
    (found,) = orchestrate.main(["--quick"]).values()
    assert all(found[name] > 0 for name in ("status", "plan", "run", "single-item", "flow"))
    said = capsys.readouterr().out
    assert re.search(r"^20 stages, 10 files of code each, dvc.lock of 1,\d\d\d lines; 1 rounds", said, re.M)
