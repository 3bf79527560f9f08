"""What the autoencoders of `ldm` and `vqdm` share: their shape, and a loss that is sharp without a critic."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

OCTAVES = 4
"""Resolutions at which pictures are compared."""
WINDOW = 8
"""Side in pixels of the windows whose spectra are compared."""


def shape_of(channels: tuple[int, ...]) -> dict[str, Any]:
    """Arguments of AutoencoderKL and VQModel for one block a level, without attention.

    One group a normalisation: it keeps the channels' relative strength, without which a picture of one even
    colour is normalised to nothing.
    """
    return {
        "down_block_types": ("DownEncoderBlock2D",) * len(channels),
        "up_block_types": ("UpDecoderBlock2D",) * len(channels),
        "block_out_channels": channels,
        "layers_per_block": 1,
        "norm_num_groups": 1,
        "mid_block_add_attention": False,
    }


def picture_loss(made: Tensor, real: Tensor) -> Tensor:
    """How unlike two batches of pictures (B, 3, S, S) are: pixels, edges and colours of areas, texture.

    Absolute differences of pixels and of their slopes, over octaves, and of the local spectra's magnitudes.
    The last term asks for texture of the right strength where its place cannot be had (after the focal
    frequency loss of Jiang et al. 2020, arXiv 2012.12821, without its phase): pixel losses alone blur.
    """
    loss = _far(_spectra(made), _spectra(real))
    for _ in range(OCTAVES):
        slopes = _far(made.diff(dim=2), real.diff(dim=2)) + _far(made.diff(dim=3), real.diff(dim=3))
        loss = loss + _far(made, real) + 0.5 * slopes
        made, real = F.avg_pool2d(made, 2), F.avg_pool2d(real, 2)
    return loss


def _far(one: Tensor, other: Tensor) -> Tensor:
    return (one - other).abs().mean()


def _spectra(pictures: Tensor) -> Tensor:
    """Magnitudes of the Fourier transforms of the windows, (windows, WINDOW, WINDOW // 2 + 1)."""
    windows = F.unfold(pictures.flatten(0, 1)[:, None], WINDOW, stride=WINDOW)
    spectra = torch.fft.rfft2(windows.transpose(1, 2).reshape(-1, WINDOW, WINDOW), norm="ortho")
    return (spectra.real.square() + spectra.imag.square() + 1e-6).sqrt()  # the root of 0 has no slope
