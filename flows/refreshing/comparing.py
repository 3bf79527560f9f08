"""Two benchmarks side by side: which cells are new, what changed, how detectors fare on newcomers."""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from assets.params import CLEAN, Params, parse_params
from assets.statistics.cells import CELL
from assets.statistics.means import CROSS_GENERATOR, IN_DOMAIN
from assets.tables.formats.markdown import markdown_table
from assets.yaml12 import PARAMS_YAML, parse_yaml
from flows.records.records import Record, file_of

Pair = tuple[float | None, float | None]
"""Before and after."""
_STATES = ("clean", "degraded")
_MEANS = tuple((mean, state) for mean in (IN_DOMAIN, CROSS_GENERATOR) for state in _STATES)


@dataclass(frozen=True)
class Place:
    """One number of a table."""

    detector: str
    trained_on: str
    tested_on: str
    condition: str

    def __str__(self) -> str:
        where = "" if self.condition == CLEAN else f", {self.condition}"
        return f"{self.detector} trained on {self.trained_on}, tested on {self.tested_on}{where}"


@dataclass(frozen=True)
class Comparison:
    """What differs between a benchmark and the one recorded before it."""

    before: str | None
    """Lineage; None for the first record."""
    after: str
    tag: str
    came: tuple[str, ...]
    """Generators that the tables have now."""
    went: tuple[str, ...]
    set_aside: dict[str, str]
    """Generators that should be here and could not be made -> why."""
    cells: dict[str, int]
    """`new`, `changed`, `gone`, `same` -> how many cells (one detector, training, test set, condition)."""
    largest: tuple[Place, float, float] | None
    """The cell whose AUROC changed most: before, after."""
    worst_new: tuple[Place, float] | None
    """The new cell with the lowest AUROC on clean images."""
    means: dict[str, dict[str, Pair]]
    """Detector -> `in_domain clean` and so on -> mean AUROC."""
    newcomers: dict[str, dict[str, float | None]]
    """New generator -> detector -> mean clean AUROC of its trainings that never saw the generator."""
    ranking: tuple[list[str], list[str]]
    """Detectors by mean AUROC on generators they were not trained on, the best first: before, after."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def compare(root: Path, after: Record, before: Record | None) -> Comparison:
    """Compare the tables of two records; without an older one, all is new."""
    new, old = _Tables(root, after), _Tables(root, before)
    both = new.cells.keys() & old.cells.keys()
    changed = [place for place in both if new.cells[place] != old.cells[place]]
    came = tuple(name for name in new.generators if name not in old.generators)
    return Comparison(
        before=before.lineage if before else None,
        after=after.lineage,
        tag=after.tag,
        came=came,
        went=tuple(name for name in old.generators if name not in new.generators),
        set_aside=dict(new.summary.get("set_aside") or {}),
        cells={
            "new": len(new.cells) - len(both),
            "changed": len(changed),
            "gone": len(old.cells) - len(both),
            "same": len(both) - len(changed),
        },
        largest=_largest(changed, old.cells, new.cells),
        worst_new=_worst(new.cells, old.cells) if before else None,
        means=dict(_means(old.summary, new.summary)),
        newcomers=_newcomers(new, came) if before else {},
        ranking=(_ranking(old.summary), _ranking(new.summary)),
    )


def rows_of(comparison: Comparison) -> list[dict[str, Any]]:
    """A row a detector, for a table artifact."""
    return [
        {"detector": name, **{mean: _arrow(*pair) for mean, pair in means.items()}}
        for name, means in comparison.means.items()
    ]


def as_markdown(comparison: Comparison) -> str:
    """The comparison for people: a terminal, a run's page, a file."""
    return "\n\n".join(_parts(comparison)) + "\n"


def _parts(one: Comparison) -> Iterator[str]:
    yield "# What the new benchmark changed" if one.before else "# The first recorded benchmark"
    was = f", before it `{one.before[:16]}`" if one.before else ""
    yield f"lineage `{one.after[:16]}`{was}; recorded as `{one.tag}`"
    yield "\n".join(f"- {line}" for line in _lines(one))
    heading = ["detector", *(f"{mean} {state}" for mean, state in _MEANS)]
    rows = [[name, *(_arrow(*means[key]) for key in heading[1:])] for name, means in one.means.items()]
    if rows:
        yield "Mean AUROC, before -> after:" if one.before else "Mean AUROC:"
        yield markdown_table(heading, rows)
    if one.newcomers:
        yield "New generators: mean AUROC, on clean images, of the trainings that never saw them:"
        detectors = list(next(iter(one.newcomers.values())))
        yield markdown_table(
            ["generator", *detectors],
            [
                [name, *(_number(of[detector]) for detector in detectors)]
                for name, of in one.newcomers.items()
            ],
        )


