"""Train on the past, test on what came next (AI-GenBench's protocol, with the last window counted once)."""

from collections.abc import Sequence

from assets.params import CLEAN
from assets.report.results import Results
from assets.statistics.averages import averaged
from assets.statistics.cells import CELL, Estimate
from assets.statistics.metrics import TITLES
from assets.statistics.studies import Chronology, chronologies
from assets.tables.cell_table import (
    about_intervals,
    about_reals,
    about_trainings,
    definition,
    join,
    unit_of,
)
from assets.tables.comparisons import Head, metric_value, value_table
from assets.tables.table import Chapter, Line, Table, Value

METRICS = ("auroc", "balanced_accuracy")
OVER_TIME = "mean over time"


def chapter(results: Results) -> Chapter | None:
    """One table a chain of trainings and metric; None if no two trainings follow each other in time."""
    chains = chronologies(results.params)
    if not chains:
        return None
    return Chapter(
        "chronological",
        "In order of release",
        (
            "A detector meets generators that came out after it was trained. Here each training has seen "
            "every generator released up to some day and none after it; the generators released from then "
            "until the next training are its next period. That number, and not the mean over all generators, "
            "says what to expect of a detector that is deployed today.",
            "After the last training there is a next period only if generators came later. AI-GenBench's "
            "code takes the last window, which was trained on, in its place; here such a training has none "
            "and is not counted.",
            about_intervals(results.params),
        ),
        tuple(_table(results, chain, at, metric) for at, chain in enumerate(chains, 1) for metric in METRICS),
    )


def _table(results: Results, chain: Chronology, at: int, metric: str) -> Table:
    params, level = results.params, results.params.report.level
    windows = chain.windows
    lines: list[Line] = []
    for detector in params.detectors:
        next_ones, past_ones = [], []
        for k, step in enumerate(chain.steps):
            row = [_mean(results, detector, step.source, window, metric) for window in windows]
            past = [name for window in windows[: k + 1] for name in window]
            past_ones.append(_mean(results, detector, step.source, past, metric))
            values = [metric_value(one, metric, level, seen=j <= k) for j, one in enumerate(row)]
            next_value: Value | None = None
            if k + 1 < len(windows):
                next_ones.append(row[k + 1])
                next_value = metric_value(row[k + 1], metric, level, seen=False)
            past_value = metric_value(past_ones[-1], metric, level, seen=True)
            lines.append(Line((detector, step.source), (*values, next_value, past_value)))
        means = [metric_value(averaged(ones), metric, level) for ones in (next_ones, past_ones)]
        lines.append(Line((detector, OVER_TIME), (*(None for _ in windows), *means), mean=True))
    unit = unit_of(metric)
    return value_table(
        [
            *(Head(f"window {j}", unit) for j, _ in enumerate(windows, 1)),
            Head("next period", unit, mean=True),
            Head("past", unit, mean=True),
        ],
        lines,
        name=f"chain_{at}_{metric}",
        title=f"Trained on the past, tested on every window: {TITLES[metric]}",
        caption=join(
            definition(metric),
            "Clean test images. Lines: trainings, the earliest first. Columns: the generators of one window, "
            f"each weighing the same: {_told(results, windows)}. Framed: windows trained on. next period: "
            "the first window not trained on. past: all generators trained on, each weighing the same. "
            f"{OVER_TIME}: of next period over the trainings that have one, of past over all trainings. "
            "Thresholds were chosen on val images of what was trained on, so never on a later window.",
            about_trainings(params),
            about_reals(params),
        ),
    )


def _mean(results: Results, detector: str, source: str, window: Sequence[str], metric: str) -> Estimate:
    cells = [results.tabulated.find(CELL, detector, source, name, CLEAN) for name in window]
    return averaged([cell.metrics[metric] for cell in cells if cell is not None])


def _told(results: Results, windows: Sequence[Sequence[str]]) -> str:
    told = []
    for j, window in enumerate(windows, 1):
        names = ", ".join(f"{name} ({results.params.generators[name].released})" for name in window)
        told.append(f"window {j}: {names}")
    return "; ".join(told)
