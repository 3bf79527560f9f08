"""ImagiNet's detector and ResNets without early down-sampling: published code, the two parts, starting."""

from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from assets.detection import Attributor
from assets.errors import AssayError
from models.detectors import build
from models.detectors.detector import Detector
from models.detectors.kinds.selfcon import SelfConDetector
from tests.kinds import keeps_to_the_contract
from tests.random_detectors import detector_of
from tests.random_weights import normal, probe

PICTURES = normal("pictures", 4, 3, 32, 32)
SMALL: dict[str, Any] = {"kind": "selfcon", "model": "test_resnet", "crop": 32}
PIXELS = torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
CLASSES = torch.tensor([0, 1, 2, 2, 0, 1, 0, 2])


def spec(**values: Any) -> Attributor:
    return Attributor.model_validate({**SMALL, **values})


def made(outputs: int = 1, **values: Any) -> Any:
    return build(spec(**values), 0, outputs=outputs)


def counts(net: nn.Module) -> dict[str, int]:
    return {name: sum(p.numel() for p in part.parameters()) for name, part in net.named_children()}


@torch.no_grad()
def test_published_code_gives_the_same_numbers() -> None:
    """Expected: `ConResNet("resnet50nodown", selfcon_pos=[False, True, False], selfcon_size="fc")` of
    delyan-boychev/imaginet at d87b53a, with the weights of `detector_of`, on `PICTURES`: probes of its two
    outputs, its parameters, and what the classifier of train_linear_classifier_selfcon.py says.
    """
    net = detector_of(kind="selfcon", crop=32).net
    found = counts(net)
    assert sum(found.values()) - found["head"] == 33_475_904 and found["head"] == 2_103_297
    sub = [0.0198528, -0.010115, 0.0165598, 0.1312719, 0.0949338, -0.0424988, -0.1008979, -0.1324927]
    late = [0.0475853, -0.1903736, -0.0265438, -0.0171248, 0.1266573, 0.0472873, 0.0343148, 0.0550905]
    views = net.views(PICTURES)
    assert views.shape == (4, 2, 128)
    assert probe(views[:, 0]) == pytest.approx([*sub, -0.0142481, 0.0873177], abs=1e-5)
    assert probe(views[:, 1]) == pytest.approx([*late, 0.0082215, 0.0880912], abs=1e-5)
    logits = net(PICTURES).flatten().tolist()
    assert logits == pytest.approx([0.4522888, 0.4455404, 0.4623990, 0.4181696], abs=1e-5)


@torch.no_grad()
def test_published_attributor_gives_the_same_numbers() -> None:
    """Expected: a probe of the four outputs of testing_utils/eval_model_detection.py of
    delyan-boychev/imaginet at d87b53a, which has the usual strides, with the weights of `detector_of`.
    """
    net = detector_of(4, kind="selfcon", crop=32, options={"shrink": True}).net
    answers = [0.1832682, 0.1240999, 0.1839115, 0.122833, 0.1803733, 0.1209474, 0.1840289, -0.151392]
    assert probe(net(PICTURES)) == pytest.approx([*answers, 0.0317066, 0.1332986], abs=1e-5)


@torch.no_grad()
def test_published_network_without_down_sampling() -> None:
    """Expected: `resnet50(num_classes=1, stride0=1)` of grip-unina/DMimageDetection at fdb5390, with
    the weights of `detector_of`, on `PICTURES`.
    """
    net = detector_of(kind="nodown", crop=32).net
    assert sum(p.numel() for p in net.parameters()) == 23_510_081
    expected = [0.8233981, 0.7925077, 0.8384686, 0.8112381]
    assert net(PICTURES).flatten().tolist() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("model", ["test_resnet", "resnet10t"])
