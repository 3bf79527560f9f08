"""Heads on frozen features: which features, that nothing else learns, and CLIP as others compute it."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.nn.functional import normalize

from assets.detection import Detector as Spec
from assets.errors import AssayError
from models.detectors import build
from models.detectors.detector import load_weights, save_weights
from models.detectors.kinds import probe
from tests.random_detectors import detector_of, pictures
from tests.tiny_vits import clip_tower, seen_by, started


def spec(model: str = "tiny_clip", weights: str = "none", **options: object) -> Spec:
    return Spec(kind="probe", model=model, crop=32, weights=weights, options=options)


def trained(detector: torch.nn.Module) -> set[str]:
    return {name for name, weight in detector.named_parameters() if weight.requires_grad}


@pytest.mark.parametrize(("model", "registers"), [("tiny_clip", 0), ("tiny_dino", 2)])
def test_the_head_sees_the_feature_that_is_asked_for(model: str, registers: int) -> None:
    def features(**options: object) -> torch.Tensor:
        net = detector_of(kind="probe", model=model, crop=32, options=options).net
        assert net.head.in_features == net.features(values).shape[1]
        return net.features(values)

    whole = detector_of(kind="probe", model=model, crop=32)
    _, values = seen_by(whole)
    tokens = whole.net.backbone.forward_features(values)
    cls, patches = tokens[:, 0], tokens[:, 1 + registers :]
    assert patches.shape[1] == 16
    assert torch.equal(features(feature="cls"), cls) and torch.equal(features(feature="pooled"), cls)
    assert torch.equal(features(feature="cls+patches"), torch.cat([cls, patches.mean(1)], 1))
    assert torch.equal(features(feature="cls", unit=True), normalize(cls, dim=1))
    assert not torch.allclose(cls, patches.mean(1), atol=0.01)


def test_a_projected_feature_is_that_of_clip(tmp_path: Path) -> None:
    tower, state = clip_tower()
    detector = started(tmp_path, spec(feature="projected"), state)
    _, values = seen_by(detector)
    expected = tower(values).image_embeds
    assert torch.allclose(detector.net.features(values), expected, atol=2e-5), "names, quick GELU, projection"
    assert expected.abs().mean() > 0.5
    pooled = started(tmp_path, spec(feature="pooled"), state)
    assert torch.allclose(pooled.net.features(values), tower.vision_model(values).pooler_output, atol=2e-5)
    assert pooled.net.head.in_features == 32 and detector.net.head.in_features == 24


def test_pixels_are_normalised_as_clip_was_trained(tmp_path: Path) -> None:
    detector = started(tmp_path, spec(feature="projected"), clip_tower()[1])
    pixels, _ = seen_by(detector)
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(1, 3, 1, 1)
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(1, 3, 1, 1)
    expected = detector.net((pixels / 255 - mean) / std)[:, 0]
    assert torch.allclose(detector(pixels), expected, atol=1e-5)


@pytest.mark.parametrize("model", ["tiny_clip", "test_resnet"])
def test_only_the_head_learns(model: str) -> None:
    detector = build(spec(model, hidden=5), 0)
    assert trained(detector) == {
        f"net.head.{layer}.{part}" for layer in (0, 2) for part in ("weight", "bias")
    }
    before = {name: value.clone() for name, value in detector.net.state_dict().items()}
    optimizer = torch.optim.SGD(detector.parameters(), lr=0.5)
    pixels = pictures(32)
    for _ in range(3):
        detector.train()
        optimizer.zero_grad()
        torch.nn.functional.softplus(detector(pixels)).sum().backward()
        optimizer.step()
    changed = {
        name for name, value in detector.net.state_dict().items() if not torch.equal(value, before[name])
    }
    assert changed == {name for name in before if name.startswith("head.")}, "the norms' statistics stay too"


def test_a_backbone_that_learns_along() -> None:
    detector = build(spec(train_backbone=True), 0)
    assert trained(detector) == {name for name, _ in detector.named_parameters()} and not detector.frozen
    torch.nn.functional.softplus(detector.train()(pictures(32))).sum().backward()
    assert detector.net.backbone.blocks[0].attn.qkv.weight.grad.abs().sum() > 0


def test_what_was_trained_is_all_that_is_saved(tmp_path: Path) -> None:
    state = clip_tower()[1]
    first = started(tmp_path, spec(), state)
    pixels, _ = seen_by(first)
    with torch.no_grad():
        first.net.head.weight.normal_()
    save_weights(first, tmp_path / "trained.safetensors", started=True)
    assert set(load_file(tmp_path / "trained.safetensors")) == {"head.weight", "head.bias"}
    again = started(tmp_path, spec(), state)
    load_weights(again, tmp_path / "trained.safetensors", started=True)
    assert torch.equal(again(pixels), first.eval()(pixels))


def test_a_file_with_a_backbone_and_its_head(tmp_path: Path) -> None:
    """As one is made of CLIP and a head that somebody released."""
    whole = detector_of(kind="probe", model="tiny_clip", crop=32, options={"feature": "projected"})
    given = started(tmp_path, spec(feature="projected"), whole.net.state_dict())
    assert torch.equal(given.eval()(pictures(32)), whole(pictures(32)))
    with pytest.raises(
        AssayError, match=r"mine.weights does not fit.*first head.weight: \(1, 24\) inst.*\(1, 32"
    ):
        started(tmp_path, spec(feature="cls"), whole.net.state_dict())
    head = {f"head.{name}": value for name, value in whole.net.head.state_dict().items()}
    with pytest.raises(AssayError, match="weights are missing, first cls_token"):
        started(tmp_path, spec(feature="projected"), {"backbone_alone.weight": torch.ones(1), **head})


def test_univfd_trains_as_many_numbers_as_its_authors() -> None:
    """768 weights and a bias, as in pretrained_weights/fc_weights.pth of their repository @ 76a0e3e."""
    mine = Spec(kind="probe", model=probe.MODEL, options={"feature": "projected"})
    with torch.device("meta"):
        made = probe.build(mine, probe.Options(feature="projected"), 1, "detectors.univfd")
    assert sum(weight.numel() for weight in made.parameters() if weight.requires_grad) == 769
    assert made.net.head.weight.shape == (1, 768)


def test_features_that_a_model_does_not_have() -> None:
    def refusal(mine: Spec) -> str:
        with pytest.raises(AssayError) as caught:
            build(mine, 0, "detectors.mine")
        return str(caught.value)

    assert refusal(spec("test_resnet", feature="cls")) == (
        "detectors.mine.options.feature: test_resnet has no class token; use pooled"
    )
    assert "tiny_dino has no last layer to project with" in refusal(spec("tiny_dino", feature="projected"))
    assert "feature is 'clss': Input should be" in refusal(spec(feature="clss"))
    assert "featur is not a parameter; did you mean 'feature'?" in refusal(spec(featur="cls"))
