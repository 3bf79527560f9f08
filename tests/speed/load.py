"""Images a second: our loader against torchvision's ImageFolder and against webdataset, on the same images.

    python tests/speed/load.py                                # resize 256, centre 224; JPEG and PNG
    python tests/speed/load.py --recipe train --workers 8     # random resized crops, mirrored
    python tests/speed/load.py --recipe crop                  # without resizing, as detectors here do
    python tests/speed/load.py --scale 3                      # photographs of 1500 x 1125

The images are pieces of the photographs that scikit-image and scikit-learn ship, about 500 x 375, and stored
twice: as files in a folder, and in tar shards, which are an image set that webdataset reads, too. All ways
have as many worker processes, started before the clock and kept; each gives batches of so many images.

The others are run twice. `float` is what their documentation has: ToTensor and Normalize in the worker.
`uint8` ends like ours, with PILToTensor: our detectors normalise on the device. Ours is run twice, too: to
the digit what torchvision gives (`exact`), and with `scaled_decode`.

Printed: images a second of each (median over the repeats), and the ratio of ours to each of theirs (of the
medians, and the range over the repeats, in each of which every way had its turn).
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
import torch
import webdataset
from PIL import Image
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from assets.detection import Detector, View
from assets.images.imageset import ImageSet, ImageSetWriter
from assets.images.loader import Pictures
from assets.images.picture import encode
from assets.machine import make_repeatable
from models.detectors.detector import IMAGENET_MEAN, IMAGENET_STD
from models.detectors.scoring import Centres
from models.detectors.training.views import TrainView, joined
from models.loader import Loader, chunks
from tasks.photos import pack_photos

RECIPES = ("evaluate", "train", "crop")
FORMATS: dict[str, dict[str, Any]] = {"JPEG": {"quality": 92}, "PNG": {"compress_level": 6}}
Way = Callable[[], Iterator[Any]]
"""One epoch: yields batches."""


def make_images(folder: Path, kind: str, count: int, shards: int, scale: float = 1.0) -> None:
    """`folder`/set, in so many shards, and `folder`/files/0 with the same files.

    Args: scale: of their sides, 1 for about 500 x 375.
    """
    options = FORMATS[kind]
    pack_photos(folder / "photos")
    photos = ImageSet(folder / "photos")
    pixels = [photos.pixels(name) for name in photos.rows["id"]]
    files = folder / "files" / "0"
    files.mkdir(parents=True)
    random = np.random.default_rng(0)
    with ImageSetWriter(folder / "set", per_shard=-(-count // shards)) as writer:
        for number in range(count):
            photo = Image.fromarray(pixels[number % len(pixels)])
            share = random.uniform(0.7, 1)
            width, height = (side * share for side in photo.size)
            left, top = ((side * (1 - share)) * random.random() for side in photo.size)
            sides = random.uniform(480, 521), random.uniform(360, 391)
            size = (int(sides[0] * scale), int(sides[1] * scale))
            box = (left, top, left + width, top + height)
            piece = np.asarray(photo.resize(size, Image.Resampling.BICUBIC, box))
            data = encode(piece, kind, **options)
            name = f"p{number:05d}"
            writer.add(name, data, label=0, generator="real")
            (files / f"{name}.{kind.lower()}").write_bytes(data)


def transform(arguments: argparse.Namespace, as_float: bool) -> Any:
    """torchvision's, from a Pillow image to a tensor."""
    crop, cubic = arguments.crop, transforms.InterpolationMode.BICUBIC
    square: dict[str, list[Any]] = {
        "evaluate": [transforms.Resize(arguments.resize, cubic), transforms.CenterCrop(crop)],
        "train": [transforms.RandomResizedCrop(crop, interpolation=cubic), transforms.RandomHorizontalFlip()],
        "crop": [transforms.CenterCrop(crop)],
    }
    ending: list[Any] = [transforms.PILToTensor()]
    if as_float:
        ending = [transforms.ToTensor(), transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD)]
    return transforms.Compose([*square[arguments.recipe], *ending])


def image_folder(folder: Path, arguments: argparse.Namespace, as_float: bool) -> Way:
    """torchvision's dataset and torch's DataLoader."""
    dataset = ImageFolder(str(folder / "files"), transform(arguments, as_float))
    workers = arguments.workers
    loader = DataLoader(dataset, arguments.batch, num_workers=workers, persistent_workers=workers > 0)
    return lambda: iter(loader)


def tar_shards(folder: Path, arguments: argparse.Namespace, as_float: bool) -> Way:
    """webdataset, as its documentation has it, without shuffling."""
    shards = sorted(str(path) for path in (folder / "set").glob("*.tar"))
    dataset = (
        webdataset.WebDataset(shards, shardshuffle=False)
        .decode("pil")
        .to_tuple("jpg;png")
        .map_tuple(transform(arguments, as_float))
        .batched(arguments.batch)
    )
    workers = arguments.workers
    loader = DataLoader(dataset, None, num_workers=workers, persistent_workers=workers > 0)
    return lambda: iter(loader)


