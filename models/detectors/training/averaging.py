"""The running average of a network's weights, which is often better than the last step's."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """Exponential moving average of a state dict, the statistics of batch norms included.

    In step t the decay is at most (1 + t) / (10 + t), so that a short training is not averaged with its
    random start; tf.train.ExponentialMovingAverage with `num_updates`.
    """

    def __init__(self, state: Mapping[str, Tensor], decay: float) -> None:
        self.state = {name: value.detach().clone() for name, value in state.items()}
        self.steps = 0
        self._decay = decay

    @torch.no_grad()
    def update(self, state: Mapping[str, Tensor]) -> None:
        """Take the weights after one more step into the average; what is not a float is copied."""
        self.steps += 1
        weight = 1 - min(self._decay, (1 + self.steps) / (10 + self.steps))
        floats = [name for name, value in self.state.items() if value.is_floating_point()]
        torch._foreach_lerp_([self.state[name] for name in floats], [state[name] for name in floats], weight)
        for name in self.state.keys() - set(floats):
            self.state[name].copy_(state[name])

    def restore(self, state: Mapping[str, Tensor], steps: int) -> None:
        """Go on from what a checkpoint says."""
        self.steps = steps
        for name, value in self.state.items():
            value.copy_(state[name])


@contextmanager
def in_place_of(net: nn.Module, state: Mapping[str, Tensor] | None) -> Iterator[None]:
    """Within the block the network has these weights (None: its own)."""
    if state is None:
        yield
        return
    own = net.state_dict()
    before = {name: own[name].clone() for name in state}
    load_part(net, state)
    try:
        yield
    finally:
        load_part(net, before)


def load_part(net: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load some of a network's weights; the others stay."""
    net.load_state_dict({**net.state_dict(), **state})
