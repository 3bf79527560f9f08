"""The cards of detectors: all can be read and built, say what they must, and a new one is picked up."""

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from assets.detection import NONE, Attributor, Detector
from assets.errors import AssayError
from assets.images.degradations import parse
from models import detectors
from models.detectors import card as cards
from models.generators import card as generators
from tests.conftest import REPO

CARD: dict[str, Any] = {
    "title": "A new one (2026, Somewhere)",
    "paper": "https://example.org/new",
    "licence": "MIT",
    "published": [{"what": "accuracy %, GenImage", "value": 98.4, "source": "its Table 2"}],
    "recipe": {"model": "resnet50", "crop": 224, "epochs": 3, "recipe": {"optimizer": "sgd"}},
    "quick": {"model": "resnet18", "crop": 64, "epochs": 1},
}
NAMES = list(cards.known_cards())
CLASSES = 3
"""That an attributor is built for."""


def write(folder: Path, name: str = "new", **changes: Any) -> Path:
    """A card with some keys replaced; None leaves one out."""
    document = {key: value for key, value in {**CARD, **changes}.items() if value is not None}
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


@pytest.mark.parametrize("name", NAMES)
def test_what_a_card_puts_into_params_can_be_trained(name: str) -> None:
    card = cards.known_cards()[name]
    for quick in (False, True):
        spec, where = card.spec(quick), f"{name}.{'quick' if quick else 'recipe'}"
        assert isinstance(spec, Attributor if card.attributor else Detector)
        detectors.check(spec, where)
        parse(spec.augment, f"{where}.augment")


@pytest.mark.parametrize("name", NAMES)
def test_a_quick_detector_answers_any_picture(name: str) -> None:
    card = cards.known_cards()[name]
    spec = card.spec(quick=True).model_copy(update={"weights": NONE})
    outputs = CLASSES if card.attributor else 1
    detector = detectors.build(spec, 0, name, outputs)
    random = np.random.default_rng(0).integers(0, 256, (1, 3, spec.crop, spec.crop), np.uint8)
    pictures = torch.from_numpy(np.concatenate([np.zeros_like(random), random]))
    logits = detector.score(pictures)
    assert logits.shape == ((2,) if outputs == 1 else (2, outputs))
    assert np.isfinite(logits).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_published_network_is_no_smaller_than_the_quick_one(name: str) -> None:
    card = cards.known_cards()[name]
    assert parameters(card, quick=False) >= parameters(card, quick=True) > 0


def parameters(card: cards.Card, quick: bool) -> int:
    """Of the network, which is built without memory for its weights."""
    spec = card.spec(quick).model_copy(update={"weights": NONE})
    options = detectors.check(spec, card.title)
    kind = importlib.import_module(f"models.detectors.kinds.{spec.kind}")
    outputs = CLASSES if card.attributor else 1
    with torch.device("meta"):
        made = kind.build(detectors.resolved(spec), options, outputs, card.title)
    return sum(weight.numel() for weight in made.net.parameters())


def test_no_detector_is_called_like_a_generator() -> None:
    assert not set(NAMES) & set(generators.known_cards()), "`assay add NAME` would not know which"


def test_numbers_say_where_they_are_printed_and_plain_baselines_have_none() -> None:
    known = cards.known_cards()
    assert all(one.source for card in known.values() for one in card.published)
    for name in ("resnet18", "convnext_tiny", "resnet18_origin"):
        assert known[name].headline == "" and known[name].notes


def test_a_card_that_is_dropped_in_is_picked_up(tmp_path: Path) -> None:
    write(tmp_path)
    found = cards.read_cards(tmp_path)
    assert list(found) == ["new"]
    assert found["new"].entry() == CARD["recipe"] and found["new"].entry(quick=True) == CARD["quick"]
    assert found["new"].headline == "98.4 accuracy %, GenImage"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"licens": "MIT"}, "new.yaml: licens is not a parameter; did you mean 'licence'"),
        ({"quick": None}, "new.yaml: quick is missing"),
        ({"recipe": {"epoch": 3}}, "new.yaml: recipe.epoch is not a parameter; did you mean 'epochs'"),
        (
            {"recipe": {"recipe": {"optimiser": "sgd"}}},
            "recipe.recipe.optimiser is not a parameter; did you mean 'optimizer'",
        ),
        ({"quick": {"kind": "tim"}}, "quick.kind is 'tim'; did you mean 'timm'"),
        ({"quick": {"unknown": 0.1}}, "quick.unknown is for an attributor: add `attributor: true`"),
        ({"published": [{"what": "accuracy", "value": 1}]}, r"published.0.source is missing"),
        ({"paper": None}, "give at least one of paper, code"),
        ({"code": "http://example.org"}, "begins with https"),
    ],
)
def test_mistakes_name_file_key_and_the_nearest_right_one(
    changes: dict[str, Any], says: str, tmp_path: Path
) -> None:
    with pytest.raises(AssayError, match=says):
        cards.read_card(write(tmp_path, **changes))


def test_a_file_name_that_cannot_name_a_detector_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "New-One")
    with pytest.raises(AssayError, match=r"New-One\.yaml: the file's name is the detector's"):
        cards.read_cards(tmp_path)


def test_the_published_schema_is_current() -> None:
    published = (cards.CARDS / cards.SCHEMA).read_text("utf-8")
    assert published == cards.schema(), "make it again: `python -m models.detectors.card`"
    schema = json.loads(published)
    assert schema["additionalProperties"] is False
    assert {"title", "licence", "recipe", "quick"} == set(schema["required"])


def test_reading_cards_does_not_load_torch() -> None:
    read = "import sys; from models.detectors.card import known_cards; known_cards()"
    code = f"{read}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
