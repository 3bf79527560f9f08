"""What every kind of detector that is trained here must keep to, checked on a small one."""

import numpy as np
import torch

from assets.detection import Attributor
from assets.detection import Detector as Spec
from models.detectors import build
from models.detectors.detector import weights_digest


def keeps_to_the_contract(spec: Spec) -> None:
    """Its seed decides the weights, all weights learn, black pictures have a score, and it tells classes."""
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, again, other = build(spec, 3), build(spec, 3), build(spec, 4)
    assert torch.equal(torch.rand(1), expected), "building disturbed torch's own generator"
    assert weights_digest(first) == weights_digest(again) != weights_digest(other)
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (4, 3, spec.crop, spec.crop), dtype=torch.uint8, generator=random)
    logits = _shaken(first)(pixels)
    assert logits.shape == (4,) and logits.dtype == torch.float32
    _everything_learns(first, torch.nn.functional.softplus(logits).sum())
    assert np.isfinite(first.score(torch.zeros_like(pixels))).all()
    many = build(Attributor.model_validate(spec.model_dump()), 3, outputs=5)
    assert many.score(pixels).shape == (4, 5)
    answers = _shaken(many)(pixels)
    _everything_learns(many, torch.nn.functional.cross_entropy(answers, torch.tensor([0, 1, 2, 4])))


def _shaken(detector: torch.nn.Module) -> torch.nn.Module:
    """In training, off its start: a block that begins as the identity passes no gradient on."""
    with torch.no_grad():
        for weight in detector.parameters():
            weight.add_(0.05 * torch.randn(weight.shape))
    return detector.train()


def _everything_learns(detector: torch.nn.Module, loss: torch.Tensor) -> None:
    loss.backward()
    for name, weight in detector.named_parameters():
        assert weight.grad is not None, f"{name} has no gradient"
        assert weight.grad.abs().sum() > 0, f"{name} has a gradient of zero"
