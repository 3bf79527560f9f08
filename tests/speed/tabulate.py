"""From stored predictions to all cells, means and intervals: seconds and memory, beside plain ways to do it.

    python tests/speed/tabulate.py         # 8 generators x 10 detectors x 12 conditions, 12,000 images a pair
    python tests/speed/tabulate.py --quick # the same, smaller: seconds
    python tests/speed/tabulate.py --generators 4 --detectors 5 --images 1000 --resamples 200

Every generator is trained on by every detector and tested on by all; a pair has as many real as generated
images, each a group of its own unless --group says otherwise (many groups are what takes time). The files
are written first, by the stages' own writer, in a process of its own; so the peak memory
(resource.getrusage) is that of reading and tabulating alone. Then the same is timed for

    reading       every file, checked (`assets.predictions.read_predictions`), a thread a processor
    tabulating    reading again, all metrics with their resamples, means, curves, comparisons (`tabulate`)
    intervals     of every metric of every row

and, for comparison, in processor seconds, scaled up from one file, or one cell and ten resamples:

    pandas        pandas.read_parquet, duplicated(KEY) and a groupby of every file, in one thread
    scikit-learn  seven of our twelve metrics of every cell, and of every resample in a loop
"""

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
import pandas as pd

from assets.params import REAL, Params
from assets.predictions import KEY, predictions_path, read_predictions, write_predictions
from assets.seeds import derive_seed, rng
from assets.statistics.bootstrap import interval
from assets.statistics.metrics import METRICS
from assets.statistics.tabulate import Tabulated, num_threads, tabulate
from tests.made_up import benchmark_params

QUALITIES = (95, 90, 85, 80, 75, 70, 65, 60, 50, 40, 30, 20)


def simulated_params(generators: int, detectors: int, conditions: int, resamples: int) -> Params:
    """A full matrix: every generator is trained on and tested on."""
    return benchmark_params(
        [f"generator{number}" for number in range(generators)],
        [f"detector{number}" for number in range(detectors)],
        {f"jpeg{quality}": f"jpeg({quality})" for quality in QUALITIES[: conditions - 1]},
        resamples=resamples,
    )


def simulate(root: Path, params: Params, images: int, group: int) -> None:
    """Write the predictions of every pair: `images` real and as many generated ones, `group` in a group."""
    for trained_on in params.train.generators:
        for tested_on in (REAL, *params.generators):
            frame = simulated_file(params, trained_on, tested_on, images, group)
            write_predictions(predictions_path(root, trained_on, tested_on), frame)


def simulated_file(params: Params, trained_on: str, tested_on: str, images: int, group: int) -> pd.DataFrame:
    """All rows of one file: good in-domain, worse elsewhere and when degraded."""
    random = rng("simulated", trained_on, tested_on)
    detectors, conditions = sorted(params.detectors), sorted(params.conditions)
    blocks = len(detectors) * len(conditions)
    apart = 0.0 if tested_on == REAL else 3.0 if tested_on == trained_on else 1.0
    group_N = np.arange(images) // group
    noise = random.normal(size=(blocks, images)) + random.normal(size=(blocks, images))[:, group_N]
    logits = noise - 1 + apart / (1 + 0.1 * np.arange(blocks)[:, None] % len(conditions))
    same = {"generator": tested_on, "trained_on": trained_on, "tested_on": tested_on, "status": "ok"}
    weights = [f"{derive_seed(trained_on, name, 0):064x}" for name in detectors]
    ids = [f"{tested_on}-{number:06d}" for number in range(images)]
    groups = [f"group-{number:06d}" for number in range(group_N[-1] + 1)]
    each = len(conditions) * images

    def column(names: list[str], codes: np.ndarray) -> pd.Categorical:
        return pd.Categorical.from_codes(codes, pd.Index(names, dtype=object))

    def spread(per_detector: list[str]) -> pd.Categorical:
        return column(per_detector, np.repeat(np.arange(len(detectors)), each))

    rows = blocks * images
    return pd.DataFrame(
        {
            "id": column(ids, np.tile(np.arange(images), blocks)),
            "label": np.full(rows, int(tested_on != REAL), np.int8),
            "group": column(groups, np.tile(group_N, blocks)),
            "class_name": column(
                [f"class {n}" for n in range(1000)], np.tile(np.arange(images) % 1000, blocks)
            ),
            "content": column(["photo"], np.zeros(rows, np.int8)),
            "condition": column(
                conditions, np.tile(np.repeat(np.arange(len(conditions)), images), len(detectors))
            ),
            "detector": spread(detectors),
            "seed": np.zeros(rows, np.int64),
            "weights": spread(weights),
            "threshold": 0.25,
            "logit": logits.astype(np.float32).ravel(),
            **{name: column([value], np.zeros(rows, np.int8)) for name, value in same.items()},
        }
    )


@dataclass(frozen=True)
class Took:
    """How long something took."""

    seconds: float
    processor: float
    """Seconds of all threads together: what other work on the machine hardly changes."""


def timed(do: Callable[[], object]) -> Took:
    """Do it and look at the clocks."""
    begin = time.perf_counter(), time.process_time()
    do()
    return Took(time.perf_counter() - begin[0], time.process_time() - begin[1])


