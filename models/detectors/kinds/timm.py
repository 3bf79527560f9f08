"""Kind `timm`: a classifier of the timm library on normalised pixels."""

from typing import Literal

from pydantic import Field
from torch import nn

from assets.detection import Judge
from assets.section import Section
from models.detectors.detector import Detector, normalisation
from models.detectors.nets.timm_net import create

MODEL = None


class Options(Section):
    """What `options` may hold."""

    outputs: Literal[1, 2] = 1
    """Of the network for real-or-generated: one logit, or one a class, as in GenImage's ResNet-50."""
    drop_path: float | None = None
    """Stochastic depth; null: the model's own."""
    head_std: float | None = Field(None, gt=0)
    """Deviation of the classifier's normal random weights; null: the model's own. CNNSpot's is 0.02."""


def build(spec: Judge, options: Options, outputs: int, where: str) -> Detector:
    """A timm model at its random start.

    Models whose input has a fixed side (most vision transformers) are built for the side `spec.crop`.

    Raises:
        AssayError: one that cannot take this crop.
    """
    extra = {} if options.drop_path is None else {"drop_path_rate": options.drop_path}
    net = create(spec, options.outputs if outputs == 1 else outputs, where, **extra)
    if options.head_std is not None:
        nn.init.normal_(net.get_classifier().weight, std=options.head_std)
    return Detector(net, *normalisation(spec.view.normalise, net.pretrained_cfg), outputs)
