"""How long the stages of a plan take, and how much disk they fill: measured here, by the cards, or given.

A figure that nobody measured is a rough one, right within a factor of two or so; every estimate says what
it comes from.
"""

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from assets.dag import Dag, Stage, load_dag
from assets.detection import Judge, Sample
from assets.errors import AssayError
from assets.files import write_text
from assets.images.prepared import preparation
from assets.params import Fit, Generator, Params, load_params
from assets.yaml12 import PARAMS_YAML
from flows.planning.counts import Counts, rows, trained_spec
from flows.running.dvc import WORKSPACE
from models.generators.card import Card, card_of
from models.generators.options import OPTIONS

Basis = Literal["measured", "card", "given"]
_SECONDS = WORKSPACE / "seconds.json"
_RATES = WORKSPACE / "rates.json"
_LONG = 60.0
"""Seconds from which on starting up hardly counts, so that a stage's time can be scaled by its images."""
_ALIKE = 3
"""Stages of one family whose images differ by less than this factor take about as long."""

GIVEN = {
    "collect": 0.010,
    "generate": 0.001,  # an imported set, whose shards are linked
    "dedupe": 0.001,
    "split": 0.0002,
    "audit": 0.002,
    "spectrum": 0.012,
    "pool": 0.0001,  # more where pictures are prepared
    "gallery": 0.02,
    "degrade": 0.025,
    "train": 1 / 500,
    "adopt": 1 / 1000,
    "evaluate": 1 / 1000,
    "attribute": 1 / 1000,
}
"""Seconds an image (`flows.planning.counts`), on one core or one A100-like GPU; detectors at 224 pixels."""

_PREPARING = 0.03
"""Seconds to bring one picture of a sample into another form."""
_POINTING = 30.0
"""Seconds to pin weights that are used as they are: they are hashed."""
_REAL_BYTES = 110_000
_REAL_SIDE = 433
"""Of a photograph in ImageNet: mean bytes of the JPEG, and the side of a square of as many pixels."""
_WEIGHTS = 100_000_000
"""Bytes of a trained detector of ResNet-50's size."""
_PNG, _JPEG = 3.0, 0.2
"""Bytes a pixel: of a PNG as assets/images/picture.py stores it, not compressed, and of a lossy file."""
_LOSSY = ("jpeg", "webp", "avif")
_ROW = {"pool": 150, "dedupe": 150, "split": 200, "evaluate": 12, "attribute": 60}
"""Bytes a row of the tables that these stages write."""


@dataclass(frozen=True)
class Estimate:
    """What a stage costs."""

    seconds: float | None
    basis: Basis | None
    """What `seconds` comes from; None with it."""
    disk: int | None
    """Bytes that it writes; None where nobody knows."""


