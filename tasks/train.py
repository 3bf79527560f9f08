"""Training one detector on one generator's images against real ones."""

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import timm
import torch

from assets import metrics
from assets.degradations import Recipe, parse
from assets.detection import NONE
from assets.detection import Detector as Spec
from assets.errors import AssayError, did_you_mean
from assets.files import sha256_of, write_json, write_text
from assets.items import image_folders
from assets.loader import Pictures, read_side
from assets.machine import device, make_repeatable
from assets.params import REAL, Params, load_params
from assets.picture import PictureError
from assets.progress import counter
from assets.seeds import derive_seed, rng
from models import detectors
from models.detectors.detector import Detector, save_weights, weights_digest
from models.detectors.inputs import prepare
from models.detectors.scoring import score_images
from models.detectors.trained import CARD, LOG, WEIGHTS, start_file, trained_folder
from models.loader import load_batches
from tasks.command import arguments_for, run_stage

CLASSES = ("real", "generated")
"""In the order of their labels, 0 and 1."""
WARM_UP = 0.1
"""Share of all steps over which the learning rate rises."""


class Side(NamedTuple):
    """The images of one side of the split that can be used."""

    images: dict[str, int]
    """id -> label, sorted by id."""
    unreadable: list[int]
    """Images that are left out because they cannot be decoded, a class."""

    def of(self, label: int) -> list[str]:
        """Ids of one class."""
        return [image for image, found in self.images.items() if found == label]


def train(root: Path, params: Params, trained_on: str, name: str, seed: int) -> None:
    """Train the detector `name` and write artifacts/train/`trained_on`/`name`-s`seed`.

    weights.safetensors: the network after the last epoch, under timm's names. card.json: `detector`,
    `trained_on`, `seed`, `spec`, `weights` (SHA-256 of the file), `threshold` (logits; best balanced
    accuracy on val), `images` and `unreadable` (a side and class), `val` (metrics), `start` (digest of
    the weights before the first step), `versions`. log.csv: one line an epoch.

    An epoch sees every image of the rarer class once and as many of the other, which goes on where the
    last epoch ended; so each batch is half real, half generated. What is done to an image depends on
    the seeds, the epoch and its id.

    With `split.reals` other than `all`, the real images are those that the generated ones are paired with.

    Raises:
        AssayError: a class or a side without images, starting weights that cannot be had, a loss that
            is not finite.
    """
    make_repeatable()
    spec = params.detectors[name]
    where = f"detectors.{name}"
    origin: Origin = (params.seed, "train", trained_on, name, seed)
    augment = parse(spec.augment, f"{where}.augment")
    both = (REAL, trained_on)
    pictures = Pictures([folder for item in both for folder in image_folders(root, params, item)])
    only_paired = params.split.reals != "all"
    sides = {side: _side(root, trained_on, side, pictures, only_paired) for side in ("train", "val")}
    detector = detectors.build(
        spec, derive_seed(*origin, "start"), where, start=start_file(root, name, spec)
    ).to(device())
    start = weights_digest(detector)
    pictures.keep([image for side in sides.values() for image in side.images])
    view = TrainView(pictures, spec.crop, augment, origin)
    training = _Training(detector, spec, sides, view, where)
    log = training.run()
    judged = _judged(*training.validate())
    folder = trained_folder(root, trained_on, name, seed)
    save_weights(detector, folder / WEIGHTS, started=spec.weights != NONE)
    write_text(folder / LOG, _csv(log))
    card = {
        "detector": name,
        "trained_on": trained_on,
        "seed": seed,
        "spec": spec.model_dump(),
        "weights": sha256_of(folder / WEIGHTS),
        **judged,
        "images": {side: _by_class([len(found.of(0)), len(found.of(1))]) for side, found in sides.items()},
        "unreadable": {side: _by_class(found.unreadable) for side, found in sides.items()},
        "start": start,
        "versions": {"torch": torch.__version__, "timm": timm.__version__},
    }
    write_json(folder / CARD, card)  # last: a folder with a card is complete


Origin = tuple[str | int, ...]
"""What all random choices of one training derive from."""


