"""Scores that were computed elsewhere, as a CSV or parquet file: what is read, and what is refused."""

from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from assets.errors import AssayError, did_you_mean
from assets.files import sha256_of
from assets.params import CLEAN
from assets.section import Section

SURE = 110.0
"""Logit of a probability that is exactly 1 (or, negative, 0): beyond what single precision can express."""


class Options(Section):
    """What `options` of the kind `scores` may hold."""

    file: str = Field(pattern=r"\.(csv|parquet)$")
    """With one row an image, or an image and condition."""
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    """Of that file, so that another file is another benchmark."""
    id: str | None = None
    """The column with the ids of images, as in manifest.parquet; or `path`."""
    path: str | None = None
    """The column with the pictures' paths or names, as they were when they were imported."""
    score: str = "score"
    """The column with the scores."""
    condition: str | None = None
    """The column that names the condition (`clean`, or one of `degrade`); null: all are of clean images."""
    scale: Literal["probability", "logit"]
    """A number in [0, 1]; or any finite number, 0 being as much real as generated."""
    higher_means: Literal["generated", "real"] = "generated"
    """What a high score means."""

    @model_validator(mode="after")
    def _one_name(self) -> "Options":
        if (self.id is None) == (self.path is None):
            raise ValueError("name the column of ids as 'id', or that of paths as 'path'")
        return self

    @property
    def named_by(self) -> str:
        """The column that says which image a row is about."""
        return self.id or self.path or ""


def check_table(options: Options, conditions: list[str], where: str) -> None:
    """Refuse a file that is not there, that no hash pins, or whose rows make no sense.

    Args: conditions: `clean` and the names under `degrade`; where: e.g. `given.theirs.options`.
    Raises:
        AssayError: as said, or as `read_table`.
    """
    path = Path(options.file)
    if not path.is_file():
        raise AssayError(f"{where}.file: {path} is not there (looked for {path.resolve()})")
    found = sha256_of(path)
    if options.sha256 is None:
        raise AssayError(
            f"{where}.sha256 is missing: without it, a changed {path} would pass for the same benchmark. "
            f"Add this line below 'file':\n  sha256: {found}"
        )
    if options.sha256 != found:
        raise AssayError(f"{where}.file: {path} has SHA-256 {found}, not {options.sha256} as `sha256` says")
    table = read_table(options, where)
    unknown = ~table["condition"].isin(conditions)
    if unknown.any():
        first = table["condition"][unknown].iloc[0]
        raise AssayError(
            f"{where}: {path} has {int(unknown.sum())} row(s) of conditions that are not under 'degrade', "
            f"first '{first}'; {did_you_mean(first, conditions)}"
        )


def read_table(options: Options, where: str) -> pd.DataFrame:
    """The file as `image` (id or path), `condition` and `logit` (float32, rising with "generated").

    Raises:
        AssayError: damaged, a column that is not there, an image that stands twice under one condition, a
            score that is no finite number, or no probability where it should be one.
    """
    path = Path(options.file)
    columns = [name for name in (options.named_by, options.score, options.condition) if name]
    frame = _read(path, columns, options.score, f"{where}.file")
    about = _text(frame[options.named_by])
    condition = _text(frame[options.condition]) if options.condition else pd.Series(CLEAN, frame.index)
    score = pd.to_numeric(frame[options.score], errors="coerce").to_numpy(np.float64, na_value=np.nan)

    def refuse(wrong: Any, what: str) -> None:
        if count := int(np.sum(wrong)):
            row = int(np.argmax(np.asarray(wrong)))
            place = f"row {row + 1}: {about.iloc[row]}, {options.score} {frame[options.score].iloc[row]}"
            raise AssayError(f"{where}: {path}: {count} of {len(frame)} {what} (first, {place})")

    if frame.empty:
        raise AssayError(f"{where}.file: {path} has no rows")
    refuse(about == "", "rows name no image")
    twice = pd.DataFrame({"image": about, "condition": condition}).duplicated()
    one = "image and condition" if options.condition else "image"
    refuse(twice, f"rows are about an {one} that stands there already")
    refuse(~np.isfinite(score), "scores are not finite numbers")
    if options.scale == "probability":
        refuse((score < 0) | (score > 1), "scores are no probabilities in [0, 1]; `scale: logit`?")
        with np.errstate(divide="ignore"):
            score = (np.log(score) - np.log1p(-score)).clip(-SURE, SURE)
    with np.errstate(over="ignore"):  # refused below
        logit = (score if options.higher_means == "generated" else -score).astype(np.float32)
    refuse(~np.isfinite(logit), "scores are too large for single precision")
    return pd.DataFrame({"image": about, "condition": condition, "logit": logit})


