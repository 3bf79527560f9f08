"""Gaussian diffusion of a trained model: the noise it was trained with, and the way back from it.

Ho et al. 2020 (arXiv 2006.11239); the cosine schedule, learned variances and fewer steps of Nichol & Dhariwal
2021 (2102.09672); steps without noise of Song et al. 2020 (2010.02502); a classifier's pull of Dhariwal &
Nichol 2021 (2105.05233, algorithm 1).
"""

import math
from collections.abc import Callable, Sequence
from itertools import accumulate, repeat
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from assets.errors import AssayError
from assets.params import Sampler

TRAINED = 1000
"""Steps that the released models were trained with."""

Predict = Callable[[Tensor, Tensor], Tensor]
"""From noisy pictures (B, 3, S, S) and steps (B,) to noise and its variance's place, (B, 6, S, S)."""
Guide = Callable[[Tensor, Tensor], Tensor]
"""From the same to the gradient of a log-probability by the pictures, (B, 3, S, S)."""


class Noise:
    """Normal noise for a batch, each picture's from a CPU generator of its own: the same on any device."""

    def __init__(self, seeds: Sequence[int], device: str) -> None:
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.device = device

    def draw(self, *shape: int) -> Tensor:
        """(B, *shape) float32."""
        drawn = [torch.randn(shape, generator=generator) for generator in self.generators]
        return torch.stack(drawn).to(self.device)


class Diffusion:
    """A schedule at a few of its steps. Each way back returns pictures (B, 3, S, S) of about [-1, 1]."""

    def __init__(self, schedule: Literal["linear", "cosine"], kept: Sequence[int]) -> None:
        """Args: kept: at least two of the trained steps, in rising order."""
        self.kept = list(kept)
        signal = np.cumprod(1 - betas(schedule))[self.kept]
        before = np.append(1.0, signal[:-1])
        beta = 1 - signal / before
        variance = beta * (1 - before) / (1 - signal)
        variance[0] = variance[1]  # it is 0, and its logarithm is needed
        self.signal, self.before = signal.tolist(), before.tolist()
        self.log_least, self.log_most = np.log(variance).tolist(), np.log(beta).tolist()
        self.of_clean = (beta * np.sqrt(before) / (1 - signal)).tolist()
        self.of_noisy = ((1 - before) * np.sqrt(1 - beta) / (1 - signal)).tolist()

    def ancestral(self, predict: Predict, noise: Noise, side: int, guide: Guide | None = None) -> Tensor:
        """Draw every step from what the model, and a guide, think of it."""
        x = noise.draw(3, side, side)
        for step in reversed(range(len(self.kept))):
            clean, place = self._predicted(predict, x, step)
            log_variance = self.log_least[step] + place * (self.log_most[step] - self.log_least[step])
            mean = self.of_clean[step] * clean + self.of_noisy[step] * x
            if guide is not None:
                mean = mean + log_variance.exp() * guide(x, self._steps(x, step))
            x = mean + (log_variance / 2).exp() * noise.draw(3, side, side) if step else mean
        return x

    def direct(self, predict: Predict, x: Tensor) -> Tensor:
        """From noise (B, 3, S, S) without any more of it."""
        for step in reversed(range(len(self.kept))):
            clean, _ = self._predicted(predict, x, step)
            signal, before = self.signal[step], self.before[step]
            found = (x - math.sqrt(signal) * clean) / math.sqrt(1 - signal)
            x = math.sqrt(before) * clean + math.sqrt(1 - before) * found
        return x

    def _predicted(self, predict: Predict, x: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """The clean picture, and where in 0..1 the log-variance lies between its bounds."""
        found, place = predict(x, self._steps(x, step)).chunk(2, dim=1)
        signal = self.signal[step]
        clean = math.sqrt(1 / signal) * x - math.sqrt(1 / signal - 1) * found
        return clean.clamp(-1, 1), (place + 1) / 2

    def _steps(self, x: Tensor, step: int) -> Tensor:
        return torch.full((len(x),), self.kept[step], device=x.device)


def betas(schedule: Literal["linear", "cosine"], steps: int = TRAINED) -> np.ndarray:
    """Variance of the noise that each step of the training adds; float64 (steps,)."""
    if schedule == "linear":
        return np.linspace(0.1 / steps, 20 / steps, steps)
    angles = (np.arange(steps + 1) / steps + 0.008) / 1.008 * np.pi / 2
    left = np.cos(angles) ** 2
    return np.minimum(1 - left[1:] / left[:-1], 0.999)


def spread(*counts: int, steps: int = TRAINED) -> list[int]:
    """Steps to keep: so many, evenly, of each of equal parts of the schedule, both ends included."""
    kept: list[int] = []
    start = 0
    for part, count in enumerate(counts):
        size = steps // len(counts) + (part < steps % len(counts))
        stride = (size - 1) / (count - 1) if count > 1 else 1.0
        places = accumulate(repeat(stride, count - 1), initial=0.0)
        kept += [start + round(place) for place in places]
        start += size
    return kept


def fast27(steps: int = TRAINED) -> list[int]:
    """The 27 steps that GLIDE's upsampler takes: few of the noisiest, and not quite from the end."""
    return [*spread(10, 10, 3, 2, 2, steps=steps)[:-1], steps - 3]


def steps_of(sampler: Sampler, default: int) -> int:
    """Denoising steps, as asked or by default.

    Raises:
        AssayError: more than the model was trained with, or a single one.
    """
    steps = default if sampler.steps is None else sampler.steps
    if not 2 <= steps <= TRAINED:
        raise AssayError(f"sampler.steps is {steps}: the model was trained with {TRAINED}, so 2 to {TRAINED}")
    return steps