@dataclass(frozen=True)
class TrainView:
    """An image as one epoch sees it: degraded, cropped, perhaps mirrored; safe to hand to workers."""

    pictures: Pictures
    crop: int
    augment: Recipe
    origin: Origin

    def __call__(self, key: tuple[int, str]) -> np.ndarray:
        """(epoch, image id) -> (3, crop, crop) uint8."""
        epoch, image = key
        random = rng(*self.origin, epoch, image)
        try:
            pixels = self.augment.apply(self.pictures.pixels(image), random)
        except PictureError as error:
            raise AssayError(f"the augmentation {self.augment} cannot be done to {image}: {error}") from None
        if random.random() < 0.5:
            pixels = pixels[:, ::-1]
        return prepare(pixels, self.crop, random=random)


def joined(crops: list[np.ndarray]) -> torch.Tensor:
    """Crops of one size as one batch (B, 3, S, S) uint8."""
    return torch.from_numpy(np.stack(crops))


def epoch_images(sides: tuple[list[str], list[str]], epoch: int, origin: Origin) -> list[str]:
    """The images of one epoch in order: real and generated in turn, as many of each as the rarer has.

    A class is gone through in a new random order each time; the more frequent one goes on in the next
    epoch where this one ends.
    """
    count = min(map(len, sides))
    turns = []
    for label, ids in enumerate(sides):
        first, last = epoch * count, (epoch + 1) * count
        rounds = range(first // len(ids), -(-last // len(ids)))
        dealt = [str(name) for turn in rounds for name in rng(*origin, "order", label, turn).permutation(ids)]
        skipped = rounds.start * len(ids)
        turns.append(dealt[first - skipped : last - skipped])
    return [image for pair in zip(*turns, strict=True) for image in pair]


def epoch_batches(images: list[str], most: int) -> list[list[str]]:
    """Cut an epoch into batches of at most `most` images, no two differing by more than one in length.

    Equal lengths, because batch normalisation cannot work on a single image left over.
    """
    pieces = np.array_split(np.arange(len(images)), math.ceil(len(images) / most))
    return [[images[index] for index in piece] for piece in pieces]


def learning_rate(step: int, steps: int, peak: float) -> float:
    """Of step 0 <= `step` < `steps`: a linear rise over the first tenth, then half a cosine down to 0."""
    rising = max(1, round(WARM_UP * steps))
    if step < rising:
        return peak * (step + 1) / rising
    return peak * 0.5 * (1 + math.cos(math.pi * (step - rising + 1) / (steps - rising + 1)))


@dataclass
class _Training:
    """One training under way."""

    detector: Detector
    spec: Spec
    sides: dict[str, Side]
    view: TrainView
    where: str
    """The detector's place in the parameters, for messages."""

    def __post_init__(self) -> None:
        rate, decay = self.spec.lr, self.spec.weight_decay
        self.optimizer = torch.optim.AdamW(self.detector.parameters(), lr=rate, weight_decay=decay)
        self.classes = (self.sides["train"].of(0), self.sides["train"].of(1))
        self.images = 2 * min(map(len, self.classes))
        """Images an epoch."""

    def run(self) -> list[dict[str, float]]:
        """Train for all epochs; one line of the log an epoch."""
        log = []
        label = f"train {'/'.join(map(str, self.view.origin[2:]))}"
        with counter(label, self.spec.epochs * self.images) as bar:
            for epoch in range(self.spec.epochs):
                line = {"epoch": epoch + 1, **self._epoch(epoch, bar)}
                log.append(line)
                bar.set_postfix(loss=f"{line['loss']:.3f}", val_auroc=f"{line['val_auroc']:.3f}")
        return log

    def validate(self) -> tuple[np.ndarray, np.ndarray]:
        """Labels and logits (N,) of the val images.

        Raises:
            AssayError: a logit is not finite.
        """
        images = self.sides["val"].images
        (logits,) = score_images([(self.detector, self.spec)], self.view.pictures, list(images))
        bad = [image for image, logit in zip(images, logits, strict=True) if not math.isfinite(logit)]
        if bad:
            raise AssayError(
                f"{self.where}: the scores of {len(bad)} val images are not finite, first {bad[0]}: "
                f"lower {self.where}.lr"
            )
        return np.array(list(images.values())), logits

    def _epoch(self, epoch: int, bar: Any) -> dict[str, float]:
        origin = self.view.origin
        torch.manual_seed(derive_seed(*origin, epoch))  # for networks with dropout
        batches = epoch_batches(epoch_images(self.classes, epoch, origin), self.spec.batch)
        keys = [[(epoch, image) for image in batch] for batch in batches]
        loss = rate = 0.0
        for step, pixels in enumerate(load_batches(self.view, keys, joined)):
            rate = learning_rate(epoch * len(batches) + step, self.spec.epochs * len(batches), self.spec.lr)
            loss += self._step(batches[step], pixels, rate, epoch) * len(batches[step])
            bar.update(len(batches[step]))
        auroc = metrics.auroc(*self.validate())
        assert auroc is not None  # both classes are there
        return {"loss": loss / self.images, "val_auroc": auroc, "lr": rate}

    def _step(self, batch: list[str], pixels: torch.Tensor, rate: float, epoch: int) -> float:
        """One step on pixels (B, 3, S, S) uint8 of the images `batch`; returns the mean loss before it."""
        where = next(self.detector.parameters()).device
        truth = torch.tensor([float(self.sides["train"].images[image]) for image in batch], device=where)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.detector.train()
        mixed = where.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        with torch.autocast(where.type, torch.bfloat16, enabled=mixed):
            logits = self.detector(pixels.to(where))
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, truth)
        if not math.isfinite(value := loss.item()):
            raise AssayError(
                f"{self.where}: the loss became {value} in epoch {epoch + 1} at a learning rate of {rate:g}: "
                f"lower {self.where}.lr. Images of this batch: {', '.join(batch)}"
            )
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return value


