"""Kind `gramnet`: global textures by Gram matrices, after Liu, Qi and Torr 2020 (CVPR), arXiv 2002.00133.

How strongly channels of a layer go together, summed over the whole picture, describes texture and not place.
Six such descriptions, of the pixels and of five depths of a ResNet, join the ResNet's own features.
"""

from collections.abc import Mapping
from typing import Any

import torch
from timm.models.resnet import ResNet
from torch import Tensor, nn

from assets.detection import Judge
from assets.errors import AssayError
from assets.section import Section
from models.detectors.detector import Detector, load_into
from models.detectors.nets.gram import SIZE, GramBlock
from models.detectors.nets.timm_net import create

HIDDEN = 512
"""Width of the classifier's inner layer."""

MODEL = "resnet18"


class GramNet(nn.Module):
    """A ResNet with a Gram block beside its input and beside five of its depths."""

    def __init__(self, body: ResNet, outputs: int) -> None:
        """Args: body: without a classifier."""
        super().__init__()
        self.body: Any = body
        stem = self.body.bn1.num_features
        widths: list[Any] = [stage["num_chs"] for stage in self.body.feature_info[-4:-1]]
        self.grams = nn.ModuleList(GramBlock(channels) for channels in (3, stem, stem, *widths))
        self.scale = nn.Parameter(torch.ones(1))
        self.head = nn.Sequential(
            nn.Linear(self.body.num_features + SIZE * len(self.grams), HIDDEN),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(HIDDEN, outputs),
        )

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, outputs)."""
        body = self.body
        depths = [pixels, body.act1(body.bn1(body.conv1(pixels)))]
        depths.append(body.maxpool(depths[-1]))
        for layer in (body.layer1, body.layer2, body.layer3):
            depths.append(layer(depths[-1]))
        content = body.global_pool(body.layer4(depths[-1]))
        textures = [gram(depth) * self.scale for gram, depth in zip(self.grams, depths, strict=True)]
        answers: Tensor = self.head(torch.cat([content, *textures], 1))
        return answers


class GramDetector(Detector):
    """Sees pixels from 0 to 255, blue first, as the authors read them with OpenCV."""

    net: GramNet

    def seen(self, values: Tensor) -> Tensor:
        """Blue first."""
        return values.flip(1)

    def begin_from(self, state: Mapping[str, Tensor], where: str) -> None:
        """Weights of the whole network, or those of a ResNet for that part of it."""
        if any(name.startswith("head.") for name in state):
            return super().begin_from(state, where)
        body = {name: value for name, value in state.items() if not name.startswith("fc.")}
        load_into(self.net.body, body, where)
        return None


def check(spec: Judge, options: Section, where: str) -> None:
    """Refuse a normalisation: there is none."""
    if spec.view.normalise is not None:
        raise AssayError(
            f"{where}.view.normalise is {spec.view.normalise}: gramnet sees pixels as they are; leave it out"
        )


def build(spec: Judge, options: Section, outputs: int, where: str) -> GramDetector:
    """The paper's network; `model` may name another ResNet than ResNet-18.

    The order of its two outputs is ours, real and generated; the authors have it the other way round.

    Raises:
        AssayError: a model that is no ResNet.
    """
    body = create(spec, 0, where)
    if not isinstance(body, ResNet):
        raise AssayError(f"{where}.model: gramnet is made from a ResNet, e.g. resnet18; {spec.model} is none")
    net = GramNet(body, 2 if outputs == 1 else outputs)
    return GramDetector(net, (0.0,) * 3, (1 / 255,) * 3, outputs)
