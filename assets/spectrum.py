"""Average Fourier spectra as the stage `spectrum` writes them: one folder an item."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from assets.errors import AssayError
from assets.inventory import read_document
from assets.statistics.metrics import Floats

SPECTRUM = "spectrum.npy"
PROFILE = "profile.json"


@dataclass(frozen=True)
class Spectrum:
    """What the images of one item, a generator or `real`, look like to a Fourier transform on average."""

    item: str
    used: int
    """Images behind the average; 0: none was large enough, and everything below is empty."""
    left_out: int
    """Kept images with a side shorter than `side`."""
    side: int
    """Side of the centre crop in pixels."""
    magnitude: Floats | None
    """(side, side) natural logarithm of the mean magnitude, frequency 0 at (side // 2, side // 2)."""
    frequency: Floats
    """(R,) cycles per pixel of the rings of the profile, up to 0.5."""
    mean: Floats
    """(R,) mean over images of the logarithm of a ring's mean magnitude."""
    sd: Floats | None
    """(R,) its standard deviation over images (n - 1); None with fewer than two."""


def spectrum_folder(root: Path, item: str) -> Path:
    """Where the spectrum of an item lies."""
    return root / "artifacts" / "spectrum" / item


def read_spectrum(root: Path, item: str) -> Spectrum:
    """Read what the stage `spectrum` wrote about one item.

    Raises:
        AssayError: not there, damaged, of another item, or with lists that do not fit together.
    """
    folder = spectrum_folder(root, item)
    path = folder / PROFILE
    found = read_document(path)
    try:
        used, left_out, side = (int(found[key]) for key in ("used", "left_out", "side"))
        frequency, mean = _list(found["frequency"]), _list(found["mean"])
        sd = None if found["sd"] is None else _list(found["sd"])
        about = str(found["item"])
    except (KeyError, TypeError, ValueError) as error:
        raise AssayError(f"{path} is malformed ({error!r}): `assay run` computes it anew") from None
    if about != item:
        raise AssayError(f"{path} is about {about}, expected {item}")
    rings = side // 2 + 1 if used else 0
    if frequency.size != rings or mean.size != rings or (sd is not None and sd.size != rings):
        raise AssayError(f"{path}: expected {rings} rings for side {side} and {used} image(s)")
    return Spectrum(item, used, left_out, side, _magnitude(folder, side, used), frequency, mean, sd)


def _magnitude(folder: Path, side: int, used: int) -> Floats | None:
    if not used:
        return None
    path = folder / SPECTRUM
    try:
        array = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise AssayError(f"{path} is not there: `assay run` computes it") from None
    except (OSError, ValueError, EOFError) as error:
        raise AssayError(f"{path} is damaged: {str(error).splitlines()[0]}") from None
    if array.shape != (side, side) or not np.isfinite(array).all():
        raise AssayError(f"{path}: expected {side} x {side} finite numbers, found {array.shape}")
    return np.asarray(array, np.float64)


def _list(values: Any) -> Floats:
    """A list of finite numbers; a ValueError for anything else."""
    array = np.asarray(values, np.float64)
    if array.ndim != 1 or not np.isfinite(array).all():
        raise ValueError("not a list of finite numbers")
    return array
