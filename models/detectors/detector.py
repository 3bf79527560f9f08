"""What all detectors share: from pixels to one logit, and weights in and out."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from assets.errors import AssayError
from assets.files import replacing

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Detector(nn.Module):
    """A network behind a fixed normalisation: uint8 pixels in, one logit a picture out.

    Only `net` has weights, under the names that timm gives them.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        net: nn.Module,
        mean: tuple[float, ...] = IMAGENET_MEAN,
        std: tuple[float, ...] = IMAGENET_STD,
    ) -> None:
        """Take a network (B, 3, H, W) -> (B, 1); `mean` and `std` a channel, for values in [0, 1]."""
        super().__init__()
        self.net = net.to(memory_format=torch.channels_last)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels (B, 3, H, W) in 0..255, uint8 or float -> logits (B,) that rise with "generated"."""
        values = (pixels.float() / 255 - self.mean) / self.std
        seen = self.seen(values).contiguous(memory_format=torch.channels_last)
        logits: Tensor = self.net(seen)
        return logits.float().squeeze(1)

    def seen(self, values: Tensor) -> Tensor:
        """What the network gets of normalised pixels (B, 3, H, W); a kind of detector may replace it."""
        return values

    @torch.no_grad()  # not inference_mode: a network that keeps tensors for later could not be trained on
    def score(self, pixels: Tensor) -> np.ndarray:
        """Logits (B,) float32 of uint8 pixels (B, 3, H, W) that lie on the CPU; switches to evaluation."""
        self.eval()
        logits = self(pixels.to(next(self.parameters()).device))
        scored: np.ndarray = logits.cpu().numpy()
        return scored


def save_weights(detector: Detector, path: Path) -> None:
    """Write the network's weights as safetensors, whole or not at all; equal weights give equal bytes."""
    state = {name: value.cpu().contiguous() for name, value in detector.net.state_dict().items()}
    with replacing(path) as temporary:
        save_file(state, temporary, {"format": "pt"})


def load_weights(detector: Detector, path: Path, new_head: bool = False) -> None:
    """Load a safetensors file into the network.

    Args: new_head: leave the classifier at its random start where the file's has another shape (weights
        for the 1000 classes of ImageNet, say).
    Raises:
        AssayError: the file is not there or damaged, or its names or shapes are not the network's.
    """
    state = _read(path)
    own = detector.net.state_dict()
    for name in _head(detector.net) if new_head else ():
        if name in own and (name not in state or state[name].shape != own[name].shape):
            state[name] = own[name]
    if problem := _difference(own, state):
        raise AssayError(f"{path} does not fit the network: {problem}")
    detector.net.load_state_dict(state)


def weights_digest(detector: Detector) -> str:
    """Hex SHA-256 over names, shapes and values of the network's weights."""
    digest = hashlib.sha256()
    for name, value in sorted(detector.net.state_dict().items()):
        array = value.cpu().contiguous().numpy()
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except FileNotFoundError:
        raise AssayError(f"{path} is not there") from None
    except (SafetensorError, OSError) as error:
        raise AssayError(f"{path} is not a safetensors file: {error}") from None


def _head(net: nn.Module) -> list[str]:
    """Names of the classifier's weights."""
    config = getattr(net, "pretrained_cfg", None) or {}
    modules = config.get("classifier") or ()
    names = [modules] if isinstance(modules, str) else list(modules)
    return [f"{name}.{part}" for name in names for part in ("weight", "bias")]


def _difference(own: dict[str, Tensor], given: dict[str, Tensor]) -> str:
    """What keeps `given` from being loaded into a network with the weights `own`; empty if nothing."""
    parts = []
    if missing := [name for name in own if name not in given]:
        parts.append(f"{len(missing)} of its {len(own)} weights are missing, first {missing[0]}")
    if unexpected := [name for name in given if name not in own]:
        parts.append(f"{len(unexpected)} are not the network's, first {unexpected[0]}")
    shared = [name for name in own if name in given and own[name].shape != given[name].shape]
    if shared:
        sizes = f"{tuple(given[shared[0]].shape)} instead of {tuple(own[shared[0]].shape)}"
        parts.append(f"{len(shared)} have another shape, first {shared[0]}: {sizes}")
    return "; ".join(parts)