def ours(folder: Path, arguments: argparse.Namespace, scaled: bool) -> Way:
    """The loader of trainings and evaluations, on an image set."""
    pictures = Pictures([folder / "set"])
    names = [str(name) for name in ImageSet(folder / "set").rows["id"]]
    view = View() if arguments.recipe == "crop" else View(resize=arguments.resize, scaled_decode=scaled)
    with patch.dict(os.environ, ASSAY_WORKERS=str(arguments.workers), ASSAY_DEVICE="cpu"):
        if arguments.recipe != "train":
            judge = Loader(Centres(pictures, ((arguments.crop, view),)), _stacked)
            return partial(judge, chunks(names, arguments.batch))
        view = view.model_copy(update={"training": "resized-crop"})
        train = Loader(TrainView(pictures, Detector(crop=arguments.crop, view=view), ("speed",)), joined)
    return partial(train, chunks([(0, 0, name) for name in names], arguments.batch))


def _stacked(images: list[list[np.ndarray]]) -> torch.Tensor:
    return torch.from_numpy(np.stack([crop for (crop,) in images]))


def ways(folder: Path, arguments: argparse.Namespace) -> dict[str, Way]:
    """By name; theirs first."""
    found: dict[str, Way] = {}
    for name, way in (("ImageFolder", image_folder), ("webdataset", tar_shards)):
        for as_float in (True, False):
            found[f"{name}, {'float' if as_float else 'uint8'}"] = way(folder, arguments, as_float)
    found["ours, exact"] = ours(folder, arguments, scaled=False)
    if arguments.recipe != "crop":
        found["ours, scaled_decode"] = ours(folder, arguments, scaled=True)
    return found


def rate(way: Way, count: int) -> float:
    """Images a second of one epoch.

    Raises:
        RuntimeError: it did not give every image.
    """
    start = time.perf_counter()
    seen = sum(len(batch[0] if isinstance(batch, list | tuple) else batch) for batch in way())
    seconds = time.perf_counter() - start
    if seen != count:
        raise RuntimeError(f"{seen} images came instead of {count}")
    return count / seconds


def compare(arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Measure all ways turn about and print; returns format -> images a second of each way (medians)."""
    make_repeatable()
    found = {}
    for kind in arguments.formats:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            shards = 2 * max(1, arguments.workers)
            make_images(folder, kind, arguments.images, shards, arguments.scale)
            measured = ways(folder, arguments)
            runs: dict[str, list[float]] = {name: [] for name in measured}
            for turn in range(arguments.repeats + 1):
                for name, way in measured.items():
                    speed = rate(way, arguments.images)
                    if turn:  # the first time starts the workers and warms up
                        runs[name].append(speed)
            found[kind] = tell(kind, runs, arguments)
            del measured  # ends the workers before their files go
    return found


def tell(kind: str, runs: dict[str, list[float]], arguments: argparse.Namespace) -> dict[str, float]:
    """Print what was measured; returns the medians."""
    print(
        f"{kind}, {arguments.images} images, recipe '{arguments.recipe}' to {arguments.crop} px, "
        f"{arguments.workers} workers, batches of {arguments.batch}, {arguments.repeats} repeats"
    )
    medians = {name: statistics.median(some) for name, some in runs.items()}
    for name, median in medians.items():
        print(f"{name:>20}: {median:7.1f} images/s ({min(runs[name]):.1f} to {max(runs[name]):.1f})")
    for mine in (name for name in runs if name.startswith("ours")):
        for other in (name for name in runs if not name.startswith("ours")):
            each = [one / two for one, two in zip(runs[mine], runs[other], strict=True)]
            ratio = medians[mine] / medians[other]
            print(f"{mine} / {other}: {ratio:.2f} ({min(each):.2f} to {max(each):.2f})")
    return medians


def main(words: list[str] | None = None) -> dict[str, dict[str, float]]:
    """Read the command line and compare."""
    own = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=own)
    parser.add_argument("--recipe", choices=RECIPES, default="evaluate", help="default: %(default)s")
    parser.add_argument(
        "--formats", nargs="+", choices=tuple(FORMATS), default=list(FORMATS), help="default: all"
    )
    parser.add_argument("--images", type=int, default=400, help="default: %(default)s")
    parser.add_argument("--scale", type=float, default=1.0, help="of 500 x 375; default: %(default)s")
    parser.add_argument("--resize", type=int, default=256, help="shorter side; default: %(default)s")
    parser.add_argument("--crop", type=int, default=224, help="default: %(default)s")
    parser.add_argument("--batch", type=int, default=32, help="default: %(default)s")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="default: %(default)s")
    parser.add_argument("--repeats", type=int, default=5, help="turns that count; default: %(default)s")
    return compare(parser.parse_args(words))


if __name__ == "__main__":
    main()
