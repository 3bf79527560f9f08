"""Average Fourier spectrum of an item's images: the periodic traces that upsampling leaves behind.

After Zhang, Karaman, Chang (AutoGAN, arXiv 1907.06515) and Wang et al. (CNNDetection, arXiv 1912.11035,
"Frequency analysis"): what a 3 x 3 median takes away from a picture is transformed, and magnitudes are
averaged over images. GenImage shows such spectra without saying how they were made; this is our choice.
"""

import io
from pathlib import Path

import numpy as np
import pandas as pd

from assets.errors import AssayError
from assets.files import write_bytes, write_json
from assets.images.imageset import MANIFEST
from assets.images.loader import SPLIT, Pictures
from assets.items import image_folders
from assets.params import Params, load_params
from assets.progress import progress
from assets.seeds import derive_seed
from assets.spectrum import PROFILE, SPECTRUM, spectrum_folder
from assets.statistics.metrics import Floats
from tasks.command import arguments_for, run_stage

LUMA = 0.299, 0.587, 0.114
"""Weights of red, green and blue: ITU-R BT.601."""
FLOOR = 1e-9
"""Added to magnitudes before the logarithm: a picture of one colour has none."""


def spectrum(root: Path, params: Params, item: str) -> None:
    """Write artifacts/spectrum/`item`: spectrum.npy and profile.json, as `assets.spectrum` reads them.

    Of the kept images whose sides are both at least `params.spectrum.side`, those with the lowest hash of
    (seed, id) are taken: another image more changes at most one of them. Their centre is cropped, never
    resized, for resizing writes a spectrum of its own. If no image is large enough, profile.json says so
    and there is no spectrum.npy.
    """
    spec = params.spectrum
    sizes = _sizes(root, params, item)
    large = sizes[sizes[["width", "height"]].min(axis=1) >= spec.side]
    chosen = pick(large["id"].tolist(), spec.images, params.seed)
    folder = spectrum_folder(root, item)
    (folder / SPECTRUM).unlink(missing_ok=True)
    total = np.zeros((spec.side, spec.side))
    rings: list[Floats] = []
    pictures = Pictures(image_folders(root, params, item))
    ring = ring_of(spec.side)
    for image in progress(chosen, f"spectrum {item}", len(chosen)):
        magnitude = magnitudes(residual(centre(pictures.pixels(image), spec.side)))
        total += magnitude
        rings.append(np.log(ring_means(magnitude, ring) + FLOOR))
    if chosen:
        average = np.log(total / len(chosen) + FLOOR).astype(np.float32)
        with io.BytesIO() as buffer:
            np.save(buffer, average)
            write_bytes(folder / SPECTRUM, buffer.getvalue())
    write_json(folder / PROFILE, _profile(item, len(chosen), len(sizes) - len(large), spec.side, rings))


def pick(images: list[str], limit: int, seed: int) -> list[str]:
    """At most `limit` of these ids, sorted: those with the lowest hash of seed and id."""
    by_hash = sorted(images, key=lambda image: (derive_seed(seed, "spectrum", image), image))
    return sorted(by_hash[:limit])


def centre(pixels: np.ndarray, side: int) -> np.ndarray:
    """The square of that side in the middle of a picture that is at least as large."""
    top, left = ((length - side) // 2 for length in pixels.shape[:2])
    return pixels[top : top + side, left : left + side]


def residual(pixels: np.ndarray) -> Floats:
    """(H, W, 3) uint8 -> (H, W): luma in [0, 1] minus its 3 x 3 median (at the border, mirrored).

    What is shown lies in the low frequencies and would drown what the generator leaves in the high ones.
    """
    from scipy.ndimage import median_filter

    luma = pixels.astype(np.float64) @ np.array(LUMA) / 255
    high: Floats = luma - median_filter(luma, size=3, mode="reflect")
    return high


def magnitudes(image: Floats) -> Floats:
    """(S, S) -> (S, S): |Fourier transform|, frequency 0 at (S // 2, S // 2).

    Divided by S, so that white noise looks the same at any side.
    """
    found: Floats = np.abs(np.fft.fftshift(np.fft.fft2(image, norm="ortho")))
    return found


def ring_of(side: int) -> np.ndarray:
    """(S, S) distance from frequency 0 in steps of 1 / S cycles per pixel, rounded to whole steps."""
    steps = np.arange(side) - side // 2
    return np.rint(np.hypot(steps[:, None], steps[None, :])).astype(int)


def ring_means(magnitude: Floats, ring: np.ndarray) -> Floats:
    """(S // 2 + 1,) the mean magnitude of every ring up to the Nyquist frequency; corners are beyond it."""
    last = len(ring) // 2
    sums = np.bincount(ring.ravel(), magnitude.ravel())[: last + 1]
    return sums / np.bincount(ring.ravel())[: last + 1]


def _profile(item: str, used: int, left_out: int, side: int, rings: list[Floats]) -> dict[str, object]:
    """Rounded to what means anything, and so that the last bit of a sum does not matter."""
    frequency = np.arange(side // 2 + 1) / side if used else np.array([])
    mean = np.mean(rings, axis=0) if used else np.array([])
    sd = np.std(rings, axis=0, ddof=1) if used > 1 else None
    return {
        "item": item,
        "used": used,
        "left_out": left_out,
        "side": side,
        "frequency": frequency.round(6).tolist(),
        "mean": mean.round(6).tolist(),
        "sd": None if sd is None else sd.round(6).tolist(),
    }


def _sizes(root: Path, params: Params, item: str) -> pd.DataFrame:
    """Id, width and height of every image that the split of an item keeps."""
    path = root / "artifacts" / "split" / item / SPLIT
    try:
        kept = pd.read_parquet(path, columns=["id"])["id"]
    except FileNotFoundError:
        raise AssayError(f"{path} is not there: `assay run` (or `dvc repro`) makes it") from None
    columns = ["id", "width", "height"]
    folders = image_folders(root, params, item)
    rows = pd.concat([pd.read_parquet(folder / MANIFEST, columns=columns) for folder in folders])
    return rows[rows["id"].isin(kept)]


def main(arguments: list[str]) -> None:
    """python -m tasks.spectrum ITEM"""
    (item,) = arguments_for(arguments, "item")
    spectrum(Path(), load_params(), item)


if __name__ == "__main__":
    run_stage(main)
