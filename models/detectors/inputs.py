"""What a detector sees of a picture: a square crop, never a shrunk picture."""

import numpy as np
from PIL import Image

from assets.detection import View

PLAIN = View()


def prepare(
    pixels: np.ndarray, crop: int, view: View = PLAIN, random: np.random.Generator | None = None
) -> np.ndarray:
    """Cut a square out of a picture: at a random place (training), or the centre (`random` is None).

    A picture with a side shorter than the crop is enlarged (bicubic) until its shorter side equals the
    crop; no picture is ever made smaller, for that would remove the traces that detectors look for.

    Args: pixels: (H, W, 3) uint8; crop: side in pixels.
    Returns: (3, crop, crop) uint8, contiguous.
    """
    height, width = pixels.shape[:2]
    side = min(height, width, crop)
    top, left = _corner(height - side, random), _corner(width - side, random)
    if side < crop:
        # Only the window is enlarged; Pillow looks beyond its border, as if the whole picture were.
        box = (left, top, left + side, top + side)
        window = np.asarray(Image.fromarray(pixels).resize((crop, crop), Image.Resampling.BICUBIC, box))
    else:
        window = pixels[top : top + side, left : left + side]
    return np.ascontiguousarray(window.transpose(2, 0, 1))


def _corner(room: int, random: np.random.Generator | None) -> int:
    return room // 2 if random is None else int(random.integers(room, endpoint=True))
