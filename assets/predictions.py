"""predictions.parquet: what detectors said, one row an image x condition x detector x seed."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from assets.errors import AssayError, did_you_mean
from assets.files import replacing
from assets.params import ELSEWHERE

COLUMNS: dict[str, tuple[pa.DataType, str]] = {
    "id": (pa.string(), "the image, as in its manifest"),
    "label": (pa.int8(), "0 real, 1 generated"),
    "generator": (pa.string(), "what made it; `real` for real images"),
    "group": (pa.string(), "images that stay together: the unit the bootstrap draws"),
    "class_name": (pa.string(), "what is shown; null where unknown"),
    "content": (pa.string(), "photo, painting, face or other; null where unknown"),
    "condition": (pa.string(), "`clean` or the name of a degradation"),
    "detector": (pa.string(), "its name in the parameters"),
    "seed": (pa.int64(), "seed the detector was trained with"),
    "trained_on": (pa.string(), "generator or set the detector was trained on; or `elsewhere`"),
    "tested_on": (pa.string(), "the image set: a generator, or `real`"),
    "weights": (pa.string(), "SHA-256 of the weights file"),
    "threshold": (pa.float64(), "chosen on val, in logits; the same for all rows of one weights file"),
    "logit": (pa.float32(), "rises with 'generated': P(generated) = sigmoid(logit); NaN without a score"),
    "status": (pa.string(), "`ok`, or why there is no score"),
}
"""Name -> type and meaning."""

NULLABLE = ("class_name", "content")
KEY = ["detector", "seed", "condition", "id"]
"""What tells two rows of one file apart; files are sorted by it."""

OK = "ok"
FILE = "predictions.parquet"

_SCHEMA = pa.schema([pa.field(name, kind, name in NULLABLE) for name, (kind, _) in COLUMNS.items()])
_STRINGS = [name for name, (kind, _) in COLUMNS.items() if kind == pa.string()]


class PredictionsError(AssayError):
    """Predictions that are missing, of another shape, or that contradict themselves."""


def given_source(detector: str) -> str:
    """Stands for `trained_on` in the path of a detector that was made elsewhere: it has files of its own."""
    return f"{ELSEWHERE}/{detector}"


def predictions_path(root: Path, trained_on: str, tested_on: str) -> Path:
    """Where the scores of all detectors trained on one generator or set lie, for one image set (or `real`).

    For a detector that was made elsewhere, `trained_on` is `given_source` of its name.
    """
    return root / "artifacts" / "evaluate" / trained_on / tested_on / FILE


def write_predictions(path: Path, frame: pd.DataFrame) -> None:
    """Check the rows, sort them by `KEY`, write them whole or not at all; equal rows give equal bytes.

    Raises:
        PredictionsError: as `read_predictions`; nothing is written then.
    """
    _check_columns(list(frame.columns), path)
    _check_rows(frame, path)
    ordered = frame.astype(dict.fromkeys(KEY, object)).sort_values(KEY, kind="stable")
    table = pa.table([_column(ordered[field.name], field) for field in _SCHEMA], schema=_SCHEMA)
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_predictions(path: Path) -> pd.DataFrame:
    """Read and check one file of predictions; strings come as pandas categoricals.

    Raises:
        PredictionsError: not there, damaged, a column missing, unknown or of another type, a null, a
            label that is neither 0 nor 1, one image scored twice by one detector under one condition,
            a score that is not finite though its status is ok, or one that is there though it is not.
    """
    try:
        table = pq.read_table(path, partitioning=None, read_dictionary=_STRINGS)
    except FileNotFoundError:
        raise PredictionsError(f"{path} is not there: `assay run` (or `dvc repro`) computes it") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise PredictionsError(f"{path} is damaged: {str(error).splitlines()[0]}") from None
    _check_columns(table.column_names, path)
    _check_types(table.schema, path)
    frame: pd.DataFrame = table.select(list(COLUMNS)).to_pandas()
    _check_rows(frame, path)
    return frame


def _column(values: pd.Series, field: pa.Field) -> pa.Array:
    if field.type == pa.string():
        return pa.array(values.astype(object).where(values.notna(), None).tolist(), field.type)
    return pa.array(values.to_numpy(field.type.to_pandas_dtype()))  # from NumPy, a NaN stays a NaN


def _check_columns(names: list[str], path: Path) -> None:
    for name in names:
        if name not in COLUMNS:
            raise PredictionsError(f"{path}: unknown column '{name}'; {did_you_mean(name, COLUMNS)}")
    if missing := [name for name in COLUMNS if name not in names]:
        raise PredictionsError(f"{path}: missing column(s) {', '.join(missing)}: score these images again")


def _check_types(schema: pa.Schema, path: Path) -> None:
    for name, (wanted, _) in COLUMNS.items():
        found = schema.field(name).type
        plain = found.value_type if pa.types.is_dictionary(found) else found
        if plain != wanted:
            raise PredictionsError(f"{path}: column '{name}' holds {plain}, expected {wanted}")


def _check_rows(frame: pd.DataFrame, path: Path) -> None:
    for name in COLUMNS:
        if name not in (*NULLABLE, "logit") and frame[name].isna().any():
            raise PredictionsError(f"{path}: column '{name}' has a null; only {', '.join(NULLABLE)} may")
    _refuse(frame, ~frame["label"].isin([0, 1]), path, "the label is neither 0 (real) nor 1 (generated)")
    _refuse(frame, frame.duplicated(KEY), path, "this row stands twice")
    finite = np.isfinite(frame["logit"].to_numpy(np.float32))
    scored = (frame["status"] == OK).to_numpy(bool)
    _refuse(frame, scored & ~finite, path, "the logit is not finite though the status is ok")
    _refuse(frame, ~scored & finite, path, "there is a logit though the status is not ok")
    _refuse(frame, ~np.isfinite(frame["threshold"].to_numpy(float)), path, "the threshold is not finite")


def _refuse(frame: pd.DataFrame, wrong: "pd.Series[bool] | np.ndarray", path: Path, what: str) -> None:
    """Raise for the first row that is `wrong`, naming it."""
    if count := int(np.sum(wrong)):
        row = frame.iloc[int(np.argmax(np.asarray(wrong)))]
        where = ", ".join(f"{name} {row[name]}" for name in reversed(KEY))
        raise PredictionsError(f"{path}: {what} ({where}; {count} such row(s))")
