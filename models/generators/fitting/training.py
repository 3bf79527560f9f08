"""What the generators trained here share: batches, averaged weights, a schedule, repeatable starts."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from assets.errors import AssayError
from assets.seeds import derive_seed


class Batches:
    """Random batches of training images, mirrored half of the time.

    All choices come from one CPU generator, so that a fit on a GPU sees the same batches.
    """

    def __init__(self, images: np.ndarray, seed: int, device: str) -> None:
        """Take uint8 images (N, H, W, 3)."""
        self.pixels = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
        self.generator = torch.Generator().manual_seed(seed)
        self.device = device

    def draw(self, count: int, side: int | None = None) -> Tensor:
        """(count, 3, S, S) float in [-1, 1]; S is `side` (random crops) or the whole image's side."""
        total, _, height, width = self.pixels.shape
        rows = self.integers(total, count)
        batch = self.pixels[rows]
        if side is not None and side < min(height, width):
            tops, lefts = self.integers(height - side + 1, count), self.integers(width - side + 1, count)
            corners = zip(batch, tops.tolist(), lefts.tolist(), strict=True)
            batch = torch.stack([image[:, y : y + side, x : x + side] for image, y, x in corners])
        mirrored = self.integers(2, count).bool()
        batch = torch.where(mirrored[:, None, None, None], batch.flip(3), batch)
        return (batch.to(self.device).float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)

    def integers(self, below: int, count: int) -> Tensor:
        """(count,) integers in [0, below)."""
        return torch.randint(below, (count,), generator=self.generator)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers of this shape."""
        return torch.randn(*shape, generator=self.generator).to(self.device)

    def uniform(self, *shape: int) -> Tensor:
        """Numbers in [0, 1) of this shape."""
        return torch.rand(*shape, generator=self.generator).to(self.device)


def mirrored_pairs(images: np.ndarray, device: str, count: int = 32) -> Iterator[Tensor]:
    """All uint8 (N, H, W, 3) images and then their mirror images, as (up to `count`, 3, H, W) in [-1, 1]."""
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2)
    for pictures in (pixels, pixels.flip(3)):
        for part in pictures.split(count):
            yield (part.to(device).float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


class Average:
    """Exponential moving average of a model's weights: its samples are cleaner than those of the last step.

    The average forgets at rate 1 / `span`, more quickly in the first steps, where the weights still run.
    """

    def __init__(self, model: nn.Module, span: int) -> None:
        self.model = copy.deepcopy(model).requires_grad_(False).eval()
        self.span = span
        self.steps = 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take one more state of the model into the average; what is not a float is copied."""
        self.steps += 1
        weight = max(1 / self.span, 1 / (0.1 * self.steps + 1))
        for mean, new in zip(self.model.state_dict().values(), model.state_dict().values(), strict=True):
            if mean.dtype.is_floating_point:
                mean.lerp_(new, weight)
            else:
                mean.copy_(new)


def one_cycle(optimizer: torch.optim.Optimizer, lr: float, step: int, steps: int) -> None:
    """Set the learning rate of `step`: a linear rise over a twentieth, all under half a cosine down to 0."""
    done = step / steps
    factor = min(1.0, done / 0.05 + 0.02) * (0.5 + 0.5 * float(np.cos(np.pi * done)))
    for group in optimizer.param_groups:
        group["lr"] = lr * factor


def descend(optimizer: torch.optim.Optimizer, model: nn.Module, loss: Tensor) -> None:
    """One step of the optimizer, the gradient's norm clipped to 1."""
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()


@contextmanager
def initialised_from(*seed: int | str) -> Iterator[None]:
    """Within the block new modules get weights that depend on `seed` alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(*seed))
        yield


def check_images(images: np.ndarray, multiple_of: int) -> int:
    """The side of square uint8 (N, S, S, 3) images.

    Raises:
        AssayError: no images, not square, or a side that is no multiple of `multiple_of` pixels.
    """
    count, height, width, _ = images.shape
    if not count:
        raise AssayError("there are no images to fit a generator to: the collected sets are empty")
    if height != width or height % multiple_of:
        raise AssayError(
            f"this kind is fitted to squares whose side is a multiple of {multiple_of} pixels, not to "
            f"{width} x {height}; set real.NAME.crop"
        )
    return height
