"""Kind `selfcon`: ImagiNet's detector, after Boychev and Cholakov 2025, arXiv 2407.20020v3.

First an encoder learns, by contrast, what sets generated pictures apart from real ones and generators apart
from each other; then it is frozen, and a small classifier is trained on its features.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn
from torch.nn.functional import normalize

from assets.detection import Detector as Spec
from assets.detection import Judge, Recipe, View
from assets.errors import AssayError, did_you_mean
from assets.images.degradations import DegradationError, parse
from assets.section import Section
from models.detectors.detector import Detector, Phase, load_into, normalisation
from models.detectors.nets.nodown import resnet
from models.detectors.nets.supervised_contrast import origin_and_group

MODEL = "resnet50.tv2_in1k"  # the ImageNet weights that the paper starts from


class Represent(Section):
    """The first part of the training, where the encoder learns; the second is the detector's own."""

    epochs: int = Field(400, ge=1)
    batch: int = Field(200, ge=2)
    """Images that are contrasted with each other; `recipe.accumulate` adds up batches, it joins none."""
    lr: float = Field(0.005, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    crop: int = Field(96, ge=16)
    view: View = View(small="reflect", flip=0.22, flip_vertical=0.22, rotate=0.25)
    augment: str = ""
    recipe: Recipe = Recipe(optimizer="sgd", momentum=0.9, schedule="cosine", warmup=10, floor=5e-6)

    @field_validator("augment")
    @classmethod
    def _readable(cls, value: str) -> str:
        try:
            parse(value)
        except DegradationError as error:
            raise ValueError(str(error)) from None
        return value


class Options(Section):
    """What `options` may hold."""

    represent: Represent = Represent()
    temperature: float = Field(0.07, gt=0)
    """Of the contrastive loss."""
    group_weight: float = Field(1.0, ge=0)
    """Of the generators' part of the loss beside that of real against generated."""
    sub_after: int = Field(2, ge=1, le=3)
    """The stage of the encoder that the sub-network hangs on."""
    projection: int = Field(128, ge=1)
    """Length of the features that are contrasted."""
    hidden: int = Field(1024, ge=1)
    """Width of the classifier's inner layer."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """In the classifier of real-or-generated."""
    shrink: bool = False
    """Leave the encoder the early down-sampling of the usual ResNet."""
    groups: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Generators that are alike for the contrast: name -> generators. One that is in none stands alone."""

    @model_validator(mode="after")
    def _one_group_each(self) -> "Options":
        names = [name for members in self.groups.values() for name in members]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"'{twice[0]}' is in two groups, or twice in one")
        return self


