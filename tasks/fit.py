"""Models that draw images come to be: trained here on the real images, or taken from weights."""

from pathlib import Path

import numpy as np

from assets.errors import AssayError
from assets.images.imageset import ImageSet, link_set
from assets.images.picture import decode
from assets.items import image_folders
from assets.machine import device, make_repeatable
from assets.params import REAL, Params, load_params
from assets.seeds import derive_seed
from models import generators
from tasks.command import arguments_for, run_stage


def fit(root: Path, params: Params, name: str) -> None:
    """Write the model folder artifacts/fit/`name`, as `params.fit[name]` asks.

    Raises:
        AssayError: unknown kind or option; real images of several shapes (crop them in `real`).
    """
    spec = params.fit[name]
    make_repeatable()
    out = root / "artifacts" / "fit" / name
    images = np.empty((0, 1, 1, 3), np.uint8)
    match generators.reals_for(spec.kind):
        case "pixels":
            images = _real_images(root, params)
        case "linked":
            _link_real_images(root, params, out / generators.REALS)
    generators.fit(spec.kind, images, out, spec.options, derive_seed(params.seed, "fit", name), device())


def _real_images(root: Path, params: Params) -> np.ndarray:
    """All collected real images, (N, H, W, 3) uint8."""
    images: list[np.ndarray] = []
    for folder in image_folders(root, params, REAL):
        images += [decode(data) for _, data in ImageSet(folder).stream()]
    if len({image.shape for image in images}) != 1:
        raise AssayError("models trained here need real images of one shape: set 'crop' under 'real'")
    return np.stack(images)


def _link_real_images(root: Path, params: Params, out: Path) -> None:
    """Put every real image set at out/SOURCE, without copying pixels."""
    for folder in image_folders(root, params, REAL):
        source = ImageSet(folder)
        link_set(source, out / folder.name, source.rows)


def main(arguments: list[str]) -> None:
    """python -m tasks.fit NAME"""
    (name,) = arguments_for(arguments, "name")
    fit(Path(), load_params(), name)


if __name__ == "__main__":
    run_stage(main)
