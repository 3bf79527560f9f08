"""What a recipe asks for is what is done: rates, averages, patience, groups of batches, phases."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from assets.detection import Detector as Spec
from assets.errors import AssayError
from assets.machine import make_repeatable
from assets.seeds import derive_seed
from models import detectors
from models.detectors.detector import Detector, Phase
from models.detectors.training.averaging import Average, in_place_of
from models.detectors.training.course import Course
from models.detectors.training.distributed import Processes
from models.detectors.training.examples import Examples
from models.detectors.training.loop import train_through
from models.detectors.training.optimization import Patience, learning_rate, optimizer_for
from models.detectors.training.part import Part
from models.detectors.training.validation import val_metrics
from tests.bench import SMALL, picture

ORIGIN = (1, "train", "fake", "small", 0)


class Drawn:
    """Pictures of tests/bench.py, drawn when they are asked for."""

    def pixels(self, image: str, smaller: Any = None) -> np.ndarray:
        drawn = picture(int(image[1:]), int(image[0] != "r"))
        assert smaller is None or smaller(drawn.shape[:2]) == 1
        return drawn


def examples(count: int = 16, generators: tuple[str, ...] = ("fake",)) -> Examples:
    def side(first: int) -> dict[str, int]:
        numbers = range(first, first + count)
        return {f"{'rgh'[kind]}{n}": kind for kind in range(1 + len(generators)) for n in numbers}

    return Examples(Drawn(), generators, side(0), side(100))  # type: ignore[arg-type]


def spec(**values: Any) -> Spec:
    return Spec.model_validate({**SMALL, "epochs": 2, "batch": 8, **values})


def detector_for(spec_: Spec, outputs: int = 1) -> Detector:
    make_repeatable()
    return detectors.build(spec_, derive_seed("start"), outputs=outputs)


def train(spec_: Spec, detector: Detector, images: Examples | None = None) -> Course:
    images = images or examples()
    return train_through(detector, spec_, images, ORIGIN, "detectors.small", Path("work"), Processes("cpu"))


def weights(detector: Detector) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in detector.net.state_dict().items()}


def distance(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> float:
    return max(float((one[name].double() - two[name].double()).abs().max()) for name in one)


def test_rates_of_the_schedules() -> None:
    def rates(**recipe: object) -> np.ndarray:
        made = spec(lr=2.0, epochs=10, recipe=recipe)
        return np.array([learning_rate(made, step, 10) for step in range(100)])

    cosine = rates()
    assert np.argmax(cosine) == 9 and cosine[9] == 2 and cosine[0] == pytest.approx(0.2)
    assert all(np.diff(cosine[9:]) < 0) and 0 <= cosine[-1] < 0.01
    assert rates(floor=0.5)[-1] == pytest.approx(0.5, abs=0.01) and rates(floor=0.5).max() == 2
    assert np.array_equal(rates(schedule="constant", warmup=2)[:21], np.append(np.arange(1, 21) / 10, 2))
    assert set(rates(schedule="plateau", warmup=0)) == {2.0}
    assert np.argmax(rates(warmup=50)) == 99
    assert learning_rate(spec(lr=2.0, epochs=1), 0, 1) == 2


def test_optimizers_have_what_the_recipe_says() -> None:
    parameters = [nn.Parameter(torch.zeros(2))]
    sgd = {"optimizer": "sgd", "momentum": 0.8, "nesterov": True}
    made = optimizer_for(spec(recipe=sgd, weight_decay=0.3), parameters)
    assert isinstance(made, torch.optim.SGD)
    assert {"lr": 0.003, "momentum": 0.8, "nesterov": True, "weight_decay": 0.3, "dampening": 0}.items() <= (
        made.param_groups[0].items()
    )
    adam = optimizer_for(spec(recipe={"optimizer": "adam", "betas": (0.5, 0.9)}), parameters)
    assert type(adam) is torch.optim.Adam and adam.param_groups[0]["betas"] == (0.5, 0.9)
    assert type(optimizer_for(spec(), parameters)) is torch.optim.AdamW


def test_a_plateau_divides_the_rate_until_the_floor() -> None:
    made = spec(lr=1e-4, recipe={"schedule": "plateau", "patience": 2, "floor": 1e-6})
    patience, factors = Patience(), []
    for epoch in range(1, 10):
        best = patience.after(epoch, 1.0 if epoch == 1 else 0.5, made)
        assert best == (epoch == 1)
        factors.append(patience.factor)
        if patience.over:
            break
    assert factors == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01, 0.001]) and patience.epoch == 1


def test_patience_ends_a_training_and_the_best_epoch_is_kept(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([0.5, 0.7, 0.7, 0.6])
    monkeypatch.setattr(Part, "_score", lambda *_: next(scores))
    seen: list[dict[str, torch.Tensor]] = []
    end = Part._end_epoch

    def noted(self: Part) -> None:
        end(self)
        seen.append(weights(self.course.detector))

    monkeypatch.setattr(Part, "_end_epoch", noted)
    made = spec(epochs=9, recipe={"stop": True, "patience": 2})
    detector = detector_for(made)
    course = train(made, detector)
    assert course.phases == [{"name": "train", "epochs": 4, "kept": 2}]
    assert distance(weights(detector), seen[1]) == 0 < distance(weights(detector), seen[3])


def test_what_is_monitored() -> None:
    found: dict[str, float | None] = {"val_auroc": 0.7, "val_accuracy": 0.6, "val_loss": 0.5}
    for monitor, expected in (("auroc", 0.7), ("accuracy", 0.6), ("loss", -0.5)):
        part = Part.__new__(Part)
        part.recipe = spec(recipe={"monitor": monitor}).recipe
        assert part._score(9.0, found) == expected
        assert part._score(9.0, dict.fromkeys(found)) == -9, "without val: the training loss"


def test_the_gradient_of_a_short_group_is_a_mean_over_its_images(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = spec(model="test_vit", batch=5, epochs=1, lr=1e-9, recipe={"accumulate": 4, "optimizer": "sgd"})
    detector = detector_for(made)
    images = examples(9)  # 18: batches of 5, 5, 4, 4
    gradients: list[torch.Tensor] = []
    step = torch.optim.SGD.step
    monkeypatch.setattr(
        torch.optim.SGD,
        "step",
        lambda self, *_: (gradients.append(_gradient(detector)), step(self))[1],
    )
    train(made, detector, images)
    whole = detector_for(made.model_copy(update={"batch": 18}))
    gradients_of_four = gradients.copy()
    gradients.clear()
    detector = whole
    train(made.model_copy(update={"batch": 18}), whole, images)
    assert len(gradients_of_four) == len(gradients) == 1
    assert torch.allclose(gradients_of_four[0], gradients[0], rtol=1e-3, atol=1e-6)


def _gradient(detector: Detector) -> torch.Tensor:
    return torch.cat([part.grad.flatten() for part in detector.parameters() if part.grad is not None])


def test_a_gradient_is_clipped(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    norms: list[float] = []
    step = torch.optim.SGD.step
    made = spec(epochs=1, lr=1e-6, recipe={"optimizer": "sgd", "clip": 0.01})
    detector = detector_for(made)
    monkeypatch.setattr(
        torch.optim.SGD,
        "step",
        lambda self, *_: (norms.append(float(_gradient(detector).norm())), step(self))[1],
    )
    train(made, detector)
    assert norms == pytest.approx([0.01] * 4, rel=1e-3)


def test_the_average_of_weights_and_statistics() -> None:
    net = nn.BatchNorm1d(1)
    average = Average(net.state_dict(), 0.5)
    decays = [min(0.5, (1 + step) / (10 + step)) for step in range(1, 6)]
    expected, values = 1.0, [3.0, 5.0, 7.0, 1.0, 2.0]
    for value, decay in zip(values, decays, strict=True):
        nn.init.constant_(net.weight, value)
        net.running_mean.fill_(value)  # type: ignore[union-attr]
        net.num_batches_tracked.add_(1)  # type: ignore[union-attr]
        average.update(net.state_dict())
        expected = decay * expected + (1 - decay) * value
    assert float(average.state["weight"]) == pytest.approx(expected)
    assert 0 < float(average.state["running_mean"]) < expected and average.state["num_batches_tracked"] == 5
    with in_place_of(net, average.state):
        assert net.weight.item() == pytest.approx(expected)
    assert net.weight.item() == 2


def test_the_average_is_what_is_judged_and_kept(workdir: Path) -> None:
    made = spec(recipe={"ema": 0.99})
    averaged, last = detector_for(made), detector_for(made)
    course = train(made, averaged)
    train(spec(), last)
    assert distance(weights(averaged), weights(last)) > 1e-4
    again = val_metrics(np.array(list(examples().val.values())), _logits(averaged, list(examples().val)))
    assert course.lines[-1]["val_loss"] == pytest.approx(again["val_loss"], rel=1e-5)


def _logits(detector: Detector, images: list[str]) -> np.ndarray:
    from models.detectors.inputs import prepare

    return detector.score(
        torch.from_numpy(np.stack([prepare(Drawn().pixels(image), 32) for image in images]))
    )


def test_split_batch_norms_leave_the_plain_network(workdir: Path) -> None:
    made = spec(recipe={"splits": 3, "erase": 1.0})
    detector = detector_for(made)
    net, before = detector.net, weights(detector)
    train(made, detector)
    assert detector.net is net and before.keys() == weights(detector).keys()
    assert distance(before, weights(detector)) > 1e-4


class TwoPhases(Detector):
    """Trains its head alone with a loss of its own, then all but the frozen stem."""

    begun: list[str]

    def phases(self, spec: Spec) -> list[Phase]:
        self.begun = []
        short = spec.model_copy(update={"epochs": 1})
        return [
            Phase("head", short, self._head_alone, loss=self._own, scored=False),
            Phase("rest", spec, self._all, reals=True),
        ]

    def _head_alone(self) -> None:
        self.begun.append("head")
        self.net.requires_grad_(False)
        self.net.get_classifier().requires_grad_(True)

    def _all(self) -> None:
        self.begun.append("rest")
        self.net.requires_grad_(True)
        self.net.conv1.requires_grad_(False)

    def _own(self, pixels: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        assert set(classes.tolist()) <= {0, 1, 2} and pixels.dtype == torch.uint8
        return (self.answers(pixels)[:, 0] - classes).square().mean()

    def penalty(self) -> torch.Tensor:
        return 100 + 0 * self.net.get_classifier().weight.sum()


def two_phases(made: Spec) -> TwoPhases:
    plain = detector_for(made)
    return TwoPhases(plain.net, plain.mean.flatten().tolist(), plain.std.flatten().tolist())


def test_phases_one_after_another(workdir: Path) -> None:
    made = spec(epochs=2)
    detector = two_phases(made)
    before = weights(detector)
    course = train(made, detector, examples(8, ("fake", "other")))
    assert detector.begun == ["head", "rest"]
    assert [(line["phase"], line["epoch"]) for line in course.lines] == [
        ("head", 1),
        ("rest", 1),
        ("rest", 2),
    ]
    assert course.lines[0]["val_auroc"] is None and course.lines[1]["val_auroc"] is not None
    assert all(float(line["loss"]) > 100 for line in course.lines), "the penalty is part of the loss"  # type: ignore[arg-type]
    after = weights(detector)
    assert torch.equal(before["conv1.0.weight"], after["conv1.0.weight"])
    assert distance(before, after) > 1e-4


def test_nothing_to_train(workdir: Path) -> None:
    made = spec()
    detector = detector_for(made)
    detector.requires_grad_(False)
    with pytest.raises(AssayError, match=r"detectors\.small: no weight is trained in the phase 'train'"):
        train(made, detector)


def test_a_gradient_that_is_not_finite_names_its_batch(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = spec()
    detector = detector_for(made)
    next(iter(detector.parameters())).register_hook(lambda gradient: gradient * torch.inf)
    with pytest.raises(AssayError) as caught:
        train(made, detector)
    message = str(caught.value)
    assert (
        message.startswith("detectors.small: the gradient became ") and "Images of this batch: r" in message
    )


def test_metrics_of_several_generators() -> None:
    labels = np.array([0, 1, 2, 2])
    logits = np.array([[4, 0, 0], [0, 4, 0], [0, 0, 4], [4, 0, -2]], np.float32)
    found = val_metrics(labels, logits)
    assert found["val_accuracy"] == 0.75
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert found["val_loss"] == pytest.approx(-np.log(shares[range(4), labels]).mean())
    assert found["val_auroc"] == pytest.approx((2 / 3 + 1 + 1 / 2) / 3)


def test_an_attributor_learns(workdir: Path) -> None:
    made = spec(epochs=1)
    detector = detector_for(made, outputs=2)
    course = train(made, detector, examples(8, ("fake", "other")))
    assert isinstance(course.lines[0]["val_auroc"], float)


def test_log_has_a_line_an_epoch(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from models.detectors.training import part

    monkeypatch.setattr(part, "EPOCH_SECONDS", 0)
    made = spec()
    train(made, detector_for(made))
    assert list(pd.read_csv("work/log.csv")["epoch"]) == [1, 2], "while it goes on, beside the checkpoints"


@pytest.mark.gpu
@pytest.mark.parametrize("mixed", ["auto", "no", "bf16", "fp16"])
def test_on_a_gpu_every_precision_learns_and_keeps_full_weights(workdir: Path, mixed: str) -> None:
    asked = spec(epochs=8, recipe={"mixed": mixed})
    detector = detector_for(asked).to("cuda")
    course = train_through(
        detector, asked, examples(), ORIGIN, "detectors.small", Path("work"), Processes("cuda")
    )
    assert course.lines[-1]["val_auroc"] > 0.9
    assert {weight.dtype for weight in detector.parameters()} == {torch.float32}
