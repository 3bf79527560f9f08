"""Deep convolutional GAN (Radford et al. 2015, arXiv 1511.06434).

Batch normalisation in both networks, the non-saturating loss, and two later helps: differentiable
augmentation, because the pictures are few (Zhao et al. 2020, arXiv 2006.10738), and averaged weights. Its
transposed convolutions leave the checkerboard (Odena et al. 2016, doi 10.23915/distill.00003) that detectors
of GAN images look for.
"""

import json
from collections.abc import Sequence
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from assets.errors import AssayError
from assets.files import write_json
from assets.machine import make_repeatable
from assets.params import Sampler
from assets.progress import counter
from models.generators import Drawn, Request
from models.generators.batches import fixed_batches
from models.generators.fitting.training import Average, Batches, check_images, initialised_from
from models.generators.folder import check_content
from models.generators.options import DcganOptions

WEIGHTS, CONFIG = "generator.safetensors", "config.json"


class Generator(nn.Module):
    """Noise (B, Z) to pictures (B, 3, S, S) in [-1, 1]; S is 4 times a power of two."""

    def __init__(self, latent: int, channels: int, side: int) -> None:
        super().__init__()
        widths = [latent, *(channels * 2**level for level in reversed(range(_levels(side)))), 3]
        layers: list[nn.Module] = []
        for level, (wide, narrow) in enumerate(pairwise(widths)):
            stride, padding = (2, 1) if level else (1, 0)  # the first layer makes 4 x 4 of 1 x 1
            layers.append(nn.ConvTranspose2d(wide, narrow, 4, stride, padding, bias=narrow == 3))
            layers += [nn.Tanh()] if narrow == 3 else [nn.BatchNorm2d(narrow), nn.ReLU()]
        self.layers = nn.Sequential(*layers)

    def forward(self, noise: Tensor) -> Tensor:
        return self.layers(noise[:, :, None, None])


class Critic(nn.Module):
    """Pictures (B, 3, S, S) to logits (B,): above 0 for real."""

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        widths = [3, *(channels * 2**level for level in range(_levels(side)))]
        layers: list[nn.Module] = []
        for narrow, wide in pairwise(widths):
            layers.append(nn.Conv2d(narrow, wide, 4, 2, 1))
            if narrow > 3:  # not on the picture itself: Radford et al. section 3
                layers.append(nn.BatchNorm2d(wide))
            layers.append(nn.LeakyReLU(0.2, inplace=True))
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4))

    def forward(self, pictures: Tensor) -> Tensor:
        return self.layers(pictures).flatten()


def fit(images: np.ndarray, out: Path, options: DcganOptions, seed: int, device: str) -> dict[str, Any]:
    """Train on uint8 (N, S, S, 3) and write the averaged generator."""
    make_repeatable()
    side = check_images(images, multiple_of=8)
    if side & (side - 1):
        raise AssayError(
            f"dcgan doubles 4 pixels until the picture is full: a side of {side} is no power of two"
        )
    with initialised_from(seed, "dcgan"):
        generator = _prepared(Generator(options.latent, options.channels, side), device)
        critic = _prepared(Critic(options.channels, side), device)
    average = _train(generator, critic, Batches(images, seed, device), options)
    weights = {name: tensor.contiguous().cpu() for name, tensor in average.state_dict().items()}
    save_file(weights, out / WEIGHTS)
    write_json(out / CONFIG, {"latent": options.latent, "channels": options.channels, "side": side})
    return {}


