"""Scoring images: each is read and decoded once, and seen by all detectors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from assets.detection import Judge, View
from assets.loader import Pictures
from assets.machine import eval_batch
from models.detectors.detector import Detector
from models.detectors.inputs import prepare
from models.loader import chunks, load_batches

Look = tuple[int, View]
"""Side of the crop, and how a picture becomes one."""


@dataclass(frozen=True)
class Centres:
    """An image as detectors judge it: its centre, once for every way that one of them looks at it."""

    pictures: Pictures
    looks: tuple[Look, ...]

    def __call__(self, image: str) -> list[np.ndarray]:
        """Image id -> (3, S, S) uint8 for each of `looks`."""
        pixels = self.pictures.pixels(image)
        return [prepare(pixels, crop, view) for crop, view in self.looks]


def score_images(
    judges: Sequence[tuple[Detector, Judge]], pictures: Pictures, images: Sequence[str], bar: Any = None
) -> np.ndarray:
    """Scores of images by several detectors, in batches of `ASSAY_BATCH`.

    Args: judges: detectors with their specifications; bar: advanced image by image.
    Returns: (detectors, images) float32 logits.
    """
    looks = tuple(dict.fromkeys((spec.crop, spec.view) for _, spec in judges))
    logits = np.empty((len(judges), len(images)), np.float32)
    done = 0
    for batch in load_batches(Centres(pictures, looks), chunks(images, eval_batch()), _by_look):
        count = len(batch[0])
        for row, (detector, spec) in zip(logits, judges, strict=True):
            row[done : done + count] = detector.score(batch[looks.index((spec.crop, spec.view))])
        done += count
        if bar is not None:
            bar.update(count)
    return logits


def _by_look(images: list[list[np.ndarray]]) -> list[torch.Tensor]:
    """Crops by image -> one (B, 3, S, S) uint8 for each look."""
    return [torch.from_numpy(np.stack(crops)) for crops in zip(*images, strict=True)]
