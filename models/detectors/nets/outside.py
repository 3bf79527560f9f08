"""Networks that others made: how they want pixels, and how their answer is to be read."""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from assets.detection import Judge
from assets.errors import AssayError
from assets.score_table import SURE
from assets.section import Section
from models.detectors.detector import Detector, normalisation


class Reading(Section):
    """What must be known about a network that was written elsewhere."""

    pixels: Literal["unit", "bytes", "normalised"]
    """What it takes: values in [0, 1]; in 0..255; or with mean and deviation as `view.normalise` says."""
    scale: Literal["logit", "probability"] = "logit"
    """What it gives: logits, or probabilities (after a sigmoid or a softmax)."""
    higher_means: Literal["generated", "real"] = "generated"
    """Of a single number: what a high one means. Of two: which of them the second is about."""


class Outside(Detector):
    """A network (B, 3, H, W) -> (B,), (B, 1) or (B, 2) behind the pixels that it wants.

    It keeps the memory layout it was made with: others' code may use `view`, which channels-last breaks.
    """

    def __init__(self, net: nn.Module, spec: Judge, reading: Reading, outputs: int, where: str) -> None:
        """Args: where: the detector's place in params.yaml, for messages.

        Raises:
            AssayError: `pixels` and `view.normalise` disagree, or an attributor's answer is read as if it
                were about real or generated.
        """
        wanted, named = reading.pixels, spec.view.normalise
        if wanted == "normalised" and named is None:
            raise AssayError(
                f"{where}.options.pixels is 'normalised': say by which mean and deviation, e.g. "
                "`view: {normalise: imagenet}`"
            )
        if wanted != "normalised" and named not in (None, "none"):
            raise AssayError(
                f"{where}: `view.normalise: {named}` goes with `pixels: normalised`, not with '{wanted}'"
            )
        if outputs > 1 and (reading.scale != "logit" or reading.higher_means != "generated"):
            raise AssayError(
                f"{where}.options: an attributor gives a logit a class; leave out 'scale', 'higher_means'"
            )
        super().__init__(net, *normalisation(named or "none", None), outputs)
        self.net = net.to(memory_format=torch.contiguous_format)
        self.reading = reading

    def answers(self, pixels: Tensor) -> Tensor:
        """What the network says of pixels (B, 3, H, W) in 0..255: logits (B, O) float32.

        Raises:
            ValueError: an answer of another shape.
        """
        values = pixels.float()
        if self.reading.pixels != "bytes":
            values = (values / 255 - self.mean) / self.std
        answer: Any = self.net(values.contiguous())
        if not isinstance(answer, Tensor):
            raise ValueError(f"it gives a {type(answer).__name__}, not a tensor")
        given = answer.float()
        if given.shape == (len(pixels),) and self.outputs == 1:
            given = given[:, None]
        allowed = (1, 2) if self.outputs == 1 else (self.outputs,)
        if given.shape not in [(len(pixels), count) for count in allowed]:
            counts = " or ".join(map(str, allowed))
            raise ValueError(
                f"of {len(pixels)} pictures it gives {tuple(answer.shape)}, not {counts} number(s) for each"
            )
        if self.reading.scale == "probability":
            given = _as_logits(given)
        if self.reading.higher_means == "real":
            given = -given if given.shape[1] == 1 else given.flip(1)
        return given


def _as_logits(answer: Tensor) -> Tensor:
    """Logits (B, O) whose sigmoid (O = 1) or softmax (O = 2) is `answer`.

    Raises:
        ValueError: something outside [0, 1].
    """
    outside = (answer < 0) | (answer > 1)
    if outside.any():
        raise ValueError(f"it gives {float(answer[outside][0]):g}, which is no probability (`scale: logit`?)")
    if answer.shape[1] == 1:
        return torch.logit(answer.double()).clamp(-SURE, SURE).float()
    return answer.double().log().clamp(min=-SURE).float()
