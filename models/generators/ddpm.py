"""Denoising diffusion on pixels (Ho et al. 2020, arXiv 2006.11239).

Sampled with DDIM (Song et al. 2020, arXiv 2010.02502).

Two choices make it learn in a minute on one core. The U-Net works on patches, and it predicts the clean
picture rather than the noise: noise fills all dimensions of a patch while pictures do not, so that a small
network manages only the latter (Li and He 2025, arXiv 2511.13720). And most batches are crops of half the
side, since a convolution that knows a texture knows it at any place; the last ones are whole pictures.
"""

# diffusers loads its classes lazily, which hides their bases from mypy.
# mypy: disable-error-code="attr-defined,misc,operator"

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import DDIMPipeline
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from diffusers.models.unets.unet_2d import UNet2DOutput
from torch import Tensor

from assets.machine import make_repeatable
from models.generators.fitting.denoising import cosine_schedule, small_unet, train_denoiser
from models.generators.fitting.training import Batches, check_images, initialised_from
from models.generators.options import DdpmOptions


class PatchUNet(ModelMixin, ConfigMixin):
    """A U-Net on patches, with the interface of UNet2DModel: pictures (B, C, S, S) in and out."""

    @register_to_config
    def __init__(
        self,
        sample_size: int = 64,
        in_channels: int = 3,
        patch: int = 4,
        channels: tuple[int, ...] = (64, 96),
    ) -> None:
        super().__init__()
        self.body = small_unet(sample_size // patch, in_channels * patch**2, tuple(channels))

    def forward(self, sample: Tensor, timestep: Tensor | int) -> UNet2DOutput:
        patches = F.pixel_unshuffle(sample, self.config.patch).contiguous(memory_format=torch.channels_last)
        return UNet2DOutput(sample=F.pixel_shuffle(self.body(patches, timestep).sample, self.config.patch))


def fit(images: np.ndarray, out: Path, options: DdpmOptions, seed: int, device: str) -> dict[str, Any]:
    """Train on uint8 (N, S, S, 3) and write a DDIMPipeline."""
    make_repeatable()
    side = check_images(images, multiple_of=options.patch * 2 ** len(options.channels))
    batches = Batches(images, seed, device)
    with initialised_from(seed, "ddpm"):
        model = PatchUNet(side, 3, options.patch, options.channels)
    whole_from = int(options.steps * (1 - options.whole))

    def draw(step: int) -> Tensor:
        if step < whole_from:
            return batches.draw(options.batch, side // 2)
        return batches.draw(max(1, options.batch // 4))

    scheduler = cosine_schedule(clip=True)
    model = train_denoiser(
        model.to(device), scheduler, draw, batches, options.steps, options.lr, options.average, "fit ddpm"
    )
    DDIMPipeline(unet=model, scheduler=scheduler).save_pretrained(out)
    return {}
