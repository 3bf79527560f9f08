"""Asking attributors: whole small trainings, what is written about the answers, and what goes wrong."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from assets.attributions import UNKNOWN, attributions_path, read_attributions, write_attributions
from assets.errors import AssayError
from assets.params import Params
from models.detectors.attribution import answers
from tasks.attribute import attribute, main
from tasks.pool import pool
from tasks.train import train
from tests.bench import SMALL, benchmark, write_benchmark

REPRESENT = {"epochs": 2, "batch": 16, "lr": 0.01, "crop": 24, "recipe": {"optimizer": "sgd", "warmup": 0.1}}
CONTRAST = {
    **SMALL,
    "kind": "selfcon",
    "epochs": 2,
    "options": {"hidden": 16, "projection": 8, "shrink": True, "represent": REPRESENT},
}
GENERATORS = {
    name: {"from": f"data/{name}", "family": "gan", "released": "2020-01"}
    for name in ("fake", "other", "third")
}
SETTINGS = benchmark(
    generators=GENERATORS,
    detectors={"contrast": CONTRAST},
    attributors={"namer": {**SMALL, "epochs": 2, "unknown": 0.2}, "contrast_namer": CONTRAST},
    train={"generators": [], "sets": {"both": ["other", "fake"]}, "samples": {}, "seeds": [0, 3]},
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A benchmark with trained attributors; two test images of `third` cannot be decoded."""
    path = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        write_benchmark(SETTINGS, third=(3, 7))
        pool(Path(), SETTINGS, "both")
        for name, seed in (("namer", 0), ("namer", 3), ("contrast_namer", 0), ("contrast", 0)):
            train(Path(), SETTINGS, "both", name, seed)
    return path


@pytest.fixture
def there(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(home)
    return home


def asked(generator: str, settings: Params = SETTINGS, name: str = "namer") -> pd.DataFrame:
    attribute(Path(), settings, "both", name, generator)
    return read_attributions(attributions_path(Path(), "both", name, generator))


def test_every_image_once_by_every_seed_under_every_condition(there: Path) -> None:
    rows = asked("fake")
    assert len(rows) == 2 * 2 * 16  # seeds, conditions, test images
    assert set(rows["condition"]) == {"clean", "jpeg50"} and set(rows["seed"]) == {0, 3}
    assert set(rows["detector"]) == {"namer"} and set(rows["trained_on"]) == {"both"}
    assert all(list(classes) == ["other", "fake"] for classes in rows["classes"])
    for seed in (0, 3):
        card = json.loads(Path(f"artifacts/attributors/both/namer/s{seed}/card.json").read_text())
        mine = rows[rows["seed"] == seed]
        assert set(mine["weights"]) == {card["weights"]}
        assert set(mine["unknown_below"]) == {card["unknown_below"]}
        logits = np.stack(mine["logits"].to_list())
        names = np.array(["other", "fake", UNKNOWN], object)
        assert list(mine["answer"]) == list(names[answers(logits, card["unknown_below"])])
    assert {"fake", UNKNOWN} <= set(asked("other")["answer"]) | set(rows["answer"])


def test_a_generator_that_it_does_not_know_and_unreadable_images(there: Path) -> None:
    rows = asked("third")
    bad = rows[rows["status"] != "ok"]
    assert set(bad["id"]) == {"third-003", "third-007"} and len(bad) == 2 * 4
    assert bad["answer"].isna().all() and bad["score"].isna().all() and bad["logits"].isna().all()
    good = rows[rows["status"] == "ok"]
    assert set(good["tested_on"]) == {"third"} and good["answer"].notna().all()


def test_the_same_answers_give_the_same_bytes(there: Path) -> None:
    path = attributions_path(Path(), "both", "namer", "fake")
    asked("fake")
    first = path.read_bytes()
    asked("fake")
    assert path.read_bytes() == first
    assert pq.read_schema(path).field("logits").type.value_type == "float"


def test_never_unknown(there: Path) -> None:
    """With `unknown: 0` the card has no limit; the file has a null."""
    card_path = Path("artifacts/attributors/both/contrast_namer/s0/card.json")
    card = json.loads(card_path.read_text())
    assert card["unknown_below"] is not None and [phase["name"] for phase in card["phases"]] == [
        "represent",
        "calibrate",
    ]
    spec = {**CONTRAST, "unknown": 0.0}
    settings = benchmark(
        generators=GENERATORS,
        attributors={"contrast_namer": spec},
        train={"generators": [], "sets": {"both": ["other", "fake"]}, "samples": {}, "seeds": [0]},
    )
    whole = card_path.read_text()
    changed = {**card, "spec": {**card["spec"], "unknown": 0.0}, "unknown_below": None}
    try:
        card_path.write_text(json.dumps(changed))
        rows = asked("third", settings, "contrast_namer")
    finally:
        card_path.write_text(whole)
    assert rows["unknown_below"].isna().all() and UNKNOWN not in set(rows["answer"].dropna())


def test_imaginets_detector_is_trained_in_two_parts(there: Path) -> None:
    folder = Path("artifacts/train/both/contrast-s0")
    card = json.loads((folder / "card.json").read_text())
    assert [phase["epochs"] for phase in card["phases"]] == [2, 2]
    log = pd.read_csv(folder / "log.csv")
    assert list(log["phase"]) == ["represent"] * 2 + ["calibrate"] * 2
    assert log["val_auroc"].isna().tolist() == [True, True, False, False]
    assert np.isfinite(log["loss"]).all()


def refused(settings: Params, name: str = "namer") -> str:
    with pytest.raises(AssayError) as caught:
        attribute(Path(), settings, "both", name, "fake")
    return str(caught.value)


def test_an_attributor_that_was_trained_otherwise(there: Path) -> None:
    train_ = {"generators": [], "sets": {"both": ["other", "fake"]}, "samples": {}, "seeds": [0]}
    other = benchmark(generators=GENERATORS, attributors={"namer": {**SMALL, "lr": 0.5}}, train=train_)
    assert "namer/s0 was trained with other parameters than attributors.namer has now" in refused(other)
    namer = SETTINGS.attributors["namer"].model_dump()
    sets = {**train_, "sets": {"both": ["fake", "third"]}}
    other = benchmark(generators=GENERATORS, attributors={"namer": namer}, train=sets)
    assert "namer/s0 knows other, fake, not the generators of train.sets.both" in refused(other)
    more = {**train_, "seeds": [5]}
    other = benchmark(generators=GENERATORS, attributors={"namer": namer}, train=more)
    assert "namer/s5/card.json is not there" in refused(other)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("both namer", "usage: python -m .* SET ATTRIBUTOR TESTED_ON"),
        ("bth namer fake", "unknown set 'bth'; did you mean 'both'?"),
        ("both nmer fake", "unknown attributor 'nmer'; did you mean 'namer'?"),
        ("both namer real", "unknown generator 'real'"),
    ],
)
def test_command_line_mistakes(workdir: Path, arguments: str, message: str) -> None:
    Path("params.yaml").write_text(yaml.safe_dump(SETTINGS.model_dump(mode="json", by_alias=True)))
    with pytest.raises(AssayError, match=message):
        main(arguments.split())


