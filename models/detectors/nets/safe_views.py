"""What SAFE's training does to each picture of a batch: rotation, colour jitter, masked patches.

In the order and with the strengths of https://github.com/Ouxiang-Li/SAFE/blob/722620a/data/datasets.py. All
is drawn on the CPU from torch's generator, which training seeds, so that a GPU sees the same.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

PATCH = 16
LUMA = (19595, 38470, 7471)
"""Of red, green and blue in grey, over 65536, as Pillow has it."""


def rotated(pixels: Tensor, degrees: Tensor) -> Tensor:
    """Pixels (B, C, H, W) turned counter-clockwise about the centre, nearest neighbour, black outside."""
    angle = degrees * (math.pi / 180)
    height, width = pixels.shape[-2:]
    cos, sin, none = angle.cos(), angle.sin(), torch.zeros_like(angle)
    rows = [cos, -sin * (height / width), none], [sin * (width / height), cos, none]
    turn = torch.stack([torch.stack(row, -1) for row in rows], 1).to(pixels)
    grid = affine_grid(turn, list(pixels.shape), align_corners=False)
    return grid_sample(pixels, grid, mode="nearest", padding_mode="zeros", align_corners=False)


def jittered(pixels: Tensor, factors: Tensor, order: Tensor) -> Tensor:
    """Brightness, contrast and saturation of each picture, as Pillow changes 8-bit pixels.

    Args: pixels: (B, 3, H, W), whole numbers in 0..255; factors: (B, 3), of the three; order: (B, 3), which
        comes first, second and third, a permutation of 0, 1, 2 for each picture.
    """
    factors, order = factors.to(pixels), order.to(pixels.device)
    for turn in range(3):
        which = order[:, turn]
        factor = factors.gather(1, which[:, None])[..., None, None]
        grey = _grey(pixels)
        mean = (grey.mean((2, 3), keepdim=True, dtype=torch.float64) + 0.5).floor().to(grey)
        chosen = which[:, None, None, None]
        towards = torch.where(chosen == 0, torch.zeros_like(grey), torch.where(chosen == 1, mean, grey))
        # Pillow cuts off what is behind the point, and what leaves the range
        pixels = (towards + factor * (pixels - towards)).clamp(0, 255).floor()
    return pixels


def masked(pixels: Tensor, shares: Tensor, places: Tensor) -> Tensor:
    """Black out whole patches of 16 x 16 pixels.

    Args: shares: (B,), of each picture's area; places: (B, patches), random: the smallest go first.
    """
    height, width = pixels.shape[-2:]
    down, across = height // PATCH, width // PATCH
    count = (shares * (height * width / PATCH**2)).floor()
    kept = places.argsort(1).argsort(1) >= count[:, None]
    grid = kept.view(-1, 1, down, across).repeat_interleave(PATCH, 2).repeat_interleave(PATCH, 3)
    mask = torch.ones(len(pixels), 1, height, width, device=pixels.device)
    mask[..., : down * PATCH, : across * PATCH] = grid.to(mask)
    return pixels * mask


def augmented(pixels: Tensor, degrees: float, jitter: float, share: float) -> Tensor:
    """A batch (B, 3, H, W) in 0..255 as training shows it.

    Args: degrees: of rotation, at most, either way; jitter: factors lie within 1 -+ jitter; share: of the
        picture that is masked, at most, in every other picture on average.
    """
    batch, (height, width) = len(pixels), pixels.shape[-2:]
    pixels = pixels.float()
    if degrees:
        pixels = rotated(pixels, (torch.rand(batch) * 2 - 1) * degrees)
    if jitter:
        factors = 1 + (torch.rand(batch, 3) * 2 - 1) * jitter
        pixels = jittered(pixels.round(), factors, torch.rand(batch, 3).argsort(1))
    if share:
        shares = torch.rand(batch) * share * (torch.rand(batch) < 0.5)
        places = torch.rand(batch, (height // PATCH) * (width // PATCH))
        pixels = masked(pixels, shares.to(pixels.device), places.to(pixels.device))
    return pixels


def _grey(pixels: Tensor) -> Tensor:
    """(B, 3, H, W) whole numbers -> (B, 1, H, W), as Pillow converts to `L`."""
    red, green, blue = (pixels[:, i : i + 1].double() * LUMA[i] for i in range(3))
    return ((red + green + blue + 0x8000) / 0x10000).floor().to(pixels.dtype)
