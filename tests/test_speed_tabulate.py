"""The measurement of tabulating runs, on predictions that are what stages write."""

import re
from pathlib import Path
from typing import Any

from assets.params import REAL
from assets.predictions import predictions_path, read_predictions
from tests.speed import tabulate


def test_it_prints_seconds_memory_and_how_other_ways_compare(capsys: Any) -> None:
    small = {"generators": 2, "detectors": 2, "conditions": 2, "images": 60, "resamples": 100}
    tabulate.main([word for name, value in small.items() for word in (f"--{name}", str(value))])
    said = capsys.readouterr().out
    assert said.startswith("6 files, 240 rows each") and "16 cells, " in said
    assert re.search(r"^reading +[\d.]+ +[\d.]+ +pandas [\d,]+: [\d.]+ times as many$", said, re.MULTILINE)
    assert re.search(r"^tabulating .* scikit-learn [\d,]+: [\d.,]+ times as many$", said, re.MULTILINE)
    assert re.search(r"^peak memory [\d.]+ GiB", said, re.MULTILINE)


def test_groups_have_as_many_images_as_asked(tmp_path: Path) -> None:
    params = tabulate.simulated_params(1, 1, 2, 100)
    tabulate.simulate(tmp_path, params, images=50, group=7)
    rows = read_predictions(predictions_path(tmp_path, "generator0", REAL))
    assert (len(rows), rows["id"].nunique(), rows["group"].nunique()) == (100, 50, 8)
