"""Where every image of a benchmark went: collected, removed and why, split."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assets.errors import AssayError

SIDES = ("train", "val", "test")


@dataclass(frozen=True)
class Holding:
    """The images of one item, a generator or `real`."""

    item: str
    images: int
    """Collected or generated."""
    kept: int
    unreadable: int
    removed: dict[str, int]
    """Reason -> images, unreadable ones among them."""
    split: dict[str, int]
    """Side -> images."""
    groups: dict[str, int]
    """Side -> groups."""


def read_holding(root: Path, item: str) -> Holding:
    """Read what dedupe and split say about one item, and check that it adds up.

    Raises:
        AssayError: a summary is missing or malformed, or an image is unaccounted for.
    """
    dedupe = read_document(root / "artifacts" / "dedupe" / item / "summary.json")
    split = read_document(root / "artifacts" / "split" / item / "summary.json")
    try:
        holding = Holding(
            item=item,
            images=int(dedupe["images"]),
            kept=int(dedupe["kept"]),
            unreadable=int(dedupe["unreadable"]),
            removed={str(reason): int(count) for reason, count in dedupe["removed"].items()},
            split={side: int(split["images"][side]) for side in SIDES},
            groups={side: int(split["groups"][side]) for side in SIDES},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise AssayError(f"summaries of {item} (dedupe, split) are malformed: {error!r}") from None
    _check(holding)
    return holding


def check_tested(holding: Holding, num_images: int) -> None:
    """Refuse predictions that are not about all test images of an item.

    Raises:
        AssayError: `num_images` were scored or marked unreadable, not as many as split put into test.
    """
    if num_images != holding.split["test"]:
        raise AssayError(
            f"{holding.item}: split put {holding.split['test']} images into test, but the predictions are "
            f"about {num_images}: `assay run` computes what is out of date"
        )


def read_document(path: Path) -> dict[str, Any]:
    """Read a JSON object that a stage wrote.

    Raises:
        AssayError: not there, not JSON, not an object.
    """
    try:
        document = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise AssayError(f"{path} is not there: `assay run` (or `dvc repro`) computes it") from None
    except ValueError as error:
        raise AssayError(f"{path} is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise AssayError(f"{path}: expected a JSON object")
    return document


def _check(holding: Holding) -> None:
    removed = sum(holding.removed.values())
    if "unreadable" not in holding.removed:  # counted apart from the images that were removed
        removed += holding.unreadable
    if holding.images != holding.kept + removed:
        raise AssayError(
            f"dedupe of {holding.item}: {holding.images} images, but {holding.kept} kept and {removed} "
            "removed; `assay run` computes what is out of date"
        )
    if holding.kept != sum(holding.split.values()):
        raise AssayError(
            f"split of {holding.item}: {sum(holding.split.values())} images on its sides, but dedupe kept "
            f"{holding.kept}: `assay run` computes what is out of date"
        )
