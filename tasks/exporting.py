"""`assay export`: a benchmark's images as a folder that other programs read, and that can be imported again.

Beside the pictures lie manifest.parquet (every column of the image sets, and where each picture went),
assay.json (which sets), croissant.json (ML Commons' description) and README.md (the data card).
"""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from assets.croissant import croissant
from assets.errors import AssayError, did_you_mean
from assets.files import full_disk_told, replacing, write_json, write_text
from assets.images.imageset import ImageSet, to_records
from assets.images.loader import SPLIT
from assets.images.manifest import COLUMNS as MANIFEST
from assets.images.manifest import OK
from assets.inventory import read_document
from assets.items import image_folders
from assets.params import REAL, Params
from assets.progress import progress
from tasks.sources.exported import ABOUT, LISTED, VERSION
from tasks.targets.picture import Picture, Placed

LAYOUTS = ("folder", "genimage", "webdataset", "huggingface")

_LEFT_OUT = ("shard", "offset")
SCHEMA = pa.schema(
    [
        ("set", pa.string()),
        ("file", pa.string()),
        ("member", pa.string()),
        *((name, kind) for name, (kind, _) in MANIFEST.items() if name not in _LEFT_OUT),
    ]
)
"""Columns of an export's manifest: `file` and `member` are null for a picture that could not be read."""


class Target(Protocol):
    """What a layout does with pictures."""

    def add(self, picture: Picture, data: bytes) -> Placed:
        """Write one picture."""

    def close(self) -> None:
        """Finish what is open."""


class Exported(NamedTuple):
    """What came of an export."""

    sets: dict[str, int]
    """Image set -> rows."""
    pictures: int
    unreadable: int


class _Set(NamedTuple):
    name: str
    item: str
    images: ImageSet
    rows: pd.DataFrame
    """Of the manifest, in its order, with the side that goes into the export."""
    sides: list[str | None]


def export(
    root: Path, params: Params, layout: str, out: Path, items: tuple[str, ...] = (), whole: bool = False
) -> Exported:
    """Write image sets of a benchmark to `out`.

    Args:
        items: `real` and generators; none stands for all.
        whole: every row of the image sets as they are, unreadable pictures and copies too, on no side. Else
            the images that the split holds, with its sides as the sides they were published on.
    Raises:
        AssayError: an unknown layout or item, a folder that holds something else, images that are not there.
    """
    if layout not in LAYOUTS:
        raise AssayError(f"--as {layout}: {did_you_mean(layout, LAYOUTS)}")
    known = [REAL, *params.generators]
    for item in items:
        if item not in known:
            raise AssayError(f"--only {item}: {did_you_mean(item, known)}")
    _refuse_other(out, layout)
    chosen = [item for item in known if not items or item in items]
    sets = [one for item in chosen for one in _sets(root, params, item, whole)]
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / ABOUT, {"assay_export": VERSION, "layout": layout, "finished": False})
    target: Target = import_module(f"tasks.targets.{layout}").Target(out)
    with full_disk_told(f"free some space, or remove {out}, and export again"):
        records = _write(target, sets, _beside(sets, chosen), layout)
    _describe(root, params, out, layout, sets, records, target)
    unreadable = sum(record["file"] is None for record in records)
    return Exported({one.name: len(one.rows) for one in sets}, len(records) - unreadable, unreadable)


def _sets(root: Path, params: Params, item: str, whole: bool) -> Iterator[_Set]:
    """The image sets of an item: one of a generator, one a source of real images."""
    split = None
    if not whole:
        path = root / "artifacts" / "split" / item / SPLIT
        if not path.is_file():
            raise AssayError(f"{path} is not there: `assay run split` makes it, or export with --whole")
        table = pd.read_parquet(path, columns=["id", "side"])
        split = dict(zip(table["id"], table["side"], strict=True))
    for folder in image_folders(root, params, item):
        images = ImageSet(folder)
        rows = images.rows
        if split is not None:
            rows = rows[rows["id"].isin(list(split))]
            rows = rows.assign(side=rows["id"].map(split))
        sides = [None if split is None else split[image] for image in rows["id"]]
        yield _Set(folder.name, item, images, rows, sides)


