"""Leaks between train and test: test images that trainings have seen, or all but seen."""

from pathlib import Path

import pandas as pd

from assets.errors import AssayError
from assets.frames import read_frame, write_frame
from assets.params import REAL, Params

COLUMNS = ("tested_on", "id", "kind", "trained_on", "of")
"""A test image (`id` of the item `tested_on`), and the train or val image (`of` of the item `trained_on`)
that it leaks from."""
EXACT = "exact-copy"
NEAR = "near-duplicate"
GROUP = "group"
KINDS = (EXACT, NEAR, GROUP)
"""Same decoded pixels; nearly the same; the same group, which no split may tear apart."""
_SHOWN = 5


def leaks_path(root: Path) -> Path:
    """Where the leaks of a benchmark lie."""
    return root / "artifacts" / "audit_all" / "leaks.parquet"


def write_leaks(root: Path, leaks: pd.DataFrame) -> None:
    """Write them, sorted, so that equal leaks give equal bytes."""
    ordered = leaks[list(COLUMNS)].astype(str).sort_values(list(COLUMNS), ignore_index=True)
    write_frame(leaks_path(root), ordered)


def read_leaks(root: Path) -> pd.DataFrame:
    """All leaks that were found, whatever detectors are trained on.

    Raises:
        AssayError: the table is not there, damaged, or of another version.
    """
    return read_frame(leaks_path(root), COLUMNS, "audit-all")


def concerning(leaks: pd.DataFrame, params: Params) -> pd.DataFrame:
    """Those that matter: real images, and generators that detectors are trained on, in `trained_on`."""
    seen = {REAL, *(name for members in params.sources.values() for name in members)}
    tested = {REAL, *params.generators}
    return leaks[leaks["trained_on"].isin(seen) & leaks["tested_on"].isin(tested)].reset_index(drop=True)


def left_out(leaks: pd.DataFrame, params: Params) -> dict[str, frozenset[str]]:
    """Test images that no table may count, by item; items without any are not there.

    They are left out for every detector, so that all are compared on the same images.
    """
    matter = concerning(leaks, params)
    return {str(item): frozenset(found) for item, found in matter.groupby("tested_on")["id"]}


def refuse(leaks: pd.DataFrame, params: Params) -> None:
    """Refuse tables over test images that trainings have seen.

    Raises:
        AssayError: there are some; the first few are named.
    """
    matter = concerning(leaks, params).sort_values(list(COLUMNS), ignore_index=True)
    if matter.empty:
        return
    images = len(matter.drop_duplicates(["tested_on", "id"]))
    shown = [
        f"{row.id} of {row.tested_on} ({_WORDS[str(row.kind)]} {row.of} of {row.trained_on})"
        for row in matter.drop_duplicates(["tested_on", "id"]).head(_SHOWN).itertuples()
    ]
    more = f", and {images - _SHOWN} more" if images > _SHOWN else ""
    raise AssayError(
        f"{images} test images are known from training: {', '.join(shown)}{more}; all of them stand in "
        f"{leaks_path(Path())}. Write report: {{leaks: leave_out}} in params.yaml to make tables in which "
        "they count for no detector, or import image sets that do not share images"
    )


_WORDS = {EXACT: "an exact copy of", NEAR: "a near-duplicate of", GROUP: "of one group with"}