def test_nothing_is_made_smaller_before_the_first_block(model: str) -> None:
    net = made(kind="nodown", model=model, crop=64).eval().net
    values = net.maxpool(net.act1(net.bn1(net.conv1(torch.zeros(1, 3, 20, 28)))))
    assert values.shape[2:] == (20, 28)
    plain = timm.create_model(model, num_classes=1)
    net.load_state_dict(plain.state_dict())  # timm's names and shapes


def test_without_down_sampling_keeps_to_the_contract() -> None:
    keeps_to_the_contract(spec(kind="nodown"))
    detector = made(kind="nodown", options={"train_crop": 24})
    (phase,) = detector.phases(spec(kind="nodown"))
    assert (phase.name, phase.spec.crop, phase.reals) == ("train", 24, True)
    assert made(kind="nodown").phases(spec(kind="nodown"))[0].spec.crop == 32


def changed(detector: SelfConDetector, step: Any) -> set[str]:
    """Names of what a step of training changes in the network."""
    before = {name: value.clone() for name, value in detector.net.state_dict().items()}
    parameters = [p for p in detector.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=0.1)
    detector.train()
    optimizer.zero_grad()
    step().backward()
    assert all(p.grad is not None for p in parameters), "one that takes part has no say"
    optimizer.step()
    after = detector.net.state_dict()
    return {name for name in before if not torch.equal(before[name], after[name])}


def parts(names: set[str]) -> set[str]:
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("outputs", [1, 3])
def test_first_the_encoder_then_the_classifier(outputs: int) -> None:
    detector = made(outputs)
    first, second = detector.phases(spec(epochs=5, batch=7, lr=0.25))
    assert (first.name, first.scored, first.reals) == ("represent", False, True)
    assert (first.spec.epochs, first.spec.batch, first.spec.crop) == (400, 200, 96)
    assert first.spec.view.small == "reflect" and first.spec.recipe.optimizer == "sgd"
    assert (second.name, second.scored, second.reals) == ("calibrate", True, outputs == 1)
    assert second.spec == spec(epochs=5, batch=7, lr=0.25) and second.loss is None
    first.begin()
    found = changed(detector, lambda: first.loss(PIXELS, CLASSES))
    assert parts(found) == {"encoder", "sub", "projection", "sub_projection"}
    second.begin()
    found = changed(detector, lambda: detector(PIXELS).square().sum())
    assert parts(found) == {"encoder", "head"}
    assert all(name.split(".")[-1].startswith(("running_", "num_")) for name in found if "encoder" in name)
    first.begin()
    assert "sub" in parts(changed(detector, lambda: first.loss(PIXELS, CLASSES))), "not frozen for good"


def test_statistics_adapt_while_the_encoder_is_frozen() -> None:
    detector = made(options={"dropout": 0.0})
    encoder = detector.net.encoder
    detector.phases(spec())[1].begin()
    pixels = PIXELS // 2 + 100  # flatter, lighter pictures than those of the statistics
    before = detector.score(pixels)
    seen: list[Tensor] = []
    encoder.bn1.register_forward_pre_hook(lambda layer, values: seen.append(values[0]))
    detector.train()
    assert not encoder.training and not encoder.layer1.training and encoder.bn1.training
    assert detector.net.head.training
    with torch.no_grad():
        detector(pixels)
    assert torch.allclose(encoder.bn1.running_mean, 0.1 * seen[0].mean((0, 2, 3)), atol=1e-6)
    assert abs(before - detector.score(pixels)).max() > 1e-3
    assert not any(layer.training for layer in detector.modules()), "evaluation uses what was gathered"
    detector.phases(spec())[0].begin()
    detector.train()
    assert all(layer.training for layer in detector.modules())