def _side(root: Path, trained_on: str, side: str, pictures: Pictures, only_paired: bool) -> Side:
    """Real (all, or those that generated ones answer to) and generated images of one side, if readable."""
    tables = {item: read_side(root / "artifacts" / "split" / item, side) for item in (REAL, trained_on)}
    if only_paired:
        answered = tables[REAL]["id"].isin(tables[trained_on]["pair_id"])
        tables[REAL] = tables[REAL][answered]
    rows = pd.concat(tables.values()).sort_values("id", kind="stable")
    images: dict[str, int] = {}
    unreadable = [0, 0]
    for image, label in zip(rows["id"].astype(str), rows["label"].astype(int), strict=True):
        if pictures.reason(image) is None:
            images[image] = label
        else:
            unreadable[label] += 1
    found = Side(images, unreadable)
    paired = f" that images of {trained_on} are paired with (split.reals)" if only_paired else ""
    for label, item in enumerate((REAL, trained_on)):
        if not found.of(label):
            listed = int((rows["label"] == label).sum())
            raise AssayError(
                f"no {CLASSES[label]} image is left for {side}: artifacts/split/{item} has {listed} on that "
                f"side{paired * (1 - label)}, {unreadable[label]} of them unreadable. "
                "Import or generate more, or change the shares under 'split'"
            )
    return found


def _judged(labels: np.ndarray, logits: np.ndarray) -> dict[str, Any]:
    """The threshold that is best on val, and how good the detector is there."""
    threshold = metrics.best_threshold(labels, logits)
    assert threshold is not None  # both classes are there
    return {"threshold": threshold, "val": metrics.all_metrics(labels, logits, threshold)}


def _by_class(counts: list[int]) -> dict[str, int]:
    return dict(zip(CLASSES, counts, strict=True))


def _csv(log: list[dict[str, float]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(log[0]), lineterminator="\n")
    writer.writeheader()
    for line in log:
        writer.writerow({key: f"{value:.6g}" for key, value in line.items()})
    return text.getvalue()


def main(arguments: list[str]) -> None:
    """python -m tasks.train TRAINED_ON DETECTOR SEED"""
    trained_on, name, seed = arguments_for(arguments, "trained_on detector seed")
    params = load_params()
    if trained_on not in params.generators:
        raise AssayError(f"unknown generator '{trained_on}'; {did_you_mean(trained_on, params.generators)}")
    if name not in params.detectors:
        raise AssayError(f"unknown detector '{name}'; {did_you_mean(name, params.detectors)}")
    if seed not in map(str, params.train.seeds):
        raise AssayError(f"unknown seed '{seed}'; {did_you_mean(seed, map(str, params.train.seeds))}")
    train(Path(), params, trained_on, name, int(seed))


if __name__ == "__main__":
    run_stage(main)