def _beside(sets: list[_Set], items: list[str]) -> dict[str, str]:
    """Real image -> the generator it stands beside: the one it is paired with, else dealt out in turn."""
    generators = [item for item in items if item != REAL] or [REAL]
    paired: dict[str, str] = {}
    for one in sets:
        if one.item != REAL:
            paired |= {pair: one.item for pair in one.rows["pair_id"].dropna() if pair not in paired}
    reals = [image for one in sets if one.item == REAL for image in one.rows["id"]]
    return {image: paired.get(image, generators[n % len(generators)]) for n, image in enumerate(reals)}


def _write(target: Target, sets: list[_Set], beside: dict[str, str], layout: str) -> list[dict[str, Any]]:
    """Write all pictures, those of one set and side together; returns the rows of the manifest."""
    records: list[dict[str, Any]] = []
    total = sum(len(one.rows) for one in sets)
    for one, row, side in progress(_ordered(sets), f"export as {layout}", total):
        placed = Placed("", None)
        if row["status"] == OK:
            picture = Picture(one.name, row, side, beside.get(row["id"], one.item))
            placed = target.add(picture, one.images.read(row["id"]))
        kept = {name: value for name, value in row.items() if name not in _LEFT_OUT}
        records.append({"set": one.name, "file": placed.file or None, "member": placed.member, **kept})
    target.close()
    return records


def _ordered(sets: list[_Set]) -> Iterator[tuple[_Set, dict[str, Any], str | None]]:
    for one in sets:
        rows = to_records(one.rows)
        for side in dict.fromkeys(one.sides):
            for row, own in zip(rows, one.sides, strict=True):
                if own == side:
                    yield one, row, side


def _describe(
    root: Path,
    params: Params,
    out: Path,
    layout: str,
    sets: list[_Set],
    records: list[dict[str, Any]],
    target: Target,
) -> None:
    """Write what lies beside the pictures; assay.json says last that all of it is there."""
    with replacing(out / LISTED) as temporary:
        pq.write_table(pa.Table.from_pylist(records, SCHEMA), temporary, compression="zstd")
    about: dict[str, Any] = {
        one.name: {
            "real": one.item == REAL,
            "rows": len(one.rows),
            **(
                {}
                if one.item == REAL
                else {
                    "family": params.generators[one.item].family,
                    "released": params.generators[one.item].released,
                }
            ),
        }
        for one in sets
    }
    card = root / "results" / "DATACARD.md"
    text = card.read_text("utf-8") if card.is_file() else "# Images of an Assay benchmark\n"
    splits = getattr(target, "splits", None)
    write_text(out / "README.md", (_configuration(splits) if splits else "") + text)
    write_json(out / "croissant.json", croissant(out, layout, about, records))
    write_json(out / ABOUT, {"assay_export": VERSION, "layout": layout, "finished": True, "sets": about})


def _configuration(splits: dict[str, list[str]]) -> str:
    """The front matter by which the hub and `datasets` find the files of a split."""
    lines = ["---", "configs:", "- config_name: default", "  data_files:"]
    for split, files in splits.items():
        lines += [f"  - split: {split}", "    path:", *(f"    - {file}" for file in files)]
    return "\n".join([*lines, "---", "", ""])


def _refuse_other(out: Path, layout: str) -> None:
    """A folder that holds something else is left alone; an export that never ended goes on."""
    if not out.exists() or not any(out.iterdir()):
        return
    if not (out / ABOUT).is_file():
        raise AssayError(f"{out} is not empty and holds no export: give another folder")
    before = read_document(out / ABOUT)
    if before.get("finished"):
        raise AssayError(f"{out} holds an export already: remove it, or give another folder")
    if before.get("layout") != layout:
        raise AssayError(
            f"{out} holds a part of an export as {before.get('layout')}: remove it, or go on with it"
        )
