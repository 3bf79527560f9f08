"""Detectors that were made elsewhere: taken in, scored like all others, and what goes wrong."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
import timm
import torch
import yaml
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import load_file, save_file
from torch import nn

from assets.errors import AssayError
from assets.files import sha256_of
from assets.images.loader import read_side
from assets.params import Params
from assets.predictions import given_source, predictions_path, read_predictions
from assets.statistics import metrics
from models.detectors.given import check_given, load_given
from models.detectors.nets.own_code import code_pin
from tasks.adopt import adopt
from tasks.adopt import main as adopt_main
from tasks.evaluate_given import NO_CONDITION, NO_SCORE, evaluate_given
from tasks.evaluate_given import main as evaluate_main
from tests.bench import benchmark, write_benchmark

FOLDER = Path("artifacts/adopt/theirs")
NET = '''
import torch
from torch import nn

class Checkerboard(nn.Module):
    """How strongly neighbouring pixels alternate: generated pictures of the benchmark do."""
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(1, 3, 1, 1) / 12)

    def forward(self, pixels):
        return nn.functional.conv2d(pixels, self.weight).abs().mean((1, 2, 3)) - 100

def build():
    return Checkerboard()
'''


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A benchmark; a val and a test picture of `fake` cannot be decoded."""
    path = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        write_benchmark(benchmark(), fake=(2, 3))
        Path("theirs_net.py").write_text(NET)
    return path