def table() -> pd.DataFrame:
    """Four good rows, one of them without an answer."""
    logits: list[Any] = [[1.0, 0.0], [0.0, 3.0], [-5.0, -6.0], None]
    return pd.DataFrame(
        {
            "id": [f"i{number}" for number in range(4)],
            "label": 1,
            "generator": "fake",
            "group": "g",
            "class_name": None,
            "content": "photo",
            "condition": "clean",
            "detector": "namer",
            "seed": 0,
            "trained_on": "both",
            "tested_on": "fake",
            "weights": "w",
            "classes": [["other", "fake"]] * 4,
            "logits": pd.Series(logits, dtype=object),
            "score": np.array([1, 3, -5, np.nan], np.float32),
            "unknown_below": -2.0,
            "answer": ["other", "fake", UNKNOWN, None],
            "status": ["ok", "ok", "ok", "damaged"],
        }
    )


def test_round_trip(workdir: Path) -> None:
    path = Path("a.parquet")
    write_attributions(path, table().sample(frac=1, random_state=0))
    found = read_attributions(path)
    assert list(found["id"]) == ["i0", "i1", "i2", "i3"] and found["answer"].isna().tolist() == [0, 0, 0, 1]
    assert found["logits"].iloc[1].tolist() == [0.0, 3.0] and found["logits"].iloc[3] is None
    assert found["class_name"].isna().all() and found["score"].dtype == np.float32
    write_attributions(path, table().iloc[:0])
    assert read_attributions(path).empty


def put(column: str, value: Any, row: int = 1) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        values = list(frame[column])
        values[row] = value
        return frame.assign(**{column: pd.Series(values, dtype=frame[column].dtype)})

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put("label", 0), "a real image was made by no generator"),
        (put("id", "i0"), "this row stands twice"),
        (put("trained_on", "all"), "this row has another trained_on than the first"),
        (put("tested_on", "other"), "this row has another tested_on than the first"),
        (put("classes", ["fake", "other"]), "the classes are not other, fake as in the first row"),
        (put("logits", [0.0, 3.0, 1.0]), "there is not one finite logit a class though the status is ok"),
        (put("logits", [0.0, np.inf]), "there is not one finite logit a class though the status is ok"),
        (put("logits", None), "there is not one finite logit a class though the status is ok"),
        (put("logits", [0.0, 2.0]), "the score is not the largest logit"),
        (put("answer", "other"), "the answer does not follow from the logits"),
        (put("answer", UNKNOWN), "the answer does not follow from the logits"),
        (put("answer", "fake", 3), "there is an answer though the status is not ok"),
        (put("group", None), "column 'group' has a null"),
        (lambda frame: frame.assign(extra=1), "unknown column 'extra'"),
        (lambda frame: frame.drop(columns="score"), r"missing column\(s\) score"),
    ],
)
def test_contradictions(workdir: Path, change: Any, message: str) -> None:
    with pytest.raises(AssayError, match=message):
        write_attributions(Path("a.parquet"), change(table()))
    assert not Path("a.parquet").exists()


def test_files_that_are_missing_torn_or_of_another_type(workdir: Path) -> None:
    path = Path("a.parquet")
    with pytest.raises(AssayError, match=r"a\.parquet is not there"):
        read_attributions(path)
    path.write_bytes(b"torn")
    with pytest.raises(AssayError, match=r"a\.parquet is damaged"):
        read_attributions(path)
    table().assign(seed="0").to_parquet(path)
    with pytest.raises(AssayError, match=r"holds .*, expected"):
        read_attributions(path)