def peak_gib() -> float:
    """The most memory that this process ever held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024**3 if sys.platform == "darwin" else 1024**2)


def by_pandas(path: Path) -> None:
    """Read and check one file as one would first write it."""
    frame = pd.read_parquet(path)
    assert not frame.duplicated(KEY).any() and np.isfinite(frame["logit"]).all()
    assert frame.groupby(KEY[:3])["id"].nunique().nunique() == 1


def by_scikit_learn(real: np.ndarray, generated: np.ndarray, groups: np.ndarray, resamples: int) -> float:
    """Seconds for one resample of one cell, metrics and all, in a loop."""
    from sklearn import metrics

    labels = np.repeat([0, 1], [real.size, generated.size])
    num_groups = int(groups.max()) + 1
    members = np.split(np.argsort(groups, kind="stable"), np.cumsum(np.bincount(groups))[:-1])
    random = np.random.default_rng(0)

    def measure(scores: np.ndarray, labels: np.ndarray) -> None:
        chances = 1 / (1 + np.exp(-scores))
        metrics.roc_auc_score(labels, scores)
        metrics.average_precision_score(labels, scores)
        metrics.accuracy_score(labels, scores > 0)
        metrics.balanced_accuracy_score(labels, scores > 0.25)
        metrics.roc_curve(labels, scores)
        metrics.brier_score_loss(labels, chances)
        metrics.log_loss(labels, chances)

    def loop() -> None:
        for _ in range(resamples):
            chosen = [
                values[np.concatenate([members[g] for g in random.integers(0, num_groups, num_groups)])]
                for values in (real, generated)
            ]
            measure(np.concatenate(chosen), np.repeat([0, 1], [part.size for part in chosen]))

    measure(np.concatenate([real, generated]), labels)
    return timed(loop).processor / resamples


def main(arguments: list[str]) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, value in {
        "generators": 8,
        "detectors": 10,
        "conditions": 12,
        "images": 6000,
        "resamples": 1000,
        "group": 1,
    }.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument(
        "--quick", action="store_true", help="3 generators, 3 detectors, 3 conditions, 600 images"
    )
    asked = parser.parse_args(arguments)
    if asked.quick:
        asked.generators, asked.detectors, asked.conditions, asked.images = 3, 3, 3, 600
    params = simulated_params(asked.generators, asked.detectors, asked.conditions, asked.resamples)
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), params, asked.images, asked.group)


def measure(root: Path, params: Params, images: int, group: int) -> None:
    """Simulate, time, print."""
    maker = multiprocessing.get_context("spawn").Process(target=simulate, args=(root, params, images, group))
    made = timed(lambda: (maker.start(), maker.join())).seconds
    if maker.exitcode:
        sys.exit("the predictions could not be written")
    files = [
        predictions_path(root, trained_on, tested_on)
        for trained_on in params.train.generators
        for tested_on in (REAL, *params.generators)
    ]
    before = peak_gib()

    def read_all() -> None:
        with ThreadPoolExecutor(num_threads()) as pool:
            for _ in pool.map(lambda path: len(read_predictions(path)), files):
                pass

    def tabulate_all() -> None:
        found.append(tabulate(params, lambda *pair: read_predictions(predictions_path(root, *pair))))

    found: list[Tabulated] = []
    reading = timed(read_all)
    tabulating = timed(tabulate_all)
    (tabulated,) = found
    level = params.report.level
    intervals = timed(
        lambda: [interval(row.metrics[name].draws, level) for row in tabulated.rows for name in METRICS]
    )
    peak = peak_gib()

    by_hand = timed(lambda: by_pandas(files[0])).processor * len(files)
    real, generated = (
        read_predictions(path)["logit"].to_numpy(np.float64)[:images] for path in (files[0], files[1])
    )
    loops = by_scikit_learn(real, generated, np.arange(images) // group, 10)
    looped = loops * params.report.resamples * len(tabulated.per_seed)

    print(
        f"{len(files)} files, {images * len(params.detectors) * len(params.conditions):,} rows each, "
        f"written in {made:.0f} s; {len(tabulated.per_seed):,} cells, {len(tabulated.means):,} means, "
        f"{params.report.resamples} resamples, {num_threads()} processors"
    )
    both = Took(tabulating.seconds + intervals.seconds, tabulating.processor + intervals.processor)
    lines: list[tuple[str, Took, str, float | None]] = [
        ("reading", reading, "pandas", by_hand),
        ("tabulating", tabulating, "scikit-learn", looped),
        ("intervals", intervals, "", None),
        ("tabulating + intervals", both, "", None),
    ]
    print(f"{'':24}{'seconds':>10}{'processor s':>13}   the plain way, processor s")
    for name, took, plain, other in lines:
        beside = "" if other is None else f"{plain} {other:,.0f}: {other / took.processor:,.1f} times as many"
        print(f"{name:24}{took.seconds:10.1f}{took.processor:13.1f}   {beside}".rstrip())
    print(f"peak memory {peak:.2f} GiB ({before:.2f} before reading)")


if __name__ == "__main__":
    main(sys.argv[1:])
