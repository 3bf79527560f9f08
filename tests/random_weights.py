"""Weights that follow from their names alone, so that two implementations of a layout can have the same."""

import hashlib
import zlib
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

Shapes = Mapping[str, tuple[int, ...]]


def shapes_of(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a model's parameters and buffers."""
    return {name: tuple(value.shape) for name, value in model.state_dict().items()}


def random_state(shapes: Shapes) -> dict[str, Tensor]:
    """A tensor for every name: gains about 1, biases about 0, matrices that keep a signal's size."""
    return {name: _values(name, shape) for name, shape in shapes.items()}


def normal(name: str, *shape: int) -> Tensor:
    """Normal numbers that follow from a name, float32."""
    numbers = np.random.RandomState(zlib.crc32(name.encode()))  # numpy has frozen its stream
    return torch.from_numpy(numbers.standard_normal(shape).astype(np.float32))


def layout(shapes: Shapes) -> tuple[int, int, str]:
    """How many names, how many numbers, and the SHA-256 of the sorted lines "name (shape)"."""
    lines = sorted(f"{name} {shape}" for name, shape in shapes.items())
    count = sum(int(np.prod(shape)) for shape in shapes.values())
    return len(lines), count, hashlib.sha256("\n".join(lines).encode()).hexdigest()


def probe(tensor: Tensor) -> list[float]:
    """Eight numbers of a tensor, evenly apart from the first to the last; its mean and its deviation."""
    flat = tensor.detach().double().flatten()
    picked = [flat[int(place)].item() for place in np.linspace(0, len(flat) - 1, 8)]
    return [*picked, flat.mean().item(), flat.std().item()]


def _values(name: str, shape: tuple[int, ...]) -> Tensor:
    if len(shape) > 1:
        return normal(name, *shape) / np.prod(shape[1:]) ** 0.5
    return 0.1 * normal(name, *shape) + (1.0 if name.endswith("weight") else 0.0)
