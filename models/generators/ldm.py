"""Latent diffusion (Rombach et al. 2021, arXiv 2112.10752): an autoencoder, and diffusion on its latents.

The pipeline is diffusers' LDMPipeline, whose component is called `vqvae` whatever the autoencoder; here it is
an AutoencoderKL, as in Stable Diffusion. What its decoder cannot draw is what detectors of latent diffusion
find.
"""

# diffusers loads its classes lazily, which hides their bases from mypy.
# mypy: disable-error-code="attr-defined,misc,operator"

from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, LDMPipeline
from torch import Tensor

from assets.machine import make_repeatable
from assets.progress import counter
from models.generators.fitting.autoencoder import picture_loss, shape_of
from models.generators.fitting.denoising import cosine_schedule, small_unet, train_denoiser
from models.generators.fitting.training import (
    Average,
    Batches,
    check_images,
    descend,
    initialised_from,
    mirrored_pairs,
    one_cycle,
)
from models.generators.options import LdmOptions


def fit(images: np.ndarray, out: Path, options: LdmOptions, seed: int, device: str) -> dict[str, Any]:
    """Train both parts on uint8 (N, S, S, 3) and write an LDMPipeline."""
    make_repeatable()
    levels = len(options.vae_channels) - 1 + len(options.channels) - 1
    side = check_images(images, multiple_of=max(16, 2**levels))
    batches = Batches(images, seed, device)
    autoencoder = _train_autoencoder(side, options, batches, seed)
    latents = torch.cat([_encode(autoencoder, part) for part in mirrored_pairs(images, device)])
    latents = _standardise(autoencoder, latents)
    with initialised_from(seed, "ldm", "unet"):
        model = small_unet(latents.shape[-1], options.latent, options.channels)

    def draw(step: int) -> Tensor:
        return latents[batches.integers(len(latents), options.batch).to(device)]

    scheduler = cosine_schedule(clip=False)
    model = train_denoiser(
        model.to(device), scheduler, draw, batches, options.steps, options.lr, options.average, "fit ldm"
    )
    LDMPipeline(vqvae=autoencoder, unet=model, scheduler=scheduler).save_pretrained(out)
    return {}


def _train_autoencoder(side: int, options: LdmOptions, batches: Batches, seed: int) -> Any:
    with initialised_from(seed, "ldm", "autoencoder"):
        model = AutoencoderKL(
            latent_channels=options.latent,
            sample_size=side,
            scaling_factor=1.0,  # the latents are standardised in the weights, see `_standardise`
            force_upcast=False,
            **shape_of(options.vae_channels),
        ).to(batches.device, memory_format=torch.channels_last)
    average = Average(model, 30)
    optimizer = torch.optim.AdamW(model.parameters(), options.vae_lr, betas=(0.9, 0.99))
    with counter("fit ldm: autoencoder", options.vae_steps, "steps") as bar:
        for step in range(options.vae_steps):
            one_cycle(optimizer, options.vae_lr, step, options.vae_steps)
            real = batches.draw(options.vae_batch, side // 2)
            posterior = model.encode(real).latent_dist
            latents = posterior.mean + posterior.std * batches.normal(*posterior.mean.shape)
            divergence = posterior.kl().mean() / latents[0].numel()
            loss = picture_loss(model.decode(latents).sample, real) + options.kl * divergence
            descend(optimizer, model, loss)
            average.update(model)
            bar.update()
    return average.model


@torch.no_grad()
def _encode(autoencoder: Any, pictures: Tensor) -> Tensor:
    return autoencoder.encode(pictures).latent_dist.mean


@torch.no_grad()
def _standardise(autoencoder: Any, latents: Tensor) -> Tensor:
    """Give every channel of the latents (N, C, H, W) mean 0 and deviation 1, by way of the autoencoder's
    weights.

    LDMPipeline has one scaling factor for all channels and no shift. The 1 x 1 convolutions on both sides of
    the latents can take any affine map: before `(z - mean) / deviation`, after it its inverse.
    """
    mean, deviation = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    into, back = autoencoder.quant_conv, autoencoder.post_quant_conv
    channels = len(mean)  # `into` gives the means, then the logarithms of the variances
    into.weight[:channels] /= deviation[:, None, None, None]
    into.bias[:channels] = (into.bias[:channels] - mean) / deviation
    into.bias[channels:] -= 2 * deviation.log()
    back.bias += back.weight[:, :, 0, 0] @ mean
    back.weight *= deviation[None, :, None, None]
    return (latents - mean[:, None, None]) / deviation[:, None, None]
