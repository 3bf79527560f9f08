"""attributions.parquet: what one attributor said, one row an image x condition x seed."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from assets.errors import AssayError
from assets.typed_table import TypedTable

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


class AttributionsError(AssayError):
    """Attributions that are missing, of another shape, or that contradict themselves."""


_TABLE = TypedTable(COLUMNS, NULLABLE, ("score",), KEY, AttributionsError, "ask about these again")


def attributions_path(root: Path, trained_on: str, detector: str, tested_on: str) -> Path:
    """Where the answers of an attributor trained on a set lie, for the images of one generator."""
    return root / "artifacts" / "evaluate" / "attribution" / trained_on / detector / tested_on / FILE


def write_attributions(path: Path, frame: pd.DataFrame) -> None:
    """Check the rows, sort them by `KEY`, write them whole or not at all; equal rows give equal bytes.

    Raises:
        AttributionsError: as `read_attributions`; nothing is written then.
    """
    _TABLE.check_columns(list(frame.columns), path)
    _check_rows(frame, path)
    _TABLE.write(path, frame)


def read_attributions(path: Path) -> pd.DataFrame:
    """Read and check one file; strings come as pandas categoricals, lists as NumPy arrays.

    Raises:
        AttributionsError: not there, damaged, a column missing, unknown or of another type, a null, a real
            image, one image asked about twice, rows with other classes or of another set than the first,
            an answer that does not follow from the logits, or one that is there though the status is not ok.
    """
    frame = _TABLE.read(path)
    _check_rows(frame, path)
    return frame


def _check_rows(frame: pd.DataFrame, path: Path) -> None:
    _TABLE.check_rows(frame, path)
    _TABLE.refuse(frame, frame["label"] != 1, path, "a real image was made by no generator")
    if frame.empty:
        return
    for name in ("detector", "trained_on", "tested_on"):
        other = frame[name] != frame[name].iloc[0]
        _TABLE.refuse(frame, other, path, f"this row has another {name} than the first")
    classes = list(frame["classes"].iloc[0])
    others = [list(known) != classes for known in frame["classes"]]
    _TABLE.refuse(
        frame, np.array(others), path, f"the classes are not {', '.join(classes)} as in the first row"
    )
    scored = (frame["status"] == OK).to_numpy(bool)
    said = (frame["answer"].notna() | frame["logits"].notna() | frame["score"].notna()).to_numpy(bool)
    _TABLE.refuse(frame, ~scored & said, path, "there is an answer though the status is not ok")
    _check_answers(frame, scored, classes, path)


def _check_answers(frame: pd.DataFrame, scored: np.ndarray, classes: list[str], path: Path) -> None:
    wrong = [
        ok and (np.shape(logits) != (len(classes),) or not np.isfinite(np.asarray(logits)).all())
        for ok, logits in zip(scored, frame["logits"], strict=True)
    ]
    _TABLE.refuse(
        frame, np.array(wrong), path, "there is not one finite logit a class though the status is ok"
    )
    if not scored.any():
        return
    rows = frame[scored]
    logits_NK = np.stack([np.asarray(logits) for logits in rows["logits"]])
    score_N = rows["score"].to_numpy(np.float32)
    _TABLE.refuse(
        rows, score_N != logits_NK.max(1).astype(np.float32), path, "the score is not the largest logit"
    )
    below = score_N < rows["unknown_below"].to_numpy(np.float64, na_value=-np.inf)
    expected = np.where(below, UNKNOWN, np.array(classes, object)[logits_NK.argmax(1)])
    wrong_answer = rows["answer"].astype(object).to_numpy() != expected
    _TABLE.refuse(rows, wrong_answer, path, "the answer does not follow from the logits")
