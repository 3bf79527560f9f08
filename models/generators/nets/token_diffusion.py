"""Diffusion of tokens that turn into a mask or into each other (Gu et al. 2021, arXiv 2111.14822, section 4).

A token is one of K codes, or K: the mask. In a step a code stays with probability a + b, becomes any other
with b and the mask with c, where a + K b + c = 1; a mask stays. The chances for several steps have the same
form. A network guesses the clean codes; Bayes' rule makes from that guess and the present tokens the chances
of the tokens of fewer steps (equation 11), one step before or several (section 4.3, fast inference).
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

LEAST = -70.0
"""Log-probabilities end here."""


class Chances(NamedTuple):
    """Of a code between two times."""

    keeps: float
    """a: over what every code has."""
    turns: float
    """b: into one given code."""
    masked: float
    """c."""


class Schedule:
    """Of `steps` steps on `codes` codes; time 0 is clean, at time `steps` nearly all is masked."""

    def __init__(self, steps: int, codes: int) -> None:
        self.steps, self.codes = steps, codes
        self.keep = np.concatenate(([1.0], np.linspace(0.99999, 0.000009, steps)))
        self.mask = np.concatenate(([0.0], np.linspace(0.000009, 0.99999, steps)))

    def between(self, earlier: int, later: int) -> Chances:
        """The chances of a code at time `earlier` to be what at time `later`."""
        keeps = float(self.keep[later] / self.keep[earlier])
        masked = float(1 - (1 - self.mask[later]) / (1 - self.mask[earlier]))
        return Chances(keeps, max(0.0, (1 - keeps - masked) / self.codes), masked)

    def times(self, steps: int) -> list[int]:
        """From all noise to 0 in so many steps, as even as they can be."""
        return [self.steps - index * self.steps // steps for index in range(steps)] + [0]

    def tables(self) -> dict[str, Tensor]:
        """The eight tables of logarithms that checkpoints store, by their names there."""
        single = [self.between(time, time + 1) for time in range(self.steps)]
        total = [self.between(0, time + 1) for time in range(self.steps)] + [self.between(0, 0)]
        tables = {}
        with np.errstate(divide="ignore"):  # the logarithm of 0, of what cannot happen at time 0
            for name, chances in (("", single), ("cumprod_", total)):
                keeps, turns, masked = np.array(chances).T
                tables[f"log_{name}at"] = np.log(keeps)
                tables[f"log_{name}bt"] = np.log(turns)
                tables[f"log_{name}ct"] = np.log(masked)
                tables[f"log_1_min_{name}ct"] = np.log(1 - masked)
        return {name: torch.from_numpy(table).float() for name, table in tables.items()}


def earlier_chances(schedule: Schedule, clean: Tensor, tokens: Tensor, later: int, earlier: int) -> Tensor:
    """Log-probabilities (B, K + 1, L) of the tokens at time `earlier`, given a guess and those at `later`.

    Args:
        clean: log-probabilities (B, K, L) that the clean codes are guessed with.
        tokens: (B, L) at time `later`.
    """
    step, to_later = schedule.between(earlier, later), schedule.between(0, later)
    to_earlier = schedule.between(0, earlier)
    codes = torch.arange(schedule.codes, device=tokens.device)[None, :, None]
    same, masked = tokens[:, None] == codes, tokens[:, None] == schedule.codes
    ratio = clean - _log_chance(to_later, same, masked)
    total = ratio.logsumexp(1, keepdim=True)
    turned = clean.new_tensor(_log(to_earlier.turns))
    before = torch.logaddexp(ratio - total + _log(to_earlier.keeps), turned)
    found = before + _log_chance(step, same, masked) + total
    still = torch.where(masked, total + _log(to_earlier.masked), LEAST)
    return torch.cat([found, still], 1).clamp(LEAST, 0.0)


def truncated(chances: Tensor, share: float) -> Tensor:
    """Log-probabilities (B, K, L) of the likeliest codes that make up `share`; of all others, the least.

    The code that reaches the share is the last one to be kept.
    """
    ranked, order = chances.sort(1, descending=True)
    short = ranked.exp().cumsum(1) < share
    kept = torch.cat([torch.ones_like(short[:, :1]), short[:, :-1]], 1)
    return torch.where(torch.zeros_like(kept).scatter(1, order, kept), chances, LEAST)


def guided(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance on log-probabilities (Tang et al. 2022, arXiv 2205.16007, section 3.1)."""
    mixed = unconditional + scale * (conditional - unconditional)
    return mixed.log_softmax(1).clamp(LEAST, 0.0)


def drawn(chances: Tensor, uniform: Tensor) -> Tensor:
    """A token per place (B, L), drawn from log-probabilities by numbers in [0, 1), both (B, K + 1, L).

    The largest sum with Gumbel noise, as the authors have it: the same numbers, the same tokens.
    """
    gumbel = -torch.log(-torch.log(uniform + 1e-30) + 1e-30)
    return (chances + gumbel).argmax(1)


def _log_chance(chances: Chances, same: Tensor, masked: Tensor) -> Tensor:
    """Logarithm of the chance of every code to become the present token: (B, K, L)."""
    coded = torch.where(same, _log(chances.keeps + chances.turns), _log(chances.turns))
    return torch.where(masked, _log(chances.masked), coded)


def _log(value: float) -> float:
    return math.log(value) if value > 0 else -math.inf
