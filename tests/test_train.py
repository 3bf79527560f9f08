"""Training: it learns, it is repeatable, and it says what is wrong."""

import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from assets.errors import AssayError
from assets.images.degradations import _CODECS
from assets.images.imageset import ImageSet
from assets.params import Params
from models.detectors.trained import load_trained
from tasks import train as module
from tasks.pool import pool
from tasks.start import start
from tasks.train import main, train
from tests.bench import SMALL, benchmark, run_with_workers, write_benchmark, write_item

FOLDER = Path("artifacts/train/fake/small-s0")


def trained(settings: Params) -> dict[str, bytes]:
    train(Path(), settings, "fake", "small", 0)
    return written()


def written() -> dict[str, bytes]:
    files = (path for path in FOLDER.rglob("*") if path.is_file())
    return {path.relative_to(FOLDER).as_posix(): path.read_bytes() for path in files}


def refused(settings: Params) -> str:
    with pytest.raises(AssayError) as caught:
        train(Path(), settings, "fake", "small", 0)
    assert not FOLDER.exists(), "a refused training leaves nothing behind"
    return str(caught.value)


def one_epoch(**values: object) -> Params:
    return benchmark(detectors={"small": {**SMALL, "epochs": 1, **values}})


def test_it_learns_and_says_how(workdir: Path) -> None:
    settings = write_benchmark(benchmark(), real=(1,), fake=(4, 6))
    files = trained(settings)
    assert set(files) == {"weights.safetensors", "card.json", "log.csv", "dvclive/metrics.json"} | {
        f"dvclive/plots/metrics/{name}.tsv"
        for name in ("train/loss", "train/lr", "val/loss", "val/auroc", "val/accuracy")
    }
    card = json.loads(files["card.json"])
    assert card["val"]["auroc"] > 0.9 and card["val"]["balanced_accuracy"] > 0.9
    assert card["images"] == {
        "train": {"real": 31, "generated": 31},
        "val": {"real": 16, "generated": 15},
    }
    assert card["unreadable"] == {"train": {"real": 1, "generated": 1}, "val": {"real": 0, "generated": 1}}
    assert card["weights"] == hashlib.sha256(files["weights.safetensors"]).hexdigest()
    assert card["detector"] == "small" and card["trained_on"] == "fake" and card["seed"] == 0
    log = pd.read_csv(FOLDER / "log.csv")
    assert list(log.columns) == ["phase", "epoch", "loss", "val_loss", "val_auroc", "val_accuracy", "lr"]
    assert list(log["epoch"]) == [1, 2, 3, 4, 5, 6]
    assert log["val_auroc"].iloc[-1] == pytest.approx(card["val"]["auroc"], abs=1e-6)
    assert not Path(".assay").exists() or not list(Path(".assay/partial").iterdir())
    again = load_trained(Path(), "fake", "small", 0)
    assert again.spec == settings.detectors["small"]
    assert again.card == card


@pytest.mark.parametrize("augment", ["", "blur(0,1)@0.5|jpeg(60,100)@0.5|noise(0.01)"])
def test_same_bytes_again_and_with_any_number_of_workers(workdir: Path, augment: str) -> None:
    settings = write_benchmark(one_epoch(augment=augment))
    first = trained(settings)
    torch.manual_seed(1234)
    shutil.rmtree(FOLDER)
    assert trained(settings) == first
    shutil.rmtree(FOLDER)
    run_with_workers("train", settings, ["fake", "small", "0"], 2)
    assert written() == first


def test_seeds_matter(workdir: Path) -> None:
    write_benchmark(one_epoch())
    first = trained(one_epoch())["weights.safetensors"]
    assert trained(benchmark(seed=2, detectors=one_epoch().model_dump()["detectors"])) is not None
    other = (FOLDER / "weights.safetensors").read_bytes()
    train(Path(), one_epoch(), "fake", "small", 1)
    third = Path("artifacts/train/fake/small-s1/weights.safetensors").read_bytes()
    assert len({first, other, third}) == 3


