"""A heat map over its picture: where a detector of patches sees a generator's traces."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from assets.errors import AssayError
from assets.files import replacing
from models.detectors.nets.patch_net import FIELD, STRIDE

GENERATED, REAL = (214, 39, 40), (31, 119, 180)
"""Red and blue, which are told apart by those who see no green."""
STRENGTH = 0.65
"""How much of the picture's own grey a patch of P = 0 or 1 covers."""


def heat_of(detector: Any, picture: np.ndarray, where: str = "detector") -> np.ndarray:
    """Logits (h, w) of the patches of a whole picture (H, W, 3) uint8, not of the crop that is scored.

    Raises:
        AssayError: a kind of detector that judges a picture as a whole, or a picture smaller than a patch.
    """
    if not hasattr(detector, "heat_map") or detector.outputs > 1:
        raise AssayError(
            f"{where} has no heat map: it does not judge a picture patch by patch; those of kind ladeda do"
        )
    import torch

    pixels = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None]
    heat: np.ndarray = detector.heat_map(pixels)[0]
    return heat


def drawn(picture: np.ndarray, heat: np.ndarray) -> Image.Image:
    """The picture in grey; patches red as far as P(generated) is above a half, blue below.

    The scale is fixed, so that two pictures can be compared. What no patch reaches, at the right and below,
    stays grey.

    Args: picture: (H, W, 3) uint8; heat: (h, w) logits, (i, j) of the pixels from row 8 i, column 8 j.
    """
    grey = np.asarray(Image.fromarray(picture).convert("L").convert("RGB"), np.float32)
    sure = np.tanh(heat.astype(np.float32) / 2)  # 2 P - 1
    rows, columns = (_patch_of(length, count) for length, count in zip(grey.shape, heat.shape, strict=False))
    share = sure[np.ix_(rows, columns)][..., None]
    colour = np.where(share > 0, np.array(GENERATED, np.float32), np.array(REAL, np.float32))
    cover = STRENGTH * np.abs(share)
    grey[: len(rows), : len(columns)] *= 1 - cover
    grey[: len(rows), : len(columns)] += cover * colour
    return Image.fromarray(grey.round().astype(np.uint8))


def write_heat(picture: np.ndarray, heat: np.ndarray, path: Path) -> None:
    """Write `drawn` as PNG, whole or not at all."""
    with replacing(path) as temporary:
        drawn(picture, heat).save(temporary, "PNG")


def _patch_of(length: int, count: int) -> np.ndarray:
    """For each of the pixels that patches reach: the one whose centre is nearest."""
    reached = min(length, (count - 1) * STRIDE + FIELD)
    return np.clip((np.arange(reached) - (FIELD - STRIDE) // 2) // STRIDE, 0, count - 1)
