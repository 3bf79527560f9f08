"""Trained residuals of attention weights: what they are, their penalties, and what is saved of them."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from assets.detection import Detector as Spec
from assets.errors import AssayError
from models.detectors import build
from models.detectors.detector import load_weights, own_state, save_weights
from models.detectors.kinds import effort
from models.detectors.nets.residual_svd import ResidualLinear, residuals
from tests.random_detectors import pictures
from tests.tiny_vits import clip_tower, seen_by, started

TRAINED = ("u", "s", "v")


def spec(model: str = "tiny_clip", weights: str = "none", **options: object) -> Spec:
    return Spec(kind="effort", model=model, crop=32, weights=weights, options=options)


def layer_of(rows: int, columns: int, parts: int = 1, rank: int = 1) -> ResidualLinear:
    """A decomposed layer with the weights sin((i + 1) (j + 2))."""
    plain = nn.Linear(columns, rows)
    places = torch.arange(1.0, rows + 1)[:, None] * torch.arange(2.0, columns + 2)
    with torch.no_grad():
        plain.weight.copy_(places.sin())
        plain.bias.zero_()
    layer = ResidualLinear(plain, parts, rank)
    layer.decompose()
    return layer


def moved(layer: ResidualLinear) -> ResidualLinear:
    """The layer after what might have been a training."""
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name in TRAINED:
            weight = getattr(layer, name)
            weight.add_(0.3 * torch.randn(weight.shape, generator=random))
    return layer


def penalties_in_full(layer: ResidualLinear) -> tuple[float, float]:
    """The paper's definitions word by word, in float64: all singular vectors are written out."""
    turned = strengthened = 0.0
    for part, weight in enumerate(layer.weight.detach().double().chunk(len(layer.s))):
        left, values, right = torch.linalg.svd(weight)
        stays, rank = slice(0, len(values) - layer.s.shape[1]), layer.s.shape[1]
        u, s, v = (getattr(layer, name)[part].detach().double() for name in TRAINED)
        whole_left = torch.cat([left[:, stays], u], 1)
        whole_right = torch.cat([right[stays].T, v], 1)
        for whole in (whole_left, whole_right):
            turned += (whole @ whole.T - torch.eye(len(whole))).norm().item() / 2
        now = whole_left @ torch.cat([values[stays], s]).diag() @ whole_right.T
        strengthened += abs(now.square().sum() - weight.square().sum()).item()
        assert rank == u.shape[1]
    return turned, strengthened


def test_the_smallest_components_of_each_weight_are_taken() -> None:
    layer = layer_of(24, 8, parts=3, rank=2)
    for part, weight in enumerate(layer.weight.chunk(3)):
        left, values, right = torch.linalg.svd(weight)
        assert torch.allclose(layer.s[part], values[-2:], atol=1e-6)
        component = (layer.u[part] * layer.s[part]) @ layer.v[part].T
        assert torch.allclose(component, (left[:, -2:] * values[-2:]) @ right[-2:], atol=1e-5)
        assert torch.linalg.matrix_rank(weight - component, rtol=1e-4) == 6
    again = layer_of(24, 8, parts=3, rank=2)
    assert all(torch.equal(getattr(again, name), getattr(layer, name)) for name in layer.added)


@pytest.mark.parametrize(("parts", "rank"), [(1, 1), (3, 1), (3, 3)])
def test_penalties_are_those_of_the_paper(parts: int, rank: int) -> None:
    layer = moved(layer_of(8 * parts, 8, parts, rank))
    turned, strengthened = penalties_in_full(layer)
    assert layer.turned().item() == pytest.approx(turned, rel=1e-4) and turned > 0.5
    assert layer.strengthened().item() == pytest.approx(strengthened, rel=1e-4) and strengthened > 0.1


def test_penalties_are_those_of_the_released_code() -> None:
    """YZY-stack/Effort-AIGI-Detection @ 96f5dea, `replace_with_svd_residual` with r = 5 of this weight.

    Its components were set to these values, then its compute_orthogonal_loss and compute_keepsv_loss called,
    and the layer itself on 0, 1, .., 5.
    """
    layer = layer_of(6, 6)
    with torch.no_grad():
        layer.u.copy_(torch.linspace(-0.5, 0.7, 6)[:, None])
        layer.v.copy_(torch.linspace(0.6, -0.2, 6)[:, None])
        layer.s.fill_(0.8)
    assert layer.turned().item() == pytest.approx(1.05562198, rel=1e-5)
    assert layer.strengthened().item() == pytest.approx(1.07257652, rel=1e-5)
    expected = [-1.19628048, 2.39276695, 1.39961338, -0.10311127, -2.56691575, -14.46741390]
    assert layer(torch.arange(6.0)).tolist() == pytest.approx(expected, abs=1e-5)


