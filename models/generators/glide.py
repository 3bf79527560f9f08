"""GLIDE (Nichol et al. 2021, arXiv 2112.10741): text to 64 px, then to 256 px, with its authors' weights.

As in the authors' own sampling: the 64 px model takes 100 of its 1,000 steps and exaggerates by 3 what the
prompt changes (classifier-free guidance, Ho & Salimans 2022, 2207.12598); the upsampler takes 27, without
guidance and without noise but for the first, of a deviation of 0.997.
"""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from assets.machine import make_repeatable
from assets.params import Sampler
from models.checkpoint import pinned_path
from models.generators import Drawn, Request
from models.generators.batches import HalvingBatches
from models.generators.nets.bytepair import BytePairs
from models.generators.nets.gaussian import Diffusion, Noise, fast27, spread, steps_of
from models.generators.nets.glide_text import TextUNet
from models.generators.options import GlideOptions
from models.generators.released import only_takes, open_weights, pinned, prompts_of, recorded, shown

STEPS, GUIDANCE = 100, 3.0
"""Of the 64 px model, where the sampler sets none."""


def fit(images: np.ndarray, out: Path, options: GlideOptions, seed: int, device: str) -> dict[str, Any]:
    """Nothing is trained: note which weights they are, once they have been seen to fit.

    Raises:
        AssayError: a file is not there, damaged, or not a model of these options.
    """
    roles = ("base", "upsampler", "merges")
    found = pinned({role: getattr(options, role) for role in roles})
    pairs = BytePairs(pinned_path(found, "merges"))
    open_base(options, found, pairs)
    open_upsampler(options, found, pairs)
    return found


class GlideDrawer:
    """Draws from the two released models, one after the other."""

    def __init__(self, folder: Path, model: dict[str, Any], sampler: Sampler, device: str) -> None:
        make_repeatable()
        only_takes(sampler, "GLIDE", ("steps", "guidance"))
        self.options = options = GlideOptions.model_validate(model["options"])
        steps, dtype = steps_of(sampler, STEPS), getattr(torch, sampler.dtype)
        self.device = device
        self.guidance = GUIDANCE if sampler.guidance is None else sampler.guidance
        fine = fast27() if options.upsampler_steps == "fast27" else spread(options.upsampler_steps)
        self.coarse, self.fine = Diffusion("cosine", spread(steps)), Diffusion("linear", fine)
        self.pairs = BytePairs(pinned_path(model, "merges"))
        self.base = open_base(options, model, self.pairs).to(device)
        self.upsampler = open_upsampler(options, model, self.pairs).to(device)
        self.base.trunk_to(dtype)
        self.upsampler.trunk_to(dtype)
        self.batches = HalvingBatches(sampler.batch, folder.name)
        self.record = recorded(
            folder,
            model,
            sampler,
            scheduler="ancestral, then direct",
            steps=steps,
            guidance=self.guidance,
            height=options.upsampler_shape.side,
            width=options.upsampler_shape.side,
            versions={name: version(name) for name in ("torch", "tokenizers")},
        )

    def draw(self, requests: Sequence[Request]) -> list[Drawn]:
        """One uint8 (S, S, 3) image per request: of its prompt, from noise of its own seed.

        Raises:
            AssayError: a request without a prompt.
        """
        prompts_of(requests, "GLIDE")
        return self.batches.draw(requests, self._draw)

    def _draw(self, requests: list[Request]) -> list[Drawn]:
        return shown(self.sample(requests), rounded=True)

    @torch.no_grad()
    def sample(self, requests: list[Request]) -> Tensor:
        """Pictures (B, 3, S, S) float32 of about [-1, 1]."""
        noise = Noise([request.seed for request in requests], self.device)
        prompts = prompts_of(requests, "GLIDE")
        return self.upsampled(self.small(prompts, noise), prompts, noise)

    @torch.no_grad()
    def small(self, prompts: list[str], noise: Noise) -> Tensor:
        """Pictures (B, 3, s, s) of the prompts; each step of the U-Net looks at them with and without."""
        summary, states = self.base.read(*self._tokens(prompts + [""] * len(prompts)))

        def predict(x: Tensor, steps: Tensor) -> Tensor:
            found = self.base(x.repeat(2, 1, 1, 1), steps.repeat(2), summary, states)
            told, untold = found.chunk(2)
            exaggerated = untold[:, :3] + self.guidance * (told[:, :3] - untold[:, :3])
            return torch.cat([exaggerated, told[:, 3:]], dim=1)

        return self.coarse.ancestral(predict, noise, self.options.base_shape.side)

    @torch.no_grad()
    def upsampled(self, small: Tensor, prompts: list[str], noise: Noise) -> Tensor:
        """Pictures (B, 3, S, S) of small ones, which count in the 256 shades that a file would hold."""
        side = self.options.upsampler_shape.side
        shades = ((small + 1) * 127.5).round() / 127.5 - 1
        seen = F.interpolate(shades, (side, side), mode="bilinear")
        summary, states = self.upsampler.read(*self._tokens(prompts))

        def predict(x: Tensor, steps: Tensor) -> Tensor:
            return self.upsampler(torch.cat([x, seen], dim=1), steps, summary, states)

        return self.fine.direct(predict, noise.draw(3, side, side) * self.options.temperature)

    def _tokens(self, prompts: list[str]) -> tuple[Tensor, Tensor]:
        tokens, own = zip(
            *(self.pairs.encode(prompt, self.options.context) for prompt in prompts), strict=True
        )
        return torch.tensor(tokens, device=self.device), torch.tensor(own, device=self.device)


def open_drawer(folder: Path, model: dict[str, Any], sampler: Sampler, device: str) -> GlideDrawer:
    """Open the files that `fit` noted."""
    return GlideDrawer(folder, model, sampler, device)


def open_base(options: GlideOptions, model: dict[str, Any], pairs: BytePairs) -> TextUNet:
    """The 64 px model, on the CPU, in float32."""
    shape = options.base_shape
    return open_weights(lambda: TextUNet(shape, options, pairs.count), model, "base", "GLIDE's base model")


def open_upsampler(options: GlideOptions, model: dict[str, Any], pairs: BytePairs) -> TextUNet:
    """The model that sees the noisy picture and the small one, on the CPU, in float32."""
    shape = options.upsampler_shape
    return open_weights(
        lambda: TextUNet(shape, options, pairs.count, inputs=6), model, "upsampler", "GLIDE's upsampler"
    )
