"""What the answers should be: classes as shares, softened, mixed with their pictures, and the loss of it."""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from assets.detection import Recipe

CUTMIX_SHARE = 0.5
"""Of the batches, where a recipe has mixup and cutmix."""


def soft_targets(classes: Tensor, num_classes: int, smoothing: float = 0.0) -> Tensor:
    """Classes (B,) int64 -> shares (B, K) float32: 1 - `smoothing` to the class, the rest to all alike.

    Source: Szegedy et al. 2016, arXiv 1512.00567, section 7.
    """
    hot = functional.one_hot(classes, num_classes).float()
    return hot if smoothing == 0 else hot * (1 - smoothing) + smoothing / num_classes


def mixed(
    pixels: Tensor, targets: Tensor, recipe: Recipe, random: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Mix every picture of a batch with another of it, by mixup or cutmix as the recipe says.

    One share for the whole batch, drawn from Beta(alpha, alpha), as in timm's `Mixup` in batch mode; but
    partners are drawn anew, for here real and generated images come in turn.

    Args: pixels: (B, 3, S, S) float; targets: (B, K).
    Returns: both mixed; as they are if the recipe has neither.
    Source: mixup, arXiv 1710.09412; cutmix, arXiv 1905.04899, whose share is that of the pasted area.
    """
    if not recipe.mixup and not recipe.cutmix:
        return pixels, targets
    cut = bool(recipe.cutmix) and (not recipe.mixup or random.random() < CUTMIX_SHARE)
    alpha = recipe.cutmix if cut else recipe.mixup
    share = float(random.beta(alpha, alpha))
    if cut:
        height, width = pixels.shape[-2:]
        top, bottom, left, right = _box(height, width, share, random)
        share = 1 - (bottom - top) * (right - left) / (height * width)
    partner = torch.from_numpy(random.permutation(len(pixels))).to(pixels.device)
    if cut:
        both = pixels.clone()
        both[..., top:bottom, left:right] = pixels[partner][..., top:bottom, left:right]
    else:
        both = pixels * share + pixels[partner] * (1 - share)
    return both, targets * share + targets[partner] * (1 - share)


def cross_entropy(answers: Tensor, targets: Tensor) -> Tensor:
    """Mean cross entropy of answers (B, O) with target shares (B, K), as one number.

    O = K, or O = 1 with K = 2: the logit of the second class.
    """
    if answers.shape[1] == 1:
        return functional.binary_cross_entropy_with_logits(answers[:, 0], targets[:, 1])
    return functional.cross_entropy(answers, targets)


def _box(height: int, width: int, share: float, random: np.random.Generator) -> tuple[int, int, int, int]:
    """Top, bottom, left and right of a rectangle of `1 - share` of the area, cut off at the border."""
    ratio = math.sqrt(1 - share)
    tall, wide = int(height * ratio), int(width * ratio)
    middle, centre = int(random.integers(0, height)), int(random.integers(0, width))
    top, bottom = max(middle - tall // 2, 0), min(middle + (tall + 1) // 2, height)
    left, right = max(centre - wide // 2, 0), min(centre + (wide + 1) // 2, width)
    return top, bottom, left, right
