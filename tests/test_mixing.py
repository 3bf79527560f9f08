"""Targets, mixed batches and losses: timm's to the digit, and the plain loss to the last bit."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from timm.data.mixup import Mixup
from timm.loss import JsdCrossEntropy, LabelSmoothingCrossEntropy, SoftTargetCrossEntropy
from torch.nn import functional

from assets.detection import Recipe
from assets.seeds import rng
from models.detectors.training.consistency import consistency_loss, plain_state, split_batch_norms
from models.detectors.training.mixing import cross_entropy, mixed, soft_targets


class NumpysNumbers:
    """Draws for `mixed` what timm's Mixup draws from NumPy's global random numbers, and its partners."""

    random = staticmethod(np.random.random)
    beta = staticmethod(np.random.beta)
    integers = staticmethod(np.random.randint)

    def permutation(self, count: int) -> np.ndarray:
        return np.arange(count)[::-1].copy()


def batch(seed: int, count: int = 6, classes: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    made = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (count, 3, 16, 24), generator=made).float()
    return pixels, torch.randint(0, classes, (count,), generator=made)


@pytest.mark.parametrize(
    "recipe", [{"mixup": 0.8}, {"cutmix": 1.0}, {"mixup": 0.8, "cutmix": 1.0, "smoothing": 0.1}]
)
def test_mixing_is_timm_s(recipe: dict[str, float]) -> None:
    asked = Recipe.model_validate(recipe)
    theirs = Mixup(asked.mixup, asked.cutmix, switch_prob=0.5, label_smoothing=asked.smoothing, num_classes=4)
    shares = set()
    for seed in range(30):
        pixels, classes = batch(seed)
        before = pixels.clone()
        np.random.seed(seed)
        wanted, wanted_targets = theirs(pixels.clone(), classes)
        np.random.seed(seed)
        np.random.random()  # timm's draw whether to mix at all
        targets = soft_targets(classes, 4, asked.smoothing)
        found, found_targets = mixed(pixels, targets, asked, NumpysNumbers())  # type: ignore[arg-type]
        assert torch.allclose(found, wanted, atol=1e-4)
        assert torch.allclose(found_targets, wanted_targets, atol=1e-6)
        assert torch.equal(pixels, before)
        shares.add(round(float(found_targets.max()), 3))
    assert len(shares) > 7


def test_without_mixing_nothing_is_touched() -> None:
    pixels, classes = batch(0)
    targets = soft_targets(classes, 4)
    found = mixed(pixels, targets, Recipe(), rng(0))
    assert found[0] is pixels and found[1] is targets


def test_a_picture_s_share_of_the_target_is_its_share_of_the_pixels() -> None:
    """Real and generated in turn, each of one grey: what is mixed with what can be read off."""
    pixels = torch.zeros(8, 3, 16, 16)
    pixels[1::2] = 200
    classes = torch.tensor([0, 1] * 4)
    within = across = 0
    for recipe in (Recipe(mixup=1), Recipe(cutmix=1)):
        for seed in range(40):
            found, targets = mixed(pixels, soft_targets(classes, 2), recipe, rng(seed))
            assert torch.allclose(found.mean((1, 2, 3)) / 200, targets[:, 1], atol=1e-5)
            same = (targets[:, 1] == classes).sum()
            within, across = within + int(same), across + int(8 - same)
    assert within > 150 and across > 250  # partners of both classes; timm's would all be of the other


def test_hard_targets_give_the_plain_loss_to_the_last_bit() -> None:
    for seed in range(20):
        answers = torch.randn(33, 1, generator=torch.Generator().manual_seed(seed)) * 9
        classes = batch(seed, 33, 2)[1]
        plain = functional.binary_cross_entropy_with_logits(answers[:, 0], classes.float())
        assert torch.equal(cross_entropy(answers, soft_targets(classes, 2)), plain)


def test_one_logit_is_as_good_as_two() -> None:
    both = torch.randn(9, 2, generator=torch.Generator().manual_seed(0))
    one = both[:, 1:] - both[:, :1]
    for smoothing in (0.0, 0.1):
        targets = soft_targets(batch(0, 9, 2)[1], 2, smoothing)
        assert torch.allclose(cross_entropy(both, targets), cross_entropy(one, targets), atol=1e-6)


def test_smoothing_and_soft_targets_are_timm_s() -> None:
    answers = torch.randn(9, 4, generator=torch.Generator().manual_seed(1))
    classes = batch(1, 9)[1]
    smooth = cross_entropy(answers, soft_targets(classes, 4, 0.1))
    assert torch.allclose(smooth, LabelSmoothingCrossEntropy(0.1)(answers, classes))
    drawn = torch.rand(9, 4).softmax(1)
    assert torch.allclose(cross_entropy(answers, drawn), SoftTargetCrossEntropy()(answers, drawn))
    assert soft_targets(torch.tensor([1]), 2, 0.1).tolist() == [[pytest.approx(0.05), pytest.approx(0.95)]]


@pytest.mark.parametrize("splits", [2, 3])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_consistency_loss_is_timm_s(splits: int, smoothing: float) -> None:
    answers = torch.randn(5 * splits, 2, generator=torch.Generator().manual_seed(2)) * 3
    answers.requires_grad_()
    classes = batch(2, 5, 2)[1]
    theirs = JsdCrossEntropy(splits, smoothing=smoothing)(answers, classes.repeat(splits))
    targets = soft_targets(classes, 2, smoothing)
    mine = consistency_loss(answers, targets, splits)
    assert torch.allclose(mine, theirs, atol=1e-6)
    assert torch.allclose(gradient(mine, answers), gradient(theirs, answers), atol=1e-6)
    one = consistency_loss(answers[:, 1:] - answers[:, :1], targets, splits)
    assert torch.allclose(one, mine, atol=1e-6)


def gradient(loss: torch.Tensor, of: torch.Tensor) -> torch.Tensor:
    return torch.autograd.grad(loss, of)[0]


def test_equal_answers_have_no_divergence() -> None:
    part = torch.randn(4, 1, generator=torch.Generator().manual_seed(3))
    targets = soft_targets(torch.tensor([0, 1, 0, 1]), 2)
    same = consistency_loss(part.repeat(3, 1), targets, 3)
    assert torch.allclose(same, cross_entropy(part, targets), atol=1e-6)
    assert consistency_loss(torch.cat([part, part, -part]), targets, 3) > same + 0.1


def test_split_norms_keep_statistics_of_their_own_and_go_back(workdir: Path) -> None:
    torch.manual_seed(0)
    plain = timm.create_model("test_resnet", num_classes=1)
    names = set(plain.state_dict())
    split: Any = split_batch_norms(timm.create_model("test_resnet", num_classes=1), 3)
    split.load_state_dict({**split.state_dict(), **plain.state_dict()})
    aux = [name for name in split.state_dict() if ".aux_bn." in name]
    assert aux and set(plain_state(split.state_dict())) == names
    clean, other = torch.randn(4, 3, 32, 32), 5 + 2 * torch.randn(8, 3, 32, 32)
    split.train()(torch.cat([clean, other]))
    plain.train()(clean)
    state = plain_state(split.state_dict())
    for name, value in plain.state_dict().items():
        assert torch.allclose(state[name], value, atol=1e-4), name  # the others left no trace
    means = [name for name in split.state_dict() if name.startswith("bn1.") and name.endswith("running_mean")]
    assert len({tuple(split.state_dict()[name].tolist()) for name in means}) == 3
    again = timm.create_model("test_resnet", num_classes=1)
    again.load_state_dict(state)
    with torch.no_grad():
        assert torch.allclose(again.eval()(clean), split.eval()(clean), atol=1e-5)


def test_a_network_without_batch_norms_stays_as_it_is() -> None:
    net = timm.create_model("test_vit", num_classes=1)
    names = list(net.state_dict())
    assert list(split_batch_norms(net, 2).state_dict()) == names == list(plain_state(net.state_dict()))
