"""Kind `ladeda`: locally aware detection, after Cavia et al. 2024, "Real-Time Deepfake Detection in the
Real-World", arXiv 2406.09398.

Every 9 x 9 patch is judged for itself, and a picture by the mean of its patches: so the answer can be drawn
over the picture (`heat_map`, models/detectors/heat.py).
"""

from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import conv2d

from assets.detection import TIMM, Judge
from assets.errors import AssayError
from assets.section import Section
from models.detectors.detector import Detector, normalisation
from models.detectors.nets.patch_net import FIELD, PatchNet
from models.detectors.nets.residual import residual

MODEL = ""  # it is not one of timm's

KERNELS = {
    "rows": ((-1, -2, -1), (0, 0, 0), (1, 2, 1)),
    "columns": ((-1, 0, 1), (-2, 0, 2), (-1, 0, 1)),
    "rising": ((0, 1, 2), (-1, 0, 1), (-2, -1, 0)),
    "falling": ((-2, -1, 0), (-1, 0, 1), (0, 1, 2)),
}
"""Sobel's gradients: from row to row, from column to column, along both diagonals."""

Depth = Annotated[int, Field(ge=1)]


class Options(Section):
    """What `options` may hold."""

    sees: Literal["npr", "raw", "rows", "columns", "rising", "falling"] = "npr"
    """Of the normalised pixels: what differs from the upper left of each 2 x 2 block, all, or a gradient."""
    width: int = Field(64, ge=1)
    """Channels of the stem; 64 as published."""
    depths: tuple[Depth, Depth, Depth, Depth] = (3, 4, 6, 3)
    """Blocks of the four stages."""


class LadedaDetector(Detector):
    """A network of patches; `heat_map` gives their logits."""

    net: PatchNet

    def __init__(self, net: PatchNet, mean: Any, std: Any, outputs: int, sees: str) -> None:
        super().__init__(net, mean, std, outputs)
        self.sees = sees

    def seen(self, values: Tensor) -> Tensor:
        """(B, 3, H, W) -> as many, or one row and column less of odd sides."""
        if self.sees == "raw":
            return values
        if self.sees == "npr":
            return residual(values)
        kernel = torch.tensor(KERNELS[self.sees], dtype=values.dtype, device=values.device)
        with torch.autocast(values.device.type, enabled=False):  # it would round to eight bits
            return conv2d(values, kernel.expand(3, 1, 3, 3), padding=1, groups=3)

    @torch.no_grad()
    def heat_map(self, pixels: Tensor) -> np.ndarray:
        """Logits of all patches of uint8 pixels (B, 3, H, W) that lie on the CPU; any H and W from 10 on.

        Returns: (B, h, w) float32, (i, j) of the 9 x 9 pixels from row 8 i and column 8 j, rising with
        "generated"; their mean is the picture's logit. Of an attributor: (B, h, w, classes).
        Raises:
            AssayError: a picture smaller than one patch.
        """
        if min(pixels.shape[-2:]) <= FIELD:
            height, width = pixels.shape[-2:]
            raise AssayError(f"a heat map needs at least 10 x 10 px; the picture is {width} x {height}")
        self.eval()
        values = (pixels.to(self.mean.device).float() / 255 - self.mean) / self.std
        answers = self.net.patches(self.seen(values)).movedim(1, -1)
        flat: np.ndarray = self.logits(answers.flatten(0, 2)).float().cpu().numpy()
        return flat.reshape(*answers.shape[:3], *flat.shape[1:])


def build(spec: Judge, options: Options, outputs: int, where: str) -> LadedaDetector:
    """The published network (BagNet-9 on a ResNet-50's plan), or a smaller one of its kind.

    Raises:
        AssayError: a model id, or `weights: timm`.
    """
    if spec.model:
        raise AssayError(
            f"{where}.model is '{spec.model}': ladeda has a network of its own; leave it out "
            "(options.width and options.depths make a smaller one)"
        )
    if spec.weights == TIMM:
        raise AssayError(
            f"{where}.weights: ladeda has a network of its own, for which timm has no weights; "
            "use none or a file"
        )
    net = PatchNet(outputs, options.width, options.depths)
    return LadedaDetector(net, *normalisation(spec.view.normalise, None), outputs, options.sees)
