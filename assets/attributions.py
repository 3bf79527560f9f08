"""attributions.parquet: what one attributor said, one row an image x condition x seed."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from assets.errors import AssayError, did_you_mean
from assets.files import replacing

COLUMNS: dict[str, tuple[pa.DataType, str]] = {
    "id": (pa.string(), "the image, as in its manifest"),
    "label": (pa.int8(), "1: generated; real images are not asked about"),
    "generator": (pa.string(), "what made it"),
    "group": (pa.string(), "images that stay together: the unit the bootstrap draws"),
    "class_name": (pa.string(), "what is shown; null where unknown"),
    "content": (pa.string(), "photo, painting, face or other; null where unknown"),
    "condition": (pa.string(), "`clean` or the name of a degradation"),
    "detector": (pa.string(), "the attributor's name in the parameters"),
    "seed": (pa.int64(), "seed it was trained with"),
    "trained_on": (pa.string(), "the set of generators it was trained on"),
    "tested_on": (pa.string(), "the generator whose images these are"),
    "weights": (pa.string(), "SHA-256 of the weights file"),
    "classes": (pa.list_(pa.string()), "the generators it knows, in the order of its logits"),
    "logits": (pa.list_(pa.float32()), "one a class: P(class) is their softmax; null without an answer"),
    "score": (pa.float32(), "the largest logit; NaN without an answer"),
    "unknown_below": (pa.float64(), "scores below are of no known generator; chosen on val; null: none is"),
    "answer": (pa.string(), "a class, or `(unknown)`; null where there is none"),
    "status": (pa.string(), "`ok`, or why there is no answer"),
}
"""Name -> type and meaning."""

NULLABLE = ("class_name", "content", "logits", "unknown_below", "answer")
KEY = ["detector", "seed", "condition", "id"]
"""What tells two rows of one file apart; files are sorted by it."""

UNKNOWN = "(unknown)"
"""No generator can be called so."""
OK = "ok"
FILE = "attributions.parquet"

_SCHEMA = pa.schema([pa.field(name, kind, name in NULLABLE) for name, (kind, _) in COLUMNS.items()])
_STRINGS = [name for name, (kind, _) in COLUMNS.items() if kind == pa.string()]


class AttributionsError(AssayError):
    """Attributions that are missing, of another shape, or that contradict themselves."""


def attributions_path(root: Path, trained_on: str, detector: str, tested_on: str) -> Path:
    """Where the answers of an attributor trained on a set lie, for the images of one generator."""
    return root / "artifacts" / "evaluate" / "attribution" / trained_on / detector / tested_on / FILE


def write_attributions(path: Path, frame: pd.DataFrame) -> None:
    """Check the rows, sort them by `KEY`, write them whole or not at all; equal rows give equal bytes.

    Raises:
        AttributionsError: as `read_attributions`; nothing is written then.
    """
    _check_columns(list(frame.columns), path)
    _check_rows(frame, path)
    ordered = frame.astype(dict.fromkeys(KEY, object)).sort_values(KEY, kind="stable")
    table = pa.table([_column(ordered[field.name], field) for field in _SCHEMA], schema=_SCHEMA)
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_attributions(path: Path) -> pd.DataFrame:
    """Read and check one file; strings come as pandas categoricals, lists as NumPy arrays.

    Raises:
        AttributionsError: not there, damaged, a column missing, unknown or of another type, a null, a real
            image, one image asked about twice, rows with other classes or of another set than the first,
            an answer that does not follow from the logits, or one that is there though the status is not ok.
    """
    try:
        table = pq.read_table(path, partitioning=None, read_dictionary=_STRINGS)
    except FileNotFoundError:
        raise AttributionsError(f"{path} is not there: `assay run` (or `dvc repro`) computes it") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise AttributionsError(f"{path} is damaged: {str(error).splitlines()[0]}") from None
    _check_columns(table.column_names, path)
    for name, (wanted, _) in COLUMNS.items():
        found = table.schema.field(name).type
        plain = found.value_type if pa.types.is_dictionary(found) else found
        if plain != wanted:
            raise AttributionsError(f"{path}: column '{name}' holds {plain}, expected {wanted}")
    frame: pd.DataFrame = table.select(list(COLUMNS)).to_pandas()
    _check_rows(frame, path)
    return frame


def _column(values: pd.Series, field: pa.Field) -> pa.Array:
    if pa.types.is_list(field.type):
        return pa.array([None if value is None else list(value) for value in values], field.type)
    if field.type == pa.string():
        return pa.array(values.astype(object).where(values.notna(), None).tolist(), field.type)
    numbers = values.to_numpy(field.type.to_pandas_dtype(), na_value=np.nan) if field.nullable else values
    return pa.array(np.asarray(numbers, field.type.to_pandas_dtype()), from_pandas=field.nullable)


def _check_columns(names: list[str], path: Path) -> None:
    for name in names:
        if name not in COLUMNS:
            raise AttributionsError(f"{path}: unknown column '{name}'; {did_you_mean(name, COLUMNS)}")
    if missing := [name for name in COLUMNS if name not in names]:
        raise AttributionsError(f"{path}: missing column(s) {', '.join(missing)}: ask about these again")


def _check_rows(frame: pd.DataFrame, path: Path) -> None:
    for name in COLUMNS:
        if name not in (*NULLABLE, "score") and frame[name].isna().any():
            raise AttributionsError(f"{path}: column '{name}' has a null; only {', '.join(NULLABLE)} may")
    _refuse(frame, frame["label"] != 1, path, "a real image was made by no generator")
    _refuse(frame, frame.duplicated(KEY), path, "this row stands twice")
    if frame.empty:
        return
    for name in ("detector", "trained_on", "tested_on"):
        other = frame[name] != frame[name].iloc[0]
        _refuse(frame, other, path, f"this row has another {name} than the first")
    classes = list(frame["classes"].iloc[0])
    others = [list(known) != classes for known in frame["classes"]]
    _refuse(frame, np.array(others), path, f"the classes are not {', '.join(classes)} as in the first row")
    scored = (frame["status"] == OK).to_numpy(bool)
    said = (frame["answer"].notna() | frame["logits"].notna() | frame["score"].notna()).to_numpy(bool)
    _refuse(frame, ~scored & said, path, "there is an answer though the status is not ok")
    _check_answers(frame, scored, classes, path)


def _check_answers(frame: pd.DataFrame, scored: np.ndarray, classes: list[str], path: Path) -> None:
    wrong = [
        ok and (np.shape(logits) != (len(classes),) or not np.isfinite(np.asarray(logits)).all())
        for ok, logits in zip(scored, frame["logits"], strict=True)
    ]
    _refuse(frame, np.array(wrong), path, "there is not one finite logit a class though the status is ok")
    if not scored.any():
        return
    rows = frame[scored]
    logits_NK = np.stack([np.asarray(logits) for logits in rows["logits"]])
    score_N = rows["score"].to_numpy(np.float32)
    _refuse(rows, score_N != logits_NK.max(1).astype(np.float32), path, "the score is not the largest logit")
    below = score_N < rows["unknown_below"].to_numpy(np.float64, na_value=-np.inf)
    expected = np.where(below, UNKNOWN, np.array(classes, object)[logits_NK.argmax(1)])
    wrong_answer = rows["answer"].astype(object).to_numpy() != expected
    _refuse(rows, wrong_answer, path, "the answer does not follow from the logits")


def _refuse(frame: pd.DataFrame, wrong: "pd.Series[bool] | np.ndarray", path: Path, what: str) -> None:
    """Raise for the first row that is `wrong`, naming it."""
    if count := int(np.sum(wrong)):
        row = frame.iloc[int(np.argmax(np.asarray(wrong)))]
        where = ", ".join(f"{name} {row[name]}" for name in reversed(KEY))
        raise AttributionsError(f"{path}: {what} ({where}; {count} such row(s))")
