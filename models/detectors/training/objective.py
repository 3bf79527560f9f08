"""The loss of one phase on one batch, as a module: several processes average the gradients of a module."""

import torch
from torch import Tensor, nn

from assets.detection import Recipe
from assets.errors import AssayError
from models.detectors.detector import Detector, Phase
from models.detectors.training.consistency import consistency_loss
from models.detectors.training.mixing import cross_entropy, soft_targets


class Objective(nn.Module):
    """A detector and what it is trained for."""

    def __init__(self, detector: Detector, phase: Phase, precision: torch.dtype | None) -> None:
        """Args: precision: what the network computes in; None: float32."""
        super().__init__()
        self.detector = detector
        self._phase = phase
        self._precision = precision

    def forward(self, pixels: Tensor, classes: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of pixels (V * B, 3, S, S) in 0..255, the detector's penalty included.

        Args: classes: (B,) int64, 0 real, 1 + i generator i; targets: (B, K), see `targets_of`. With V > 1
            the pixels are V versions of each picture, version by version.
        """
        splits, own = self._phase.spec.recipe.splits, self._phase.loss
        with torch.autocast(pixels.device.type, self._precision, enabled=self._precision is not None):
            if own is not None:
                loss = own(pixels, classes.repeat(splits))
            else:
                answers = self.detector.answers(pixels)
            penalty = self.detector.penalty()
        if own is None:
            loss = (
                cross_entropy(answers, targets) if splits == 1 else consistency_loss(answers, targets, splits)
            )
        return loss if penalty is None else loss + penalty


def targets_of(detector: Detector, classes: Tensor, smoothing: float) -> Tensor:
    """Shares (B, K) that the answers should have: real and generated, or an attributor's generators."""
    if detector.outputs == 1:
        return soft_targets((classes > 0).long(), 2, smoothing)
    # A phase of an attributor in which real images take part has a loss of its own, and no use for this.
    return soft_targets((classes - 1).clamp(min=0), detector.outputs, smoothing)


def precision_of(recipe: Recipe, device: torch.device, where: str) -> torch.dtype | None:
    """What `mixed` means on this device; None: float32.

    Raises:
        AssayError: bfloat16 on a GPU that does not have it.
    """
    if device.type != "cuda" or recipe.mixed == "no":
        return None
    if recipe.mixed == "fp16":
        return torch.float16
    if torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    if recipe.mixed == "bf16":
        raise AssayError(
            f"{where}.recipe.mixed is bf16, which {torch.cuda.get_device_name(device)} does not have; "
            "use auto, fp16 or no"
        )
    return None
