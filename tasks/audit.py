"""The shortcut audit: does anything but the image itself tell real from generated?

File format, size, compression, file length, metadata, watermarks: a detector trained where they differ may
only read JPEG tables ("Fake or JPEG?", arXiv 2403.17608, on GenImage). A small classifier is given nothing
else; what it finds, any detector can find too.
"""

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from assets.audit.giveaways import advice, aligned, telling
from assets.audit.shortcuts import FEATURES, FROM_FILES, SHOWN, as_table, from_file, from_manifest
from assets.files import write_json
from assets.images.imageset import ImageSet, ImageSetError
from assets.images.picture import PictureError, decode
from assets.items import image_folders
from assets.params import REAL, Audit, Params, load_params
from assets.progress import progress
from assets.seeds import derive_seed
from assets.statistics.bootstrap import Sample, draw_groups, interval, resampled_metrics
from assets.statistics.metrics import auroc
from tasks.command import arguments_for, run_stage

MOST_ROWS = 10_000
"""Manifest rows a class that are given to the classifier; a forest of a million rows takes hours."""
_MOST_VALUES = 40
"""Values of one category that the classifier is told apart; the rarer ones are one."""


class Material(NamedTuple):
    """The images of one class that an audit looks at."""

    rows: pd.DataFrame
    """Manifest rows, at most so many as were asked for, in the order of their hashes."""
    opened: pd.DataFrame
    """`assets.audit.shortcuts.as_table` of the first of them, on their index."""
    total: int
    """Images there are."""


def audit(root: Path, params: Params, item: str) -> None:
    """Write artifacts/audit/`item`/audit.json: what gives a generator's images away, and how surely.

    With `split.reals` other than `all`, only the real images that the generated ones are paired with
    are looked at: those that detectors get to see with them.
    """
    paired = None if params.split.reals == "all" else set(split_column(root, item, "pair_id"))
    real = material(root, params, REAL, paired, MOST_ROWS, params.audit.look)
    generated = material(root, params, item, None, MOST_ROWS, params.audit.look)
    found = judge([real, generated], params, derive_seed(params.seed, "audit", item))
    write_json(root / "artifacts" / "audit" / item / "audit.json", {"generator": item, **found})


def material(
    root: Path, params: Params, item: str, only: Collection[str] | None, most: int, look: int
) -> Material:
    """The images that the split of `item` holds, `most` of them by a hash of their ids; `look` are opened.

    Args: only: ids to choose from; None: all.
    """
    kept = set(split_column(root, item, "id"))
    ids = kept if only is None else kept & set(only)
    order = sorted((derive_seed(params.seed, "audit", name), name) for name in ids)
    position = {name: index for index, (_, name) in enumerate(order[: max(most, look)])}
    parts, opened = [], dict[str, dict[str, object]]()
    for folder in image_folders(root, params, item):
        images = ImageSet(folder)
        rows = images.usable[images.usable["id"].isin(position)]
        parts.append(rows)
        names = [name for name in rows["id"] if position[name] < look]
        for name in progress(names, f"open {item}", len(names)):
            opened[f"{item}/{name}"] = _opened(images, name)
    rows = pd.concat(parts)
    rows = rows.set_index(item + "/" + rows["id"].astype(str)).rename_axis(None)
    rows = rows.iloc[rows["id"].map(position).argsort()]
    return Material(rows, as_table(opened).reindex(rows.index[rows.index.isin(opened)]), len(ids))


def _opened(images: ImageSet, name: str) -> dict[str, object]:
    try:
        data = images.read(name)
        return from_file(data, decode(data))
    except PictureError as error:  # the manifest says that it could be decoded
        raise ImageSetError(
            f"{images.path}: {name} can no longer be decoded ({error}): `dvc checkout --force {images.path}` "
            "brings the right bytes back"
        ) from None


def judge(classes: list[Material], params: Params, seed: int) -> dict[str, object]:
    """Audit real and generated images with a benchmark's settings; see `judge_rows`."""
    rows = pd.concat([one.rows for one in classes])
    opened = pd.concat([one.opened for one in classes])
    found = judge_rows(rows, opened, params.audit, seed, params.report.resamples, params.report.level)
    return {**found, "n_real": classes[0].total, "n_generated": classes[1].total}


