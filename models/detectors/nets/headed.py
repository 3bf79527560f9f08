"""A timm backbone with a new head: which of its features the head sees, and how it takes starting weights."""

from collections.abc import Mapping
from typing import Any, Literal

import timm
import torch
from torch import Tensor, nn

from assets.detection import Judge
from assets.errors import AssayError
from models.detectors.detector import Detector, load_into, normalisation
from models.detectors.nets.timm_net import create

Feature = Literal["pooled", "cls", "cls+patches", "projected"]
"""`pooled`: what the model's own classifier would get. Of a vision transformer: `cls`, the class token
after the last norm; `cls+patches`, the same and the mean of all patch tokens. `projected`: what the model's
own last layer gives, for CLIP its image feature."""

BACKBONE = "backbone."
"""What the names of a backbone's weights begin with."""


class Headed(nn.Module):
    """Features of a backbone, then a small head."""

    def __init__(
        self, backbone: Any, feature: Feature, outputs: int, hidden: int = 0, unit: bool = False
    ) -> None:
        """Args: backbone: a timm model, without a classifier unless `feature` is `projected`; hidden:
        width of a layer before the last one, 0: none; unit: bring every feature to length 1.
        """
        super().__init__()
        self.backbone = backbone
        self.feature, self.unit = feature, unit
        width = _width(backbone, feature)
        last = nn.Linear(hidden or width, outputs)
        nn.init.normal_(last.weight, std=0.02)
        self.head = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), last) if hidden else last

    def features(self, values: Tensor) -> Tensor:
        """Normalised pixels (B, 3, H, W) -> (B, D)."""
        found: Tensor
        if self.feature in ("pooled", "projected"):
            found = self.backbone(values)
        else:
            tokens = self.backbone.forward_features(values)
            found = tokens[:, 0]
            if self.feature == "cls+patches":
                patches = tokens[:, self.backbone.num_prefix_tokens :].mean(1)
                found = torch.cat([found, patches], 1)
        return nn.functional.normalize(found, dim=1) if self.unit else found

    def forward(self, values: Tensor) -> Tensor:
        """Normalised pixels (B, 3, H, W) -> answers (B, O)."""
        answers: Tensor = self.head(self.features(values))
        return answers


class HeadedDetector(Detector):
    """A detector whose network is a `Headed`."""

    net: Headed

    def __init__(self, net: Headed, spec: Judge, outputs: int) -> None:
        """Args: net: with its parameters that are not trained set so; outputs: see `Detector`."""
        super().__init__(net, *normalisation(spec.view.normalise, net.backbone.pretrained_cfg), outputs)
        self.frozen = tuple(name for name, value in net.named_parameters() if not value.requires_grad)

    def begin_from(self, state: Mapping[str, Tensor], where: str) -> None:
        """Take over a backbone's weights, under timm's names, or those of the whole network.

        Raises:
            AssayError: they do not fit.
        """
        if any(name.startswith(BACKBONE) for name in state):
            load_into(self.net, state, where)
        else:
            load_backbone(self.net.backbone, state, where)


def backbone(spec: Judge, feature: Feature, where: str) -> Any:
    """The timm model `spec.model` at its random start, for features of this sort.

    Raises:
        AssayError: one that cannot take this crop, or has no such feature.
    """
    if feature == "projected":
        made = create(spec, None, where)
        if not made.num_classes:
            raise AssayError(
                f"{where}.options.feature: {spec.model} has no last layer to project with; use cls or pooled"
            )
        return made
    made = create(spec, 0, where)
    if feature != "pooled" and getattr(made, "cls_token", None) is None:
        raise AssayError(f"{where}.options.feature: {spec.model} has no class token; use pooled")
    return made


def transformer(spec: Judge, where: str) -> Any:
    """The vision transformer `spec.model` without its classifier, at its random start, frozen.

    Raises:
        AssayError: one that cannot take this crop, or is none of timm's plain ones.
    """
    made = backbone(spec, "pooled", where)
    if not isinstance(made, timm.models.VisionTransformer) or not hasattr(made.blocks[0].attn, "qkv"):
        raise AssayError(
            f"{where}.model: {spec.kind} changes the layers of a plain vision transformer, e.g. "
            f"vit_base_patch14_dinov2.lvd142m; {spec.model} is none"
        )
    freeze(made)
    return made


def freeze(module: nn.Module) -> None:
    """Let no parameter of a module be trained."""
    for parameter in module.parameters():
        parameter.requires_grad = False


def load_backbone(net: Any, state: Mapping[str, Tensor], where: str) -> None:
    """Load a timm model's weights into one that may lack its classifier, and have layers with additions.

    An addition is a weight that its layer names in `added`; it stays as it is.

    Raises:
        AssayError: the other names and shapes are not the model's.
    """
    own = net.state_dict()
    prefix = f"{net.pretrained_cfg.get('classifier') or 'head'}."
    headless = not any(name.startswith(prefix) for name in own)
    given = {name: value for name, value in state.items() if not (headless and name.startswith(prefix))}
    for name, module in net.named_modules():
        for part in getattr(module, "added", ()):
            given.setdefault(f"{name}.{part}", own[f"{name}.{part}"])
    load_into(net, given, where)


def _width(net: Any, feature: Feature) -> int:
    if feature == "projected":
        return int(net.num_classes)
    if feature == "pooled":
        return int(getattr(net, "head_hidden_size", net.num_features))
    return int(net.num_features) * (2 if feature == "cls+patches" else 1)
