"""Scoring images: each is read and decoded once, and seen by all detectors."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from assets.detection import Judge, View
from assets.images.loader import Pictures
from assets.machine import eval_batch
from models.detectors.detector import Detector
from models.detectors.inputs import Plan, Size, planned
from models.loader import chunks, load_batches

Look = tuple[int, View]
"""Side of the crop, and how a picture becomes one."""


class Centres:
    """An image as detectors judge it: its centre, once for every way that one of them looks at it.

    What one look gives does not depend on the others: where some are content with a smaller decoding of a
    JPEG (`view.scaled_decode`) and some are not, it is decoded for both.
    """

    def __init__(self, pictures: Pictures, looks: tuple[Look, ...]) -> None:
        self._pictures, self._looks = pictures, looks

    def __call__(self, image: str) -> list[np.ndarray]:
        """Image id -> (3, S, S) uint8 for each of the looks."""
        plans: list[Plan] = []

        def smaller(size: Size) -> int:
            plans.extend(planned(size, crop, view) for crop, view in self._looks)
            return plans[0].times

        first = self._pictures.pixels(image, smaller)
        decoded = {plans[0].times: first}
        for times in {plan.times for plan in plans} - set(decoded):
            decoded[times] = self._pictures.pixels(image, lambda _, times=times: times)  # type: ignore[misc]
        return [plan.cut(decoded[plan.times]) for plan in plans]


def score_images(
    judges: Sequence[tuple[Detector, Judge]], pictures: Pictures, images: Sequence[str], bar: Any = None
) -> list[np.ndarray]:
    """Scores of images by several detectors, in batches of `ASSAY_BATCH`.

    Args: judges: detectors with their specifications; bar: advanced image by image.
    Returns: for each detector float32 logits, (images,) that rise with "generated", or of an attributor
        (images, classes).
    """
    looks = tuple(dict.fromkeys((spec.crop, spec.view) for _, spec in judges))
    shapes = [(len(images),) if found.outputs == 1 else (len(images), found.outputs) for found, _ in judges]
    scores = [np.empty(shape, np.float32) for shape in shapes]
    done = 0
    for batch in load_batches(Centres(pictures, looks), chunks(images, eval_batch()), _by_look):
        count = len(batch[0])
        for row, (detector, spec) in zip(scores, judges, strict=True):
            row[done : done + count] = detector.score(batch[looks.index((spec.crop, spec.view))])
        done += count
        if bar is not None:
            bar.update(count)
    return scores


def _by_look(images: list[list[np.ndarray]]) -> list[torch.Tensor]:
    """Crops by image -> one (B, 3, S, S) uint8 for each look."""
    return [torch.from_numpy(np.stack(crops)) for crops in zip(*images, strict=True)]
