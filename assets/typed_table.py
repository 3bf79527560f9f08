"""Tables in parquet files: columns, types and nulls are promised; read, checked and written in one way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from assets.errors import AssayError, did_you_mean
from assets.files import replacing


@dataclass(frozen=True)
class TypedTable:
    """What a file holds. Its errors name the file, the column and the row."""

    columns: Mapping[str, tuple[pa.DataType, str]]
    """Name -> type and meaning."""
    nullable: Sequence[str]
    """Columns that may be null."""
    nan: Sequence[str]
    """Columns of numbers where NaN stands for none."""
    key: Sequence[str]
    """What tells two rows apart; files are sorted by it."""
    error: type[AssayError]
    again: str
    """What to do about a column that is missing."""

    @property
    def schema(self) -> pa.Schema:
        """Of the file."""
        return pa.schema(
            [pa.field(name, kind, name in self.nullable) for name, (kind, _) in self.columns.items()]
        )

    def read(self, path: Path) -> pd.DataFrame:
        """The rows, columns in the promised order; strings as pandas categoricals, lists as NumPy arrays.

        Raises:
            AssayError (`error`): not there, damaged, a column missing, unknown or of another type.
        """
        strings = [name for name, (kind, _) in self.columns.items() if kind == pa.string()]
        try:
            table = pq.read_table(path, partitioning=None, read_dictionary=strings)
        except FileNotFoundError:
            raise self.error(f"{path} is not there: `assay run` (or `dvc repro`) computes it") from None
        except (pa.ArrowInvalid, OSError) as error:
            raise self.error(f"{path} is damaged: {str(error).splitlines()[0]}") from None
        self.check_columns(table.column_names, path)
        for name, (wanted, _) in self.columns.items():
            found = table.schema.field(name).type
            plain = found.value_type if pa.types.is_dictionary(found) else found
            if plain != wanted:
                raise self.error(f"{path}: column '{name}' holds {plain}, expected {wanted}")
        frame: pd.DataFrame = table.select(list(self.columns)).to_pandas()
        return frame

    def write(self, path: Path, frame: pd.DataFrame) -> None:
        """Sort the rows by the key and write them whole or not at all; equal rows give equal bytes."""
        codes = [coded(frame[name])[0] for name in reversed(self.key)]
        ordered = frame.iloc[np.lexsort(codes)]
        table = pa.table([_array(ordered[field.name], field) for field in self.schema], schema=self.schema)
        with replacing(path) as temporary:
            pq.write_table(table, temporary, compression="zstd")

    def check_columns(self, names: Sequence[str], path: Path) -> None:
        """Refuse a column that is unknown or missing."""
        for name in names:
            if name not in self.columns:
                raise self.error(f"{path}: unknown column '{name}'; {did_you_mean(name, self.columns)}")
        if missing := [name for name in self.columns if name not in names]:
            raise self.error(f"{path}: missing column(s) {', '.join(missing)}: {self.again}")

    def check_rows(self, frame: pd.DataFrame, path: Path) -> None:
        """Refuse a null where none may be, and a row that stands twice."""
        for name in self.columns:
            if name not in (*self.nullable, *self.nan) and frame[name].isna().any():
                allowed = ", ".join(self.nullable)
                raise self.error(f"{path}: column '{name}' has a null; only {allowed} may")
        self.refuse(frame, _repeated(frame, self.key), path, "this row stands twice")

    def refuse(
        self, frame: pd.DataFrame, wrong: "pd.Series[bool] | NDArray[np.bool_]", path: Path, what: str
    ) -> None:
        """Raise for the first row that is `wrong`, naming it; do nothing if none is."""
        if count := int(np.sum(wrong)):
            row = frame.iloc[int(np.argmax(np.asarray(wrong)))]
            where = ", ".join(f"{name} {row[name]}" for name in reversed(self.key))
            raise self.error(f"{path}: {what} ({where}; {count} such row(s))")


def coded(values: pd.Series) -> tuple[NDArray[np.intp], NDArray[np.object_]]:
    """(R,) the rank of each value among `names`, -1 for a null; (n,) the sorted names, used or not."""
    kept = values.array if isinstance(values.dtype, pd.CategoricalDtype) else pd.Categorical(values)
    assert isinstance(kept, pd.Categorical)
    names = kept.categories.to_numpy(object)
    order = np.argsort(names, kind="stable")
    rank = np.full(names.size + 1, -1, np.intp)  # the last place is that of code -1, a null
    rank[order] = np.arange(names.size)
    return rank[kept.codes], names[order]


def _repeated(frame: pd.DataFrame, key: Sequence[str]) -> NDArray[np.bool_]:
    """(R,) whether a row has the key of one before it."""
    number = np.zeros(len(frame), np.int64)
    for name in key:
        codes, names = coded(frame[name])
        number = number * (names.size + 1) + codes
    if (np.diff(number) > 0).all():  # in order, as files are
        return np.zeros(len(frame), bool)
    return pd.Series(number).duplicated().to_numpy(bool)


def _array(values: pd.Series, field: pa.Field) -> pa.Array:
    if pa.types.is_list(field.type):
        return pa.array([None if value is None else list(value) for value in values], field.type)
    if field.type == pa.string():
        if isinstance(values.dtype, pd.CategoricalDtype):
            return pa.array(values, from_pandas=True).cast(field.type)
        return pa.array(values.astype(object).where(values.notna(), None).tolist(), field.type)
    numbers = values.to_numpy(field.type.to_pandas_dtype(), na_value=np.nan) if field.nullable else values
    # Only where a null is allowed does NaN become one.
    return pa.array(np.asarray(numbers, field.type.to_pandas_dtype()), from_pandas=field.nullable)
