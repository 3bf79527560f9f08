"""One phase of a training, epoch by epoch: steps, val, what is kept."""

import contextlib
import copy
import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, NamedTuple

import torch
from torch import Tensor

from assets.errors import AssayError
from assets.progress import say
from assets.seeds import derive_seed, rng
from models.detectors.detector import Phase, own_state
from models.detectors.training.averaging import Average, in_place_of, load_part
from models.detectors.training.consistency import plain_state, split_batch_norms
from models.detectors.training.course import Course, Interrupted
from models.detectors.training.mixing import mixed
from models.detectors.training.objective import Objective, precision_of, targets_of
from models.detectors.training.optimization import Patience, learning_rate, optimizer_for
from models.detectors.training.sampling import Origin, Picked, epoch_batches, epoch_images
from models.detectors.training.validation import val_loader, val_metrics, validate
from models.detectors.training.views import TrainView, joined
from models.loader import Loader, chunks

EPOCH_SECONDS = 20.0
"""The end of an epoch is kept when so long has passed since something was: less is soon done again."""
STEP_SECONDS = 300.0
"""The same within an epoch."""
GPU_STEPS = 16
"""Steps that a GPU may be ahead of the check of their losses."""


class _Step(NamedTuple):
    """A step whose loss has not been looked at yet."""

    images: list[str]
    """This process's part."""
    rate: float
    loss: Tensor
    """Summed over these images."""
    norm: Tensor
    """Of the gradient."""


def images_an_epoch(course: Course, phase: Phase) -> int:
    """Images that one epoch of a phase shows."""
    sources = course.examples.sources(phase.reals)
    return len(epoch_images(sources, 0, course.origin, phase.spec.recipe.repeats))


def begin(course: Course, phase: Phase, number: int) -> Origin:
    """Bring the detector to the beginning of phase `number`; returns what its random choices derive from."""
    origin = course.origin if number == 0 else (*course.origin, phase.name)
    torch.manual_seed(derive_seed(*origin, "begin"))
    phase.begin()
    course.detector.to(course.processes.device)  # also what it has made now
    return origin