class DcganDrawer:
    """Draws from a trained generator; it has no scheduler, no steps and no prompt."""

    def __init__(self, folder: Path, model: dict[str, Any], sampler: Sampler, device: str) -> None:
        make_repeatable()
        refused = ("scheduler", "steps", "guidance", "height", "width", "negative_prompt")
        for name in refused:
            if getattr(sampler, name) is not None:
                raise AssayError(f"sampler.{name}: a dcgan does not take it; it takes dtype, batch")
        config = json.loads((folder / CONFIG).read_text("utf-8"))
        self.device, self.dtype, self.batch = device, getattr(torch, sampler.dtype), sampler.batch
        self.latent = config["latent"]
        self.generator = Generator(**config)
        self.generator.load_state_dict(load_file(folder / WEIGHTS))
        self.generator.to(device, self.dtype).to(memory_format=torch.channels_last).eval()
        self.record = {
            "kind": model["kind"],
            "model_id": folder.name,
            "sha256": model["sha256"],
            "dtype": sampler.dtype,
            "batch": sampler.batch,
            "safety_checker": False,
            "watermarker": False,
            "versions": {"torch": version("torch")},
        }

    def draw(self, requests: Sequence[Request]) -> list[Drawn]:
        """One uint8 (S, S, 3) image per request, from noise of its own seed."""
        batches = fixed_batches(requests, self.batch)
        return [Drawn(image) for batch, used in batches for image in self._draw(batch)[:used]]

    @torch.no_grad()
    def _draw(self, requests: list[Request]) -> np.ndarray:
        seeded = [torch.Generator().manual_seed(request.seed) for request in requests]
        noise = torch.stack([torch.randn(self.latent, generator=generator) for generator in seeded])
        pictures = self.generator(noise.to(self.device, self.dtype)).float()
        return ((pictures + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()


def open_drawer(folder: Path, model: dict[str, Any], sampler: Sampler, device: str) -> DcganDrawer:
    """Open what `fit` wrote."""
    check_content(folder, model["files"], f"fit it again: `dvc repro --force fit@{folder.name}`")
    return DcganDrawer(folder, model, sampler, device)


def _train(generator: nn.Module, critic: nn.Module, batches: Batches, options: DcganOptions) -> nn.Module:
    average = Average(generator, options.average)
    players = (generator, critic)
    makes, judges = (torch.optim.Adam(m.parameters(), options.lr, betas=(0.5, 0.99)) for m in players)
    with counter("fit dcgan", options.steps, "steps") as bar:
        for step in range(options.steps):
            for group in (*makes.param_groups, *judges.param_groups):
                group["lr"] = options.lr * min(1.0, 2.05 - 2 * step / options.steps)
            real = critic(_augmented(batches.draw(options.batch), batches))
            fake = generator(batches.normal(options.batch, options.latent))
            loss = F.softplus(-real).mean()
            loss = loss + F.softplus(critic(_augmented(fake.detach(), batches))).mean()
            _descend(judges, loss)
            critic.requires_grad_(False)  # its gradients are a third of the work of the next line
            _descend(makes, F.softplus(-critic(_augmented(fake, batches))).mean())
            critic.requires_grad_(True)
            average.update(generator)
            bar.update()
    return average.model


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def _augmented(pictures: Tensor, batches: Batches) -> Tensor:
    """Change brightness and contrast and shift by up to an eighth, a picture at a time; (B, 3, S, S)."""
    count, side = len(pictures), pictures.shape[-1]
    pictures = pictures + 0.4 * (batches.uniform(count, 1, 1, 1) - 0.5)
    mean = pictures.mean((1, 2, 3), keepdim=True)
    pictures = (pictures - mean) * (0.7 + 0.6 * batches.uniform(count, 1, 1, 1)) + mean
    reach = side // 8
    tops, lefts = (batches.integers(2 * reach + 1, count).tolist() for _ in range(2))
    padded = zip(F.pad(pictures, (reach,) * 4), tops, lefts, strict=True)
    shifted = torch.stack([one[:, y : y + side, x : x + side] for one, y, x in padded])
    return shifted.contiguous(memory_format=torch.channels_last)


def _prepared(network: nn.Module, device: str) -> nn.Module:
    """The start of Radford et al.: normal weights of deviation 0.02."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
    return network.to(device).to(memory_format=torch.channels_last)


def _levels(side: int) -> int:
    """Doublings from 4 pixels to `side`."""
    return (side // 4).bit_length() - 1