@pytest.fixture(autouse=True)
def there(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(home)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield home
    sys.modules.pop("theirs_net", None)


def given(**values: Any) -> Params:
    """The benchmark with one given detector, whose file is pinned."""
    file = Path(str(values.get("weights", "")))
    pin = {"sha256": sha256_of(file)} if file.is_file() else {}
    return benchmark(given={"theirs": {"crop": 32, **pin, **values}})


def network(**values: Any) -> Params:
    options = {"build": "theirs_net:build", "code": code_pin("theirs_net", ""), "pixels": "bytes"}
    return given(kind="entry_point", options=options, **values)


def scores(rows: list[tuple[str, float]] | list[tuple[str, str, float]], **values: Any) -> Params:
    columns = ["image", "score"] if len(rows[0]) == 2 else ["image", "made", "score"]
    pd.DataFrame(rows, columns=columns).to_csv("s.csv", index=False)
    condition = {} if len(rows[0]) == 2 else {"condition": "made"}
    options = {"file": "s.csv", "sha256": sha256_of(Path("s.csv")), "id": "image", "scale": "logit"}
    entry = {"kind": "scores", "options": {**options, **condition}, **values}
    return benchmark(given={"theirs": entry})


def side(item: str, name: str) -> list[str]:
    return list(read_side(Path("artifacts/split") / item, name)["id"])


def taken_in(params: Params) -> dict[str, Any]:
    adopt(Path(), params, "theirs")
    card: dict[str, Any] = json.loads((FOLDER / "card.json").read_text())
    return card


def scored(params: Params, item: str) -> pd.DataFrame:
    evaluate_given(Path(), params, "theirs", item)
    return read_predictions(predictions_path(Path(), given_source("theirs"), item))


def refused(params: Params) -> str:
    with pytest.raises(AssayError) as caught:
        adopt(Path(), params, "theirs")
    assert not list(Path(".assay").rglob("*.*"))
    return str(caught.value)


def classifier(outputs: int, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return timm.create_model("test_resnet", num_classes=outputs)


def write_checkerboard(path: Path) -> None:
    """The network of NET as an ONNX file."""
    kernel = np.tile(np.array([[1, -1], [-1, 1]], np.float32) / 12, (1, 3, 1, 1))
    nodes = [
        helper.make_node("Conv", ["pixels", "kernel"], ["alternating"]),
        helper.make_node("Abs", ["alternating"], ["strength"]),
        helper.make_node("ReduceMean", ["strength"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Sub", ["mean", "hundred"], ["logits"]),
    ]
    shape = ("batch", 3, 32, 32)
    graph = helper.make_graph(
        nodes,
        "checkerboard",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ("batch",))],
        [
            numpy_helper.from_array(kernel, "kernel"),
            numpy_helper.from_array(np.float32(100), "hundred"),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)


def test_a_function_of_theirs_is_scored_beside_the_others() -> None:
    params = network()
    card = taken_in(params)
    assert card["trained_on"] == "elsewhere" and card["seed"] == 0
    assert card["images"] == {"val": {"real": 16, "generated": 15}}
    assert card["unscored"] == {"val": {"real": 0, "generated": 1}}
    assert card["val"]["auroc"] > 0.99 and card["val"]["balanced_accuracy"] > 0.95
    assert card["threshold"] < -50  # far from 0, which this network never reaches
    real, fake = scored(params, "real"), scored(params, "fake")
    assert len(real) == len(fake) == 2 * 16 and set(fake["trained_on"]) == {"elsewhere"}
    assert set(fake["weights"]) == {card["weights"]} and set(fake["threshold"]) == {card["threshold"]}
    clean = pd.concat([real, fake])
    clean = clean[(clean["condition"] == "clean") & (clean["status"] == "ok")]
    assert metrics.auroc(clean["label"], clean["logit"]) > 0.99
    bad = fake[fake["status"] != "ok"]
    assert set(bad["id"]) == {"fake-003"} and bad["logit"].isna().all()


def test_taking_in_twice_gives_the_same_bytes() -> None:
    first = taken_in(network())
    files = {path.name: path.read_bytes() for path in FOLDER.iterdir()}
    assert taken_in(network()) == first
    assert {path.name: path.read_bytes() for path in FOLDER.iterdir()} == files
    assert set(files) == {"card.json", "weights.safetensors"}


def test_a_threshold_of_one_half() -> None:
    card = taken_in(network(threshold="half"))
    assert card["threshold"] == 0 and card["val"]["balanced_accuracy"] == 0.5


def test_weights_in_a_file_are_copied_and_scored_as_they_are() -> None:
    theirs = classifier(1)
    torch.save({"model": theirs.state_dict(), "epoch": 3}, "theirs.pth")
    params = given(model="test_resnet", weights="theirs.pth")
    card = taken_in(params)
    whole = load_file(FOLDER / "weights.safetensors")
    assert all(torch.equal(value, whole[name]) for name, value in theirs.state_dict().items())
    Path("theirs.pth").unlink()
    rows = scored(params, "real")
    assert rows["logit"].notna().all() and card["file"]["sha256"] == sha256_of(FOLDER / "weights.safetensors")
    pixels = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    mean, std = timm.get_pretrained_cfg("test_resnet").mean, timm.get_pretrained_cfg("test_resnet").std
    values = (pixels / 255 - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    expected = theirs.eval()(values)[:, 0].detach().numpy()
    found = load_given(Path(), params, "theirs").detector.score(pixels)
    assert np.allclose(found, expected, atol=1e-5)


def test_a_network_with_two_outputs() -> None:
    save_file(classifier(2).state_dict(), "two.safetensors")
    params = given(model="test_resnet", weights="two.safetensors", options={"outputs": 2})
    taken_in(params)
    assert scored(params, "real")["logit"].notna().all()


@pytest.mark.parametrize(
    ("made", "settings", "message"),
    [
        (
            lambda: classifier(1000).state_dict(),
            {},
            "2 have another shape, first fc.weight: (1000, 96) instead of (1, 96)",
        ),
        (
            lambda: {name: value for name, value in classifier(1).state_dict().items() if name[:2] != "fc"},
            {},
            "weights of timm are not in it and would stay random, first fc.",
        ),
        (lambda: classifier(2).state_dict(), {}, "fc.weight: (2, 96) instead of (1, 96)"),
        (lambda: classifier(1).state_dict(), {"model": "test_vit", "crop": 160}, "does not fit the network"),
        (lambda: {"layer": torch.zeros(3)}, {}, "does not fit the network: "),
    ],
)
def test_weights_of_another_network_or_of_other_classes(made: Any, settings: Any, message: str) -> None:
    taken_in(network())
    before = sorted(path.name for path in FOLDER.iterdir())
    save_file(made(), "other.safetensors")
    found = refused(given(**{"model": "test_resnet", "weights": "other.safetensors", **settings}))
    assert found.startswith("given.theirs.weights") and message in found
    assert sorted(path.name for path in FOLDER.iterdir()) == before


def test_a_head_that_starts_at_zero_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    made = timm.create_model

    def zero_head(*arguments: Any, **values: Any) -> Any:
        net = made(*arguments, **values)
        nn.init.zeros_(net.fc.weight)
        return net

    body = {name: value for name, value in classifier(1).state_dict().items() if name[:2] != "fc"}
    save_file(body, "other.safetensors")
    monkeypatch.setattr(timm, "create_model", zero_head)
    message = refused(given(model="test_resnet", weights="other.safetensors"))
    assert "2 of " in message and "would stay random, first fc.weight" in message


def test_a_function_of_theirs_with_weights_in_a_file() -> None:
    taken_in(network())
    weights = load_file(FOLDER / "weights.safetensors")
    save_file({"weight": 2 * weights["weight"]}, "theirs.safetensors")
    plain = scored(network(), "real")["logit"]
    params = network(weights="theirs.safetensors")
    taken_in(params)
    assert np.allclose(scored(params, "real")["logit"] + 100, 2 * (plain + 100), atol=1e-3)
    save_file({"wieght": weights["weight"]}, "theirs.safetensors")
    assert "1 of its 1 weights are missing, first weight" in refused(network(weights="theirs.safetensors"))


def test_an_onnx_file() -> None:
    params = network()
    taken_in(params)
    expected = scored(params, "real")["logit"]
    write_checkerboard(Path("theirs.onnx"))
    again = given(kind="onnx", weights="theirs.onnx", options={"pixels": "bytes"})
    card = taken_in(again)
    Path("theirs.onnx").unlink()
    assert card["file"]["name"] == "model.onnx" and card["val"]["auroc"] > 0.99
    assert np.allclose(scored(again, "real")["logit"], expected, atol=1e-4)


def test_a_table_of_scores_with_gaps(capsys: pytest.CaptureFixture[str]) -> None:
    reals, fakes = side("real", "test"), side("fake", "test")
    vals = [(name, float(name[:4] == "fake")) for item in ("real", "fake") for name in side(item, "val")]
    params = scores([*vals, *((name, 0.25) for name in reals[2:]), *((name, 0.75) for name in fakes)])
    card = taken_in(params)
    assert card["threshold"] == 0.5 and card["val"]["accuracy"] == 1
    assert card["images"] == {"val": {"real": 16, "generated": 16}}
    Path("s.csv").unlink()
    rows = scored(params, "real").set_index(["condition", "id"])
    assert len(rows) == 2 * 16
    assert f"2 of 16 test images of real (clean) have no score, first {reals[0]}" in capsys.readouterr().err
    assert rows.loc["clean"].loc[reals[:2], "status"].tolist() == [NO_SCORE] * 2
    assert rows.loc["clean"].loc[reals[2:], "logit"].tolist() == [0.25] * 14
    assert set(rows.loc["jpeg50", "status"]) == {NO_CONDITION} and rows.loc["jpeg50", "logit"].isna().all()
    fake = scored(params, "fake").set_index(["condition", "id"]).loc["clean"]
    assert fake.loc["fake-003", "status"].startswith("not an image") and np.isnan(
        fake.loc["fake-003", "logit"]
    )
    assert (fake["status"] == "ok").sum() == 15


def test_a_table_with_conditions_and_no_val() -> None:
    rows = [(name, made, 0.5) for name in side("fake", "test") for made in ("clean", "jpeg50")]
    message = refused(scores(rows))
    assert "threshold is 'val', and none of 16 real val images has a score" in message
    params = scores(rows, threshold="half")
    assert taken_in(params)["val"]["auroc"] is None
    found = scored(params, "fake")
    assert (found["status"] == "ok").sum() == 30
    assert set(scored(params, "real")["status"]) == {NO_SCORE}


def test_two_columns_of_one_file_are_two_detectors() -> None:
    rows = [(name, 0.5) for name in side("fake", "test")]
    one = taken_in(scores(rows, threshold="half"))["weights"]
    params = scores(rows, threshold="half")
    flipped = {**params.given["theirs"].options, "higher_means": "real"}
    entry = params.given["theirs"].model_dump(include={"kind", "threshold"})
    other = taken_in(benchmark(given={"theirs": {**entry, "options": flipped}}))["weights"]
    assert one != other


def test_ids_that_the_benchmark_has_not() -> None:
    assert "names 1 of 2 images that are not in this benchmark, first fake-999" in refused(
        scores([("fake-001", 1.0), ("fake-999", 2.0)])
    )


def test_where_nothing_is_trained_all_generators_set_the_threshold() -> None:
    params = network().model_dump(mode="json", by_alias=True)
    params |= {"detectors": {}, "train": {"generators": [], "sets": {}, "samples": {}, "seeds": [0]}}
    card = taken_in(Params.model_validate(params))
    assert card["images"] == {"val": {"real": 16, "generated": 15}}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"model": "test_resnet"}, "given.theirs.weights is missing"),
        ({"model": "test_resnet", "weights": "gone.pth"}, "gone.pth is not there (looked for /"),
        ({"kind": "scores", "crop": 64}, "given.theirs.crop: a table of scores is no network"),
        ({"kind": "scroes"}, "unknown kind 'scroes'"),
        ({"kind": "scores", "options": {"file": "s.csv"}}, "scale is missing"),
    ],
)
def test_entries_that_cannot_be_taken_in(entry: dict[str, Any], message: str) -> None:
    with pytest.raises(AssayError) as caught:
        check_given(benchmark(given={"theirs": entry}), "theirs")
    assert message in str(caught.value)