class Part:
    """A phase that is trained: where it stands, and how it goes on."""

    def __init__(self, course: Course, phase: Phase, number: int) -> None:
        """Begin phase `number`.

        Raises:
            AssayError: nothing of the network is trained in it, a recipe that cannot be read or done here.
        """
        self.course, self.phase, self.number = course, phase, number
        self.spec, self.recipe, self.processes = phase.spec, phase.spec.recipe, course.processes
        self.origin = begin(course, phase, number)
        pictures = course.examples.pictures
        self.load = Loader(TrainView(pictures, self.spec, self.origin, course.where), joined)
        self.load_val = val_loader(self.spec, pictures)
        self.plain_net = course.detector.net
        course.detector.net = self._net_to_train()
        self.parameters = [part for part in course.detector.parameters() if part.requires_grad]
        if not self.parameters:
            raise AssayError(f"{course.where}: no weight is trained in the phase '{phase.name}'")
        precision = precision_of(self.recipe, self.processes.device, course.where)
        self.objective = self.processes.joined(Objective(course.detector, phase, precision))
        self.optimizer = optimizer_for(self.spec, self.parameters)
        self.scaler = torch.amp.GradScaler(self.processes.device.type, enabled=precision is torch.float16)
        self.average = Average(self._own(), self.recipe.ema) if self.recipe.ema else None
        self.patience = Patience()
        self.best: dict[str, Tensor] | None = None
        self.epoch = self.steps = 0
        self.loss = 0.0
        """Summed over the images of this epoch so far."""
        self._unseen: list[_Step] = []

    def run(self) -> None:
        """Train to the end of the phase; the detector has the weights that are kept."""
        while self.epoch < self.spec.epochs and not self.patience.over:
            self.train_epoch()
            self._end_epoch()
        self._finish()

    def restore(self, saved: dict[str, Any]) -> None:
        """Go on from what `_state` gave."""
        load_part(self.course.detector.net, saved["net"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.scaler.load_state_dict(saved["scaler"])
        if self.average is not None:
            self.average.restore(saved["average"], saved["average_steps"])
        self.patience, self.best = Patience(**saved["patience"]), saved["best"]
        self.epoch, self.steps, self.loss = saved["epoch"], saved["steps"], saved["loss"]
        self.course.restore_random(saved)

    def _state(self) -> dict[str, Any]:
        return {
            "phase": self.number,
            "epoch": self.epoch,
            "steps": self.steps,
            "loss": self.loss,
            "net": self._own(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": self._averaged(),
            "average_steps": self.average.steps if self.average else 0,
            "patience": asdict(self.patience),
            "best": self.best,
        }

    def _own(self) -> dict[str, Tensor]:
        """The weights and statistics that training may change."""
        return own_state(self.course.detector, started=True)

    def _averaged(self) -> dict[str, Tensor] | None:
        """The running average of what `_own` gives, where the recipe has one."""
        return self.average.state if self.average else None

    def _net_to_train(self) -> torch.nn.Module:
        """The network, or a copy whose batch norms are split or span the processes."""
        if self.recipe.splits == 1 and self.processes.count == 1:
            return self.plain_net
        net = copy.deepcopy(self.plain_net)
        if self.recipe.splits > 1:
            net = split_batch_norms(net, self.recipe.splits)
        return self.processes.with_shared_norms(net)

    def train_epoch(self) -> None:
        """The steps of this epoch that are still to be done."""
        if self.steps == 0:
            apart = (self.processes.rank,) if self.processes.rank else ()
            torch.manual_seed(derive_seed(*self.origin, self.epoch, *apart))  # for networks with dropout
            self.loss = 0.0
        groups = self._groups()
        pixels = self._loaded(groups[self.steps :])
        for group in groups[self.steps :]:
            rate = self.patience.factor * learning_rate(
                self.spec, self.epoch * len(groups) + self.steps, len(groups)
            )
            self._step(group, pixels, rate)
            self.steps += 1
            self.course.bar.update(sum(map(len, group)))
            ahead = GPU_STEPS if self.processes.device.type == "cuda" else 1
            if len(self._unseen) >= ahead or self.steps == len(groups):
                self._look_back()

    def _groups(self) -> list[Any]:
        """The batches of this epoch, in groups of those that make one step."""
        sources = self.course.examples.sources(self.phase.reals)
        picked = epoch_images(sources, self.epoch, self.origin, self.recipe.repeats)
        batches = epoch_batches(picked, self.spec.batch)
        if (least := min(map(len, batches))) < 2 * self.processes.count > 2:
            raise AssayError(
                f"{self.course.where}: a batch of {least} images is too small for {self.processes.count} "
                "processes, two images each at least; name fewer devices"
            )
        return list(chunks(batches, self.recipe.accumulate))

    def _loaded(self, groups: list[list[list[Picked]]]) -> Iterator[Tensor]:
        """This process's pixels (V * B, 3, S, S) of every batch."""
        batches = [self.processes.share(batch) for group in groups for batch in group]
        keys = [[(self.epoch, copy_, image) for copy_, image in batch] for batch in batches]
        return self.load(keys)

    def _step(self, group: list[list[Picked]], pixels: Iterator[Tensor], rate: float) -> None:
        """One step of the optimizer on the batches of `group`."""
        self.objective.train()
        for part in self.optimizer.param_groups:
            part["lr"] = rate
        self.optimizer.zero_grad()
        whole = sum(map(len, group))
        images: list[str] = []
        loss = torch.zeros((), device=self.processes.device)
        for index, batch in enumerate(group):
            mine = [image for _, image in self.processes.share(batch)]
            seen, classes, targets = self._batch(mine, next(pixels), index)
            last = index == len(group) - 1
            with contextlib.nullcontext() if last else self.processes.apart(self.objective):
                mean = self.objective(seen, classes, targets)
                # gradients are averaged over processes, and the mean is over all images of the group
                self.scaler.scale(mean * (len(mine) * self.processes.count / whole)).backward()
            loss += mean.detach() * len(mine)
            images += mine
        self.scaler.unscale_(self.optimizer)
        gradients = [part.grad for part in self.parameters if part.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        if self.recipe.clip is not None:
            torch.nn.utils.clip_grads_with_norm_(self.parameters, self.recipe.clip, norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.average is not None:
            self.average.update(self._own())
        self._unseen.append(_Step(images, rate, loss, norm))

    def _batch(self, images: list[str], pixels: Tensor, index: int) -> tuple[Tensor, Tensor, Tensor]:
        """Pixels, classes and targets of a batch on the device, mixed if the recipe says so."""
        device, train = self.processes.device, self.course.examples.train
        seen = pixels.to(device, non_blocking=True)
        classes = torch.tensor([train[image] for image in images], device=device)
        targets = targets_of(self.course.detector, classes, self.recipe.smoothing)
        if self.recipe.mixup or self.recipe.cutmix:
            random = rng(*self.origin, "mix", self.epoch, self.steps, index, self.processes.rank)
            seen, targets = mixed(seen.float(), targets, self.recipe, random)
        return seen, classes, targets

    def _look_back(self) -> None:
        """Look at the losses of the last steps; keep where the training stands if it is time.

        Raises:
            AssayError: one is not finite.
            Interrupted: after Ctrl-C.
        """
        course, loss, problem = self.course, 0.0, ""
        for step in self._unseen:
            problem = problem or self._problem(step)
            loss += float(step.loss)
        self._unseen.clear()
        asked = (float(bool(problem)), float(course.due(STEP_SECONDS)), float(course.interrupt.asked))
        total = self.processes.total(torch.tensor([loss, *asked], dtype=torch.float64))
        loss, bad, due, interrupted = total.tolist()
        if bad:
            raise AssayError(next(filter(None, self.processes.gathered(problem))))
        self.loss += loss
        if due or interrupted:
            course.keep(self._state())
        if interrupted:
            if self.processes.first:
                say(f"{course.label}: stopped; started again, it goes on from here")
            raise Interrupted

    def _problem(self, step: _Step) -> str:
        """What is wrong with a step that has been done; empty if nothing."""
        what, value = "loss", float(step.loss)
        if math.isfinite(value):
            what, value = "gradient", float(step.norm)
            # float16 overflows now and then: the scaler leaves such a step out and scales less
            if math.isfinite(value) or (self.scaler.is_enabled() and self.scaler.get_scale() >= 1):
                return ""
        where = self.course.where
        return (
            f"{where}: the {what} became {value} in epoch {self.epoch + 1} at a learning rate of "
            f"{step.rate:g}: lower {where}.lr. Images of this batch: {', '.join(step.images)}"
        )

    def _end_epoch(self) -> None:
        """Judge the epoch on val, note it, and keep where the training stands."""
        course = self.course
        self.processes.equal_buffers(course.detector.net)
        found: dict[str, float | None] = dict.fromkeys(("val_loss", "val_auroc", "val_accuracy"))
        if self.phase.scored:
            with in_place_of(course.detector.net, self._averaged()):
                judged = validate(
                    course.detector, self.spec, course.examples, self.processes, course.where, self.load_val
                )
            found.update(val_metrics(*judged))
        loss = self.loss / images_an_epoch(course, self.phase)
        rate = self.optimizer.param_groups[0]["lr"]
        self.epoch, self.steps = self.epoch + 1, 0
        course.log({"phase": self.phase.name, "epoch": self.epoch, "loss": loss, **found, "lr": rate})
        if self.patience.after(self.epoch, self._score(loss, found), self.spec) and self.recipe.stop:
            kept = self._averaged() or self._own()
            self.best = {name: value.detach().cpu().clone() for name, value in kept.items()}
        if self.processes.gathered(course.due(EPOCH_SECONDS))[0]:
            course.keep(self._state())

    def _score(self, loss: float, found: dict[str, float | None]) -> float:
        """What `recipe.monitor` looks at, more being better; without val it is the training loss."""
        value = found[f"val_{self.recipe.monitor}"]
        if value is None:
            return -loss
        return -value if self.recipe.monitor == "loss" else value

    def _finish(self) -> None:
        """Give the detector the weights that are kept, under the plain network's names."""
        detector = self.course.detector
        kept = self.best or self._averaged()
        if kept:
            load_part(detector.net, kept)
        if detector.net is not self.plain_net:
            load_part(self.plain_net, plain_state(detector.net.state_dict()))
            detector.net = self.plain_net
        best = self.patience.epoch if self.best else self.epoch
        self.course.phases.append({"name": self.phase.name, "epochs": self.epoch, "kept": best})