class Estimates:
    """Estimates for the stages of one benchmark."""

    def __init__(self, root: Path, params: Params, counts: Counts) -> None:
        self._root = root
        self._params = params
        self._counts = counts
        self._seconds: dict[str, float] = read_json(root / _SECONDS)
        self._rates: dict[str, dict[str, Any]] = read_json(root / _RATES)

    def of(self, stage: Stage, images: int | None) -> Estimate:
        """What one stage costs."""
        seconds, basis = self._time(stage, images)
        return Estimate(None if seconds is None else round(seconds, 2), basis, self._disk(stage, images))

    @cached_property
    def cards(self) -> dict[str, Card]:
        """The card of every generator that has one."""
        found = {
            name: card_of(name, spec, self._params.fit) for name, spec in self._params.generators.items()
        }
        return {name: pair[1] for name, pair in found.items() if pair is not None}

    def _time(self, stage: Stage, images: int | None) -> tuple[float | None, Basis | None]:
        measured = self._measured(stage, images)
        if measured is not None:
            return measured, "measured"
        if stage.family == "fit":  # what is trained here takes what it took before
            kind = OPTIONS.get(self._params.fit[stage.item["key"]].kind)
            return (_POINTING, "given") if kind and kind.reals != "pixels" else (None, None)
        if images is None:
            return None, None
        if stage.family == "generate" and self._params.generators[stage.item["key"]].drawn:
            rate = self._card_rate(stage.item["key"])
            return (None, None) if rate is None else (rate * images, "card")
        if stage.family not in GIVEN:
            return None, None
        if stage.family == "pool" and any(preparation(self._sample(stage))):
            return _PREPARING * images, "given"
        return GIVEN[stage.family] * images * self._work(stage), "given"

    def _measured(self, stage: Stage, images: int | None) -> float | None:
        """From this stage's last time here, or else from those of its family that are like it."""
        settings = settings_of(stage, self._params)
        own = self._scaled(stage.name, images, settings)
        if own is not None:
            return own
        kin = (
            self._scaled(name, images, settings) for name in self._seconds if _family(name) == stage.family
        )
        alike = [took for took in kin if took is not None]
        return sum(alike) / len(alike) if alike else None

    def _scaled(self, name: str, images: int | None, settings: str) -> float | None:
        """What so many images would have taken in a stage that ran here; None if that says nothing."""
        took, known = self._seconds.get(name), self._rates.get(name)
        if took is None or known is None:
            return took
        if known["settings"] != settings:
            return None
        if not images or not known["images"]:
            return took
        ratio = images / known["images"]
        if took >= _LONG:
            return took * ratio
        return took if 1 / _ALIKE < ratio < _ALIKE else None

    def _card_rate(self, name: str) -> float | None:
        """Seconds an image by the card, for this many steps and pixels."""
        card, spec = self.cards.get(name), self._params.generators[name]
        fit = self._params.fit[spec.from_.removeprefix("artifacts/fit/")]
        if fit.kind == "api" and fit.options.get("per_minute"):
            return 60 / float(fit.options["per_minute"])
        if card is None or card.fit is None or card.rate is None or card.fit.kind != fit.kind:
            return None
        ours, theirs = spec.sampler, card.sampler
        steps = ours.steps / theirs.steps if ours.steps and theirs.steps else 1.0
        return card.rate.seconds_per_image * steps * self._pixels(name, card) / card.side**2

    def _work(self, stage: Stage) -> float:
        """How much more a detector has to do than one at 224 pixels."""
        found = _judges_of(stage, self._params)
        return sum((one.crop / 224) ** 2 for one in found) / len(found) if found else 1.0

    def _disk(self, stage: Stage, images: int | None) -> int | None:
        if stage.family == "train":
            return _WEIGHTS
        if stage.family in ("fit", "audit", "spectrum", "gallery", "start", "adopt", "report"):
            return 0
        if images is None:
            return None
        if stage.family == "pool":
            return images * _ROW["pool"] + self._prepared(stage, images)
        if stage.family in _ROW:
            return images * _ROW[stage.family]
        if stage.family == "collect":
            return images * self._real_bytes(stage.item["key"])
        name = stage.item.get("key", "real")
        if stage.family == "generate":
            each = self._bytes(name)
            return None if each is None else round(images * each)
        recipes = [self._params.recipe(condition, int(name != "real")) for condition in self._params.degrade]
        degraded = [_degraded(recipe, self._pixels_of(name), name) for recipe in recipes]
        return round(images * sum(degraded) / len(degraded)) if degraded else 0

    def _sample(self, stage: Stage) -> Sample | None:
        """The sample that a stage pools; None for a set."""
        return self._params.train.samples.get(stage.item["key"])

    def _prepared(self, stage: Stage, images: int) -> int:
        """Bytes of the pictures that a sample prepares, half of them real; 0 where it prepares none."""
        recipes = preparation(self._sample(stage))
        if not any(recipes):
            return 0
        members = self._params.pooled[stage.item["key"]]
        real = _degraded(recipes[0], self._real_pixels(), "real")
        generated = [_degraded(recipes[1], self._pixels_of(name), name) for name in members]
        return round(images * (real + sum(generated) / len(generated)) / 2)

    def _pixels_of(self, item: str) -> float:
        """Of an image of a generator or of `real`."""
        return self._real_pixels() if item == "real" else self._pixels(item, self.cards.get(item))

    def _bytes(self, name: str) -> float | None:
        """Of an image of a generator: as there are, or as its card says."""
        spec = self._params.generators[name]
        folder = Path("artifacts/generate") / name if spec.drawn else Path(spec.from_)
        if (there := mean_bytes(self._root / folder)) is not None:
            return there
        card = self.cards.get(name)
        if spec.drawn and _fit_of(spec, self._params).kind != "api":
            return self._pixels(name, card) * _PNG
        return None if card is None else card.bytes_per_image * self._pixels(name, card) / card.side**2

    def _pixels(self, name: str, card: Card | None) -> float:
        """Of an image of a generator."""
        sampler = self._params.generators[name].sampler
        side = card.side if card is not None else 256
        return float((sampler.height or side) * (sampler.width or side))

    def _real_bytes(self, source: str) -> int:
        spec = self._params.real[source]
        if spec.crop is not None:
            return round(spec.crop**2 * _PNG)
        return round(mean_bytes(self._root / spec.from_) or _REAL_BYTES)

    def _real_pixels(self) -> float:
        crops = [spec.crop or _REAL_SIDE for spec in self._params.real.values()]
        return sum(crop**2 for crop in crops) / len(crops)