def test_starting_from_a_file(workdir: Path) -> None:
    write_benchmark(one_epoch())
    trained(one_epoch())
    shutil.copy(FOLDER / "weights.safetensors", "start.safetensors")
    first = load_trained(Path(), "fake", "small", 0).card
    settings = one_epoch(weights="start.safetensors")
    start(Path(), settings, "small")
    Path("start.safetensors").unlink()  # artifacts/start has it
    trained(settings)
    second = load_trained(Path(), "fake", "small", 0).card
    assert first["started_from"] is None and first["start"] != second["start"]
    weights = Path("artifacts/start/small/weights.safetensors")
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert second["started_from"] == {"from": "start.safetensors", "sha256": digest}
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    shutil.rmtree(FOLDER)
    assert f"{weights} is not what start.json beside it says" in refused(settings)


@pytest.mark.parametrize(
    ("side", "item", "message"),
    [
        ("train", "fake", "no generated image is left for train: artifacts/split/fake has 0 on that side"),
        ("val", "fake", "no generated image is left for val: artifacts/split/fake has 0"),
        ("train", "real", "no real image is left for train: artifacts/split/real has 0"),
    ],
)
def test_a_missing_class(workdir: Path, side: str, item: str, message: str) -> None:
    settings = write_benchmark(one_epoch())
    path = Path("artifacts/split") / item / "split.parquet"
    table = pd.read_parquet(path)
    table[table["side"] != side].to_parquet(path)
    assert refused(settings).startswith(message)


def test_a_class_that_cannot_be_read(workdir: Path) -> None:
    settings = write_benchmark(one_epoch(), fake=tuple(range(64)))
    assert "has 32 on that side, 32 of them unreadable" in refused(settings)


def test_nothing_there_yet(workdir: Path) -> None:
    assert "artifacts/start/small/start.json is not there" in refused(one_epoch())
    settings = write_benchmark(one_epoch())
    shutil.move("artifacts/collect/photos", "photos")
    assert "artifacts/collect/photos is not there" in refused(settings)
    shutil.move("photos", "artifacts/collect/photos")
    Path("artifacts/split/fake/split.parquet").unlink()
    assert "artifacts/split/fake/split.parquet is not there" in refused(settings)
    Path("artifacts/split/fake/split.parquet").write_bytes(b"torn")
    assert "artifacts/split/fake/split.parquet is damaged" in refused(settings)


def test_a_split_that_names_an_image_which_no_set_has(workdir: Path) -> None:
    settings = write_benchmark(one_epoch())
    write_item("fake", 1, benchmark(degrade={}), count=80)
    split = Path("artifacts/split/fake/split.parquet").read_bytes()
    write_item("fake", 1, benchmark(degrade={}), count=64)
    Path("artifacts/split/fake/split.parquet").write_bytes(split)
    assert "artifacts/generate/fake has no image fake-0" in refused(settings)


@pytest.mark.parametrize("workers", [0, 2])
def test_bytes_that_changed_since_the_manifest(workdir: Path, workers: int) -> None:
    settings = write_benchmark(one_epoch())
    row = ImageSet(Path("artifacts/generate/fake")).rows.set_index("id").loc["fake-004"]
    with (Path("artifacts/generate/fake") / row["shard"]).open("r+b") as shard:
        shard.seek(int(row["offset"]))
        shard.write(b"\0" * 100)
    unkept = "import assets.images.loader; assets.images.loader.KEPT_BYTES = 0"
    message = run_with_workers("train", settings, ["fake", "small", "0"], workers, unkept)
    assert not FOLDER.exists()
    assert "artifacts/generate/fake: fake-004 can no longer be decoded" in message
    assert "Traceback" not in message and "dvc checkout" in message


def test_a_loss_that_is_not_finite(workdir: Path) -> None:
    settings = write_benchmark(one_epoch(lr=1e30, epochs=3))
    message = refused(settings)
    assert message.startswith("detectors.small: the loss became nan in epoch 1 at a learning rate of")
    assert "lower detectors.small.lr" in message and "Images of this batch: " in message
    assert "fake-0" in message and "real-0" in message


