"""What all detectors share: from pixels to answers, and weights in and out."""

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from assets.detection import Detector as Spec
from assets.errors import AssayError
from assets.files import replacing
from models.checkpoint import plain_state, read_whole

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
NORMALISATIONS = {
    "imagenet": (IMAGENET_MEAN, IMAGENET_STD),
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}
"""`view.normalise` -> mean and deviation a channel, for values in [0, 1]."""


class Phase(NamedTuple):
    """One part of a training; most kinds have a single one."""

    name: str
    spec: Spec
    """Crop, view, augmentation, epochs, batch, rates and recipe of this part."""
    begin: Callable[[], None] = lambda: None
    """Called before its first step: freeze, thaw, reset."""
    loss: Callable[[Tensor, Tensor], Tensor] | None = None
    """(pixels (B, 3, S, S) in 0..255, classes (B,) int64) -> a number; None: cross entropy of the answers.
    Class 0 is real, class 1 + i is generator i of what is trained on."""
    scored: bool = True
    """Whether its answers mean anything on val."""
    reals: bool = True
    """Whether real images take part; an attributor has a use for them only in a phase of its own kind."""


class Detector(nn.Module):
    """A network behind a fixed normalisation: uint8 pixels in, one logit a picture out (or one a class).

    Only `net` has weights. A network for real-or-generated has one output, or two (real, generated) where
    its authors' has; an attributor's has one for each class.
    """

    mean: Tensor
    std: Tensor
    frozen: tuple[str, ...] = ()
    """Beginnings of names in `net` that training leaves alone; not saved where they came from a file."""

    def __init__(
        self,
        net: nn.Module,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
        outputs: int = 1,
    ) -> None:
        """Args: net: (B, 3, H, W) -> (B, O); mean, std: a channel, for values in [0, 1]; outputs: 1 for
        real-or-generated (then O is 1 or 2), else the number of classes O.
        """
        super().__init__()
        self.net = net.to(memory_format=torch.channels_last)
        self.outputs = outputs
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Pixels (B, 3, H, W) in 0..255, uint8 or float -> logits (B,) that rise with "generated".

        Of an attributor: (B, classes).
        """
        return self.logits(self.answers(pixels))

    def answers(self, pixels: Tensor) -> Tensor:
        """What the network says of pixels (B, 3, H, W) in 0..255: (B, O) float32."""
        values = (pixels.float() / 255 - self.mean) / self.std
        seen = self.seen(values).contiguous(memory_format=torch.channels_last)
        answers: Tensor = self.net(seen)
        return answers.float()

    def logits(self, answers: Tensor) -> Tensor:
        """Answers (B, O) -> (B,), or as they are for an attributor."""
        if self.outputs > 1:
            return answers
        return answers[:, 0] if answers.shape[1] == 1 else answers[:, 1] - answers[:, 0]

    def seen(self, values: Tensor) -> Tensor:
        """What the network gets of normalised pixels (B, 3, H, W); a kind of detector may replace it."""
        return values

    def penalty(self) -> Tensor | None:
        """What is added to the loss of every step; a kind with a regulariser replaces it."""
        return None

    def phases(self, spec: Spec) -> list[Phase]:
        """The parts of its training, in order."""
        return [Phase("train", spec, reals=self.outputs == 1)]

    def told(self, generators: Sequence[str], known: Collection[str], where: str) -> None:
        """What it is about to be trained on, class 1 + i being `generators[i]`, for a kind that needs names.

        Args: known: all generators of the benchmark; where: its place in the parameters, for messages.
        """

    def begin_from(self, state: Mapping[str, Tensor], where: str) -> None:
        """Take over starting weights: all names and shapes must be the network's, the classifier's aside.

        A kind whose network is not the one that the weights are of replaces this.

        Raises:
            AssayError: they do not fit.
        """
        load_into(self.net, state, where, new_head=True)

    @torch.no_grad()  # not inference_mode: a network that keeps tensors for later could not be trained on
    def score(self, pixels: Tensor) -> np.ndarray:
        """Logits (B,) float32 of uint8 pixels (B, 3, H, W) that lie on the CPU; switches to evaluation.

        Of an attributor: (B, classes).
        """
        self.eval()
        logits = self(pixels.to(self.mean.device, non_blocking=True))
        scored: np.ndarray = logits.cpu().numpy()
        return scored


def normalisation(name: str | None, config: Mapping[str, Any] | None) -> tuple[Any, Any]:
    """Mean and deviation for `view.normalise`, or those in timm's `pretrained_cfg` where it is None."""
    if name is not None:
        return NORMALISATIONS[name]
    config = config or {}
    return config.get("mean", IMAGENET_MEAN), config.get("std", IMAGENET_STD)


def own_state(detector: Detector, started: bool) -> dict[str, Tensor]:
    """The network's weights by name, without the frozen ones if it `started` from a file that has them."""
    state = detector.net.state_dict()
    left_out = detector.frozen if started else ()
    return {name: value for name, value in state.items() if not (left_out and name.startswith(left_out))}


def save_weights(detector: Detector, path: Path, started: bool = False) -> None:
    """Write `own_state` as safetensors, whole or not at all; equal weights give equal bytes."""
    state = {name: value.cpu().contiguous() for name, value in own_state(detector, started).items()}
    with replacing(path) as temporary:
        save_file(state, temporary, {"format": "pt"})


def load_weights(detector: Detector, path: Path, started: bool = False) -> None:
    """Load what `save_weights` wrote.

    Raises:
        AssayError: the file is not there or damaged, or its names or shapes are not the network's.
    """
    if not path.is_file():
        raise AssayError(f"{path} is not there")
    state = plain_state(read_whole(path), path)
    if problem := _difference(own_state(detector, started), state):
        raise AssayError(f"{path} does not fit the network: {problem}")
    detector.net.load_state_dict({**detector.net.state_dict(), **state})


def load_into(net: nn.Module, state: Mapping[str, Tensor], where: str, new_head: bool = False) -> None:
    """Load a state dict into a network that must have exactly these names and shapes.

    Args: new_head: leave the classifier at its random start where the file's has another shape (weights
        for the 1000 classes of ImageNet, say) or is not there.
    Raises:
        AssayError: names or shapes are not the network's.
    """
    own, given = net.state_dict(), dict(state)
    for name in _head(net) if new_head else ():
        if name in own and (name not in given or given[name].shape != own[name].shape):
            given[name] = own[name]
    if problem := _difference(own, given):
        raise AssayError(f"{where} does not fit the network: {problem}")
    net.load_state_dict(given)


def weights_digest(detector: Detector) -> str:
    """Hex SHA-256 over names, shapes and values of the network's weights."""
    digest = hashlib.sha256()
    for name, value in sorted(detector.net.state_dict().items()):
        array = value.cpu().contiguous().numpy()
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _head(net: nn.Module) -> list[str]:
    """Names of the classifier's weights."""
    config = getattr(net, "pretrained_cfg", None) or {}
    modules = config.get("classifier") or ()
    names = [modules] if isinstance(modules, str) else list(modules)
    return [f"{name}.{part}" for name in names for part in ("weight", "bias")]


def _difference(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> str:
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