def record_seconds(root: Path, stage: str, seconds: float) -> None:
    """Remember how long a stage took and for how many images, for the next plan's estimate."""
    _remember(root / _SECONDS, stage, seconds)
    with suppress(AssayError):  # params.yaml was changed meanwhile: the time alone is worth keeping
        params = load_params(root / PARAMS_YAML)
        found: Dag = load_dag(root)
        images = Counts(root, params).of(found[stage])
        _remember(root / _RATES, stage, {"images": images, "settings": settings_of(found[stage], params)})


def settings_of(stage: Stage, params: Params) -> str:
    """A short hash of what decides how long one image takes in a stage."""
    deciding: list[Any] = []
    if stage.family == "generate":
        spec = params.generators[stage.item["key"]]
        deciding = [_fit_of(spec, params), spec.sampler] if spec.drawn else ["imported"]
    elif stage.family == "fit":
        deciding = [params.fit[stage.item["key"]]]
    elif found := _judges_of(stage, params):
        deciding = list(found)
    elif stage.family == "degrade":
        deciding = [*params.degrade.values()]
    elif stage.family == "pool":
        deciding = [*preparation(params.train.samples.get(stage.item["key"]))]
    elif stage.family in ("spectrum", "gallery"):
        deciding = [getattr(params, stage.family)]
    plain = [one if isinstance(one, str) else one.model_dump(mode="json") for one in deciding]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]


def mean_bytes(folder: Path) -> float | None:
    """Of an image in a set that is there, from the sizes of its shards."""
    images = rows(folder)
    shards = [path.stat().st_size for path in folder.glob("*.tar")]
    return sum(shards) / images if images and shards else None


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object that we wrote; {} if there is none to read."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _fit_of(spec: Generator, params: Params) -> Fit:
    return params.fit[spec.from_.removeprefix("artifacts/fit/")]


def _judges_of(stage: Stage, params: Params) -> Sequence[Judge]:
    """Those that a stage trains or asks; none where it has nothing to do with them."""
    if stage.family == "train":
        return [trained_spec(stage, params)]
    if stage.family == "adopt":
        return [params.given[stage.item["key"]]]
    if stage.family in ("evaluate", "attribute"):
        named = stage.item.get("detector") or stage.item.get("key")
        return [params.judges[named]] if named in params.judges else list(params.detectors.values())
    return []


def _degraded(recipe: str, pixels: float, item: str) -> float:
    """Bytes of a picture of so many pixels after a recipe; an empty one leaves the file as it is."""
    from assets.images.degradations import parse  # loads the image code

    each = _PNG if recipe or item != "real" else _JPEG
    for step in parse(recipe, "degrade").operations():
        if step.name in ("square", "to", "zoom"):
            pixels = ((step.low + step.high) / 2) ** 2
        elif step.name in ("resize", "crop", "centre"):
            mean = (step.low + step.high) / 2
            absolute = isinstance(step.low, int)
            pixels = min(pixels, 1.3 * mean**2) if absolute else pixels * mean**2
        each = _JPEG if step.name in _LOSSY else _PNG
    return each * pixels


def _remember(path: Path, stage: str, value: Any) -> None:
    known = {**read_json(path), stage: value}
    write_text(path, json.dumps(known, indent=0, sort_keys=True))


def _family(name: str) -> str:
    return name.partition("@")[0].partition("-")[0]
