"""Training samples: which images they take, that choices are nested, and what is trained on in the end."""

import itertools
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.detection import Sample
from assets.errors import AssayError
from assets.images.degradations import parse
from assets.images.imageset import ImageSet
from assets.images.pool import read_pool
from assets.images.prepared import preparation
from assets.params import REAL, Params
from assets.seeds import rng
from models.detectors.trained import load_trained
from tasks.evaluate import evaluate
from tasks.material import material
from tasks.pool import main, pool
from tasks.sampling import choose, seen_classes, seen_contents, shortfalls, summary
from tasks.train import train
from tests.bench import SMALL, benchmark, picture, write_benchmark, write_item
from tests.conftest import REPO
from tests.samples import params

GENERATORS = ("a", "b")


def candidates(per_class: int = 12, classes: int = 5, reals: int = 30) -> pd.DataFrame:
    """Rows of two generators and of `real`; the last class is that of paintings; every sixth is val."""
    rows = []
    for item, count in ((REAL, reals), ("a", per_class), ("b", per_class)):
        for kind, number in itertools.product(range(classes), range(count)):
            rows.append(
                {
                    "id": f"{item}-{kind}-{number:03d}",
                    "generator": item,
                    "label": int(item != REAL),
                    "side": "val" if number % 6 == 5 else "train",
                    "class_name": f"class {kind}",
                    "content": "painting" if kind == classes - 1 else "photo",
                    "width": 400 + 10 * (number % 20),
                    "height": 500,
                    "jpeg_quality": 96 if number % 2 else 75,
                }
            )
    frame = pd.DataFrame(rows)
    for column in ("width", "height", "jpeg_quality"):
        frame[column] = frame[column].astype("Int32")
    return frame


ROWS = candidates()


def chosen(rows: pd.DataFrame = ROWS, seed: int = 1, **fields: Any) -> pd.DataFrame:
    return choose(rows, Sample(of=GENERATORS, **fields), GENERATORS, seed, "train.samples.s")[0]


def train_of(rows: pd.DataFrame, item: str | None = None) -> pd.DataFrame:
    rows = rows[rows["side"] == "train"]
    return rows if item is None else rows[rows["generator"] == item]


@pytest.mark.parametrize("what", [{"images": 20}, {"per_class": 10}])
def test_images_of_unknown_content_and_class_still_get_real_ones_beside_them(what: dict[str, int]) -> None:
    unknown = {"content": None, "class_name": None}
    rows = ROWS.assign(**{name: ROWS[name].where(ROWS["generator"] == REAL, None) for name in unknown})
    train = train_of(chosen(rows, **what))
    real = train[train["generator"] == REAL]
    assert len(real) == len(train) - len(real) == 20
    assert set(real["content"]) == {"photo", "painting"}


def test_nothing_asked_for_takes_everything() -> None:
    pd.testing.assert_frame_equal(chosen(), ROWS)


@pytest.mark.parametrize("images", [2, 7, 20, 40, 99])
def test_images_come_evenly_with_as_many_real_ones(images: int) -> None:
    found = chosen(images=images)
    train = train_of(found)
    generated = train[train["label"] == 1]
    assert len(generated) == images
    by_generator = generated["generator"].value_counts()
    assert by_generator.max() - by_generator.min() <= 1 and len(by_generator) == 2
    by_class = generated.groupby(["generator", "class_name"]).size().unstack(fill_value=0)
    photos = by_class.drop(columns="class 4", errors="ignore")
    assert ((photos.max(axis=1) - photos.min(axis=1)) <= 1).all()
    real = train_of(found, REAL)
    assert len(real) == images
    assert real["content"].value_counts().to_dict() == generated["content"].value_counts().to_dict()
    assert len(found[found["side"] == "val"]) == len(ROWS[ROWS["side"] == "val"]), "val is left alone"


