"""Small valid parameters and manifest rows for tests to vary."""

from typing import Any

import pandas as pd

from assets.params import Params, parse_params


def params(**sections: Any) -> Params:
    """Parameters of a benchmark with one imported generator; sections are replaced."""
    document: dict[str, Any] = {
        "seed": 1,
        "real": {"photos": {"from": "data/photos"}},
        "generators": {"fake": {"from": "data/fake", "family": "gan", "released": "2020-01"}},
        "fit": {},
        "dedupe": {},
        "split": {},
        "audit": {},
        "spectrum": {"side": 32},
        "gallery": {},
        "degrade": {},
        "detectors": {"small": {"model": "resnet10t", "crop": 32, "epochs": 1}},
        "attributors": {},
        "given": {},
        "train": {"generators": ["fake"], "sets": {}, "samples": {}, "seeds": [0]},
        "report": {},
    }
    return parse_params({**document, **sections}, "params")


def rows(label: int, phashes: list[int], **columns: Any) -> pd.DataFrame:
    """Manifest rows as dedupe reads them: ids r0, r1, ... or g0, g1, ..."""
    prefix = "g" if label else "r"
    count = len(phashes)
    frame = pd.DataFrame(
        {
            "id": [f"{prefix}{index}" for index in range(count)],
            "label": label,
            "generator": "fake" if label else "real",
            "content": "photo",
            "class_name": None,
            "class_index": pd.Series([pd.NA] * count, dtype="Int32"),
            "group": None,
            "pair_id": None,
            "side": None,
            "sha256": None,
            "pixels": [f"{prefix}-pixels-{index}" for index in range(count)],
            "phash": [f"{value:016x}" for value in phashes],
            "status": "ok",
            "reason": None,
        }
    )
    return frame.assign(**columns)
