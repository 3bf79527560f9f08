"""The images of a training: which ones a split or a pool gives it, and whether enough are left."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from assets.errors import AssayError
from assets.images.imageset import ImageSet
from assets.images.loader import Pictures, read_side
from assets.images.pool import read_pool
from assets.images.prepared import preparation, prepared_folder
from assets.items import image_folders
from assets.params import REAL, Params
from models.detectors.training.examples import Examples

SIDES = ("train", "val")


class Material(NamedTuple):
    """What a training works with."""

    examples: Examples
    unreadable: dict[str, list[int]]
    """Side -> images that are left out because they cannot be decoded, a class."""
    hashes: dict[str, str]
    """Id -> SHA-256 of the file, of all images in `examples`."""

    def used(self) -> dict[str, list[int]]:
        """Side -> images that take part, a class."""
        sides = {"train": self.examples.train, "val": self.examples.val}
        return {side: counted(images, self.examples.generators) for side, images in sides.items()}


def material(root: Path, params: Params, trained_on: str, reals: bool, each: bool) -> Material:
    """The train and val images of a generator, a set or a sample, and real ones where `reals`.

    With `split.reals` other than `all`, the real images are those that the generated ones are paired with;
    those of a sample are the ones that its pool lists. What a sample prepares is read from its pool.

    Args: each: every generator of a set must have val images, not only the set.
    Raises:
        AssayError: a split, a pool or an image set is missing; images are not those that the pool lists;
            none of a class are left.
    """
    generators = params.sources[trained_on]
    prepared = any(preparation(params.train.samples.get(trained_on)))
    folders = {
        item: [prepared_folder(root, trained_on, item)] if prepared else image_folders(root, params, item)
        for item in (*[REAL] * reals, *generators)
    }
    pictures = Pictures([folder for several in folders.values() for folder in several])
    manifests = {item: _hashes(several) for item, several in folders.items()}
    images: dict[str, dict[str, int]] = {}
    unreadable: dict[str, list[int]] = {}
    for side in SIDES:
        tables = _tables(root, params, trained_on, side, reals)
        if trained_on in params.pooled:
            listed = (*[REAL] * (trained_on in params.samples), *generators)
            _check_pool({item: tables[item] for item in listed}, manifests, f"artifacts/pool/{trained_on}")
        images[side], unreadable[side] = {}, [0] * (1 + len(generators))
        for number, item in enumerate((REAL, *generators)):
            readable = [image for image in tables[item]["id"] if pictures.reason(image) is None]
            images[side] |= dict.fromkeys(readable, number)
            unreadable[side][number] = len(tables[item]) - len(readable)
        left = counted(images[side], generators)
        _check_left(params, trained_on, side, left, unreadable[side], reals, each)
        images[side] = dict(sorted(images[side].items()))
    hashes = {
        image: manifests[(REAL, *generators)[number]][image]
        for side in SIDES
        for image, number in images[side].items()
    }
    return Material(Examples(pictures, generators, images["train"], images["val"]), unreadable, hashes)


def counted(images: dict[str, int], generators: Sequence[str]) -> list[int]:
    """Images of every class: real, and each generator."""
    numbers = list(images.values())
    return [numbers.count(number) for number in range(1 + len(generators))]


def _tables(root: Path, params: Params, trained_on: str, side: str, reals: bool) -> dict[str, pd.DataFrame]:
    """Rows of one side for `real` (none where they take no part) and every generator."""
    splits = root / "artifacts" / "split"
    none = pd.DataFrame({"id": [], "sha256": []})
    if trained_on in params.pooled:
        pool = read_pool(root, trained_on, side)
        tables = {item: pool[pool["generator"] == item] for item in params.pooled[trained_on]}
        if trained_on in params.samples:
            return {REAL: pool[pool["generator"] == REAL] if reals else none, **tables}
    else:
        tables = {trained_on: read_side(splits / trained_on, side)}
    real = read_side(splits / REAL, side) if reals else none
    if reals and params.split.reals != "all":
        answered = pd.concat([table["pair_id"] for table in tables.values()])
        real = real[real["id"].isin(answered)]
    return {REAL: real, **tables}


def _hashes(folders: Sequence[Path]) -> dict[str, str]:
    """Id -> SHA-256 of the file, by the manifests; empty for one that could not be read."""
    rows = pd.concat([ImageSet(folder).rows[["id", "sha256"]] for folder in folders])
    return dict(zip(rows["id"], rows["sha256"].fillna(""), strict=True))


def _check_pool(tables: dict[str, pd.DataFrame], manifests: dict[str, dict[str, str]], pool: str) -> None:
    """Refuse a pool that lists other images than there are: it was made from another state of them."""
    for item, table in tables.items():
        for image, listed in zip(table["id"], table["sha256"].fillna(""), strict=True):
            found = manifests[item].get(image)
            if found != listed:
                what = "is not there" if found is None else f"has SHA-256 {found[:12]}, there {listed[:12]}"
                raise AssayError(
                    f"{pool} was made from other images of {item} than there are now: {image} {what}; "
                    "`assay run` (or `dvc repro`) makes it anew"
                )


def _check_left(
    params: Params,
    trained_on: str,
    side: str,
    left: list[int],
    unreadable: list[int],
    reals: bool,
    each: bool,
) -> None:
    """Refuse a side on which a class has no image that can be used.

    Args: left, unreadable: images a class; each: see `material`.
    Raises:
        AssayError: with how many there were.
    """
    place = f"artifacts/{'pool' if trained_on in params.pooled else 'split'}/{trained_on}"
    sample = trained_on in params.samples
    paired = (
        ""
        if sample or params.split.reals == "all"
        else f" that images of {trained_on} are paired with (split.reals)"
    )
    wanted = [("generated image", sum(left[1:]), sum(unreadable[1:]), place)]
    if reals:
        real_place = place if sample else f"artifacts/split/{REAL}"
        wanted.insert(0, ("real image", left[0], unreadable[0], real_place))
    if trained_on in params.pooled and (each or side == "train"):
        members = zip(params.pooled[trained_on], left[1:], unreadable[1:], strict=True)
        wanted += [(f"image of {member}", count, bad, place) for member, count, bad in members]
    for what, count, bad, where in wanted:
        if not count:
            which = paired if what == "real image" else ""
            raise AssayError(
                f"no {what} is left for {side}: {where} has {bad} on that side{which}, {bad} of them "
                "unreadable. Import or generate more, or change the shares under 'split'"
            )
