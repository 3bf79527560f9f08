"""Kind `f3net`: frequency-aware clues in two streams, after Qian et al. 2020 (ECCV), arXiv 2007.09355.

One Xception sees the picture split into frequency bands, another sees local statistics of frequencies; after
blocks 7 and 12 each takes from the other what an attention map picks. The authors published no code: this
follows the one that GenImage used.
"""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from assets.detection import TIMM, Judge
from assets.errors import AssayError
from assets.section import Section
from models.detectors.detector import Detector, load_into, normalisation
from models.detectors.nets.frequency import LEVELS, BandSplit, LocalStatistics
from models.detectors.nets.xception import Xception

MODEL = "legacy_xception"


class Options(Section):
    """What `options` may hold."""

    streams: Literal["mixed", "both", "fad", "lfs"] = "mixed"
    """Both with attention between them, both without, only the band-split one, only the statistics."""
    code: Literal["leminhbinh0209", "yyk-wew"] = "leminhbinh0209"
    """Whose bands: those of GenImage's code at github.com/Leminhbinh0209/F3Net 0db8d24, or those of
    github.com/yyk-wew/F3Net 01942ca, which knows no mixing."""
    width: float = Field(1.0, gt=0, le=1)
    """Of the Xceptions' layers; below 1 for small data."""


class Mix(nn.Module):
    """Attention between two streams of equal shape, (B, C, S, S) each: section 3.3.

    Rows are compared within each channel. At the start nothing but a bias passes over.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.queries = nn.ModuleList(nn.Conv2d(channels, channels, 1) for _ in range(2))
        self.keys = nn.ModuleList(nn.Conv2d(channels, channels, 1) for _ in range(2))
        self.gates = nn.ParameterList(nn.Parameter(torch.zeros(1)) for _ in range(2))
        self.passing = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, channels, 1, groups=channels), nn.BatchNorm2d(channels))
            for _ in range(2)
        )

    def forward(self, streams: list[Tensor]) -> list[Tensor]:
        queries = [layer(values) for layer, values in zip(self.queries, streams, strict=True)]
        keys = [layer(values) for layer, values in zip(self.keys, streams, strict=True)]
        energy = sum(query @ key.mT for query, key in zip(queries, keys, strict=True))
        attention = energy.softmax(-1)
        passed = [
            layer(values * attention * (2 * gate.sigmoid() - 1))
            for layer, values, gate in zip(self.passing, streams, self.gates, strict=True)
        ]
        return [streams[0] + passed[1], streams[1] + passed[0]]


class F3Net(nn.Module):
    """One or two frequency views, an Xception for each, and a classifier of all their features."""

    def __init__(self, side: int, outputs: int, options: Options) -> None:
        super().__init__()
        with_start = options.code == "yyk-wew"
        heads: dict[str, nn.Module] = {}
        bodies: dict[str, Any] = {}
        if options.streams != "lfs":
            bands = _bands(side, options.code)
            heads["fad"] = BandSplit(side, bands, with_start)
            bodies["fad"] = Xception(3 * len(bands), 2, options.width)
        if options.streams != "fad":
            heads["lfs"] = LocalStatistics(with_start)
            bodies["lfs"] = Xception(LEVELS, 1, options.width)
        self.heads, self.bodies = nn.ModuleDict(heads), nn.ModuleDict(bodies)
        mixed = options.streams == "mixed"
        one = next(iter(bodies.values()))
        widths = (one.block7.rep[-1].num_features, one.conv3.conv1.in_channels) if mixed else ()
        self.mixes = nn.ModuleList(Mix(channels) for channels in widths)
        self.dropout = nn.Dropout(0.2)
        self.fc = nn.Linear(one.features * len(bodies), outputs)

    def forward(self, values: Tensor) -> Tensor:
        """(B, 3, S, S) in [-1, 1] -> (B, outputs)."""
        bodies: list[Any] = list(self.bodies.values())
        views = [head(values).contiguous() for head in self.heads.values()]
        streams = self._mixed(0, [body.to_block7(view) for body, view in zip(bodies, views, strict=True)])
        streams = self._mixed(1, [body.to_block12(part) for body, part in zip(bodies, streams, strict=True)])
        features = [body.to_end(part) for body, part in zip(bodies, streams, strict=True)]
        answers: Tensor = self.fc(self.dropout(torch.cat(features, 1)))
        return answers

    def _mixed(self, number: int, streams: list[Tensor]) -> list[Tensor]:
        return self.mixes[number](streams) if self.mixes else streams


class F3Detector(Detector):
    """F3-Net on pixels in [-1, 1]."""

    net: F3Net

    def __init__(self, net: F3Net, *rest: Any) -> None:
        super().__init__(net, *rest)
        # Training with channels last and several threads corrupts memory on CPUs (seen with torch 2.15).
        self.net.to(memory_format=torch.contiguous_format)

    def begin_from(self, state: Mapping[str, Tensor], where: str) -> None:
        """Weights of the whole network, or those of an Xception on pixels for each of its streams.

        The filters of such a one's first convolution are repeated for the channels that a stream has, and
        divided by how often.
        """
        if any(name.startswith("bodies.") for name in state):
            return super().begin_from(state, where)
        body = {name: value for name, value in state.items() if not name.startswith("fc.")}
        streams: list[Any] = list(self.net.bodies.values())
        for stream in streams:
            if "conv1.weight" in state:
                times = stream.conv1.in_channels // 3
                body["conv1.weight"] = state["conv1.weight"].repeat(1, times, 1, 1) / times
            load_into(stream, body, where)
        return None


def check(spec: Judge, options: Options, where: str) -> None:
    """Refuse another network than Xception, ImageNet weights for another width than theirs, and a crop at
    which the streams differ in size where they mix.
    """
    if (spec.model or MODEL).partition(".")[0] != MODEL:
        raise AssayError(f"{where}.model: f3net is made from {MODEL}, not {spec.model}; leave it out")
    if spec.weights == TIMM and options.width != 1:
        raise AssayError(
            f"{where}.options.width is {options.width}: timm has weights for a width of 1.0 only; "
            "leave it out, or start with `weights: none`"
        )
    if options.streams == "mixed" and not _meet(spec.crop):
        near = min(filter(_meet, range(16, 2 * spec.crop)), key=lambda crop: abs(crop - spec.crop))
        raise AssayError(
            f"{where}.crop is {spec.crop}: the two streams of f3net then differ in size where they mix; "
            f"near to it: {near} (the authors' is 299)"
        )


def build(spec: Judge, options: Options, outputs: int, where: str) -> F3Detector:
    """F3-Net for pictures of side `spec.crop`, with one output a class."""
    net = F3Net(spec.crop, 2 if outputs == 1 else outputs, options)
    return F3Detector(net, *normalisation(spec.view.normalise or "half", None), outputs)


def _bands(side: int, code: str) -> list[tuple[float, float]]:
    """Low, middle, high and all frequencies of a picture: rows + columns go up to 2 * side - 2."""
    if code == "yyk-wew":
        return [(0, side // 2.82), (side // 2.82, side // 2), (side // 2, 2 * side), (0, 2 * side)]
    return [(0, side // 16), (side // 16, side // 8), (side // 8, side), (0, 2 * side)]


def _meet(crop: int) -> bool:
    """Whether both streams have the same size after block 7, which halves three times, rounding up."""
    bands = (crop - 3) // 2 + 1 - 2
    statistics = (crop - 2) // 2 + 1 - 2 - 2
    return -(-bands // 8) == -(-statistics // 8)