def by_id(table: pd.DataFrame, known: pd.DataFrame, options: Options, where: str) -> pd.DataFrame:
    """The rows of `read_table` with the images' ids: `id`, `condition`, `logit`, sorted.

    Args: known: `id` and `source` of every image of the benchmark.
    Raises:
        AssayError: an image that the benchmark has not, a path that fits none or several, two paths of
            one image.
    """
    names = table["image"].drop_duplicates()
    found = _by_path(names, known, options, where) if options.path else {name: name for name in names}
    unknown = [name for name in names if name not in found] if options.path else []
    if not options.path:
        unknown = names[~names.isin(known["id"])].tolist()
    if unknown:
        hint = f"; ids look like {known['id'].iloc[0]}" if not options.path and len(known) else ""
        raise AssayError(
            f"{where}: {options.file} names {len(unknown)} of {len(names)} images that are not in "
            f"this benchmark, first {unknown[0]}{hint}"
        )
    rows = pd.DataFrame(
        {"id": table["image"].map(found), "condition": table["condition"], "logit": table["logit"]}
    )
    twice = rows.duplicated(["id", "condition"])
    if twice.any():
        row = rows[twice].iloc[0]
        raise AssayError(
            f"{where}: {options.file} has {int(twice.sum())} row(s) about an image that stands there already "
            f"under another path, first {table['image'][twice].iloc[0]} ({row['id']})"
        )
    return rows.sort_values(["condition", "id"], kind="stable").reset_index(drop=True)


def _by_path(names: "pd.Series[str]", known: pd.DataFrame, options: Options, where: str) -> dict[str, str]:
    """Path -> id. A path fits a picture if the shorter of the two paths is the end of the longer one."""
    there = known.dropna(subset=["source"])
    holders: dict[str, list[tuple[tuple[str, ...], str]]] = {}
    for source, image in zip(there["source"], there["id"], strict=True):
        parts = PurePosixPath(source).parts
        if parts:
            holders.setdefault(parts[-1], []).append((parts, image))
    found: dict[str, str] = {}
    several: list[str] = []
    for name in names:
        parts = PurePosixPath(name.replace("\\", "/")).parts
        fitting = [
            image
            for known_parts, image in holders.get(parts[-1] if parts else "", [])
            if all(one == other for one, other in zip(reversed(parts), reversed(known_parts), strict=False))
        ]
        if len(fitting) == 1:
            found[name] = fitting[0]
        elif fitting:
            several.append(f"{name} ({', '.join(fitting[:3])})")
    if several:
        raise AssayError(
            f"{where}: {options.file} has {len(several)} path(s) that fit several images, first "
            f"{several[0]}: name images by their ids, or by longer paths"
        )
    return found


def _read(path: Path, columns: list[str], score: str, where: str) -> pd.DataFrame:
    try:
        if path.suffix == ".parquet":
            there = pd.read_parquet(path)
        else:
            there = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, ValueError) as error:  # among them pandas' and pyarrow's own
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise AssayError(f"{where}: {path} cannot be read: {line}") from None
    for name in columns:
        if name not in there:
            raise AssayError(f"{where}: {path} has no column '{name}'; {did_you_mean(name, map(str, there))}")
    return there[columns].reset_index(drop=True)


def _text(values: "pd.Series[Any]") -> "pd.Series[str]":
    """As text without spaces around it; nothing for null."""
    return values.astype(object).where(values.notna(), "").astype(str).str.strip()
