"""A tiny benchmark up to its splits: smooth real pictures, generated ones with a checkerboard trace."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from assets.images.degradations import parse
from assets.images.imageset import ImageSetWriter
from assets.images.picture import encode
from assets.params import Params
from assets.seeds import rng
from tasks.start import start
from tests.conftest import REPO, textured
from tests.samples import params

SETTINGS_FILE = Path("params.yaml")
SMALL = {"model": "test_resnet", "crop": 32, "epochs": 6, "batch": 16, "lr": 0.003}
COUNT = 64


def benchmark(**sections: object) -> Params:
    """Parameters with the detector `small`, trained on `fake`, under the condition `jpeg50`."""
    return params(**{"detectors": {"small": SMALL}, "degrade": {"jpeg50": "jpeg(50)"}, **sections})


def picture(number: int, label: int, height: int = 40, width: int = 48) -> np.ndarray:
    """(H, W, 3) uint8; generated pictures carry a checkerboard of 16 grey levels."""
    smooth = 32 + 0.75 * textured(number + 1000 * label, height, width)
    board = np.indices((height, width)).sum(0) % 2 * 32 - 16
    return (smooth + label * board[..., None]).clip(0, 255).astype(np.uint8)


def write_item(
    item: str, label: int, params_: Params, broken: tuple[int, ...] = (), count: int = COUNT
) -> None:
    """Image set, split table and degraded test images of one item; `broken` pictures cannot be decoded."""
    folder = Path("artifacts") / ("collect/photos" if item == "real" else f"generate/{item}")
    names = [f"{item}-{number:03d}" for number in range(count)]
    about: dict[str, object] = {"label": label, "generator": item}
    with ImageSetWriter(folder) as writer:
        for number, name in enumerate(names):
            data = b"broken" if number in broken else encode(picture(number, label))
            writer.add(name, data, **about)
    sides = [("train", "train", "val", "test")[number % 4] for number in range(count)]
    table = pd.DataFrame({"id": names, **about, "content": "photo", "class_name": None, "side": sides})
    table["pair_id"] = None
    table["group"] = [f"{name}-group" if number % 8 else None for number, name in enumerate(names)]
    split = Path("artifacts/split") / item
    split.mkdir(parents=True, exist_ok=True)
    table.to_parquet(split / "split.parquet")
    for condition, recipe in params_.degrade.items():
        with ImageSetWriter(Path("artifacts/degrade") / item / condition) as writer:
            for number, name in enumerate(names):
                if sides[number] == "test":
                    data = parse(recipe).encode(picture(number, label), rng(condition, name))
                    writer.add(name, b"broken" if number in broken else data, **about)


def write_benchmark(params_: Params, **items: tuple[int, ...]) -> Params:
    """Write `real`, every generator and what detectors start from; `items` names broken pictures."""
    write_item("real", 0, params_, items.get("real", ()))
    for item in params_.generators:
        write_item(item, 1, params_, items.get(item, ()))
    for name in (*params_.detectors, *params_.attributors):
        start(Path(), params_, name)
    return params_


def run_with_workers(
    stage: str, params_: Params, arguments: list[str], workers: int, before: str = ""
) -> str:
    """Run a stage as dvc.yaml does, with loader processes; returns what it wrote to stderr.

    In a process of its own: the tests of the flow load Prefect into this one, whose threads and fork
    handlers end forked loader processes with a failure. No stage ever loads Prefect.
    """
    SETTINGS_FILE.write_text(yaml.safe_dump(params_.model_dump(mode="json", by_alias=True)))
    start = f"{before}\nfrom tasks.{stage} import main\nfrom tasks.command import run_stage\nrun_stage(main)"
    done = subprocess.run(
        [sys.executable, "-c", start, *arguments],
        env={**os.environ, "ASSAY_WORKERS": str(workers), "PYTHONPATH": str(REPO)},
        capture_output=True,
        text=True,
    )
    assert done.returncode in (0, 2), done.stderr
    return done.stderr
