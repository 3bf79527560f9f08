"""The numbers that a paper printed: one YAML file a paper, checked as it is read.

A number has a place: a detector, what it was trained on, what it was tested on, under which condition.
Two of the four are the rows and columns of a table; the others are fixed for all of it. Numbers keep the
digits that were printed, for these say how exact they are.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from assets.errors import AssayError, did_you_mean
from assets.section import Name, Section, explain
from assets.yaml12 import read_yaml

PAPERS = Path(__file__).parent
EVERY_GENERATOR = "every generator"
"""As `trained_on`: the mean over trainings on one generator each, over all that the paper has."""
ALL_TOGETHER = "all"
"""As `trained_on`: one training on the images of all generators."""
RECALL = "recall"
"""As a metric: the share of the images of some generators that an attributor says are of one of these."""
NOTHING = "-"
"""Stands in a row where the paper, or what could be read of it, has no number."""

Axis = Literal["detector", "trained_on", "tested_on", "condition"]
Unit = Literal["percent", "share", "number"]


class PaperTable(Section):
    """One table of a paper."""

    name: Name
    title: str
    verified: bool = True
    """False: not read in any public text."""
    note: str = ""
    apart: str = ""
    """Why nothing of a benchmark made here can stand beside it; '': something can."""
    fixed: dict[Axis, str]
    """What is neither a row nor a column, in the paper's words."""
    rows_are: Axis
    columns_are: Axis
    metrics: tuple[str, ...] = Field(min_length=1)
    """What the parts of a number, set apart by `/`, are: metrics of assets/statistics/metrics.py, or the
    paper's own."""
    unit: Unit
    columns: tuple[str, ...]
    rows: dict[str, str]
    """Name -> its numbers, one a column, as they were printed."""
    mean_row: str | None = None
    """The row of the means of the rows before it."""
    mean_column: str | None = None
    """The column of the means of the columns before it."""

    @model_validator(mode="after")
    def _every_place_is_filled(self) -> "PaperTable":
        for row in self.rows:
            if len(found := self.rows[row].split()) != len(self.columns):
                raise ValueError(
                    f"row '{row}' of {self.name} has {len(found)} numbers, columns {len(self.columns)}"
                )
            for metric in self.metrics:
                for column in self.columns:
                    self.number(row, column, metric)
        return self

    @model_validator(mode="after")
    def _means_are_there(self) -> "PaperTable":
        for mean, names in ((self.mean_row, self.rows), (self.mean_column, self.columns)):
            if mean is not None and mean not in names:
                raise ValueError(
                    f"the mean '{mean}' of {self.name} is not there; {did_you_mean(mean, names)}"
                )
        return self

    def number(self, row: str, column: str, metric: str) -> Decimal | None:
        """What was printed at a place, with its digits; None where there is nothing."""
        text = self.rows[row].split()[self.columns.index(column)]
        if text == NOTHING:
            return None
        parts = text.split("/")
        if len(parts) != len(self.metrics):
            raise ValueError(f"'{text}' in row '{row}' of {self.name} is not {'/'.join(self.metrics)}")
        try:
            return Decimal(parts[self.metrics.index(metric)])
        except InvalidOperation:
            raise ValueError(f"'{text}' in row '{row}' of {self.name} is no number") from None

    @property
    def places(self) -> Iterator["Place"]:
        """Every place, row by row, those of the means too."""
        for row in self.rows:
            for column in self.columns:
                yield Place(row, column, row == self.mean_row, column == self.mean_column)

    @property
    def members(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Rows and columns that are no means."""
        rows = tuple(row for row in self.rows if row != self.mean_row)
        return rows, tuple(column for column in self.columns if column != self.mean_column)


@dataclass(frozen=True)
class Place:
    """One place of a table."""

    row: str
    column: str
    over_rows: bool
    """It holds a mean over the rows."""
    over_columns: bool
    """It holds a mean over the columns."""


class Paper(Section):
    """A paper's tables, and what its names are called here."""

    paper: str
    source: str
    setting: str
    """What all its numbers are, in a sentence or two."""
    detectors: dict[str, Name]
    """Trained as the paper says -> a detector that is trained here."""
    attributors: dict[str, Name]
    """The same for those that say which generator made an image."""
    released: dict[str, Name]
    """Run as its makers released it -> a `given` detector here."""
    generators: dict[str, tuple[Name, ...]]
    """-> generators here; a name also stands for all that begin with it and an underscore."""
    contents: dict[str, str]
    conditions: dict[str, str]
    """-> the recipe (assets/images/degradations.py) that does the same, to both classes."""
    tables: tuple[PaperTable, ...]

    @model_validator(mode="after")
    def _names_are_known(self) -> "Paper":
        known: dict[str, set[str]] = {
            "detector": {*self.detectors, *self.released},
            "trained_on": {*self.generators, EVERY_GENERATOR, ALL_TOGETHER},
            "tested_on": {*self.generators, *self.contents},
            "condition": {*self.conditions, "clean"},
        }
        for table in self.tables:
            if table.apart:
                continue
            rows, columns = table.members
            used = [(table.rows_are, name) for name in rows] + [(table.columns_are, name) for name in columns]
            for axis, name in [*used, *table.fixed.items()]:
                if name not in known[axis]:
                    raise ValueError(f"{table.name}: {axis} '{name}'; {did_you_mean(name, known[axis])}")
            if missing := known.keys() - {table.rows_are, table.columns_are, *table.fixed}:
                raise ValueError(f"{table.name} does not say its {min(missing)}: put it under 'fixed'")
        return self


def read_paper(name: str, folder: Path = PAPERS) -> Paper:
    """Read the numbers of a paper, `genimage` or `imaginet`.

    Raises:
        AssayError: no such paper; a key that is unknown or missing; a place without a number; a name that
            nothing explains.
    """
    path = folder / f"{name}.yaml"
    if not path.is_file():
        raise AssayError(
            f"no paper '{name}'; {did_you_mean(name, [one.stem for one in folder.glob('*.yaml')])}"
        )
    try:
        return Paper.model_validate(read_yaml(path))
    except ValidationError as error:
        raise AssayError("\n".join(explain(item, path.name, Paper) for item in error.errors())) from None
