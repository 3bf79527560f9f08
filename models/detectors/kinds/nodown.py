"""Kind `nodown`: a ResNet without early down-sampling, after Gragnaniello et al. 2021, arXiv 2104.02617."""

from typing import Any

from pydantic import Field
from torch import nn

from assets.detection import Detector as Spec
from assets.detection import Judge
from assets.section import Section
from models.detectors.detector import Detector, Phase, normalisation
from models.detectors.nets.nodown import resnet

MODEL = "resnet50"


class Options(Section):
    """What `options` may hold."""

    dropout: float = Field(0.0, ge=0, lt=1)
    """Before the classifier."""
    train_crop: int | None = Field(None, ge=16)
    """Side of what it learns from, where it is evaluated on larger crops; null: the same."""


class NodownDetector(Detector):
    """A network for pictures of any size, so that it can learn from crops smaller than it judges."""

    def __init__(self, net: nn.Module, options: Options, mean: Any, std: Any, outputs: int) -> None:
        super().__init__(net, mean, std, outputs)
        self._train_crop = options.train_crop

    def phases(self, spec: Spec) -> list[Phase]:
        """One, on crops of its own side."""
        crop = self._train_crop or spec.crop
        return super().phases(spec.model_copy(update={"crop": crop}))


def build(spec: Judge, options: Options, outputs: int, where: str) -> NodownDetector:
    """The network at its random start; the classifier's weights have a deviation of 0.02.

    Source: `resnet50` with stride0=1 in https://github.com/grip-unina/DMimageDetection at fdb5390,
    networks/networks/resnet_mod.py.

    Raises:
        AssayError: a model that is no ResNet.
    """
    net = resnet(spec, outputs, where, drop_rate=options.dropout)
    nn.init.normal_(net.fc.weight, 0.0, 0.02)
    mean, std = normalisation(spec.view.normalise, net.pretrained_cfg)
    return NodownDetector(net, options, mean, std, outputs)
