"""Kind `probe`: a small head on the features of a foundation model, which stays as it is (or learns along).

After Ojha et al. 2023 (CVPR, "UnivFD"), arXiv 2302.10174: features that were learnt for something else know
more than the traces of the generators that a detector was trained on.
"""

from typing import Self

import torch
from pydantic import Field
from torch import Tensor

from assets.detection import Judge
from assets.section import Section
from models.detectors.nets.headed import BACKBONE, Feature, Headed, HeadedDetector, backbone, freeze

MODEL = "vit_large_patch14_clip_quickgelu_224.openai"


class Options(Section):
    """What `options` may hold."""

    feature: Feature = "pooled"
    """`pooled`, `cls`, `cls+patches` or `projected` (CLIP's image feature)."""
    unit: bool = False
    """Bring every feature to length 1."""
    hidden: int = Field(0, ge=0)
    """Width of a layer before the last one; 0: a linear head."""
    train_backbone: bool = False
    """Train the backbone as well."""


class _Probe(Headed):
    """A backbone that only looks: it keeps no gradients, and its norms and dropouts stay in evaluation."""

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self.backbone.eval()
        return self

    def features(self, values: Tensor) -> Tensor:
        with torch.no_grad():
            return super().features(values)


def build(spec: Judge, options: Options, outputs: int, where: str) -> HeadedDetector:
    """A timm model with a head at its random start.

    Raises:
        AssayError: a model without such a feature.
    """
    made = backbone(spec, options.feature, where)
    head = (options.feature, outputs, options.hidden, options.unit)
    if options.train_backbone:
        return HeadedDetector(Headed(made, *head), spec, outputs)
    freeze(made)
    detector = HeadedDetector(_Probe(made, *head), spec, outputs)
    detector.frozen = (BACKBONE,)  # all of it, with what its norms have counted
    return detector
