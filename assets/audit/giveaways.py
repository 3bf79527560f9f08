"""A shortcut in words: the single value that tells the classes apart, and what to do about it."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from assets.audit.metadata import NONE
from assets.audit.shortcuts import FEATURES, SIZE, TITLES, YES_OR_NO

ADVICE = {
    "format": "bring both classes into one container and colour mode",
    "dimensions": "bring both classes to the same sizes (crop or resize alike)",
    "bytes": "file length follows compression and content: store both classes alike, and see whether "
    "what is shown differs",
    "jpeg": "bring both classes to the same JPEG quality and chroma subsampling",
    "metadata": "the detectors here are given pixels and cannot read it, but whoever is given the files can; "
    "every condition of 'degrade' writes pixels into a file of their own, without it",
    "watermark": "a detector may learn the watermark in place of the generator: draw images without it, or "
    "see whether a condition with jpeg(75) or resize(0.9), which destroy it, changes the scores",
    "appearance": "brightness, contrast or saturation differ: that is what pictures show and not how they "
    "are stored, and may well be the generator's own style; it is a shortcut where detectors do well on this "
    "generator and not on strangers (in_domain against cross_generator). Real images of the same contents "
    "are the cure",
}
"""Feature set -> what to do where it gives the class away."""

_STORED = ("format", "bytes", "jpeg", "watermark")


class Single(NamedTuple):
    """One value, or one threshold, that tells the classes apart."""

    what: str
    """Column of the audit's table."""
    right: float
    """Balanced accuracy of going by it alone, 0.5 to 1."""
    words: str


def telling(table: pd.DataFrame, labels: np.ndarray, name: str) -> Single:
    """The most telling rule of one feature set.

    Args: table: its columns (and `SIZE`) without NaN; labels: (N,) 0 real, 1 generated.
    """
    columns = [SIZE] * (name == "dimensions") + list(FEATURES[name])
    return max((_best(table[column], labels, column) for column in columns), key=lambda rule: rule.right)


def aligned(rows: pd.DataFrame, sets: list[str]) -> str | None:
    """A recipe (assets/images/degradations.py) that brings both classes into one form; None if none is
    needed.

    Both are shrunk to the shorter side that nineteen in twenty pictures of either class have, cropped to a
    square of it, and stored as JPEG of the quality that the JPEG files of either class have in the median,
    the lower of the two (90 if there are none).

    Args: rows: manifest rows of both classes; sets: the feature sets that give the class away.
    """
    steps = []
    if "dimensions" in sets:
        shorter = rows[["width", "height"]].astype(float).min(axis=1)
        side = int(min(shorter[rows["label"] == label].quantile(0.05, "lower") for label in (0, 1)))
        side = max(8, side // 8 * 8)
        steps += [f"resize({side})", f"crop({side})"]
    if set(sets) & set(_STORED):
        jpegs = rows[rows["jpeg_quality"].notna()]
        medians = jpegs["jpeg_quality"].astype(float).groupby(jpegs["label"]).median()
        steps.append(f"jpeg({int(np.clip(medians.min(), 30, 96)) if len(medians) else 90})")
    return "|".join(steps) or None


def advice(sets: list[str], recipe: str | None) -> list[str]:
    """What to do about the feature sets that give the class away."""
    lines = [f"{name}: {ADVICE[name]}" for name in sets]
    if recipe:
        lines.append(
            f'to see what is left without it, write degrade: {{aligned: "{recipe}"}} and report: {{twins: '
            f'[aligned]}}; to train without it, a sample of train.samples with prepare: "{recipe}"'
        )
    return lines


def _best(column: pd.Series, labels: np.ndarray, name: str) -> Single:
    """The value, or for numbers the threshold, whose shares of the two classes differ most."""
    values = _readable(column)
    shares = [values[labels == label].value_counts(normalize=True).to_dict() for label in (0, 1)]
    gaps = {
        str(value): abs(shares[1].get(value, 0.0) - shares[0].get(value, 0.0))
        for value in sorted({*shares[0], *shares[1]}, key=str)
    }
    value = max(gaps, key=gaps.__getitem__)
    gap, words = gaps[value], _words_of_value(name, value, shares)
    if pd.api.types.is_numeric_dtype(column) and column.nunique() > 2:
        threshold, wider = _threshold(column.to_numpy(float), labels)
        if wider > gap + 1e-12:
            gap, words = wider, _words_of_threshold(name, threshold, column.to_numpy(float), labels)
    return Single(name, round(0.5 + gap / 2, 6), words)


def _readable(column: pd.Series) -> pd.Series:
    """Values as text."""
    if column.name in YES_OR_NO:
        return column.map({0.0: "no", 1.0: "yes"})
    text = column.astype(str)
    if pd.api.types.is_numeric_dtype(column):
        text = column.map(lambda value: str(int(value)) if value == int(value) else f"{value:.4g}")
    return text.replace({"-1": "no JPEG", NONE: "no JPEG"}) if column.name in FEATURES["jpeg"] else text


def _threshold(values: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Where the two distribution functions are farthest apart, and how far (Kolmogorov and Smirnov)."""
    levels = np.unique(values)
    below = [
        np.searchsorted(np.sort(values[labels == label]), levels, "right") / (labels == label).sum()
        for label in (0, 1)
    ]
    gaps = np.abs(below[0] - below[1])
    at = int(gaps.argmax())
    between = (levels[at] + levels[min(at + 1, len(levels) - 1)]) / 2
    return float(between), float(gaps[at])


def _words_of_value(name: str, value: str, shares: list[dict[Any, float]]) -> str:
    """E.g. `format: PNG for all of the generated images and 2 % of the real ones (98 % of them: JPEG)`."""
    share = [one.get(value, 0.0) for one in shares]
    first, second = _more_often_first(*share)
    words = _words(f"{TITLES[name]}: {value}", first, share[first], share[second])
    other = max(sorted(shares[second]), key=shares[second].__getitem__)
    if other != value and shares[second][other] >= 0.005:
        words += f" ({_share(shares[second][other])} of them: {other})"
    return words


def _words_of_threshold(name: str, threshold: float, values: np.ndarray, labels: np.ndarray) -> str:
    above = [float((values[labels == label] > threshold).mean()) for label in (0, 1)]
    first, second = _more_often_first(*above)
    return _words(f"{TITLES[name]}: above {threshold:.4g}", first, above[first], above[second])


def _more_often_first(real: float, generated: float) -> tuple[int, int]:
    return (1, 0) if generated >= real else (0, 1)


def _words(what: str, first: int, share: float, other: float) -> str:
    one, two = ("generated", "real") if first else ("real", "generated")
    return f"{what} for {_share(share)} of the {one} images and {_share(other)} of the {two} ones"


def _share(share: float) -> str:
    """All, none, or a percentage that is never rounded to all or none."""
    if share in (0.0, 1.0):
        return "all" if share else "none"
    percent = min(max(100 * share, 0.1), 99.9)
    return f"{percent:.0f} %" if 1 <= percent <= 99 else f"{percent:.1f} %"
