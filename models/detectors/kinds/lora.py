"""Kind `lora`: a vision transformer that learns through thin matrices beside its layers, as DDA does.

Chen et al. 2025 (NeurIPS, "Dual Data Alignment"), arXiv 2505.14359: DINOv2, LoRA of rank 8, and real images
set against their own reconstructions, so that nothing but the generator's trace tells them apart.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from assets.detection import Detector as Spec
from assets.detection import Judge
from assets.section import Section
from models.detectors.detector import Phase
from models.detectors.nets.headed import Headed, HeadedDetector, transformer
from models.detectors.nets.lora import adapt

MODEL = "vit_large_patch14_dinov2.lvd142m"
Target = Literal["qkv", "proj", "fc1", "fc2"]


class Options(Section):
    """What `options` may hold."""

    rank: int = Field(8, ge=1)
    """Of the products beside the layers."""
    alpha: float = Field(1.0, gt=0)
    """A product is multiplied by alpha / rank."""
    targets: tuple[Target, ...] = Field(("qkv", "proj", "fc1", "fc2"), min_length=1)
    """Layers of each block that get a product."""
    contrastive: float = Field(0.0, ge=0, lt=1)
    """Share of the contrastive loss of the features; the rest is cross entropy."""


class LoraDetector(HeadedDetector):
    """An adapted vision transformer."""

    def __init__(self, net: Headed, spec: Judge, options: Options, outputs: int) -> None:
        super().__init__(net, spec, outputs)
        self.options = options

    def phases(self, spec: Spec) -> list[Phase]:
        """One part; with a loss of its own if there is a contrastive share."""
        (only,) = super().phases(spec)
        return [only._replace(loss=self.loss) if self.options.contrastive else only]

    def loss(self, pixels: Tensor, classes: Tensor) -> Tensor:
        """Cross entropy and contrastive loss of pixels (B, 3, S, S) in 0..255 and classes (B,)."""
        values = (pixels.float() / 255 - self.mean) / self.std
        features = self.net.features(values)
        answers = self.net.head(features).float()
        if self.outputs == 1:
            entropy = nn.functional.binary_cross_entropy_with_logits(answers[:, 0], (classes > 0).float())
            groups = classes > 0
        else:
            entropy, groups = nn.functional.cross_entropy(answers, classes - 1), classes
        share = self.options.contrastive
        return (1 - share) * entropy + share * contrastive(features.float(), groups)


def contrastive(features: Tensor, groups: Tensor, margin: float = 1.0) -> Tensor:
    """Pull features (B, D) of one group together and push others `margin` apart (Hadsell et al. 2006, CVPR).

    Distances are Euclidean, between features of length 1. The mean over the pairs of a group that are not
    at distance 0, plus the mean over the pairs of different groups that are nearer than `margin`.
    """
    unit = nn.functional.normalize(features, dim=1)
    # Not the square root of a product: between equal features its gradient is infinite.
    distances = torch.cdist(unit, unit, compute_mode="donot_use_mm_for_euclid_dist")
    same = groups[:, None] == groups
    alone = torch.eye(len(groups), dtype=torch.bool, device=groups.device)
    return _mean_of_positive(distances[same & ~alone]) + _mean_of_positive(margin - distances[~same])


def build(spec: Judge, options: Options, outputs: int, where: str) -> LoraDetector:
    """A timm vision transformer's pooled feature under a linear head.

    Raises:
        AssayError: a model that is no plain vision transformer.
    """
    made = transformer(spec, where)
    adapt(made, options.targets, options.rank, options.alpha)
    return LoraDetector(Headed(made, "pooled", outputs), spec, options, outputs)


def _mean_of_positive(values: Tensor) -> Tensor:
    positive = values.clamp_min(0)
    return positive.sum() / (values > 0).sum().clamp_min(1)
