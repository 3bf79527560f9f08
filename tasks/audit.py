"""The shortcut audit: do size, format or compression alone tell real from generated?

A detector trained where they do may only read JPEG tables ("Fake or JPEG?", arXiv 2403.17608, on
GenImage). No pixel is looked at here: what this classifier finds, any detector can find too.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from assets.bootstrap import Sample, draw_groups, interval, resampled_metrics
from assets.files import write_json
from assets.imageset import ImageSet
from assets.items import image_folders
from assets.metrics import auroc
from assets.params import REAL, Audit, Params, load_params
from assets.seeds import derive_seed
from tasks.command import arguments_for, run_stage

FEATURES: dict[str, tuple[str, ...]] = {
    "format": ("format", "mode"),
    "dimensions": ("width", "height", "aspect", "pixels"),
    "bytes": ("bytes", "bits_per_pixel"),
    "jpeg": ("jpeg_quality", "jpeg_subsampling", "jpeg_tables"),
}
"""Feature set -> what it looks at; `all` is their union."""

ADVICE = {
    "format": "bring both classes into one container and colour mode",
    "dimensions": "bring both classes to the same sizes (crop or resize alike)",
    "bytes": "file length follows compression and content: store both classes alike, and see whether "
    "what is shown differs",
    "jpeg": "bring both classes to the same JPEG quality and chroma subsampling",
}


def audit(root: Path, params: Params, item: str) -> None:
    """Write artifacts/audit/`item`/audit.json: an AUROC with interval for every feature set.

    With `split.reals` other than `all`, only the real images that the generated ones are paired with
    are looked at: those that detectors get to see with them.
    """
    real = _kept(root, params, REAL)
    if params.split.reals != "all":
        real = real[real["id"].isin(_split(root, item, "pair_id"))]
    rows = pd.concat([real, _kept(root, params, item)], ignore_index=True)
    seed = derive_seed(params.seed, "audit", item)
    found = judge(rows, params.audit, seed, params.report.resamples, params.report.level)
    write_json(root / "artifacts" / "audit" / item / "audit.json", {"generator": item, **found})


def judge(rows: pd.DataFrame, spec: Audit, seed: int, resamples: int, level: float) -> dict[str, object]:
    """Audit manifest rows of both classes.

    Each feature set is given to a forest of extremely randomised trees, cross-validated over groups; the
    AUROC of its out-of-fold scores has a bootstrap interval over groups. A set whose whole interval lies
    above `spec.alarm` is a leak. AUROC is None where a class has fewer groups than two: no data.
    """
    table = measure(rows)
    sets = {"all": tuple(table.columns), **FEATURES}
    features = {
        name: _auroc(rows, table[list(columns)], spec, seed, resamples, level)
        for name, columns in sets.items()
    }
    leaks = [name for name in FEATURES if features[name]["alarm"]]
    verdict = "leak" if leaks or features["all"]["alarm"] else "clean"
    return {
        "verdict": verdict,
        "n_real": int((rows["label"] == 0).sum()),
        "n_generated": int((rows["label"] == 1).sum()),
        "features": features,
        "advice": [f"{name}: {ADVICE[name]}" for name in leaks],
    }


def measure(rows: pd.DataFrame) -> pd.DataFrame:
    """What files say about themselves, one row an image: numbers, and categories as strings."""
    width, height = rows["width"].astype(float), rows["height"].astype(float)
    size = rows["size"].astype(float)
    return pd.DataFrame(
        {
            "format": rows["format"].astype(str),
            "mode": rows["mode"].astype(str),
            "width": width,
            "height": height,
            "aspect": width / height,
            "pixels": width * height,
            "bytes": size,
            "bits_per_pixel": 8 * size / (width * height),
            # No JPEG is a value of its own here: that a file has no tables is what a detector can see.
            "jpeg_quality": rows["jpeg_quality"].astype("Float64").fillna(-1).astype(float),
            "jpeg_subsampling": rows["jpeg_subsampling"].fillna("none").astype(str),
            "jpeg_tables": rows["jpeg_tables"].fillna("none").astype(str),
        },
        index=rows.index,
    )


def out_of_fold(
    features: pd.DataFrame, labels: np.ndarray, groups: np.ndarray, folds: int, seed: int
) -> np.ndarray:
    """P(generated) of every row from a forest that saw none of the row's group.

    Classes are weighted alike and trees see all rows (no bagging), so that features which say nothing give
    one and the same score in all folds, an AUROC of exactly 0.5, whatever the folds' class shares.
    """
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.model_selection import StratifiedGroupKFold

    coded = _encode(features)
    scores = np.full(len(labels), 0.5)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed % 2**32)
    for fit_on, apply_to in splitter.split(coded, labels, groups):
        if len(set(labels[fit_on])) < 2:
            continue
        forest = ExtraTreesClassifier(
            60, max_depth=8, min_samples_leaf=3, class_weight="balanced", random_state=seed % 2**32
        )
        scores[apply_to] = forest.fit(coded[fit_on], labels[fit_on]).predict_proba(coded[apply_to])[:, 1]
    # Sums over trees round differently where the true scores are equal.
    return scores.round(9)


def _encode(features: pd.DataFrame) -> np.ndarray:
    """(N, F) float: numbers as they are, a 0/1 column for each value of a category."""
    text = [name for name in features if not pd.api.types.is_numeric_dtype(features[name])]
    return pd.get_dummies(features, columns=text, dtype=float).to_numpy(float)


def _auroc(
    rows: pd.DataFrame, features: pd.DataFrame, spec: Audit, seed: int, resamples: int, level: float
) -> dict[str, object]:
    labels = rows["label"].to_numpy(int)
    groups = rows["group"].fillna(rows["id"]).to_numpy(str)
    folds = min(spec.folds, *(len(set(groups[labels == label])) for label in (0, 1)))
    if folds < 2:
        return {"auroc": None, "low": None, "high": None, "alarm": False}
    logits = out_of_fold(features, labels, groups, folds, seed) - 0.5
    real, generated = (
        _sample(logits[labels == label], groups[labels == label], resamples, derive_seed(seed, label))
        for label in (0, 1)
    )
    draws = resampled_metrics(real, generated, 0.0)
    bounds = interval(draws["auroc"], level)
    low, high = bounds if bounds else (None, None)
    value = auroc(labels, logits)
    return {"auroc": value, "low": low, "high": high, "alarm": low is not None and low > spec.alarm}


def _sample(logits: np.ndarray, groups: np.ndarray, resamples: int, seed: int) -> Sample:
    names, position = np.unique(groups, return_inverse=True)
    return Sample(logits, position, draw_groups(len(names), resamples, seed))


def _kept(root: Path, params: Params, item: str) -> pd.DataFrame:
    """Manifest rows of the images that the split of `item` holds."""
    rows = pd.concat([ImageSet(folder).rows for folder in image_folders(root, params, item)])
    return rows[rows["id"].isin(_split(root, item, "id"))]


def _split(root: Path, item: str, column: str) -> pd.Series:
    path = root / "artifacts" / "split" / item / "split.parquet"
    return pd.read_parquet(path, columns=[column])[column]


def main(arguments: list[str]) -> None:
    """python -m tasks.audit GENERATOR"""
    (item,) = arguments_for(arguments, "generator")
    audit(Path(), load_params(), item)


if __name__ == "__main__":
    run_stage(main)
