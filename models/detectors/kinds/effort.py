"""Kind `effort`: CLIP of which only the weakest directions of its attention learn, after Yan et al. 2025.

ICML 2025, arXiv 2411.15633. A network that may change all its weights learns the traces of one generator and
forgets what it knew; here 0.2 of 303 million numbers learn, orthogonal to what stays.
"""

import torch
from pydantic import Field
from torch import Tensor

from assets.detection import Detector as Spec
from assets.detection import Judge
from assets.errors import AssayError
from assets.section import Section
from models.detectors.detector import Phase
from models.detectors.nets.headed import Headed, HeadedDetector, transformer
from models.detectors.nets.residual_svd import residuals, split_attention

MODEL = "vit_large_patch14_clip_quickgelu_224.openai"


class Options(Section):
    """What `options` may hold."""

    rank: int = Field(1, ge=1)
    """How many of the smallest singular components of each attention weight are trained."""
    orthogonality: float = Field(1.0, ge=0)
    """Weight of the penalty on trained vectors that are not orthogonal to what stays."""
    strength: float = Field(1.0, ge=0)
    """Weight of the penalty on a change of the weights' squared norm."""


class EffortDetector(HeadedDetector):
    """A vision transformer with trained residuals, and their penalties."""

    def __init__(self, net: Headed, spec: Judge, options: Options, outputs: int) -> None:
        super().__init__(net, spec, outputs)
        self.options = options

    def phases(self, spec: Spec) -> list[Phase]:
        """One part, before which the weights are decomposed."""
        (only,) = super().phases(spec)
        return [only._replace(begin=self.decompose)]

    def decompose(self) -> None:
        """Find the components that are trained, unless they are known; the answers stay what they are.

        Not before they are wanted: for a ViT-L it takes a processor a minute or so, and whoever loads a
        trained detector reads them from its file.
        """
        for layer in residuals(self.net):
            if not layer.u0.any():
                layer.decompose()

    def penalty(self) -> Tensor | None:
        """The penalties of all weights, on average."""
        first, second = self.options.orthogonality, self.options.strength
        if not (first or second):
            return None
        layers = list(residuals(self.net))
        with torch.autocast(self.mean.device.type, enabled=False):
            terms = [first * layer.turned() + second * layer.strengthened() for layer in layers]
        return torch.stack(terms).sum() / sum(len(layer.s) for layer in layers)


def build(spec: Judge, options: Options, outputs: int, where: str) -> EffortDetector:
    """A timm vision transformer's pooled feature under a linear head.

    Raises:
        AssayError: a model that is no plain vision transformer, or a rank beyond its width.
    """
    made = transformer(spec, where)
    if options.rank > made.embed_dim:
        raise AssayError(
            f"{where}.options.rank is {options.rank}: the weights of {spec.model} have {made.embed_dim} "
            "components"
        )
    split_attention(made, options.rank)
    return EffortDetector(Headed(made, "pooled", outputs), spec, options, outputs)
