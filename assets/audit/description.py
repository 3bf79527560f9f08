"""What the files of one class look like, counted."""

from typing import Any

import pandas as pd

from assets.audit.metadata import NONE
from assets.audit.shortcuts import SIZE, YES_OR_NO, from_manifest

_MOST = 5


def describe(rows: pd.DataFrame, opened: pd.DataFrame) -> dict[str, Any]:
    """Counts of what stands in manifest rows, and in files that were opened (`assets.audit.shortcuts`).

    Returns:
        For each category the five most frequent values -> images, and under `others` how many have another
        one; for numbers `least`, `median` and `most`.
    """
    told = from_manifest(rows)
    jpeg = told[told["jpeg_quality"] > 0]
    return {
        "format": _counted(told["format"]),
        "mode": _counted(told["mode"]),
        "size_in_pixels": _counted(told[SIZE]),
        "shorter_side": _spread(told[["width", "height"]].min(axis=1)),
        "bytes": _spread(told["bytes"]),
        "bits_per_pixel": _spread(told["bits_per_pixel"]),
        "jpeg_quality": _counted(jpeg["jpeg_quality"].astype(int)),
        "jpeg_subsampling": _counted(jpeg["jpeg_subsampling"]),
        "jpeg_tables": int(jpeg["jpeg_tables"].nunique()),
        "metadata": {
            "exif": int((opened["exif"] > 0).sum()),
            **{name: int((opened[name] > 0).sum()) for name in YES_OR_NO},
            **{name: _counted(_named(opened[name])) for name in ("software", "text", "icc")},
        },
        "watermark": _counted(_named(opened["watermark"])),
        **{name: _spread(opened[name]) for name in ("brightness", "contrast", "saturation")},
    }


def _named(column: pd.Series) -> pd.Series:
    return column[column != NONE]


def _counted(values: pd.Series) -> dict[str, int]:
    counts = values.astype(str).value_counts()
    ordered = sorted(counts.items(), key=lambda one: (-int(one[1]), str(one[0])))
    found = {str(name): int(count) for name, count in ordered[:_MOST]}
    rest = sum(int(count) for _, count in ordered[_MOST:])
    return {**found, "others": rest} if rest else found


def _spread(values: pd.Series) -> dict[str, float]:
    numbers = values.astype(float)
    return {"least": float(numbers.min()), "median": float(numbers.median()), "most": float(numbers.max())}
