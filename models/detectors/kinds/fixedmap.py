"""Kind `fixedmap`: pixel-level mapping, after Zhou et al. 2026 (AAAI), "Beyond Semantic Features", arXiv
2512.17350.

Each pixel value is replaced by its distance from the nearest of 101 even steps of 2.56: a saw-tooth that no
longer rises with brightness. What is smooth in a picture becomes noise, and what is left is fine structure.
"""

from typing import Any

import torch
from torch import Tensor

from assets.detection import Judge
from assets.errors import AssayError
from assets.section import Section
from models.detectors.detector import NORMALISATIONS, Detector
from models.detectors.nets.short_resnet import ShortResnetDetector, short_resnet
from models.detectors.nets.timm_net import create

MODEL = "resnet50"
STEPS, RANGE = 100.0, 256.0


class Options(Section):
    """What `options` may hold."""

    short: bool = True
    """The short ResNet of the public code; false: the whole of `model`, which may be any of timm's."""


class _Mapped(Detector):
    """A network that sees mapped pixels."""

    def seen(self, values: Tensor) -> Tensor:
        """Pixels in [0, 1] -> within 1.28 / 255 of zero."""
        return mapped(values)


class _MappedShort(_Mapped, ShortResnetDetector):
    """The same, on the short ResNet."""


def mapped(values: Tensor) -> Tensor:
    """v - round(v / 256 * 100) / 100 * 256 of v = 255 times `values`, over 255; any shape, float32.

    The values 32, 96, 160 and 224 lie halfway between two steps. Their quotients are exact in float32 (and
    float64), so that they go to the even step, as torch and NumPy round: down, up, down, up. The order of
    operations is that of the public code, for the last bit:
    https://github.com/HorizonTEL/AIGIBench/blob/e9b95f8/detector_codes/BSF-main/data/datasets.py
    """
    level = values * 255.0
    return (level - torch.round(level / RANGE * STEPS) / STEPS * RANGE) / 255.0


def build(spec: Judge, options: Options, outputs: int, where: str) -> Detector:
    """The short ResNet, or the whole model, on mapped pixels.

    Raises:
        AssayError: a normalisation (the mapping is of pixel values), or a model that does not fit.
    """
    if spec.view.normalise not in (None, "none"):
        raise AssayError(
            f"{where}.view.normalise is '{spec.view.normalise}': fixedmap maps pixel values as they are; "
            "write none, or leave it out"
        )
    plain = NORMALISATIONS["none"]
    if options.short:
        # The authors' blocks do not begin as the identity.
        return _MappedShort(short_resnet(spec, outputs, where, zero_last=False), *plain, outputs)
    net: Any = create(spec, outputs, where)
    return _Mapped(net, *plain, outputs)
