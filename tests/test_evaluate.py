"""Evaluation: every test image under every condition by every detector, and what goes wrong."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from assets.errors import AssayError
from assets.images.loader import Pictures
from assets.params import Params
from assets.predictions import predictions_path, read_predictions
from assets.statistics import metrics
from tasks.evaluate import evaluate, main
from tasks.train import train
from tests.bench import SMALL, benchmark, run_with_workers, write_benchmark

LARGE = {**SMALL, "kind": "npr", "crop": 48, "epochs": 1}  # larger than the pictures are high
SETTINGS = benchmark(
    detectors={"small": SMALL, "large": LARGE},
    train={"generators": ["fake"], "sets": {}, "samples": {}, "seeds": [0, 3]},
)
WEIGHTS = Path("artifacts/train/fake/small-s0/weights.safetensors")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A benchmark with trained detectors; two test images of `fake` cannot be decoded when degraded."""
    path = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        write_benchmark(SETTINGS, fake=(3, 7))
        for name in SETTINGS.detectors:
            for seed in SETTINGS.train.seeds:
                train(Path(), SETTINGS, "fake", name, seed)
    return path


@pytest.fixture
def there(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(home)
    return home


def scored(item: str, settings: Params = SETTINGS) -> pd.DataFrame:
    evaluate(Path(), settings, "fake", item)
    return read_predictions(predictions_path(Path(), "fake", item))


def refused(settings: Params = SETTINGS) -> str:
    with pytest.raises(AssayError) as caught:
        evaluate(Path(), settings, "fake", "fake")
    return str(caught.value)


def test_every_image_once_by_every_detector_under_every_condition(there: Path) -> None:
    real, fake = scored("real"), scored("fake")
    for item, rows in (("real", real), ("fake", fake)):
        assert len(rows) == 2 * 2 * 2 * 16  # detectors, seeds, conditions, test images
        assert set(rows["condition"]) == {"clean", "jpeg50"} and set(rows["tested_on"]) == {item}
        assert set(rows["trained_on"]) == {"fake"} and rows["weights"].nunique() == 4
        assert set(rows["seed"]) == {0, 3}
    grouped = real.drop_duplicates("id").set_index("id")["group"].astype(str)
    assert grouped["real-011"] == "real-011-group"
    both = pd.concat([real, fake[fake["status"] == "ok"]])
    clean = both[(both["condition"] == "clean") & (both["detector"] == "small") & (both["seed"] == 0)]
    assert metrics.auroc(clean["label"], clean["logit"]) > 0.9
    card = json.loads(WEIGHTS.with_name("card.json").read_text())
    assert set(clean["threshold"]) == {card["threshold"]} and set(clean["weights"].astype(str)) == {
        card["weights"]
    }


def test_unreadable_images_have_rows_without_a_score(there: Path) -> None:
    rows = scored("fake")
    bad = rows[rows["status"] != "ok"]
    assert set(bad["id"].astype(str)) == {"fake-003", "fake-007"} and len(bad) == 2 * 8
    assert bad["logit"].isna().all() and set(bad["status"].astype(str)) == {
        "not an image, or of an unsupported format"
    }
    assert rows[rows["status"] == "ok"]["logit"].notna().all()


def test_batch_and_workers_change_nothing(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def predictions() -> bytes:
        evaluate(Path(), SETTINGS, "fake", "real")
        return predictions_path(Path(), "fake", "real").read_bytes()

    first = predictions()
    assert predictions() == first
    for workers in (1, 4):
        predictions_path(Path(), "fake", "real").unlink()
        run_with_workers("evaluate", SETTINGS, ["fake", "real"], workers)
        assert predictions_path(Path(), "fake", "real").read_bytes() == first
    expected = scored("real")
    for batch in ("1", "7"):
        monkeypatch.setenv("ASSAY_BATCH", batch)
        found = scored("real")
        assert np.allclose(found["logit"], expected["logit"], rtol=1e-4, atol=1e-4)
        columns = [name for name in expected if name != "logit"]
        pd.testing.assert_frame_equal(found[columns], expected[columns])


def test_each_image_is_decoded_once_a_condition(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    original = Pictures.pixels

    def counting(self: Pictures, image: str, *arguments: Any) -> np.ndarray:
        seen.append(image)
        return original(self, image, *arguments)

    monkeypatch.setattr(Pictures, "pixels", counting)
    evaluate(Path(), SETTINGS, "fake", "real")
    assert len(seen) == 2 * 16


def test_tampered_or_missing_weights(there: Path) -> None:
    whole = WEIGHTS.read_bytes()
    try:
        WEIGHTS.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        message = refused()
        assert f"{WEIGHTS} has checksum " in message and "its card says " in message
        WEIGHTS.unlink()
        assert f"{WEIGHTS} is not there" in refused()
    finally:
        WEIGHTS.write_bytes(whole)


def test_a_card_that_is_missing_or_torn(there: Path) -> None:
    path = WEIGHTS.with_name("card.json")
    whole = path.read_text()
    try:
        path.write_text(whole[:50])
        assert f"{path} is no card of a trained detector" in refused()
        path.unlink()
        assert f"{path} is not there" in refused()
    finally:
        path.write_text(whole)


def test_a_detector_that_was_trained_otherwise(there: Path) -> None:
    other = benchmark(detectors={"small": {**SMALL, "lr": 0.5}})
    assert "small-s0 was trained with other parameters than detectors.small has now" in refused(other)


def test_a_condition_that_was_not_made(there: Path) -> None:
    other = benchmark(detectors={"small": SMALL}, degrade={"blur2": "blur(2)"})
    assert "artifacts/degrade/fake/blur2 is not there" in refused(other)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("fake", "usage: python -m .* TRAINED_ON TESTED_ON"),
        ("fkae real", "no detector is trained on 'fkae'; did you mean 'fake'?"),
        ("fake rael", "unknown item 'rael'; did you mean 'real'?"),
    ],
)
def test_command_line_mistakes(workdir: Path, arguments: str, message: str) -> None:
    Path("params.yaml").write_text(yaml.safe_dump(SETTINGS.model_dump(mode="json", by_alias=True)))
    with pytest.raises(AssayError, match=message):
        main(arguments.split())