class SelfConNet(nn.Module):
    """An encoder with a sub-network half-way, a projection for each, and a classifier on the encoder."""

    def __init__(self, encoder: Any, options: Options, outputs: int) -> None:
        super().__init__()
        self.sub_after = options.sub_after
        width = encoder.num_features
        inner = encoder.feature_info[options.sub_after]["num_chs"]
        self.encoder = encoder
        self.sub = nn.Linear(inner, width)
        self.projection = _projection(width, options.projection)
        self.sub_projection = _projection(width, options.projection)
        self.head = (
            nn.Sequential(
                nn.BatchNorm1d(width),
                nn.Linear(width, options.hidden),
                nn.ReLU(),
                nn.Dropout(options.dropout),
                nn.Linear(options.hidden, 1),
            )
            if outputs == 1
            else nn.Sequential(
                _UnitLength(),
                nn.Linear(width, options.hidden),
                nn.ReLU(),
                nn.Linear(options.hidden, outputs),
            )
        )

    def forward(self, values: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, O): what the classifier says."""
        answers: Tensor = self.head(self.depths(values)[1])
        return answers

    def views(self, values: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 2, D): the projections of the sub-network and of the encoder, of length 1."""
        early, late = self.depths(values)
        projections = (self.sub_projection(self.sub(early)), self.projection(late))
        return normalize(torch.stack(projections, 1).float(), dim=2)

    def depths(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Mean features (B, C') after the stage of the sub-network and (B, C) at the encoder's end."""
        encoder = self.encoder
        values = encoder.maxpool(encoder.act1(encoder.bn1(encoder.conv1(values))))
        early = values
        for number in (1, 2, 3, 4):
            values = getattr(encoder, f"layer{number}")(values)
            if number == self.sub_after:
                early = values
        return early.mean((2, 3)), values.mean((2, 3))


class _UnitLength(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return normalize(values, dim=1)


def _projection(width: int, length: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, length))


class SelfConDetector(Detector):
    """Trained in two parts: `represent` and `calibrate`.

    All of the network is saved, the sub-network and the projections too, so that a training can start
    from the representation of another.
    """

    net: SelfConNet

    def __init__(self, net: SelfConNet, options: Options, mean: Any, std: Any, outputs: int) -> None:
        super().__init__(net, mean, std, outputs)
        self._options = options
        self._calibrating = False
        self._group_of: list[int] = []
        """Class -> the first class of its group; empty: every class is one."""

    def told(self, generators: Sequence[str], known: Collection[str], where: str) -> None:
        """Find the groups among what it is trained on.

        Raises:
            AssayError: a group names a generator that the benchmark has not.
        """
        self._group_of = list(range(1 + len(generators)))
        for group, members in self._options.groups.items():
            for name in members:
                if name not in known:
                    raise AssayError(
                        f"{where}.options.groups.{group} names '{name}', which is not in generators; "
                        + did_you_mean(name, known)
                    )
            classes = [1 + number for number, name in enumerate(generators) if name in members]
            for number in classes:
                self._group_of[number] = classes[0]

    def phases(self, spec: Spec) -> list[Phase]:
        """First by contrast, on real and generated pictures alike; then the classifier alone."""
        first = self._options.represent
        alone = spec.model_copy(update={name: getattr(first, name) for name in Represent.model_fields})
        return [
            Phase("represent", alone, self._represent, self._contrast, scored=False),
            Phase("calibrate", spec, self._calibrate, reals=self.outputs == 1),
        ]

    def train(self, mode: bool = True) -> "SelfConDetector":
        """While the classifier is trained, of the encoder only batch norm statistics adapt to the pictures.

        Source: training_utils/train_linear_classifier_selfcon.py of the code, after Schneider et al. 2020,
        arXiv 2006.16971.
        """
        super().train(mode)
        if mode and self._calibrating:
            for layer in self.net.encoder.modules():
                layer.training = isinstance(layer, nn.modules.batchnorm._BatchNorm)
        return self

    def begin_from(self, state: Mapping[str, Tensor], where: str) -> None:
        """Take over an encoder in timm's names, or all of a `selfcon` network but its classifier."""
        if any(name.startswith("encoder.") for name in state):
            own = {name: value for name, value in self.net.state_dict().items() if name.startswith("head.")}
            given = {name: value for name, value in state.items() if not name.startswith("head.")}
            load_into(self.net, {**given, **own}, where)
        else:
            encoder = {name: value for name, value in state.items() if not name.startswith("fc.")}
            load_into(self.net.encoder, encoder, where)

    def _represent(self) -> None:
        self._calibrating = False
        self.net.requires_grad_(True)
        self.net.head.requires_grad_(False)

    def _calibrate(self) -> None:
        self._calibrating = True
        self.net.requires_grad_(False)
        self.net.head.requires_grad_(True)

    def _contrast(self, pixels: Tensor, classes: Tensor) -> Tensor:
        values = (pixels.float() / 255 - self.mean) / self.std
        views = self.net.views(values.contiguous(memory_format=torch.channels_last))
        if self._group_of:
            classes = torch.tensor(self._group_of, device=classes.device)[classes]
        return origin_and_group(views, classes, self._options.temperature, self._options.group_weight)


def build(spec: Judge, options: Options, outputs: int, where: str) -> SelfConDetector:
    """The network at its random start.

    Raises:
        AssayError: a model that is no ResNet.
    """
    encoder = resnet(spec, 0, where, shrink=options.shrink)
    mean, std = normalisation(spec.view.normalise, encoder.pretrained_cfg)
    return SelfConDetector(SelfConNet(encoder, options, outputs), options, mean, std, outputs)
