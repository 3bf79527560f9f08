"""Test images under every condition, seeded per image; both classes alike unless the condition says else."""

from pathlib import Path

from assets.images.degradations import parse
from assets.images.imageset import ImageSetWriter, open_sets, to_records
from assets.images.loader import read_side
from assets.images.picture import PictureError, decode
from assets.items import image_folders
from assets.params import REAL, Params, load_params
from assets.progress import progress
from assets.seeds import rng
from tasks.command import arguments_for, run_stage

KEPT = ["label", "generator", "content", "class_name", "class_index", "group", "pair_id"]


def degrade(root: Path, params: Params, item: str) -> None:
    """Write artifacts/degrade/`item`/<condition>: the test images of `item` under each condition.

    Ids are those of the clean images; `source` holds the recipe. What a picture becomes depends on the
    benchmark seed, the condition, its label where the condition differs by class, and its id alone. Files
    that an empty recipe leaves as they are keep their bytes.
    """
    label = int(item != REAL)
    recipes = {name: parse(params.recipe(name, label), f"degrade.{name}") for name in params.degrade}
    test = read_side(root / "artifacts" / "split" / item, "test")
    holder = open_sets(image_folders(root, params, item))
    about = to_records(test[KEPT])
    out = root / "artifacts" / "degrade" / item
    out.mkdir(parents=True, exist_ok=True)  # a benchmark without conditions still has the folder
    writers = {name: ImageSetWriter(out / name) for name in recipes}
    for image, row in zip(progress(test["id"].tolist(), f"degrade {item}", len(test)), about, strict=True):
        file = holder[image].read(image)
        pixels = decode(file)  # once for all conditions
        for name, recipe in recipes.items():
            random = rng(params.seed, "degrade", name, image)
            try:
                data = recipe.encode(pixels, random) if recipe.steps else file
            except PictureError as error:  # too large for a codec: a counted row, no replacement
                writers[name].add_unreadable(image, str(error), **row, source=str(recipe))
                continue
            writers[name].add(image, data, **row, source=str(recipe))
    for writer in writers.values():
        with writer:
            pass


def main(arguments: list[str]) -> None:
    """python -m tasks.degrade ITEM"""
    (item,) = arguments_for(arguments, "item")
    degrade(Path(), load_params(), item)


if __name__ == "__main__":
    run_stage(main)
