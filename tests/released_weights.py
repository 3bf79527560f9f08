"""Random weights in the layout of a released checkpoint, the same everywhere: a tensor follows from its name.

The expected numbers in the tests were made with the same fill in the authors' public code, so that no weights
have to be stored and nothing of that code is needed here.
"""

import hashlib
import zlib
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn


def filled(shapes: Mapping[str, torch.Size]) -> dict[str, Tensor]:
    """A float32 tensor per name: normal numbers from numpy's RandomState, seeded with the name's CRC-32.

    Matrices and kernels are scaled by 1 / sqrt(inputs), variances lie in [0.5, 1.5), scales of one axis are
    around 1 and biases around 0, so that a deep network neither dies nor explodes.
    """
    state = {}
    for name, shape in shapes.items():
        random = np.random.RandomState(zlib.crc32(name.encode()))  # its stream never changes
        values = random.standard_normal(tuple(shape))
        if name.endswith("var"):
            values = 0.5 + random.random_sample(tuple(shape))
        elif len(shape) > 1 and "emb" not in name:
            values = values / np.sqrt(np.prod(shape[1:]))
        elif len(shape) == 1:
            values = 0.2 * values + name.endswith(("weight", "gain"))
        state[name] = torch.from_numpy(np.asarray(values, np.float32))
    return state


def shapes_of(model: nn.Module) -> dict[str, torch.Size]:
    """Name -> shape of everything in a model's state dict."""
    return {name: tensor.shape for name, tensor in model.state_dict().items()}


def layout(shapes: Mapping[str, torch.Size]) -> tuple[int, int, str]:
    """Names, numbers in all, and the SHA-256 of the sorted lines `name (shape)`."""
    lines = sorted(f"{name} {tuple(shape)}\n" for name, shape in shapes.items())
    total = sum(int(np.prod(tuple(shape))) for shape in shapes.values())
    return len(shapes), total, hashlib.sha256("".join(lines).encode()).hexdigest()