def test_a_file_that_no_hash_pins() -> None:
    save_file(classifier(1).state_dict(), "theirs.safetensors")
    params = benchmark(given={"theirs": {"model": "test_resnet", "weights": "theirs.safetensors"}})
    with pytest.raises(AssayError, match=f"sha256: {sha256_of(Path('theirs.safetensors'))}"):
        check_given(params, "theirs")


def test_scores_stand_under_given_alone() -> None:
    from models import detectors

    params = benchmark(detectors={"theirs": {"kind": "scores"}})
    with pytest.raises(AssayError, match="a table of scores is no network: it goes under 'given'"):
        detectors.check(params.detectors["theirs"], "detectors.theirs")


def test_what_was_taken_in_is_gone_changed_or_asked_for_otherwise() -> None:
    params = network()
    taken_in(params)
    with pytest.raises(AssayError, match=r"was made with other parameters than given.theirs has now"):
        evaluate_given(Path(), network(threshold="half"), "theirs", "real")
    weights = FOLDER / "weights.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(AssayError, match=r"has checksum .* its card says"):
        evaluate_given(Path(), params, "theirs", "real")
    weights.unlink()
    with pytest.raises(AssayError, match=r"weights.safetensors is not there"):
        evaluate_given(Path(), params, "theirs", "real")
    (FOLDER / "card.json").write_text("{}")
    with pytest.raises(AssayError, match="is no card of a given detector"):
        evaluate_given(Path(), params, "theirs", "real")
    (FOLDER / "card.json").unlink()
    with pytest.raises(AssayError, match=r"card.json is not there"):
        evaluate_given(Path(), params, "theirs", "real")


def test_scores_that_are_not_finite_are_told() -> None:
    theirs = classifier(1)
    nn.init.constant_(theirs.fc.bias, float("nan"))
    save_file(theirs.state_dict(), "theirs.safetensors")
    message = refused(given(model="test_resnet", weights="theirs.safetensors"))
    assert "given.theirs: the scores of 31 val images are not finite, first " in message


@pytest.mark.parametrize(
    ("start", "arguments", "message"),
    [
        (adopt_main, "", "usage: python -m .* NAME"),
        (adopt_main, "thiers", "unknown given detector 'thiers'; did you mean 'theirs'?"),
        (evaluate_main, "theirs", "usage: python -m .* NAME TESTED_ON"),
        (evaluate_main, "thiers real", "unknown given detector 'thiers'"),
        (evaluate_main, "theirs rael", "unknown item 'rael'; did you mean 'real'?"),
    ],
)
def test_command_line_mistakes(start: Any, arguments: str, message: str) -> None:
    Path("params.yaml").write_text(yaml.safe_dump(network().model_dump(mode="json", by_alias=True)))
    with pytest.raises(AssayError, match=message):
        start(arguments.split())
