"""The supervised contrastive loss against its formula written out, published code, and what is degenerate."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from models.detectors.nets.supervised_contrast import origin_and_group, supervised_contrast
from tests.random_weights import normal

HEAT = 0.07
GROUPS = [0, 0, 0, 0, 0, 1, 1, 2, 2, 2, 3, 1]
"""0: real. Generator 3 has a single image."""


def views(name: str, count: int, num_views: int = 2, length: int = 16) -> Tensor:
    """(N, V, D) of length 1."""
    return normalize(normal(name, count, num_views, length), dim=2)


def literal(features: Tensor, labels: list[int], heat: float) -> float:
    """Equation 2 of arXiv 2004.11362, one anchor, positive and rival at a time."""
    keys = [(image, view) for image in range(features.shape[0]) for view in range(features.shape[1])]
    vectors = {key: features[key].double().numpy() for key in keys}
    terms = []
    for anchor in keys:
        others = [key for key in keys if key != anchor]
        positives = [key for key in others if labels[key[0]] == labels[anchor[0]]]
        if not positives:
            continue
        rivals = sum(math.exp(float(np.dot(vectors[anchor], vectors[key])) / heat) for key in others)
        likely = [
            math.log(math.exp(float(np.dot(vectors[anchor], vectors[key])) / heat) / rivals)
            for key in positives
        ]
        terms.append(-sum(likely) / len(positives))
    return sum(terms) / len(terms) if terms else 0.0


@settings(max_examples=40)
@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=7),
    st.integers(1, 3),
    st.sampled_from([0.07, 0.1, 1.0]),
    st.integers(0, 1000),
)
def test_it_is_the_formula(labels: list[int], num_views: int, heat: float, seed: int) -> None:
    features = views(str(seed), len(labels), num_views)
    found = supervised_contrast(features, torch.tensor(labels), heat)
    assert found.item() == pytest.approx(literal(features, labels, heat), rel=1e-4, abs=1e-5)


def test_both_parts_are_the_formula() -> None:
    features, made = views("features", 12), [group for group in GROUPS if group]
    origin = literal(features, [min(group, 1) for group in GROUPS], HEAT)
    groups = literal(features[5:], made, HEAT)
    found = origin_and_group(features, torch.tensor(GROUPS), HEAT, 0.5)
    assert found.item() == pytest.approx(origin + 0.5 * groups, rel=1e-5)


def test_published_code_gives_the_same_numbers() -> None:
    """Expected: `MultiLabelLossImagiNet` (weight_3 of 1 and 0.5) of delyan-boychev/imaginet at d87b53a,
    `ConLoss` with both temperatures 0.1, and of 0.07 on single views with `supcon_s`, of
    raymin0223/self-contrastive-learning at 5e7c2c5, on `views("features", 12)` and `GROUPS`.
    """
    features, groups = views("features", 12), torch.tensor(GROUPS)
    assert origin_and_group(features, groups, HEAT, 1.0).item() == pytest.approx(15.566078, rel=1e-6)
    assert origin_and_group(features, groups, HEAT, 0.5).item() == pytest.approx(11.631664, rel=1e-6)
    assert supervised_contrast(features, groups, 0.1).item() == pytest.approx(6.0378461, rel=1e-6)
    assert supervised_contrast(features[:, :1], groups, HEAT).item() == pytest.approx(5.9225712, rel=1e-6)


def derived(features: Tensor, classes: list[int]) -> tuple[float, Tensor]:
    """The loss of both parts and what it says of the features; neither may be undefined."""
    features = features.clone().requires_grad_()
    loss = origin_and_group(features, torch.tensor(classes), HEAT, 1.0)
    (slope,) = torch.autograd.grad(loss, features)
    assert loss.isfinite() and slope.isfinite().all()
    return loss.item(), slope


def test_all_real_has_no_part_for_the_generators() -> None:
    features = views("real", 5)
    loss, _ = derived(features, [0] * 5)
    assert loss == pytest.approx(literal(features, [0] * 5, HEAT), rel=1e-5)


def test_one_generator_alone() -> None:
    features = views("generated", 5)
    loss, _ = derived(features, [2] * 5)
    assert loss == pytest.approx(2 * literal(features, [0] * 5, HEAT), rel=1e-5)


@pytest.mark.parametrize("label", [0, 1])
def test_one_image_is_no_contrast(label: int) -> None:
    loss, slope = derived(views("one", 1), [label])
    assert loss == pytest.approx(0, abs=1e-5) and slope.abs().max() < 1e-5
    loss, slope = derived(views("one", 1, num_views=1), [label])
    assert loss == 0 and not slope.any()


def test_no_image_is_no_contrast() -> None:
    assert derived(views("none", 0), [])[0] == 0


def test_identical_features_are_guessing() -> None:
    loss, _ = derived(views("same", 1).repeat(6, 1, 1)[:, :1].repeat(1, 2, 1), [0, 0, 0, 1, 1, 2])
    assert loss == pytest.approx(math.log(11) + math.log(5), rel=1e-5)


def test_a_generator_with_a_single_image() -> None:
    """Its two views are each other's only positive; with single views it is left out."""
    features = views("few", 4)
    derived(features, [0, 0, 1, 2])
    single = features[:, :1]
    loss, _ = derived(single, [0, 0, 1, 2])
    assert loss == pytest.approx(literal(single, [0, 0, 1, 1], HEAT), rel=1e-5)
    assert derived(single[:2], [0, 1])[0] == 0, "no anchor has a positive"


def test_the_order_of_the_images_does_not_matter() -> None:
    features, groups = views("order", 12), torch.tensor(GROUPS)
    order = torch.arange(11, -1, -1)
    turned = origin_and_group(features[order], groups[order], HEAT, 1.0)
    assert turned.item() == pytest.approx(origin_and_group(features, groups, HEAT, 1.0).item(), rel=1e-5)


def test_half_precision_around_it_changes_nothing() -> None:
    features, groups = views("half", 12), torch.tensor(GROUPS)
    with torch.autocast("cpu", torch.bfloat16):
        found = origin_and_group(features, groups, HEAT, 1.0)
    assert found.item() == origin_and_group(features, groups, HEAT, 1.0).item()
