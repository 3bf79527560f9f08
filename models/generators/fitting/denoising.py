"""What diffusion on pixels and on latents share: a small U-Net, a noise schedule and the training loop."""

from collections.abc import Callable
from typing import Any

import torch
from diffusers import DDIMScheduler, UNet2DModel
from torch import Tensor, nn

from assets.progress import counter
from models.generators.fitting.training import Average, Batches, descend, one_cycle

LEAST_NOISE = 0.1
"""Noise variance below which a step's loss is weighted no higher: errors there are too small to see."""


def small_unet(side: int, in_channels: int, channels: tuple[int, ...]) -> UNet2DModel:
    """A U-Net of convolutions alone, one block a level, for (B, in_channels, side, side)."""
    return UNet2DModel(
        sample_size=side,
        in_channels=in_channels,
        out_channels=in_channels,
        layers_per_block=1,
        block_out_channels=channels,
        down_block_types=("DownBlock2D",) * len(channels),
        up_block_types=("UpBlock2D",) * len(channels),
        norm_num_groups=8,
        add_attention=False,
    )


def cosine_schedule(clip: bool) -> DDIMScheduler:
    """The cosine schedule (Nichol and Dhariwal 2021, arXiv 2102.09672) for a network that predicts x0."""
    return DDIMScheduler(
        beta_schedule="squaredcos_cap_v2",
        prediction_type="sample",
        clip_sample=clip,
        timestep_spacing="trailing",  # begins at pure noise whatever the number of steps: arXiv 2305.08891
    )


def train_denoiser(
    model: nn.Module,
    scheduler: Any,
    draw: Callable[[int], Tensor],
    batches: Batches,
    steps: int,
    lr: float,
    span: int,
    what: str,
) -> Any:
    """Teach `model` to find x0 (B, C, S, S) under noise, `draw(step)`; returns its average over steps.

    The error of x0 is weighted by 1 / variance of the noise, which is the loss of v-prediction (Salimans and
    Ho 2022, arXiv 2202.00512) in other words.
    """
    model.to(memory_format=torch.channels_last)
    average = Average(model, span)
    optimizer = torch.optim.AdamW(model.parameters(), lr, betas=(0.9, 0.99), weight_decay=1e-3)
    levels = scheduler.config.num_train_timesteps
    with counter(what, steps, "steps") as bar:
        for step in range(steps):
            one_cycle(optimizer, lr, step, steps)
            x0 = draw(step)
            noise = batches.normal(*x0.shape)
            # one time from each of B equal parts: fewer lucky and unlucky batches
            parts = torch.arange(len(x0), device=x0.device) + batches.uniform(len(x0))
            times = (parts / len(x0) * levels).long().clamp(max=levels - 1)
            noisy = scheduler.add_noise(x0, noise, times).contiguous(memory_format=torch.channels_last)
            error = (model(noisy, times).sample - x0).square().mean((1, 2, 3))
            variance = 1 - scheduler.alphas_cumprod.to(x0.device)[times]
            descend(optimizer, model, (error / variance.clamp(min=LEAST_NOISE)).mean())
            average.update(model)
            bar.update()
    return average.model
