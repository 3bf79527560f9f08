"""The speed comparison runs: both ways draw the same images, and it prints what it says it prints."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from assets.images.imageset import ImageSet
from tests.speed import generate


def test_both_ways_draw_the_same_images(monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path) -> None:
    timed = generate.timed
    seen: dict[str, list[np.ndarray]] = {}

    def keeping(work: Any, count: int, device: str) -> generate.Run:
        run = timed(work, count, device)
        for place in tmp_path.glob("*/plain0"):
            seen["plain"] = [np.asarray(Image.open(path)) for path in sorted(place.glob("*.png"))]
        for place in tmp_path.glob("*/ours0"):
            opened = ImageSet(place)
            seen["ours"] = [opened.pixels(image) for image in sorted(opened.rows["id"])]
        return run

    monkeypatch.setattr(generate.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(generate, "timed", keeping)
    small = ["--device", "cpu", "--size", "small", "--images", "2", "--steps", "1", "--batch", "2"]
    ratio = generate.main([*small, "--dtype", "float32", "--repeats", "1"])
    assert len(seen["plain"]) == len(seen["ours"]) == 2
    for plain, ours in zip(seen["plain"], seen["ours"], strict=True):
        assert plain.shape == ours.shape == (64, 64, 3)
        assert np.abs(plain.astype(int) - ours).max() <= 1
    said = capsys.readouterr().out
    assert re.search(r"plain loop: [\d.]+ images/s, peak memory", said) and f"ratio: {ratio:.2f}" in said
