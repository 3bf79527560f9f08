"""What all tests share: no network, no telemetry, pictures that are drawn on the spot."""

import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

# Set before any test module imports a library that reads them at import time.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
os.environ["DO_NOT_TRACK"] = "1"
os.environ["DVC_NO_ANALYTICS"] = "1"
# Test processes run side by side: threads inside each only wait for one another.
os.environ["OMP_NUM_THREADS"] = "1"
for _variable in ("ASSAY_WORKERS", "ASSAY_BATCH", "ASSAY_DEVICE", "PREFECT_API_URL"):
    os.environ.pop(_variable, None)

# Shared machines pause: how long an example took says nothing.
settings.register_profile("assay", deadline=None)
settings.load_profile("assay")

REPO = Path(__file__).parents[1]
LONGEST = "test_end_to_end.py"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest file first: one process is at it while others do the rest."""
    items.sort(key=lambda item: item.path.name != LONGEST)


@pytest.fixture
def workdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the current one: stages work on relative paths."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def textured(seed: int, height: int = 48, width: int = 48) -> np.ndarray:
    """(H, W, 3) uint8: a smooth colourful picture of its own for every seed."""
    random = np.random.default_rng(seed)
    small = Image.fromarray(random.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


def file_bytes(pixels: np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    """Encode as any Pillow format."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture
def draw() -> Callable[..., np.ndarray]:
    """`textured`, as a fixture."""
    return textured
