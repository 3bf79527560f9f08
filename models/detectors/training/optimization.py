"""The optimiser of a recipe, its learning rate in every step, and whether val still gets better."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from assets.detection import Detector as Spec


def optimizer_for(spec: Spec, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimiser that `spec.recipe` names, over these parameters."""
    recipe = spec.recipe
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            parameters,
            lr=spec.lr,
            momentum=recipe.momentum,
            dampening=recipe.dampening,
            weight_decay=spec.weight_decay,
            nesterov=recipe.nesterov,
        )
    kind = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.AdamW
    return kind(parameters, lr=spec.lr, weight_decay=spec.weight_decay, betas=recipe.betas)


def learning_rate(spec: Spec, step: int, per_epoch: int) -> float:
    """The rate of step 0 <= `step` < epochs x `per_epoch`, without what a plateau has taken off.

    A linear rise over the warm-up, then half a cosine down to the floor, or the peak.
    """
    recipe, peak, steps = spec.recipe, spec.lr, spec.epochs * per_epoch
    asked = recipe.warmup * (steps if recipe.warmup < 1 else per_epoch)
    rising = min(max(1, round(asked)), steps)
    if step < rising:
        return peak * (step + 1) / rising
    if recipe.schedule != "cosine":
        return peak
    falling = 0.5 * (1 + math.cos(math.pi * (step - rising + 1) / (steps - rising + 1)))
    return recipe.floor + (peak - recipe.floor) * falling


@dataclass
class Patience:
    """How val has gone so far: the best epoch, and what a plateau has done to the learning rate."""

    best: float = -math.inf
    """Highest score of an epoch."""
    epoch: int = 0
    """Which epoch that was, from 1; 0: none yet."""
    stale: int = 0
    """Epochs since then, or since the rate was last lowered."""
    factor: float = 1.0
    """What the learning rate is multiplied with."""
    over: bool = False
    """Whether the training ends here."""

    def after(self, epoch: int, score: float, spec: Spec) -> bool:
        """Take in the score of epoch `epoch` (from 1; more is better); returns whether it is the best.

        On a plateau the rate is divided by ten after `patience` epochs without a better score; a rate that
        would fall below the floor ends the training. With `stop` and another schedule the patience itself
        ends it; with both, the plateau alone does, and `stop` means that the best epoch is kept.
        """
        recipe = spec.recipe
        if score > self.best:
            self.best, self.epoch, self.stale = score, epoch, 0
            return True
        self.stale += 1
        if self.stale >= recipe.patience:
            if recipe.schedule == "plateau":
                self.factor, self.stale = self.factor / 10, 0
                self.over = spec.lr * self.factor < recipe.floor * (1 - 1e-9)
            else:
                self.over = recipe.stop
        return False
