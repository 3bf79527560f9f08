"""The photographs of the mini benchmark: those that ship inside scikit-image and scikit-learn.

Source: https://scikit-image.org/docs/stable/api/skimage.data.html and
https://scikit-learn.org/stable/datasets/loading_other_datasets.html (licences there). Their bytes are
pinned here, and once more by data.dvc together with everything derived from them.
"""

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from assets.errors import AssayError
from assets.images.imageset import ImageSetWriter

NAME = "photos"


class Photo(NamedTuple):
    """One photograph inside an installed package."""

    file: str
    content: str
    scene: str
    """Pictures of one scene share a group: the motorcycle is a stereo pair."""
    sha256: str
    """First 16 hex digits, of the file's bytes."""


PHOTOS = (
    Photo("skimage/data/astronaut.png", "photo", "astronaut", "88431cd9653ccd53"),
    Photo("skimage/data/chelsea.png", "photo", "chelsea", "596aa1e7cb875eb7"),
    Photo("skimage/data/coffee.png", "photo", "coffee", "cc02f8ca188b167c"),
    Photo("skimage/data/hubble_deep_field.jpg", "other", "hubble", "3a19c5dd8a927a93"),
    Photo("skimage/data/ihc.png", "other", "ihc", "f8dd1aa387ddd1f4"),
    Photo("skimage/data/motorcycle_left.png", "photo", "motorcycle", "db18e9c415761740"),
    Photo("skimage/data/motorcycle_right.png", "photo", "motorcycle", "5fc913ae870e42a4"),
    Photo("skimage/data/retina.jpg", "other", "retina", "38a07f36f27f095e"),
    Photo("skimage/data/rocket.jpg", "photo", "rocket", "c2dd0de7c538df8d"),
    Photo("sklearn/datasets/images/china.jpg", "photo", "china", "8378025ad2519d64"),
    Photo("sklearn/datasets/images/flower.jpg", "photo", "flower", "a77f6ec41e353afd"),
)


def pack_photos(out: Path) -> int:
    """Write the photographs as the image set `out` and return how many there are.

    Raises:
        AssayError: a package is not installed, or ships other bytes than those pinned here.
    """
    with ImageSetWriter(out) as writer:
        for photo in PHOTOS:
            data = _read(photo)
            name = f"{NAME}-{Path(photo.file).stem}"
            group = f"{NAME}:{photo.scene}"
            writer.add(
                name, data, label=0, generator="real", content=photo.content, group=group, source=photo.file
            )
    return len(PHOTOS)


def _read(photo: Photo) -> bytes:
    package, _, inside = photo.file.partition("/")
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise AssayError(f"{package} is not installed: `make setup` installs what constraints.txt pins")
    try:
        data = (Path(spec.origin).parent / inside).read_bytes()
    except FileNotFoundError:
        raise AssayError(f"the installed {package} does not ship {inside}: {_REPAIR}") from None
    found = hashlib.sha256(data).hexdigest()[:16]
    if found != photo.sha256:
        raise AssayError(f"{photo.file} has checksum {found}, expected {photo.sha256}: {_REPAIR}")
    return data


_REPAIR = "install the versions that constraints.txt pins (`make setup`)"