def test_a_recipe_that_cannot_be_read(workdir: Path) -> None:
    message = refused(one_epoch(augment="blurr(3)"))
    assert message.startswith("detectors.small.augment: recipe 'blurr(3)': unknown operation 'blurr'")


def test_an_augmentation_that_cannot_be_done(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = write_benchmark(one_epoch(augment="webp(80)"))
    monkeypatch.setitem(_CODECS, "webp", 40)
    message = refused(settings)
    assert message.startswith("the augmentation webp(80) cannot be done to ") and "48 x 40 is too" in message


TWO = {
    "generators": {
        name: {"from": f"data/{name}", "family": "gan", "released": "2020-01"} for name in ("fake", "other")
    },
    "train": {"generators": ["fake"], "sets": {"both": ["fake", "other"]}, "samples": {}, "seeds": [0]},
}
TOLD = {"which": {**SMALL, "epochs": 2, "unknown": 0.1}}


def pooled(broken: tuple[int, ...] = (), **sections: Any) -> Params:
    settings = write_benchmark(benchmark(**{**TWO, **sections}), other=broken)
    pool(Path(), settings, "both")
    return settings


def test_a_set_of_generators(workdir: Path) -> None:
    settings = pooled(broken=(0,), detectors=one_epoch().model_dump()["detectors"])
    train(Path(), settings, "both", "small", 0)
    card = load_trained(Path(), "both", "small", 0).card
    assert card["classes"] == ["real", "generated"] and "auroc" in card["val"]
    assert card["images"]["train"] == {"real": 32, "fake": 32, "other": 31}
    assert card["unreadable"]["train"] == {"real": 0, "fake": 0, "other": 1}


def test_an_attributor(workdir: Path) -> None:
    settings = pooled(attributors=TOLD)
    shutil.rmtree("artifacts/collect")  # real images take no part
    train(Path(), settings, "both", "which", 0)
    detector, spec, card = load_trained(Path(), "both", "which", 0, attributor=True)
    assert spec == settings.attributors["which"] and detector.outputs == 2
    assert card["classes"] == ["fake", "other"] and card["detector"] == "which"
    assert 0 <= card["val"]["accuracy"] <= 1 and isinstance(card["unknown_below"], float)
    assert card["images"]["val"] == {"real": 0, "fake": 16, "other": 16}
    assert Path("artifacts/attributors/both/which/s0/card.json").is_file()
    assert not Path("artifacts/train").exists()


def test_a_pool_that_was_made_from_other_images(workdir: Path) -> None:
    settings = pooled()
    write_item("other", 0, settings)
    with pytest.raises(AssayError) as caught:
        train(Path(), settings, "both", "small", 0)
    assert str(caught.value).startswith(
        "artifacts/pool/both was made from other images of other than there are now: other-000 has SHA-256 "
    )
    assert not Path("artifacts/train").exists()


def test_a_member_without_an_image(workdir: Path) -> None:
    settings = pooled(broken=tuple(range(64)), attributors=TOLD)
    for name, folder in (("small", "train"), ("which", "attributors")):
        with pytest.raises(AssayError) as caught:
            train(Path(), settings, "both", name, 0)
        message = "no image of other is left for train: artifacts/pool/both has 32 on that side, 32 of them"
        assert str(caught.value).startswith(message)
        assert not Path("artifacts", folder).exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("fake small", "usage: python -m .* TRAINED_ON DETECTOR SEED"),
        ("fkae small 0", "unknown generator, set or sample 'fkae'; did you mean 'fake'?"),
        ("fake smal 0", "unknown detector 'smal'; did you mean 'small'?"),
        ("fake small 7", "unknown seed '7'"),
    ],
)
def test_command_line_mistakes(workdir: Path, arguments: str, message: str) -> None:
    import yaml

    Path("params.yaml").write_text(yaml.safe_dump(benchmark().model_dump(mode="json", by_alias=True)))
    with pytest.raises(AssayError, match=message):
        main(arguments.split())


def test_no_orchestration_is_loaded() -> None:
    assert module.__name__ in sys.modules and "prefect" not in vars(module) and "dvc" not in vars(module)
