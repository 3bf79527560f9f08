"""A trained detector as ONNX with its card, checked, and taken in again elsewhere."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
import yaml
from typer.testing import CliRunner

from assets.errors import AssayError
from assets.files import sha256_of, write_json
from assets.params import Params
from assets.predictions import given_source, predictions_path, read_predictions
from flows.cli import app
from models.detectors import build
from models.detectors.detector import save_weights
from models.detectors.trained import CARD, WEIGHTS, trained_folder
from tasks import export_detector as exporting
from tasks.adopt import adopt
from tasks.evaluate import evaluate
from tasks.evaluate_given import evaluate_given
from tasks.export_detector import export_detector
from tests.bench import SMALL, benchmark, write_benchmark

OUT = Path("exported")
VIEW = {"resize": 36, "interpolation": "bilinear", "small": "reflect"}
SETTINGS = benchmark(
    detectors={"small": {**SMALL, "view": VIEW}, "traces": {**SMALL, "kind": "npr"}},
    train={"generators": ["fake"], "sets": {}, "samples": {}, "seeds": [4]},
)


def write_trained(params: Params, name: str) -> None:
    """What a training leaves, of a network that nobody trained."""
    spec = params.detectors[name]
    folder = trained_folder(Path(), "fake", name, 4)
    detector = build(spec, 7)
    save_weights(detector, folder / WEIGHTS)
    card = {
        "detector": name,
        "trained_on": "fake",
        "seed": 4,
        "classes": ["real", "fake"],
        "spec": spec.model_dump(mode="json"),
        "weights": sha256_of(folder / WEIGHTS),
        "threshold": -0.25,
        "val": {"auroc": 0.5},
    }
    write_json(folder / CARD, card)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A benchmark with two detectors; one is exported, by the command line."""
    path = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        write_benchmark(SETTINGS, fake=(3,))
        for name in SETTINGS.detectors:
            write_trained(SETTINGS, name)
        Path("params.yaml").write_text(yaml.safe_dump(SETTINGS.model_dump(mode="json", by_alias=True)))
        done = CliRunner().invoke(app, ["export-detector", "small", "--out", str(OUT), "--json"])
        assert done.exit_code == 0, done.output
        Path("told.json").write_text(done.output)
    return path


@pytest.fixture(autouse=True)
def there(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)


def refused(*arguments: Any, params: Params = SETTINGS) -> str:
    before = sorted(OUT.iterdir())
    with pytest.raises(AssayError) as caught:
        export_detector(Path(), params, *arguments)
    assert sorted(OUT.iterdir()) == before and not Path("nowhere").exists()
    return str(caught.value)


def test_the_card_says_what_the_file_is() -> None:
    assert sorted(path.name for path in OUT.iterdir()) == ["small-fake-s4.json", "small-fake-s4.onnx"]
    card = json.loads((OUT / "small-fake-s4.json").read_text())
    assert card["file"]["sha256"] == sha256_of(OUT / "small-fake-s4.onnx")
    assert card["weights"] == sha256_of(trained_folder(Path(), "fake", "small", 4) / WEIGHTS)
    assert card["check"]["pictures"] == 16 + 16 + 15 and card["check"]["largest_difference"] < 1e-4
    assert card["output"]["threshold"] == -0.25 and card["output"]["labels"] == {
        "0": "real",
        "1": "generated",
    }
    assert card["input"]["shape"] == ["batch", 3, 32, 32] and card["lineage"] is None
    told = "\n".join(card["input"]["steps"])
    assert "shorter side is 36 px" in told and "bilinear" in told and "mirror it outwards" in told


def test_the_file_does_what_the_card_says() -> None:
    card = json.loads((OUT / "small-fake-s4.json").read_text())
    session = onnxruntime.InferenceSession(str(OUT / card["file"]["name"]))
    detector = build(SETTINGS.detectors["small"], 7)
    for batch in (1, 3):
        pixels = np.random.default_rng(batch).integers(0, 256, (batch, 3, 32, 32), np.uint8)
        (found,) = session.run([card["output"]["name"]], {card["input"]["name"]: pixels})
        assert found.shape == (batch,) and np.allclose(
            found, detector.score(torch.from_numpy(pixels)), atol=1e-4
        )


def test_taken_in_again_it_gives_the_same_scores() -> None:
    card = json.loads((OUT / "small-fake-s4.json").read_text())
    entry = {**card["given"], "weights": str(OUT / card["given"]["weights"])}
    params = benchmark(given={"theirs": entry}, **SETTINGS.model_dump(include={"detectors", "train"}))
    adopt(Path(), params, "theirs")
    for item in ("real", "fake"):
        evaluate(Path(), params, "fake", item)
        evaluate_given(Path(), params, "theirs", item)
        ours = read_predictions(predictions_path(Path(), "fake", item))
        ours = ours[ours["detector"] == "small"].reset_index(drop=True)
        theirs = read_predictions(predictions_path(Path(), given_source("theirs"), item))
        assert (ours["id"] == theirs["id"]).all() and (ours["condition"] == theirs["condition"]).all()
        assert np.allclose(ours["logit"], theirs["logit"], atol=1e-4, equal_nan=True)
        assert ours["logit"].notna().sum() == (32 if item == "real" else 30)


def test_a_file_that_differs_is_not_put_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "write_onnx", lambda detector, side, path, where: path.write_bytes(b"x"))
    for found in (0.5, float("nan")):
        monkeypatch.setattr(exporting, "difference", lambda *arguments, found=found: found)
        message = refused("traces", "fake", 4, Path("nowhere"))
        assert f"differ from PyTorch's by up to {found:.3g}, and at most 0.001" in message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("smal", None, None), "unknown detector 'smal'; did you mean 'small'?"),
        (("small", "fkae", None), "nothing is trained on 'fkae'; did you mean 'fake'?"),
        (("small", "fake", 5), "--seed 5: the seeds are 4"),
        (("theirs", None, None), "theirs was made elsewhere"),
        (("which", None, None), "which says which generator"),
    ],
)
def test_what_cannot_be_exported(arguments: Any, message: str) -> None:
    generators = {
        name: {"from": f"data/{name}", "family": "gan", "released": "2020-01"} for name in ("fake", "other")
    }
    params = benchmark(
        generators=generators,
        detectors={"small": SMALL},
        given={"theirs": {"kind": "npr", "weights": "x.pth"}},
        attributors={"which": SMALL},
        train={"generators": ["fake"], "sets": {"both": ["fake", "other"]}, "samples": {}, "seeds": [4]},
    )
    assert message in refused(*arguments, Path("nowhere"), params=params)


def test_which_training_has_to_be_said_if_there_are_several() -> None:
    params = benchmark(
        train={"generators": ["fake"], "sets": {"again": ["fake"]}, "samples": {}, "seeds": [0]}
    )
    assert "--trained-on is missing; Allowed: again, fake" in refused(
        "small", None, None, Path("x"), params=params
    )


def test_the_command_line_tells_what_it_wrote() -> None:
    told = json.loads(Path("told.json").read_text())
    assert told["onnx"] == "exported/small-fake-s4.onnx" and told["card"] == "exported/small-fake-s4.json"
    assert told["difference"] < 1e-4 and told["pictures"] == 16 + 16 + 15