@given(st.integers(10, 100), st.integers(10, 100), st.integers(0, 5))
@settings(max_examples=12)
def test_choices_are_nested(one: int, other: int, seed: int) -> None:
    fewer, more = (set(chosen(images=images, seed=seed)["id"]) for images in sorted((one, other)))
    assert fewer <= more
    few, many = sorted((1 + one % 10, 1 + other % 10))
    assert set(chosen(per_class=few, seed=seed)["id"]) <= set(chosen(per_class=many, seed=seed)["id"])
    narrow, wide = sorted((1 + one % 5, 1 + other % 5))
    assert set(chosen(classes=narrow, seed=seed)["id"]) <= set(chosen(classes=wide, seed=seed)["id"])


def test_order_of_rows_and_other_generators_change_nothing() -> None:
    shuffled = ROWS.sample(frac=1, random_state=3)
    for fields in ({"images": 30}, {"per_class": 3}, {"classes": 2}, {"balance": True}):
        assert set(chosen(shuffled, **fields)["id"]) == set(chosen(**fields)["id"])
    alone = choose(ROWS[ROWS["generator"] != "b"], Sample(of=("a",), per_class=3), ("a",), 1, "s")[0]
    assert set(train_of(alone, "a")["id"]) == set(train_of(chosen(per_class=3), "a")["id"])
    assert set(chosen(images=30, seed=2)["id"]) != set(chosen(images=30)["id"])


def test_images_of_every_class_and_generator() -> None:
    found = chosen(per_class=3)
    by_class = train_of(found).groupby(["generator", "class_name"]).size().unstack()
    assert (by_class.loc["a"] == 3).all() and (by_class.loc["b"] == 3).all()
    assert (by_class.loc[REAL] == 6).all(), "as many real ones of every class"


def test_classes_and_contents_hold_on_both_sides() -> None:
    found = chosen(classes=2)
    assert found.groupby("side")["class_name"].nunique().to_dict() == {"train": 2, "val": 2}
    assert len(found[found["side"] == "val"]) == 2 * (5 + 2 + 2)
    painted = chosen(contents=("painting",))
    assert set(painted["class_name"]) == {"class 4"} and set(painted["side"]) == {"train", "val"}
    with pytest.raises(AssayError, match=r"s.classes is 6, and 5 classes have a name and both real"):
        chosen(classes=6)


def test_the_unbiased_protocol() -> None:
    """arXiv 2403.17608: real images of some sizes and one quality, of every class as many of both."""
    found = chosen(real_sides=(450, 550), real_quality=96, balance=True)
    real = found[found["generator"] == REAL]
    assert real["width"].between(450, 550).all() and (real["jpeg_quality"] == 96).all() and len(real)
    label = found["generator"] == REAL
    sizes = found.groupby([found["side"], found["class_name"], label]).size().unstack()
    assert (sizes[True] == sizes[False]).all()
    train = train_of(found)
    assert abs((train["generator"] == "a").sum() - (train["generator"] == "b").sum()) <= 5
    unread = ROWS.assign(width=ROWS["width"].mask(ROWS["id"] == real["id"].iloc[0]))
    assert real["id"].iloc[0] not in set(chosen(unread, real_sides=(450, 550), real_quality=96)["id"])


