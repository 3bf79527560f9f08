"""predictions.parquet: what detectors said, one row an image x condition x detector x seed."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from assets.errors import AssayError
from assets.params import ELSEWHERE
from assets.typed_table import TypedTable

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


class PredictionsError(AssayError):
    """Predictions that are missing, of another shape, or that contradict themselves."""


_TABLE = TypedTable(COLUMNS, NULLABLE, ("logit",), KEY, PredictionsError, "score these images again")


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
    _TABLE.check_columns(list(frame.columns), path)
    _check_rows(frame, path)
    _TABLE.write(path, frame)


def read_predictions(path: Path) -> pd.DataFrame:
    """Read and check one file of predictions; strings come as pandas categoricals.

    Raises:
        PredictionsError: not there, damaged, a column missing, unknown or of another type, a null, a
            label that is neither 0 nor 1, one image scored twice by one detector under one condition,
            a score that is not finite though its status is ok, or one that is there though it is not.
    """
    frame = _TABLE.read(path)
    _check_rows(frame, path)
    return frame


def _check_rows(frame: pd.DataFrame, path: Path) -> None:
    _TABLE.check_rows(frame, path)
    wrong_label = ~frame["label"].isin([0, 1])
    _TABLE.refuse(frame, wrong_label, path, "the label is neither 0 (real) nor 1 (generated)")
    finite = np.isfinite(frame["logit"].to_numpy(np.float32))
    scored = (frame["status"] == OK).to_numpy(bool)
    _TABLE.refuse(frame, scored & ~finite, path, "the logit is not finite though the status is ok")
    _TABLE.refuse(frame, ~scored & finite, path, "there is a logit though the status is not ok")
    unbounded = ~np.isfinite(frame["threshold"].to_numpy(np.float64))
    _TABLE.refuse(frame, unbounded, path, "the threshold is not finite")
