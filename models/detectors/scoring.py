"""Scoring images: each is read and decoded once, and seen by all detectors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from assets.loader import Pictures
from assets.machine import eval_batch
from models.detectors.detector import Detector
from models.detectors.inputs import prepare
from models.loader import chunks, load_batches


@dataclass(frozen=True)
class Centres:
    """An image as detectors judge it: its centre, once for every side that one of them needs."""

    pictures: Pictures
    crops: tuple[int, ...]

    def __call__(self, image: str) -> list[np.ndarray]:
        """Image id -> (3, S, S) uint8 for each S of `crops`."""
        pixels = self.pictures.pixels(image)
        return [prepare(pixels, crop) for crop in self.crops]


def score_images(
    judges: Sequence[tuple[Detector, int]], pictures: Pictures, images: Sequence[str], bar: Any = None
) -> np.ndarray:
    """Scores of images by several detectors, in batches of `ASSAY_BATCH`.

    Args: judges: detectors with the side of the crop that each sees; bar: advanced image by image.
    Returns: (detectors, images) float32 logits.
    """
    crops = tuple(sorted({crop for _, crop in judges}))
    logits = np.empty((len(judges), len(images)), np.float32)
    done = 0
    for batch in load_batches(Centres(pictures, crops), chunks(images, eval_batch()), _by_crop):
        count = len(batch[0])
        for row, (detector, crop) in zip(logits, judges, strict=True):
            row[done : done + count] = detector.score(batch[crops.index(crop)])
        done += count
        if bar is not None:
            bar.update(count)
    return logits


def _by_crop(images: list[list[np.ndarray]]) -> list[torch.Tensor]:
    """Crops by image -> one (B, 3, S, S) uint8 for each S."""
    return [torch.from_numpy(np.stack(crops)) for crops in zip(*images, strict=True)]
