"""Detectors whose weights follow from their names alone, in evaluation."""

from typing import Any

import torch
from torch import nn

from assets.detection import Detector as Spec
from models.detectors import build
from tests.random_weights import normal, random_state, shapes_of


def detector_of(outputs: int = 1, **values: Any) -> Any:
    """A detector with such weights; batch norms have positive variances."""
    detector = build(Spec.model_validate(values), 0, "detectors.mine", outputs)
    randomise(detector.net)
    return detector.eval()


def randomise(net: nn.Module) -> None:
    state = random_state(shapes_of(net))
    for name in state:
        if name.endswith("running_var"):
            state[name] = 1 + state[name].abs()
        elif name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(0)
        elif name.endswith("learned"):  # F3-Net's filters: the scale does not depend on their size
            state[name] = normal(name, *state[name].shape) / 2
    net.load_state_dict(state)


def pictures(side: int, count: int = 3) -> torch.Tensor:
    """(count, 3, side, side) uint8: noise, of growing strength around growing grey."""
    noise = normal("pictures", count, 3, side, side)
    strength = torch.linspace(10, 90, count).view(-1, 1, 1, 1)
    return (100 + strength / 2 + strength * noise).round().clamp(0, 255).to(torch.uint8)
