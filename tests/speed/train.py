"""Training images a second: our loop on pictures from disk, as a share of the same network fed from memory.

    python tests/speed/train.py                            # a GPU: ResNet-50 at 224 px; else a small one
    python tests/speed/train.py --model deit_small_patch16_224 --batch 256 --workers 16
    python tests/speed/train.py --augment "jpeg(60,100)@0.5"

The baseline is what the network alone can do: the same steps (forward, loss, backward, the same optimizer,
in the same precision) on one batch of random pixels that already lies on the device, in a plain loop that
looks at no loss. Ours is the loop of the train stage: JPEGs of about 500 x 375 read from shards, decoded,
cropped, mirrored and copied to the device, balanced batches, losses and gradients checked. Loading goes on in
worker processes, started before the clock. Nothing is judged on val, weights are random, nothing is fetched.

Printed: images a second of each (median over the repeats), and the share, ours over the baseline (of the
medians, and the range over the repeats, in each of which both had their turn).
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parents[2]))

import torch

from assets.detection import Detector as Spec
from assets.images.imageset import ImageSet
from assets.images.loader import Pictures
from assets.machine import device, make_repeatable
from assets.progress import counter
from models import detectors
from models.detectors.training.checkpoint import Checkpoints
from models.detectors.training.course import Course
from models.detectors.training.distributed import Processes
from models.detectors.training.examples import Examples
from models.detectors.training.interrupt import Interrupt
from models.detectors.training.objective import precision_of
from models.detectors.training.optimization import optimizer_for
from models.detectors.training.part import Part
from tests.speed.load import make_images

BASELINE = "from memory"
OURS = "ours"


def our_loop(spec: Spec, folder: Path, work: Path, where: str) -> Callable[[], int]:
    """One epoch of the real loop; returns how many images it saw."""
    ids = ImageSet(folder).rows["id"].tolist()
    examples = Examples(
        Pictures([folder]), ("fake",), {name: number % 2 for number, name in enumerate(ids)}, {}
    )
    detector = detectors.build(spec, 0).to(where)
    course = Course(
        detector, examples, ("speed",), "detector", Processes(where), Checkpoints(work),
        counter("", 0), Interrupt(),
    )  # fmt: skip
    part = Part(course, detector.phases(spec)[0], 0)

    def epoch() -> int:
        part.train_epoch()
        part.epoch, part.steps = part.epoch + 1, 0
        return len(ids) // 2 * 2

    return epoch


def from_memory(spec: Spec, count: int, where: str) -> Callable[[], int]:
    """As many steps on pixels that are there."""
    detector = detectors.build(spec, 0).to(where).train()
    optimizer = optimizer_for(spec, detector.parameters())
    precision = precision_of(spec.recipe, torch.device(where), "detector")
    pixels = torch.randint(0, 256, (spec.batch, 3, spec.crop, spec.crop), dtype=torch.uint8, device=where)
    truth = torch.arange(spec.batch, device=where) % 2.0

    def steps() -> int:
        for _ in range(max(1, round(count / spec.batch))):
            with torch.autocast(torch.device(where).type, precision, enabled=precision is not None):
                logits = detector(pixels)
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, truth)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        return max(1, round(count / spec.batch)) * spec.batch

    return steps


def rate(work: Callable[[], int], where: str) -> float:
    """Images a second."""
    gpu = where.startswith("cuda")
    if gpu:
        torch.cuda.synchronize()
    start = time.perf_counter()
    count = work()
    if gpu:
        torch.cuda.synchronize()
    return count / (time.perf_counter() - start)


def compare(arguments: argparse.Namespace) -> float:
    """Measure both turn about and print; returns the share of the medians."""
    make_repeatable()
    where = device()
    spec = Spec(
        model=arguments.model, crop=arguments.crop, batch=arguments.batch, augment=arguments.augment,
        epochs=arguments.repeats + 1,
    )  # fmt: skip
    rates: dict[str, list[float]] = {BASELINE: [], OURS: []}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make_images(folder, "JPEG", arguments.images, 4)
        ways = {
            BASELINE: from_memory(spec, arguments.images, where),
            OURS: our_loop(spec, folder / "set", folder / "work", where),
        }
        for turn in range(arguments.repeats + 1):
            found = {name: rate(way, where) for name, way in ways.items()}
            if turn:  # the first one warms up
                for name, value in found.items():
                    rates[name].append(value)
                print(f"  {turn}: {found[BASELINE]:.1f} and {found[OURS]:.1f} images/s", file=sys.stderr)
    return tell(rates, arguments, where)


def tell(rates: dict[str, list[float]], arguments: argparse.Namespace, where: str) -> float:
    """Print what was measured; returns the share of the medians."""
    machine = torch.cuda.get_device_name() if where.startswith("cuda") else "CPU, 1 thread"
    print(
        f"{arguments.model}, crop {arguments.crop}, batches of {arguments.batch}, {arguments.images} images "
        f"an epoch, {arguments.workers} workers, {machine}"
    )
    medians = {name: statistics.median(values) for name, values in rates.items()}
    for name, value in medians.items():
        print(f"{name:>12}: {value:.1f} images/s")
    share = medians[OURS] / medians[BASELINE]
    each = [mine / base for base, mine in zip(rates[BASELINE], rates[OURS], strict=True)]
    print(f"       share: {share:.2f} ({min(each):.2f} to {max(each):.2f} over {len(each)} repeats)")
    return share


def main(words: list[str] | None = None) -> float:
    """Read the command line and compare."""
    gpu = torch.cuda.is_available()
    own = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=own)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parser.add_argument("--model", default="resnet50" if gpu else "resnet18", help="of timm; %(default)s")
    parser.add_argument("--crop", type=int, default=224 if gpu else 96, help="default: %(default)s")
    parser.add_argument("--batch", type=int, default=128 if gpu else 16, help="default: %(default)s")
    parser.add_argument("--images", type=int, default=8192 if gpu else 64, help="an epoch; %(default)s")
    parser.add_argument("--augment", default="", help="recipe of the training pictures; default: none")
    parser.add_argument("--workers", type=int, default=max(cores - 1, 1), help="default: %(default)s")
    parser.add_argument("--repeats", type=int, default=5 if gpu else 3, help="that count; %(default)s")
    arguments = parser.parse_args(words)
    with patch.dict(os.environ, {"ASSAY_WORKERS": str(arguments.workers)}):
        return compare(arguments)


if __name__ == "__main__":
    main()
