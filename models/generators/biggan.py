"""BigGAN (Brock et al. 2018, arXiv 1809.11096) with its authors' PyTorch weights, e.g. G_ema.pth of '138k'.

A generator of residual blocks. Every batch normalisation takes its gain and bias from the class and from a
chunk of the noise of its own (section 3 and appendix B of the paper); one block is followed by self-attention
(Zhang et al. 2018, arXiv 1805.08318); spectral norms divide all weights but the class embedding's. Noise is
plain normal, as the authors' own sampling has it; `truncation` and `deviation` trade variety for fidelity.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from assets.machine import make_repeatable
from assets.params import Sampler
from models.generators import Drawn, Request
from models.generators.batches import HalvingBatches
from models.generators.options import BigganOptions
from models.generators.released import classes_of, only_takes, open_weights, pinned, recorded, shown

WIDTHS = {
    64: (16, 16, 8, 4, 2),
    128: (16, 16, 8, 4, 2, 1),
    256: (16, 16, 8, 8, 4, 2, 1),
    512: (16, 16, 8, 8, 4, 2, 1, 1),
}
"""Channels by resolution, in units of `channels`: of the 4 x 4 start, then of every block's output."""

SPECTRAL_EPS = 1e-6
"""What the released weights were trained with."""


class ConditionalNorm(nn.Module):
    """Batch normalisation by stored statistics; gain (around 1) and bias are linear in a condition (B, C)."""

    stored_mean: Tensor
    stored_var: Tensor

    def __init__(self, channels: int, condition: int) -> None:
        super().__init__()
        self.gain = _spectral(nn.Linear(condition, channels, bias=False))
        self.bias = _spectral(nn.Linear(condition, channels, bias=False))
        self.register_buffer("stored_mean", torch.zeros(channels))
        self.register_buffer("stored_var", torch.ones(channels))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        x = F.batch_norm(x, self.stored_mean, self.stored_var)
        return x * (1 + self.gain(condition))[:, :, None, None] + self.bias(condition)[:, :, None, None]