def test_penalties_begin_at_zero_with_a_gradient_that_is_finite() -> None:
    layer = layer_of(8, 8)
    penalty = layer.turned() + layer.strengthened()
    penalty.backward()
    assert penalty.item() < 1e-4
    assert all(getattr(layer, name).grad.isfinite().all() for name in TRAINED)


def test_the_answers_begin_as_the_backbones(tmp_path: Path) -> None:
    tower, state = clip_tower()
    detector = started(tmp_path, spec(), state)
    _, values = seen_by(detector)
    before = detector.net.features(values)
    assert torch.allclose(before, tower.vision_model(values).pooler_output, atol=2e-5)
    detector.decompose()
    assert all(layer.u.any() for layer in residuals(detector.net))
    assert torch.equal(detector.net.features(values), before), "not even rounding differs"


def test_a_vit_l_has_as_many_trained_numbers_as_the_released_code() -> None:
    """24 blocks of 4 weights with 1024 + 1 + 1024 numbers each, and a head: 0.19 M, as the paper says."""
    mine = Spec(kind="effort", model=effort.MODEL)
    with torch.device("meta"):
        made = effort.build(mine, effort.Options(), 1, "detectors.effort")
    counts = [weight.numel() for weight in made.net.backbone.parameters() if weight.requires_grad]
    assert sum(counts) == 24 * 4 * 2049 == 196_704
    assert made.net.head.weight.shape == (1, 1024)


def test_only_components_and_head_learn() -> None:
    detector = build(spec(), 0)
    (phase,) = detector.phases(spec())
    phase.begin()
    before = {name: value.clone() for name, value in detector.net.state_dict().items()}
    optimizer = torch.optim.SGD([w for w in detector.parameters() if w.requires_grad], lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        loss = nn.functional.softplus(detector.train()(pictures(32))).sum() + detector.penalty()
        loss.backward()
        optimizer.step()
    after = detector.net.state_dict()
    changed = {name for name in before if not torch.equal(after[name], before[name])}
    layers = [f"backbone.blocks.{block}.attn.{name}" for block in (0, 1) for name in ("qkv", "proj")]
    assert changed == {f"{layer}.{name}" for layer in layers for name in TRAINED} | {
        "head.weight",
        "head.bias",
    }
    values = after.copy()
    phase.begin()
    assert all(torch.equal(detector.net.state_dict()[name], values[name]) for name in values), "only once"


def test_the_penalty_is_a_weighted_mean() -> None:
    detectors = [
        build(spec(orthogonality=one, strength=other), 0) for one, other in ((2, 0), (0, 3), (2, 3), (0, 0))
    ]
    for detector in detectors:
        detector.decompose()
        for layer in residuals(detector.net):
            moved(layer)
    first, second, both = (detector.penalty().item() for detector in detectors[:3])
    assert both == pytest.approx(first + second) and detectors[3].penalty() is None
    layers = list(residuals(detectors[0].net))
    assert first == pytest.approx(2 * sum(layer.turned().item() for layer in layers) / 8)
    assert second == pytest.approx(3 * sum(layer.strengthened().item() for layer in layers) / 8)


def test_a_trained_detector_needs_no_decomposition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = clip_tower()[1]
    first = started(tmp_path, spec(), state)
    first.decompose()
    for layer in residuals(first.net):
        moved(layer)
    save_weights(first, tmp_path / "trained.safetensors", started=True)
    saved = load_file(tmp_path / "trained.safetensors")
    assert {name.rsplit(".", 1)[1] for name in saved} == {*ResidualLinear.added, "weight", "bias"}
    assert {name for name in saved if name.endswith(("weight", "bias"))} == {"head.weight", "head.bias"}
    monkeypatch.setattr(ResidualLinear, "decompose", None)  # another machine's would round otherwise
    again = started(tmp_path, spec(), state)
    load_weights(again, tmp_path / "trained.safetensors", started=True)
    (phase,) = again.phases(spec())
    phase.begin()
    assert torch.equal(again.eval()(pictures(32)), first.eval()(pictures(32)))
    assert set(own_state(again, started=False)) > set(saved)


def test_it_tells_classes_as_well() -> None:
    detector = build(spec(), 0, outputs=4)
    assert detector.score(pictures(32)).shape == (3, 4)


def test_more_components_than_there_are() -> None:
    assert build(spec(rank=32), 0).net.backbone.blocks[0].attn.qkv.s.shape == (3, 32)
    with pytest.raises(AssayError, match=r"mine.options.rank is 33: the weights of tiny_clip have 32 comp"):
        build(spec(rank=33), 0, "detectors.mine")


def test_networks_that_are_no_vision_transformers() -> None:
    for model in ("test_resnet", "vit_tiny_patch16_dinov3_qkvb"):
        with torch.device("meta"), pytest.raises(AssayError, match=f"effort changes.*{model} is none"):
            effort.build(spec(model), effort.Options(), 1, "detectors.mine")
