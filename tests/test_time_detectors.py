"""`assay time`: every detector beside ResNet-50 in one run, without training or downloads."""

import pytest

from assets.errors import AssayError
from flows.commands.timing import _published
from tasks.time_detectors import time_detectors
from tests.samples import params

TINY = {
    "plain": {"model": "test_resnet", "crop": 32},
    "npr": {"kind": "npr", "model": "resnet10t", "crop": 40, "weights": "timm"},
}


def test_every_detector_stands_beside_the_baseline() -> None:
    baseline, plain, npr = time_detectors(params(detectors=TINY), (), 32, 1)
    assert (baseline.name, baseline.times) == ("resnet50 (baseline)", 1.0)
    assert [row.crop for row in (baseline, plain, npr)] == [32, 32, 32]
    for row in (plain, npr):
        assert row.times == row.timing.milliseconds / baseline.timing.milliseconds
        assert 0 < row.timing.parameters < baseline.timing.parameters


def test_each_has_its_own_crop_unless_one_is_said() -> None:
    rows = list(time_detectors(params(detectors=TINY), ("npr",), None, 1))
    assert [(row.name, row.crop) for row in rows] == [("resnet50 (baseline)", 224), ("npr", 40)]


def test_an_unknown_name_is_named() -> None:
    with pytest.raises(AssayError, match="no detector 'nrp' to time; did you mean 'npr'"):
        list(time_detectors(params(detectors=TINY), ("nrp",), None, 1))


def test_the_paper_that_is_followed_is_quoted() -> None:
    lines = list(_published("imaginet"))
    assert "448" in lines[0] and "25.10" in lines[1]
    assert list(_published(None)) == [] == list(_published("genimage"))