def _lines(one: Comparison) -> Iterator[str]:
    if one.before:
        for word, names in (("new", one.came), ("gone", one.went)):
            if names:
                yield f"{word} generators: {', '.join(names)}"
    for name, why in one.set_aside.items():
        yield f"not made: {name} ({why}); `assay refresh --retry {name}` tries it again"
    counts = one.cells
    if one.before:
        yield f"cells: {counts['new']:,} new, {counts['changed']:,} changed, {counts['gone']:,} gone, " + (
            f"{counts['same']:,} the same"
        )
    else:
        yield f"cells: {counts['new']:,}"
    if one.largest:
        place, before, after = one.largest
        yield f"largest change of AUROC: {before:.3f} -> {after:.3f}, {place}"
    if one.worst_new:
        yield f"worst new cell: AUROC {one.worst_new[1]:.3f}, {one.worst_new[0]}"
    was, now = one.ranking
    if now and one.before:
        same = "as before" if was == now else f"before: {', '.join(was) or 'none'}"
        yield f"best on generators they were not trained on: {', '.join(now)} ({same})"


class _Tables:
    """What of a record is compared; of no record, nothing."""

    def __init__(self, root: Path, record: Record | None) -> None:
        self.summary: dict[str, Any] = {}
        self.cells: dict[Place, float | None] = {}
        self.document: dict[str, Any] = {}
        if record is None:
            return
        results = record.about.get("results", "results")
        if (content := file_of(root, record, f"{results}/summary.json")) is not None:
            self.summary = json.loads(content)
        if (content := file_of(root, record, f"{results}/cells.csv")) is not None:
            self.cells = _read_cells(content.decode("utf-8"))
        if (content := file_of(root, record, PARAMS_YAML)) is not None:
            self.document = parse_yaml(content.decode("utf-8"), f"{record.tag}: {PARAMS_YAML}")

    @property
    def generators(self) -> list[str]:
        return list(self.document.get("generators") or ())

    @property
    def params(self) -> Params:
        return parse_params(self.document, PARAMS_YAML)


def _read_cells(text: str) -> dict[Place, float | None]:
    """AUROC of every cell; where there are several training seeds, their mean."""
    found: dict[Place, float | None] = {}
    for row in csv.DictReader(io.StringIO(text)):
        if row["kind"] != CELL or not row["condition"]:  # without one: the mean over all that degrade
            continue
        place = Place(row["detector"], row["trained_on"], row["tested_on"], row["condition"])
        if place not in found or row["seed"] == "mean":
            found[place] = float(row["auroc"]) if row["auroc"] else None
    return found


def _largest(
    changed: list[Place], old: Mapping[Place, float | None], new: Mapping[Place, float | None]
) -> tuple[Place, float, float] | None:
    found = [
        (place, was, now)
        for place in changed
        if (was := old[place]) is not None and (now := new[place]) is not None
    ]
    return max(found, key=lambda one: (abs(one[2] - one[1]), str(one[0])), default=None)


def _worst(
    new: Mapping[Place, float | None], old: Mapping[Place, float | None]
) -> tuple[Place, float] | None:
    found = [
        (place, value)
        for place, value in new.items()
        if place not in old and place.condition == CLEAN and value is not None
    ]
    return min(found, key=lambda one: (one[1], str(one[0])), default=None)


def _means(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Pair]]]:
    before, after = old.get("detectors") or {}, new.get("detectors") or {}
    for name in dict.fromkeys([*after, *before]):
        pairs = {
            f"{mean} {state}": (_auroc(before, name, mean, state), _auroc(after, name, mean, state))
            for mean, state in _MEANS
        }
        yield name, pairs


def _auroc(detectors: Mapping[str, Any], name: str, mean: str, state: str) -> float | None:
    numbers = ((detectors.get(name) or {}).get(mean) or {}).get(state) or {}
    value = (numbers.get("auroc") or {}).get("value")
    return None if value is None else float(value)


def _newcomers(new: _Tables, came: tuple[str, ...]) -> dict[str, dict[str, float | None]]:
    if not came or not new.cells:
        return {}
    params = new.params
    found: dict[str, dict[str, float | None]] = {}
    for name in came:
        for detector in params.scorers:
            values = [
                value
                for place, value in new.cells.items()
                if (place.detector, place.tested_on, place.condition) == (detector, name, CLEAN)
                and value is not None
                and params.seen(detector, place.trained_on, name) is False
            ]
            found.setdefault(name, {})[detector] = sum(values) / len(values) if values else None
    return found


def _ranking(summary: Mapping[str, Any]) -> list[str]:
    return list((summary.get("ranking") or {}).get("detectors") or ())


def _arrow(before: float | None, after: float | None) -> str:
    if before is None or before == after:
        return _number(after)
    return f"{_number(before)} -> {_number(after)}"


def _number(value: float | None) -> str:
    return "no data" if value is None else f"{value:.3f}"
