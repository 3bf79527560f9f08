"""The comparison of loaders runs, and what is compared is the same work."""

import argparse
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.speed import load


def arguments(**values: Any) -> argparse.Namespace:
    common = {"recipe": "evaluate", "resize": 40, "crop": 32, "batch": 3, "workers": 0}
    return argparse.Namespace(**{**common, **values})


@pytest.mark.parametrize("recipe", ["evaluate", "crop"])
def test_all_ways_give_the_same_pixels(tmp_path: Path, recipe: str) -> None:
    load.make_images(tmp_path, "JPEG", 6, 2, scale=0.2)
    ways = load.ways(tmp_path, arguments(recipe=recipe))
    found = {}
    for name, way in ways.items():
        batches = [batch[0] if isinstance(batch, list | tuple) else batch for batch in way()]
        found[name] = torch.cat(list(batches))
    exact = found["ours, exact"]
    assert exact.shape == (6, 3, 32, 32) and exact.dtype == torch.uint8
    if recipe == "evaluate":  # without a resize, the corner of an odd margin is ours
        assert torch.equal(found["ImageFolder, uint8"], exact)
        assert torch.equal(found["webdataset, uint8"], exact)
        assert 0 < (found["ours, scaled_decode"].int() - exact.int()).abs().max() < 30
    assert found["ImageFolder, float"].dtype == torch.float32


def test_what_is_printed(capsys: Any) -> None:
    words = [
        "--recipe",
        "train",
        "--formats",
        "JPEG",
        "PNG",
        "--images",
        "5",
        "--batch",
        "2",
        "--scale",
        "0.2",
    ]
    medians = load.main([*words, "--crop", "32", "--workers", "0", "--repeats", "2"])
    said = capsys.readouterr().out
    for kind in ("JPEG", "PNG"):
        assert set(medians[kind]) == {
            "ImageFolder, float", "ImageFolder, uint8", "webdataset, float", "webdataset, uint8",
            "ours, exact", "ours, scaled_decode",
        }  # fmt: skip
        assert f"{kind}, 5 images, recipe 'train' to 32 px, 0 workers, batches of 2, 2 repeats" in said
        ratio = medians[kind]["ours, exact"] / medians[kind]["webdataset, uint8"]
        assert f"ours, exact / webdataset, uint8: {ratio:.2f} (" in said
    assert len(re.findall(r"images/s \([\d.]+ to [\d.]+\)", said)) == 12


def test_a_way_that_loses_images_is_refused() -> None:
    with pytest.raises(RuntimeError, match="2 images came instead of 3"):
        load.rate(lambda: iter([torch.zeros(2, 3, 4, 4)]), 3)