def test_fewer_than_asked_for_is_told() -> None:
    sample = Sample(of=GENERATORS, images=500)
    found, steps = choose(ROWS[ROWS["id"] < "real-1"], sample, GENERATORS, 1, "s")
    assert len(train_of(found, "a")) == 50 and len(train_of(found, REAL)) == 25
    assert shortfalls(sample, steps) == [
        "500 generated images are asked for, and there are 100",
        "beside 100 generated images there are 25 real ones",
    ]
    assert shortfalls(Sample(of=GENERATORS, images=10), choose(ROWS, sample, GENERATORS, 1, "s")[1]) == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"real_sides": (700, 800)},
            "s: no real image is left for train: 125 in the splits, 0 with real sides of 700 to 800 pixels. ",
        ),
        (
            {"contents": ("photo",), "real_quality": 50},
            "no real image is left for train: 125 in the splits, 100 of content photo, 0 with a real JPEG "
            "quality of 50. Ask for less",
        ),
        (
            {"contents": ("face",)},
            "no image of a is left for train: 50 in the splits, 0 of content face. Ask for less, or take it "
            "out of 'of'",
        ),
    ],
)
def test_nothing_left(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(AssayError) as caught:
        chosen(**fields)
    assert message in str(caught.value)


def test_real_images_of_another_content_are_not_taken() -> None:
    rows = ROWS.assign(content=ROWS["content"].mask(ROWS["generator"] == REAL))
    with pytest.raises(AssayError, match="no real image is left for train: 125 in the splits, 0 with 10 gen"):
        chosen(rows, images=10)


def test_what_a_pool_says_of_itself() -> None:
    found, steps = choose(ROWS, Sample(of=GENERATORS, classes=1, per_class=2), GENERATORS, 1, "s")
    about = summary(found, GENERATORS, steps)
    (name,) = about["classes"]["train"]
    assert about["classes"]["train"] == {name: {"real": 4, "generated": 4}}
    assert about["images"]["train"] == {REAL: 4, "a": 2, "b": 2} and about["images"]["val"]["a"] == 2
    assert [step["what"] for step in about["steps"]] == [
        "in the splits",
        "of 1 class",
        "with 2 a class and generator for training",
    ]
    assert json.loads(json.dumps(about)) == about


def bench(samples: dict[str, Any], pairs: int = 0, **sections: Any) -> Params:
    """A benchmark of two generators with these samples; classes go round four names.

    Args: pairs: so many images of either generator are paired, with the real ones of the same numbers.
    """
    settings_ = benchmark(
        generators={
            name: {"from": f"data/{name}", "family": "gan", "released": f"202{number}-01"}
            for number, name in enumerate(("fake", "other"))
        },
        detectors={"small": {**SMALL, "epochs": 1}},
        train={
            "generators": ["fake"],
            "sets": {"both": ["fake", "other"]},
            "samples": samples,
            "seeds": [0],
        },
        **sections,
    )
    write_benchmark(settings_, other=(1,))
    for item in (REAL, *settings_.generators):
        path = Path("artifacts/split") / item / "split.parquet"
        table = pd.read_parquet(path)
        table["class_name"] = [f"class {number // 4 % 4}" for number in range(len(table))]
        if item != REAL:
            table["pair_id"] = [
                f"real-{number:03d}" if number < pairs else None for number in range(len(table))
            ]
        table.to_parquet(path)
    for name in settings_.pooled:
        pool(Path(), settings_, name)
    return settings_


def sides(params: Params, name: str) -> tuple[dict[str, int], dict[str, int], dict[str, str], dict[str, Any]]:
    found = material(Path(), params, name, reals=True, each=False)
    return found.examples.train, found.examples.val, found.hashes, found.unreadable


def test_a_sample_of_everything_is_its_set(workdir: Path) -> None:
    params = bench({"all": {"of": ["fake", "other"]}, "late": {"until": "2021-01"}})
    assert sides(params, "all") == sides(params, "both") == sides(params, "late")
    alone = bench({"one": {"until": "2020-12"}})
    assert alone.samples == {"one": ("fake",)}
    assert sides(alone, "one")[:3] == sides(alone, "fake")[:3]


def test_paired_real_images_are_chosen_from(workdir: Path) -> None:
    params = bench(
        {
            "few": {"of": ["fake"], "images": 4},
            "even": {"of": ["fake"], "balance": True},
            "all": {"of": ["fake"]},
        },
        pairs=32,
        split={"reals": "shared"},
    )
    listed = {name: read_pool(Path(), name, "train") for name in params.samples}
    reals = {name: set(rows.loc[rows["generator"] == REAL, "id"]) for name, rows in listed.items()}
    assert len(reals["all"]) == 16 and max(reals["all"]) < "real-032"
    assert len(reals["few"]) == 4 and reals["few"] < reals["all"]
    assert len(reals["even"]) == 32, "paired anew, out of all"
    assert set(sides(params, "all")[0]) == set(sides(params, "fake")[0])


def test_trained_and_evaluated_like_a_set(workdir: Path) -> None:
    params = bench({"few": {"of": ["fake", "other"], "images": 20, "classes": 2}})
    train(Path(), params, "few", "small", 0)
    card = load_trained(Path(), "few", "small", 0).card
    assert card["images"]["train"] == {REAL: 16, "fake": 10, "other": 10}
    assert card["images"]["val"] == {REAL: 8, "fake": 8, "other": 8}
    assert "balanced_accuracy" in card["val"] and np.isfinite(card["threshold"])
    evaluate(Path(), params, "few", "other")
    assert Path("artifacts/evaluate/few/other/predictions.parquet").is_file()
    names = seen_classes(Path(), params, "few")
    assert len(names) == 2 and names < {f"class {number}" for number in range(4)}
    assert seen_contents(Path(), params, "few") == seen_contents(Path(), params, "fake") == {"photo"}


def test_prepared_images_are_what_is_learnt_from(workdir: Path) -> None:
    recipe = {"real": "centre(36)", "generated": "jpeg(96)|noise(0.01)|centre(36)"}
    params = bench(
        {
            "alike": {"of": ["fake", "other"], "per_class": 3, "prepare": recipe},
            "half": {"of": ["fake"], "per_class": 1, "prepare": {"generated": "jpeg(60,90)"}},
        }
    )
    train_, val, hashes, _ = sides(params, "alike")
    assert len(train_) == 4 * 3 * 2 * 2 and len(val) == 3 * 16, "four classes, two generators, both labels"
    sets = {item: ImageSet(Path("artifacts/pool/alike/prepared") / item) for item in (REAL, "fake", "other")}
    rows = pd.concat([images.rows for images in sets.values()]).set_index("id")
    assert {(row.width, row.height) for row in rows[rows["status"] == "ok"].itertuples()} == {(36, 36)}
    assert all(rows.loc[image, "sha256"] == sha for image, sha in hashes.items())
    image = sets["fake"].rows["id"].iloc[0]
    wanted = parse(recipe["generated"]).apply(picture(int(image[-3:]), 1), rng(params.seed, "prepare", image))
    found = material(Path(), params, "alike", reals=True, each=False).examples.pictures.pixels(image)
    assert np.array_equal(found, wanted)
    real = ImageSet(Path("artifacts/pool/half/prepared/real"))
    before = ImageSet(Path("artifacts/collect/photos"))
    assert all(real.read(image) == before.read(image) for image in real.rows["id"]), "an empty recipe"
    train(Path(), params, "alike", "small", 0)
    first = Path("artifacts/pool/alike/images.parquet").read_bytes()
    pool(Path(), params, "alike")
    assert Path("artifacts/pool/alike/images.parquet").read_bytes() == first


def test_a_sample_made_from_other_images(workdir: Path) -> None:
    params = bench({"few": {"of": ["fake"], "images": 4}})
    write_item(REAL, 1, params)
    with pytest.raises(AssayError, match="artifacts/pool/few was made from other images of real than there"):
        material(Path(), params, "few", reals=True, each=False)


def test_what_the_documentation_shows_can_be_written_so() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", (REPO / "docs/studies.md").read_text(), re.DOTALL)
    samples: dict[str, Any] = yaml.safe_load("".join(blocks))["train"]["samples"]
    assert {"few", "hundred", "thin", "without_faces", "until_2022", "unbiased", "alike"} <= samples.keys()
    for sample in samples.values():
        for recipe in preparation(Sample.model_validate(sample)):
            parse(recipe)
    (block,) = re.findall(r"```yaml\n(.*?)```", (REPO / "docs/conditions.md").read_text(), re.DOTALL)
    shown = params(degrade=yaml.safe_load(block)["degrade"])
    assert all(str(parse(shown.recipe(name, 1))) for name in shown.degrade)


def test_command_line_mistakes(workdir: Path) -> None:
    document = bench({"few": {"of": ["fake"], "images": 4}}).model_dump(mode="json", by_alias=True)
    Path("params.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(AssayError, match="unknown set or sample 'fwe'; did you mean 'few'"):
        main(["fwe"])
    main(["few"])