class Norm(nn.Module):
    """Batch normalisation by stored statistics, with a gain and bias of its own."""

    stored_mean: Tensor
    stored_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("stored_mean", torch.zeros(channels))
        self.register_buffer("stored_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, self.stored_mean, self.stored_var, self.gain, self.bias)


class Block(nn.Module):
    """A residual block that doubles the resolution: (B, I, S, S) to (B, O, 2 S, 2 S)."""

    def __init__(self, channels: int, out: int, condition: int) -> None:
        super().__init__()
        self.bn1, self.bn2 = ConditionalNorm(channels, condition), ConditionalNorm(out, condition)
        self.conv1 = _spectral(nn.Conv2d(channels, out, 3, padding=1))
        self.conv2 = _spectral(nn.Conv2d(out, out, 3, padding=1))
        self.conv_sc = _spectral(nn.Conv2d(channels, out, 1))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        h = F.interpolate(F.relu(self.bn1(x, condition)), scale_factor=2)
        h = self.conv2(F.relu(self.bn2(self.conv1(h), condition)))
        return h + F.interpolate(self.conv_sc(x), scale_factor=2)  # a quarter of the work in this order


class Attention(nn.Module):
    """Self-attention of every place (B, C, H, W) to 2 x 2 maxima, added with a learnt gain."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.theta, self.phi, self.g, self.o = (
            _spectral(nn.Conv2d(width, out, 1, bias=False))
            for width, out in (
                (channels, channels // 8),
                (channels, channels // 8),
                (channels, channels // 2),
                (channels // 2, channels),
            )
        )
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        queries = self.theta(x).flatten(2)
        keys, values = (F.max_pool2d(part(x), 2).flatten(2) for part in (self.phi, self.g))
        weights = torch.softmax(queries.transpose(1, 2) @ keys, dim=-1)
        found = (values @ weights.transpose(1, 2)).unflatten(2, x.shape[2:])
        return x + self.gamma * self.o(found)


class Generator(nn.Module):
    """Noise (B, `noise`) and classes (B,) to pictures (B, 3, S, S) in [-1, 1]; the authors' names inside."""

    def __init__(self, options: BigganOptions) -> None:
        super().__init__()
        widths = [options.channels * width for width in WIDTHS[options.resolution]]
        self.chunk = options.latent // len(widths)
        self.noise = self.chunk * len(widths)
        condition = options.embedding + self.chunk
        self.shared = nn.Embedding(options.classes, options.embedding)
        self.linear = _spectral(nn.Linear(self.chunk, widths[0] * 16))
        self.blocks = nn.ModuleList()
        for level in range(1, len(widths)):
            parts: list[nn.Module] = [Block(widths[level - 1], widths[level], condition)]
            if 4 * 2**level in options.attention:
                parts.append(Attention(widths[level]))
            self.blocks.append(nn.ModuleList(parts))
        last = _spectral(nn.Conv2d(widths[-1], 3, 3, padding=1))
        self.output_layer = nn.Sequential(Norm(widths[-1]), nn.ReLU(), last)

    def forward(self, noise: Tensor, classes: Tensor) -> Tensor:
        first, *others = noise.split(self.chunk, dim=1)
        h = self.linear(first).unflatten(1, (-1, 4, 4))
        for parts, chunk in zip(self.blocks, others, strict=True):
            condition = torch.cat([self.shared(classes), chunk], dim=1)
            for part in parts:  # type: ignore[attr-defined]
                h = part(h, condition)
        return torch.tanh(self.output_layer(h))


def fit(images: np.ndarray, out: Path, options: BigganOptions, seed: int, device: str) -> dict[str, Any]:
    """Nothing is trained: note which weights they are, once they have been seen to fit.

    Raises:
        AssayError: the file is not there, damaged, or not a generator of these options.
    """
    found = pinned({"checkpoint": options.checkpoint})
    _load(options, found)
    return found


class BigganDrawer:
    """Draws from the released generator, a class an image; it has no scheduler, no steps and no prompt."""

    def __init__(self, folder: Path, model: dict[str, Any], sampler: Sampler, device: str) -> None:
        make_repeatable()
        only_takes(sampler, "BigGAN", ())
        self.options = BigganOptions.model_validate(model["options"])
        self.device, self.dtype = device, getattr(torch, sampler.dtype)
        self.batches = HalvingBatches(sampler.batch, "BigGAN")
        self.generator = _load(self.options, model).to(device, self.dtype)
        self.generator.to(memory_format=torch.channels_last)
        self.record = recorded(folder, model, sampler)

    def draw(self, requests: Sequence[Request]) -> list[Drawn]:
        """One uint8 (S, S, 3) image per request: of its class, from noise of its own seed.

        Raises:
            AssayError: a request without a class, or with one that the weights do not know.
        """
        classes_of(requests, self.options.classes, "BigGAN")
        return self.batches.draw(requests, self._draw)

    @torch.no_grad()
    def _draw(self, requests: list[Request]) -> list[Drawn]:
        noise = torch.stack([self._noise(request.seed) for request in requests])
        classes = torch.tensor(classes_of(requests, self.options.classes, "BigGAN"))
        pictures = self.generator(noise.to(self.device, self.dtype), classes.to(self.device)).float()
        return shown(pictures, rounded=False)  # cut off, as the authors store samples

    def _noise(self, seed: int) -> Tensor:
        """(N,) normal numbers; with a truncation, those of the normal that lie within it."""
        generator = torch.Generator().manual_seed(seed)
        length, limit = self.generator.noise, self.options.truncation
        if limit is None:
            noise = torch.randn(length, generator=generator)
        else:
            noise = nn.init.trunc_normal_(torch.empty(length), a=-limit, b=limit, generator=generator)
        return noise * self.options.deviation


def open_drawer(folder: Path, model: dict[str, Any], sampler: Sampler, device: str) -> BigganDrawer:
    """Open the weights that `fit` noted."""
    return BigganDrawer(folder, model, sampler, device)


def _load(options: BigganOptions, noted: dict[str, Any]) -> Generator:
    generator = open_weights(lambda: Generator(options), noted, "checkpoint", "BigGAN's generator")
    _divide_by_spectral_norms(generator)
    return generator


def _spectral(layer: nn.Linear | nn.Conv2d) -> Any:
    """Give a layer what its spectral norm is estimated from: the last left singular vector, and value."""
    layer.register_buffer("u0", torch.zeros(1, len(layer.weight)))
    layer.register_buffer("sv0", torch.zeros(1))
    return layer


@torch.no_grad()
def _divide_by_spectral_norms(model: nn.Module) -> None:
    """Divide weights by their largest singular value: one more power iteration from the stored vector.

    The authors do it in every forward pass, where it has one result, since the vectors are not updated then.
    """
    for layer in model.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            matrix = layer.weight.flatten(1)
            right = F.normalize(layer.u0 @ matrix, eps=SPECTRAL_EPS)  # type: ignore[operator]
            left = F.normalize(right @ matrix.T, eps=SPECTRAL_EPS)
            layer.weight /= (right @ matrix.T @ left.T).squeeze()
