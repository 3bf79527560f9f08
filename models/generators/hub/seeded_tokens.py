"""Let diffusers' VQ-Diffusion draw each image of a batch from a generator of its own.

Its scheduler draws the noise of a whole batch from one generator, and so an image would depend on its place.
"""

from typing import Any

import torch
from diffusers.schedulers.scheduling_vq_diffusion import VQDiffusionScheduler, VQDiffusionSchedulerOutput
from torch import Generator, Tensor

from models.generators.nets.token_diffusion import drawn


class SeededVQDiffusionScheduler(VQDiffusionScheduler):
    """The same steps with a list of generators, one an image."""

    def step(  # type: ignore[override]
        self,
        model_output: Tensor,
        timestep: int | Tensor,
        sample: Any,
        generator: list[Generator],
        return_dict: bool = True,
    ) -> VQDiffusionSchedulerOutput | tuple[Tensor]:
        """From tokens (B, L) and log-probabilities (B, K, L) of clean ones to the tokens of one step less."""
        chances = model_output if timestep == 0 else self.q_posterior(model_output, sample, timestep)
        uniform = torch.stack([torch.rand(chances.shape[1:], generator=one) for one in generator])
        tokens: Any = drawn(chances, uniform.to(chances.device))
        return VQDiffusionSchedulerOutput(prev_sample=tokens) if return_dict else (tokens,)


def seed_each_image(pipeline: Any) -> None:
    """Give a pipeline with diffusers' scheduler for tokens the one above; leave every other as it is."""
    scheduler: Any = getattr(pipeline, "scheduler", None)
    if type(scheduler) is VQDiffusionScheduler:
        pipeline.register_modules(scheduler=SeededVQDiffusionScheduler.from_config(scheduler.config))