def judge_rows(
    rows: pd.DataFrame, opened: pd.DataFrame, spec: Audit, seed: int, resamples: int, level: float
) -> dict[str, object]:
    """Audit images of both classes.

    Each feature set is given to a forest of extremely randomised trees, cross-validated over groups; the
    AUROC of its out-of-fold scores has a bootstrap interval over groups. A set whose whole interval lies
    above `spec.alarm` gives the class away; the verdict is then `leak`, unless it is about what pictures
    show. `all` is all others together: of the images that were opened, or of all if none was. AUROC is None
    where a class has fewer groups than two, or no image was opened: no data.

    Args:
        rows: manifest rows, label 0 real, 1 generated, index unique.
        opened: `assets.audit.shortcuts.as_table` of some of them, on the same index.
    """
    told = from_manifest(rows)
    together = told.loc[opened.index].join(opened) if len(opened) else told
    columns = [column for name in FEATURES if name not in SHOWN for column in FEATURES[name]]
    table = {"all": together[[column for column in columns if column in together]]}
    for name in FEATURES:
        table[name] = (opened if name in FROM_FILES else told)[list(FEATURES[name])]
    folds = {False: _Folds(rows, spec.folds, seed), True: _Folds(rows.loc[opened.index], spec.folds, seed)}
    of_opened = {*FROM_FILES, *(["all"] if len(opened) else [])}
    features = {
        name: _auroc(part, folds[name in of_opened], spec, seed, resamples, level)
        for name, part in table.items()
    }
    raised = [name for name in FEATURES if features[name]["alarm"]]
    shortcuts = [name for name in raised if name not in SHOWN]
    labels = rows["label"]
    found = {name: opened if name in FROM_FILES else told for name in raised}
    single = [
        {"set": name, **telling(part, labels.loc[part.index].to_numpy(int), name)._asdict()}
        for name, part in found.items()
    ]
    recipe = aligned(rows, shortcuts)
    return {
        "verdict": "leak" if shortcuts or features["all"]["alarm"] else "clean",
        "n_real": int((labels == 0).sum()),
        "n_generated": int((labels == 1).sum()),
        "looked_at": {"manifest": _by_class(labels), "opened": _by_class(labels.loc[opened.index])},
        "features": features,
        "single": sorted(single, key=lambda rule: -float(str(rule["right"]))),
        "advice": advice(raised, recipe),
        "aligned": recipe,
    }


class _Folds:
    """Which rows a forest is fitted on and applied to, the same for every feature set."""

    def __init__(self, rows: pd.DataFrame, most: int, seed: int) -> None:
        from sklearn.model_selection import StratifiedGroupKFold

        self.labels = rows["label"].to_numpy(int)
        own = pd.Series(rows.index.astype(str), rows.index)
        self.groups = rows["group"].astype(object).fillna(own).to_numpy(str)
        self.number = min(most, *(len(set(self.groups[self.labels == label])) for label in (0, 1)))
        self.parts: list[tuple[np.ndarray, np.ndarray]] = []
        if self.number >= 2:
            splitter = StratifiedGroupKFold(self.number, shuffle=True, random_state=seed % 2**32)
            self.parts = list(splitter.split(self.labels, self.labels, self.groups))


def out_of_fold(features: pd.DataFrame, folds: _Folds, seed: int) -> np.ndarray:
    """P(generated) of every row from a forest that saw none of the row's group.

    Classes are weighted alike and trees see all rows (no bagging), so that features which say nothing give
    one and the same score in all folds, an AUROC of exactly 0.5, whatever the folds' class shares.
    """
    from sklearn.ensemble import ExtraTreesClassifier

    scores = np.full(len(features), 0.5)
    if (features.nunique() <= 1).all():
        return scores
    coded, labels = _encode(features), folds.labels
    for fit_on, apply_to in folds.parts:
        if len(set(labels[fit_on])) < 2:
            continue
        forest = ExtraTreesClassifier(
            60, max_depth=8, min_samples_leaf=3, class_weight="balanced", random_state=seed % 2**32
        )
        scores[apply_to] = forest.fit(coded[fit_on], labels[fit_on]).predict_proba(coded[apply_to])[:, 1]
    # Sums over trees round differently where the true scores are equal.
    return scores.round(9)


def _encode(features: pd.DataFrame) -> np.ndarray:
    """(N, F) float: numbers as they are, a 0/1 column for each frequent value of a category."""
    coded = features.copy()
    text = [name for name in features if not pd.api.types.is_numeric_dtype(features[name])]
    for name in text:
        counts = features[name].value_counts()
        frequent = sorted(counts.index, key=lambda value: (-counts[value], value))[:_MOST_VALUES]
        coded[name] = features[name].where(features[name].isin(frequent), "another value")
    return pd.get_dummies(coded, columns=text, dtype=float).to_numpy(float)


def _auroc(
    features: pd.DataFrame, folds: _Folds, spec: Audit, seed: int, resamples: int, level: float
) -> dict[str, object]:
    if folds.number < 2:
        return {"auroc": None, "low": None, "high": None, "alarm": False}
    logits = out_of_fold(features, folds, seed) - 0.5
    of = [folds.labels == label for label in (0, 1)]
    real, generated = (
        _sample(logits[own], folds.groups[own], resamples, derive_seed(seed, label))
        for label, own in enumerate(of)
    )
    draws = resampled_metrics(real, generated, 0.0, ("auroc",))
    bounds = interval(draws["auroc"], level)
    low, high = bounds if bounds else (None, None)
    value = auroc(folds.labels, logits)
    return {"auroc": value, "low": low, "high": high, "alarm": low is not None and low > spec.alarm}


def _sample(logits: np.ndarray, groups: np.ndarray, resamples: int, seed: int) -> Sample:
    names, position = np.unique(groups, return_inverse=True)
    return Sample(logits, position, draw_groups(len(names), resamples, seed))


def _by_class(labels: pd.Series) -> dict[str, int]:
    return {"real": int((labels == 0).sum()), "generated": int((labels == 1).sum())}


def split_column(root: Path, item: str, column: str) -> pd.Series:
    """One column of the table of images that the split of `item` holds."""
    path = root / "artifacts" / "split" / item / "split.parquet"
    return pd.read_parquet(path, columns=[column])[column]


def main(arguments: list[str]) -> None:
    """python -m tasks.audit GENERATOR"""
    (item,) = arguments_for(arguments, "generator")
    audit(Path(), load_params(), item)


if __name__ == "__main__":
    run_stage(main)
