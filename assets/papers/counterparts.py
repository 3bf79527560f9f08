"""What a benchmark measured where a paper printed a number: the same detector, training, test, condition."""

from collections.abc import Sequence
from dataclasses import dataclass

from assets.images.degradations import parse
from assets.papers.reading import ALL_TOGETHER, EVERY_GENERATOR, RECALL, Axis, Paper, PaperTable, Place
from assets.params import CLEAN, ELSEWHERE
from assets.report.results import Results
from assets.statistics.averages import averaged
from assets.statistics.cells import CELL, CONTENT, GROUP, Cell, Estimate
from assets.statistics.metrics import METRICS
from assets.tables.attribution_numbers import named_within
from assets.tables.table import CellKey


@dataclass(frozen=True)
class Counterpart:
    """What was measured at one place of a paper's table."""

    estimate: Estimate | None
    """None: nothing was."""
    why: str = ""
    """Why there is nothing, in words."""
    cell: CellKey | None = None
    """The row of the long table, if it is one and not a mean of several."""
    seen: bool | None = None


class Measured:
    """Looks up what stands at the places of a paper's tables."""

    def __init__(self, paper: Paper, results: Results) -> None:
        self._paper = paper
        self._params = results.params
        self._tabulated = results.tabulated
        self._attributed = results.attributed

    def at(self, table: PaperTable, place: Place, metric: str) -> Counterpart:
        """The counterpart of a printed number; of a printed mean, the mean of its cells' counterparts."""
        if table.apart:
            return Counterpart(None, table.apart)
        if metric not in (*METRICS, RECALL):
            return Counterpart(None, f"{metric} is not measured here")
        rows, columns = table.members
        over = [
            {**table.fixed, table.rows_are: row, table.columns_are: column}
            for row in (rows if place.over_rows else [place.row])
            for column in (columns if place.over_columns else [place.column])
        ]
        return _mean([self._single(names, metric) for names in over])

    def _single(self, names: dict[Axis, str], metric: str) -> Counterpart:
        """Raises nothing: what is not there has its reason in the counterpart."""
        try:
            if metric == RECALL:
                return Counterpart(self._recall(names))
            detector, here = self._detector(names["detector"])
            condition = self._condition(names["condition"])
            sources = (ELSEWHERE,) if not here else self._trainings(names["trained_on"])
            kind, tested_on = self._tested(names["tested_on"])
        except _NothingError as reason:
            return Counterpart(None, str(reason))
        found = [
            self._tabulated.find(kind, detector, source, name, condition)
            for source in sources
            for name in tested_on
        ]
        return _mean([_counterpart(cell, metric) for cell in found])

    def _recall(self, names: dict[Axis, str]) -> Estimate:
        attributor = self._paper.attributors.get(names["detector"], "")
        if attributor not in self._params.attributors or self._attributed is None:
            raise _NothingError(f"no attributor here is called {attributor}")
        (trained_on,) = self._trainings(names["trained_on"])
        condition, members = self._condition(names["condition"]), self._members(names["tested_on"])
        for one in self._attributed.confusions:
            if (one.detector, one.trained_on, one.condition) == (attributor, trained_on, condition):
                recall = named_within(one, members)
                if recall is not None:
                    return Estimate(recall)
        raise _NothingError("no data")

    def _detector(self, name: str) -> tuple[str, bool]:
        """Its name here, and whether it is trained here."""
        if (ours := self._paper.detectors.get(name)) is not None:
            if ours not in self._params.detectors:
                raise _NothingError(f"no detector here is called {ours}")
            return ours, True
        ours = self._paper.released[name]
        if ours not in self._params.given:
            raise _NothingError(
                f"the paper ran {name} as its makers released it, and no given detector here is called {ours}"
            )
        return ours, False

    def _condition(self, name: str) -> str:
        if name == CLEAN:
            return CLEAN
        wanted = self._paper.conditions[name]
        for condition in self._params.degrade:
            real, generated = (self._params.recipe(condition, label) for label in (0, 1))
            if parse(real) == parse(generated) == parse(wanted):
                return condition
        raise _NothingError(f"no condition here is {wanted}")

    def _trainings(self, name: str) -> Sequence[str]:
        if name == ALL_TOGETHER:
            for source, members in self._params.train.sets.items():
                if {*members} == {*self._params.generators}:
                    return (source,)
            raise _NothingError("no set here holds all generators")
        theirs = self._paper.generators if name == EVERY_GENERATOR else (name,)
        ours = [self._generator(one) for one in theirs]
        for generator in ours:
            if generator not in self._params.train.generators:
                raise _NothingError(f"nothing here is trained on {generator} alone")
        return ours

    def _generator(self, name: str) -> str:
        members = self._members(name)
        if len(members) != 1:
            raise _NothingError(f"{name} is several generators here")
        return members[0]

    def _members(self, name: str) -> list[str]:
        """The generators here that a name of the paper stands for."""
        members = []
        for ours in self._paper.generators[name]:
            found = [one for one in self._params.generators if one == ours or one.startswith(f"{ours}_")]
            if not found:
                raise _NothingError(f"no generator here is called {ours}")
            members += found
        return members

    def _tested(self, name: str) -> tuple[str, Sequence[str]]:
        """Kind of cell, and what it was tested on; of several, the mean counts."""
        if (content := self._paper.contents.get(name)) is not None:
            return CONTENT, (content,)
        members = self._members(name)
        if len(members) == 1:
            return CELL, members
        for group, generators in self._params.report.groups.items():
            if {*generators} == {*members}:
                return GROUP, (group,)
        return CELL, members


class _NothingError(Exception):
    """Why a place has no counterpart."""


def _counterpart(cell: Cell | None, metric: str) -> Counterpart:
    if cell is None:
        return Counterpart(None, "not measured here")
    estimate = cell.metrics[metric]
    if estimate.value is None:
        return Counterpart(None, "no data")
    return Counterpart(estimate, "", cell.key, cell.seen)


def _mean(parts: Sequence[Counterpart]) -> Counterpart:
    """Of all of them, or nothing if one has nothing: a mean over fewer cells would be another number."""
    if len(parts) == 1:
        return parts[0]
    for part in parts:
        if part.estimate is None:
            return Counterpart(None, part.why)
    return Counterpart(averaged([part.estimate for part in parts if part.estimate is not None]))
