"""Products beside the layers of a vision transformer, and the loss that DDA trains them with."""

from pathlib import Path

import pytest
import timm
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from torch import nn

from assets.detection import Detector as Spec
from assets.errors import AssayError
from models.detectors import build
from models.detectors.detector import load_weights, save_weights
from models.detectors.kinds import lora
from models.detectors.nets.lora import LoraLinear
from tests.random_detectors import pictures
from tests.random_weights import random_state, shapes_of
from tests.tiny_vits import seen_by, started


def spec(model: str = "tiny_dino", weights: str = "none", **options: object) -> Spec:
    return Spec(kind="lora", model=model, crop=32, weights=weights, options=options)


def backbone_state() -> dict[str, torch.Tensor]:
    return random_state(shapes_of(timm.create_model("tiny_dino")))


def products(detector: nn.Module) -> dict[str, LoraLinear]:
    return {name: layer for name, layer in detector.named_modules() if isinstance(layer, LoraLinear)}


def shaken(detector: nn.Module) -> nn.Module:
    """The detector after what might have been a training."""
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for layer in products(detector).values():
            layer.b.normal_(generator=random)
    return detector


def test_the_answers_begin_as_the_backbones(tmp_path: Path) -> None:
    state = backbone_state()
    plain = timm.create_model("tiny_dino").eval()
    plain.load_state_dict(state)
    detector = started(tmp_path, spec(), state)
    _, values = seen_by(detector)
    assert torch.equal(detector.net.features(values), plain(values))
    assert len(products(detector)) == 2 * 4


def test_products_can_be_merged_into_the_weights(tmp_path: Path) -> None:
    state = backbone_state()
    detector = shaken(started(tmp_path, spec(rank=3, alpha=6.0), state))
    for name, layer in products(detector).items():
        assert layer.a.shape[0] == layer.b.shape[1] == 3
        state[f"{name.removeprefix('net.backbone.')}.weight"] += 6 / 3 * (layer.b @ layer.a).detach()
    merged = timm.create_model("tiny_dino").eval()
    before = merged.load_state_dict(backbone_state())
    _, values = seen_by(detector)
    plain = merged(values)
    merged.load_state_dict(state)
    assert torch.allclose(detector.net.features(values), merged(values), atol=2e-5)
    assert not torch.allclose(plain, merged(values), atol=0.1) and not before.missing_keys


def test_targets_name_the_layers() -> None:
    detector = build(spec(targets=["qkv", "fc2"]), 0)
    assert {name.rsplit(".", 1)[1] for name in products(detector)} == {"qkv", "fc2"}


def test_dda_trains_as_many_numbers_as_the_released_code() -> None:
    """Rank 8 at qkv, proj, fc1 and fc2 of 24 blocks, and a head on 1024 features."""
    mine = Spec(kind="lora", model=lora.MODEL, crop=336)
    with torch.device("meta"):
        made = lora.build(mine, lora.Options(), 1, "detectors.dda")
    counts = [weight.numel() for weight in made.net.backbone.parameters() if weight.requires_grad]
    assert sum(counts) == 24 * 8 * (1024 + 3072 + 1024 + 1024 + 2 * (1024 + 4096)) == 3_145_728
    assert made.net.head.weight.shape == (1, 1024)


def test_only_products_and_head_learn_and_are_saved(tmp_path: Path) -> None:
    state = backbone_state()
    detector = shaken(started(tmp_path, spec(), state))
    before = {name: value.clone() for name, value in detector.net.state_dict().items()}
    optimizer = torch.optim.Adam([w for w in detector.parameters() if w.requires_grad], lr=0.01)
    nn.functional.softplus(detector.train()(pictures(32))).sum().backward()
    optimizer.step()
    after = detector.net.state_dict()
    changed = {name for name in before if not torch.equal(after[name], before[name])}
    expected = {f"{name.removeprefix('net.')}.{part}" for name in products(detector) for part in "ab"}
    assert changed == expected | {"head.weight", "head.bias"}
    save_weights(detector, tmp_path / "trained.safetensors", started=True)
    assert set(load_file(tmp_path / "trained.safetensors")) == changed
    again = started(tmp_path, spec(), state)
    load_weights(again, tmp_path / "trained.safetensors", started=True)
    assert torch.equal(again.eval()(pictures(32)), detector.eval()(pictures(32)))


def test_the_contrastive_loss_is_that_of_the_library_that_dda_uses() -> None:
    """ContrastiveLoss(pos_margin=0, neg_margin=1) of pytorch-metric-learning 2.9.0 on the same features."""
    places = torch.arange(1.0, 7)[:, None] * torch.arange(2.0, 6)
    groups = torch.tensor([0, 1, 0, 1, 1, 0])
    assert lora.contrastive(places.sin(), groups).item() == pytest.approx(1.44572222, rel=1e-5)


def test_the_contrastive_loss_in_simple_cases() -> None:
    features = torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0], [-1.0, 0.0]], requires_grad=True)
    alone = torch.tensor([0, 1, 2, 3])
    assert lora.contrastive(features[1:], alone[1:]).item() == 0, "others are apart far enough"
    assert lora.contrastive(features[:2], torch.tensor([0, 0])).item() == 0, "directions count, not lengths"
    assert lora.contrastive(features[:2], alone[:2]).item() == pytest.approx(1), "other groups, no distance"
    pulled = lora.contrastive(features, torch.tensor([0, 0, 1, 0]))
    assert pulled.item() == pytest.approx(2), "three pairs of one group, of which two are 2 apart"
    pulled.backward()
    assert features.grad is not None and features.grad.isfinite().all()


def test_the_loss_is_shared_between_entropy_and_contrast() -> None:
    pixels, classes = pictures(32, 6), torch.tensor([0, 2, 1, 0, 1, 0])
    detector = build(spec(contrastive=0.25), 0)
    (phase,) = detector.phases(spec(contrastive=0.25))
    assert phase.loss is not None
    features = detector.net.features((pixels / 255 - detector.mean) / detector.std)
    entropy = nn.functional.binary_cross_entropy_with_logits(detector(pixels), (classes > 0).float())
    expected = 0.75 * entropy + 0.25 * lora.contrastive(features, classes > 0)
    assert phase.loss(pixels, classes).item() == pytest.approx(expected.item(), rel=1e-5)
    (plain,) = build(spec(), 0).phases(spec())
    assert plain.loss is None, "the usual one"


def test_an_attributor_contrasts_its_classes() -> None:
    pixels, classes = pictures(32, 4), torch.tensor([1, 2, 3, 1])
    attributor = build(spec(contrastive=0.5), 0, outputs=3)
    assert attributor.score(pixels).shape == (4, 3)
    features = attributor.net.features((pixels / 255 - attributor.mean) / attributor.std)
    entropy = nn.functional.cross_entropy(attributor.answers(pixels), classes - 1)
    expected = 0.5 * entropy + 0.5 * lora.contrastive(features, classes)
    assert attributor.loss(pixels, classes).item() == pytest.approx(expected.item(), rel=1e-5)


def test_networks_and_layers_that_cannot_be_adapted() -> None:
    for model in ("test_resnet", "vit_tiny_patch16_dinov3_qkvb"):
        with torch.device("meta"), pytest.raises(AssayError, match=f"lora changes.*{model} is none"):
            lora.build(spec(model), lora.Options(), 1, "detectors.mine")
    with pytest.raises(AssayError, match=r"mine.options: targets.0 is 'fc3'"):
        build(spec(targets=["fc3"]), 0, "detectors.mine")
    with pytest.raises(ValidationError):
        lora.Options(contrastive=1.0)