def test_it_learns_the_two_contrasts() -> None:
    """Real pictures, and two generators with a trace of their own: the loss of both parts goes down."""
    torch.manual_seed(0)
    pixels = torch.randint(90, 160, (12, 3, 16, 16)).float()
    classes = torch.arange(12) % 3
    board = (torch.arange(16)[:, None] + torch.arange(16)) % 2 * 40.0
    lines = torch.arange(16) % 4 // 2 * torch.ones(16, 1) * 40.0
    pixels[classes == 1] += board
    pixels[classes == 2] += lines
    detector = made()
    first = detector.phases(spec())[0]
    first.begin()
    detector.train()
    optimizer = torch.optim.Adam((p for p in detector.parameters() if p.requires_grad), lr=2e-3)
    losses = []
    for _ in range(15):
        loss = first.loss(pixels, classes)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    least = torch.log(torch.tensor(7.0)) + torch.log(torch.tensor(7.0))  # others of a label, at best alike
    assert least - 1 < losses[-1] < losses[0] - 1


def test_starts_from_an_encoder_or_from_a_whole_network() -> None:
    plain = timm.create_model("test_resnet")
    detector = made()
    head = {name: value.clone() for name, value in detector.net.head.state_dict().items()}
    detector.begin_from(plain.state_dict(), "here")
    assert torch.equal(detector.net.encoder.layer4[0].conv1.weight, plain.layer4[0].conv1.weight)
    other = made(4)
    other.begin_from(detector.net.state_dict(), "here")
    assert torch.equal(other.net.sub.weight, detector.net.sub.weight)
    assert other.net.head[-1].out_features == 4
    third = made()
    third.begin_from(other.net.state_dict(), "here")
    assert all(torch.equal(value, head[name]) for name, value in third.net.head.state_dict().items())


def test_mistakes() -> None:
    with pytest.raises(
        AssayError, match=r"detector\.model: selfcon is made from a ResNet, e\.g\. resnet50; "
    ):
        made(model="test_vit")
    with pytest.raises(AssayError, match="nodown is made from a ResNet"):
        made(kind="nodown", model="test_vit")
    with pytest.raises(AssayError, match=r"here does not fit the network: .* are missing"):
        made().begin_from(timm.create_model("resnet10t").state_dict(), "here")
    with pytest.raises(
        AssayError, match=r"detector.options: represent.epoch is not a parameter; did you mean"
    ):
        made(options={"represent": {"epoch": 3}})
    with pytest.raises(AssayError, match=r"represent\.augment: recipe 'jpg.50.': unknown operation 'jpg'"):
        made(options={"represent": {"augment": "jpg(50)"}})
    with pytest.raises(AssayError, match="temperature"):
        made(options={"temperature": 0})


GROUPS = {"gan": ("progan", "stylegan3"), "sd": ("sd21", "sdxl")}


def grouped(**options: Any) -> Detector:
    return build(spec(options=options), 3)


def test_generators_of_one_group_are_contrasted_as_one() -> None:
    pixels = torch.randint(
        0, 256, (12, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )
    classes = torch.tensor([0, 0, 1, 2, 3, 4, 5, 1, 2, 3, 4, 5])
    trained_on = ("progan", "sd21", "stylegan3", "midjourney", "sdxl")
    merged = torch.tensor([0, 0, 1, 2, 1, 4, 2, 1, 2, 1, 4, 2])

    def loss(options: dict[str, Any], classes: Tensor) -> float:
        detector = grouped(**options).eval()
        detector.told(trained_on, trained_on, "detectors.mine")
        contrast = detector.phases(spec())[0].loss
        assert contrast is not None
        return contrast(pixels, classes).item()

    assert loss({"groups": GROUPS}, classes) == loss({}, merged) != loss({}, classes)


def test_a_group_of_a_generator_that_there_is_not() -> None:
    detector = grouped(groups=GROUPS)
    with pytest.raises(AssayError, match=r"mine.options.groups.sd names 'sdxl', .* did you mean 'sdxx'\?"):
        detector.told(("progan",), ("progan", "stylegan3", "sd21", "sdxx"), "detectors.mine")
    with pytest.raises(AssayError, match=r"'progan' is in two groups"):
        grouped(groups={**GROUPS, "more": ("progan",)})
