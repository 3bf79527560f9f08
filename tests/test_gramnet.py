"""Gram-Net: answers of the authors' code, Gram matrices by the definition, starting from ImageNet weights."""

from typing import Any

import pytest
import timm
import torch

from assets.detection import Detector as Spec
from assets.errors import AssayError
from models.detectors import build
from models.detectors.nets.gram import gram
from tests.random_detectors import detector_of, pictures
from tests.random_weights import normal

SMALL: dict[str, Any] = {"kind": "gramnet", "model": "test_resnet", "crop": 64}


@torch.no_grad()
def test_answers_are_those_of_the_authors_code() -> None:
    """Expected: stylegan-ffhq/resnet18_gram.py of
    liuzhengzhe/Global_Texture_Enhancement_for_Fake_Face_Detection_in_the-Wild at a416145 with the weights of
    `detector_of` (the rows of its last layer turned round), on the same pictures as it reads them: blue
    first, 0 to 255. Its log-probability of class 0 less that of class 1, both being ours the other way round.
    """
    detector = detector_of(kind="gramnet", crop=64)
    assert sum(p.numel() for p in detector.net.parameters()) == 11_734_723
    expected = [-11.912477, -19.030003, -39.892136]
    assert detector(pictures(64)).tolist() == pytest.approx(expected, rel=2e-5)


def test_gram_by_the_definition() -> None:
    features = normal("features", 2, 3, 4, 5)
    expected = torch.stack(
        [
            torch.stack([torch.stack([(one * other).sum() for other in picture]) for one in picture])
            for picture in features
        ]
    ) / (3 * 4 * 5)
    assert torch.allclose(gram(features), expected, atol=1e-6)
    large = torch.full((1, 2, 256, 256), 100.0, dtype=torch.float16)
    assert gram(large).tolist() == [[[5000.0, 5000.0], [5000.0, 5000.0]]]  # its sum is 655,360,000


def test_gram_says_nothing_of_places() -> None:
    features = normal("features", 1, 3, 4, 5)
    shuffled = features.flatten(2)[..., torch.randperm(20)].view_as(features)
    assert torch.allclose(gram(shuffled), gram(features), atol=1e-6)


@torch.no_grad()
def test_answers_do_not_depend_on_the_batch() -> None:
    detector = detector_of(**SMALL)
    shown = torch.cat([pictures(64), torch.zeros(1, 3, 64, 64, dtype=torch.uint8)])
    together = detector(shown)
    assert together.isfinite().all()
    assert torch.allclose(torch.cat([detector(picture[None]) for picture in shown]), together, rtol=1e-4)


def test_an_attributor_has_an_output_a_class_and_all_weights_learn() -> None:
    detector = detector_of(outputs=4, **SMALL).train()
    answers = detector(pictures(64))
    assert answers.shape == (3, 4)
    answers.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in detector.parameters())


def test_training_on_black_pictures_stays_finite() -> None:
    detector = build(Spec.model_validate(SMALL), 0).train()
    detector(torch.zeros(2, 3, 64, 64, dtype=torch.uint8)).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in detector.parameters())


def test_begins_from_the_weights_of_a_resnet_or_of_the_whole() -> None:
    detector: Any = build(Spec.model_validate(SMALL), 0)
    before = detector.net.head[0].weight.clone()
    pretrained: Any = timm.create_model("test_resnet", num_classes=10)
    detector.begin_from(pretrained.state_dict(), "mine.weights")
    assert torch.equal(detector.net.body.layer1[0].conv1.weight, pretrained.layer1[0].conv1.weight)
    assert torch.equal(detector.net.head[0].weight, before)
    whole = detector_of(**SMALL)
    detector.begin_from(whole.net.state_dict(), "mine.weights")
    assert torch.equal(detector.eval()(pictures(64)), whole(pictures(64)))
    with pytest.raises(AssayError, match=r"mine.weights does not fit the network"):
        detector.begin_from(timm.create_model("test_vit").state_dict(), "mine.weights")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"view": {"normalise": "half"}}, "mine.view.normalise is half: gramnet sees pixels as they are"),
        ({"model": "test_vit"}, "mine.model: gramnet is made from a ResNet, e.g. resnet18; test_vit is none"),
    ],
)
def test_what_it_refuses(values: dict[str, Any], message: str) -> None:
    with pytest.raises(AssayError) as caught:
        build(Spec.model_validate({**SMALL, **values}), 0, "mine")
    assert message in str(caught.value)
