"""Splits: no group on two sides, in proportion, and nothing moves when generators come and go."""

import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.errors import AssayError
from assets.frames import write_frame
from assets.images.imageset import ImageSet, ImageSetWriter
from assets.images.picture import encode
from assets.params import REAL, Split
from assets.splitting.dealing import SIDES
from assets.splitting.groups import prompt_group
from tasks.collect import collect
from tasks.dedupe import decide, dedupe
from tasks.generate import generate
from tasks.split import assign, split, summarise
from tests.conftest import textured
from tests.samples import params, rows

SHARES = Split(train=0.5, val=0.2, test=0.3)


def images(groups: list[int], classes: int = 3, label: int = 0, prefix: str = "") -> pd.DataFrame:
    frame = rows(label, list(range(len(groups))))
    frame["group"] = [f"{prefix}p{group}" for group in groups]
    frame["class_name"] = [f"c{group % classes}" for group in groups]
    return frame


group_lists = st.lists(st.integers(0, 30), min_size=1, max_size=150)


@given(group_lists, st.integers(0, 5))
def test_no_group_is_on_two_sides_and_shares_hold_within_one_group(groups: list[int], seed: int) -> None:
    frame = images(groups)
    side = assign(frame, SHARES, seed)
    assert side.groupby(frame["group"]).nunique().max() == 1
    largest = frame["group"].value_counts().max()
    for name in SIDES:
        assert abs((side == name).sum() - getattr(SHARES, name) * len(frame)) <= largest


@given(group_lists, st.integers(0, 5))
def test_every_class_is_split_in_proportion(groups: list[int], seed: int) -> None:
    frame = images(groups)
    side = assign(frame, SHARES, seed)
    largest = frame["group"].value_counts().max()
    for _, members in frame.groupby("class_name"):
        for name in SIDES:
            count = (side[members.index] == name).sum()
            assert abs(count - getattr(SHARES, name) * len(members)) <= 2 * largest


@given(st.integers(1, 400))
def test_classes_of_one_image_do_not_all_land_on_one_side(count: int) -> None:
    side = assign(images(list(range(count)), classes=count), SHARES, 0)
    for name in SIDES:
        assert abs((side == name).sum() - getattr(SHARES, name) * count) <= 1


@given(group_lists, st.integers(0, 5), st.randoms())
def test_sides_do_not_depend_on_row_order(groups: list[int], seed: int, random: object) -> None:
    frame = images(groups)
    order = list(range(len(frame)))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert assign(frame.iloc[order], SHARES, seed).sort_index().equals(assign(frame, SHARES, seed))


@given(
    st.lists(st.integers(0, 12), min_size=20, max_size=60),
    st.lists(st.integers(0, 20), min_size=1, max_size=40),
    st.lists(st.integers(0, 20), min_size=1, max_size=40),
)
def test_generated_images_follow_their_real_group_in_every_generator(
    real_groups: list[int], first: list[int], second: list[int]
) -> None:
    real = images(real_groups)
    real["side"] = assign(real, SHARES, 1)
    where = dict(zip(real["group"], real["side"], strict=True))
    for groups in (first, second):
        fake = images(groups, label=1)
        side = assign(fake, SHARES, 1, real)
        for group, name in zip(fake["group"], side, strict=True):
            assert where.setdefault(group, name) == name or group not in set(real["group"])


@given(st.lists(st.integers(0, 40), min_size=1, max_size=60), st.lists(st.integers(0, 40), max_size=60))
def test_prompts_shared_by_generators_are_on_one_side(first: list[int], second: list[int]) -> None:
    sides: dict[str, str] = {}
    for groups in (first, second):
        fake = images(groups, label=1, prefix="prompt:")
        if len(fake):
            for group, side in zip(fake["group"], assign(fake, SHARES, 1), strict=True):
                assert sides.setdefault(group, side) == side


def test_an_image_that_answers_to_a_real_one_follows_it() -> None:
    real = images(list(range(30)))
    real["side"] = assign(real, SHARES, 1)
    fake = rows(1, list(range(30)), pair_id=real["id"])
    assert assign(fake, SHARES, 1, real).tolist() == real["side"].tolist()


def test_a_group_that_answers_to_two_sides_is_refused() -> None:
    real = images(list(range(10)))
    real["side"] = ["train"] * 5 + ["test"] * 5
    fake = rows(1, [1, 2], group="both", pair_id=["r0", "r9"])
    with pytest.raises(AssayError, match="the group both answers to real images on two sides"):
        assign(fake, SHARES, 1, real)


def test_the_stage_gives_the_same_real_split_whatever_generators_there_are(workdir: Path) -> None:
    one = params()
    both = params(
        generators={
            name: {"from": f"data/{name}", "family": "gan", "released": "2020-01"} for name in ("fake", "new")
        }
    )
    for item, label in (("real", 0), ("fake", 1), ("new", 1)):
        decided = decide(images(list(range(40)), label=label, prefix=item), None, 0)
        write_frame(Path(f"artifacts/dedupe/{item}/decisions.parquet"), decided)
    seen = []
    for asked in (one, both):
        for item in ("real", *asked.generators):
            split(Path(), asked, item)
        seen.append([Path(f"artifacts/split/{item}/split.parquet").read_bytes() for item in ("real", "fake")])
    assert seen[0] == seen[1]


def test_a_side_with_nothing_on_it_is_an_error_that_says_so(workdir: Path) -> None:
    decided = decide(images([0, 0, 0]), None, 0)
    decided["keep"] = True
    write_frame(Path("artifacts/dedupe/real/decisions.parquet"), decided)
    with pytest.raises(AssayError, match="nothing is left for val: 3 images in 1 groups; import more"):
        split(Path(), params(), "real")


def test_removed_images_are_on_no_side(workdir: Path) -> None:
    decided = decide(images(list(range(60))), None, 0)
    decided.loc[:9, "keep"] = False
    write_frame(Path("artifacts/dedupe/real/decisions.parquet"), decided)
    split(Path(), params(), "real")
    assert len(pd.read_parquet("artifacts/split/real/split.parquet")) == 50


def test_summary_counts_images_and_groups() -> None:
    frame = images([0, 0, 1]).assign(side=["train", "train", "test"])
    assert summarise("x", frame) == {
        "item": "x",
        "images": {"train": 2, "val": 0, "test": 1},
        "groups": {"train": 1, "val": 0, "test": 1},
    }


# ----------------------------------------------------------------------------------- sides as published

PUBLISHED = Split(train=0.6, val=0.2, test=0.2, published=True)
sides = st.sampled_from(["train", "train", "test", None])


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 40), sides), min_size=1, max_size=120), st.integers(0, 3))
def test_published_sides_are_kept_and_groups_whole(told: list[tuple[int, str | None]], seed: int) -> None:
    frame = images([group for group, _ in told])
    published = pd.Series([side for _, side in told], dtype=object)
    side = assign(frame, PUBLISHED, seed, published=published)
    assert side.groupby(frame["group"]).nunique().max() == 1
    in_test = set(frame["group"][published == "test"])
    in_train = set(frame["group"][published == "train"]) - in_test
    assert set(side[frame["group"].isin(in_test)]) <= {"test"}
    carved = side[frame["group"].isin(in_train)]
    assert set(carved) <= {"train", "val"}
    largest = frame["group"].value_counts().max()
    assert abs((carved == "val").sum() - len(carved) / 4) <= largest
    unsided = ~frame["group"].isin(in_test | in_train)
    dealt = assign(frame[unsided], PUBLISHED, seed)
    assert side[unsided].tolist() == dealt.tolist(), "as without a release"


def test_a_release_with_a_val_side_of_its_own_keeps_its_train_whole() -> None:
    published = pd.Series(["train"] * 20 + ["val"] * 5 + ["test"] * 5, dtype=object)
    assert assign(images(list(range(30))), PUBLISHED, 1, published=published).tolist() == published.tolist()


def test_val_is_carved_in_proportion_from_every_class() -> None:
    frame = images(list(range(300)), classes=10)
    side = assign(frame, PUBLISHED, 1, published=pd.Series(["train"] * 300))
    assert side.groupby(frame["class_name"]).agg(lambda found: (found == "val").sum()).between(7, 8).all()
    no_val = Split(train=0.7, val=0, test=0.3, published=True)
    assert set(assign(frame, no_val, 1, published=pd.Series(["train"] * 300))) == {"train"}
    only_test = Split(train=0, val=0, test=1, published=True)
    assert set(assign(frame, only_test, 1, published=pd.Series(["train"] * 300))) == {"train"}


def test_a_real_image_counts_more_than_the_side_its_answer_was_published_on() -> None:
    real = images(list(range(30)))
    real["side"] = assign(real, SHARES, 1)
    fake = rows(1, list(range(30)), pair_id=real["id"])
    side = assign(fake, PUBLISHED, 1, real, pd.Series(["test"] * 30))
    assert side.tolist() == real["side"].tolist()


def test_a_prompt_of_a_release_is_on_the_published_side_and_agrees_on_val() -> None:
    prompts = [prompt_group(f"prompt {number}") for number in range(200)]
    frame = rows(1, list(range(200)), group=prompts)
    elsewhere = assign(frame, PUBLISHED, 1)
    assert set(assign(frame, PUBLISHED, 1, published=pd.Series(["test"] * 200))) == {"test"}
    side = assign(frame, PUBLISHED, 1, published=pd.Series(["train"] * 200))
    kept = elsewhere != "test"
    assert side[kept].equals(elsewhere[kept]) and set(side[~kept]) == {"train", "val"}
    assert 30 < (side == "val").sum() < 70


def write_release(folder: Path, label: int, told: list[str | None], groups: list[str] | None = None) -> None:
    with ImageSetWriter(folder) as writer:
        for number, side in enumerate(told):
            about = {"label": label, "generator": "fake" if label else REAL, "content": "photo"}
            group = groups[number] if groups else None
            picture = encode(textured(number + 1000 * label, 40, 40))
            writer.add(f"{folder.name}-{number:03d}", picture, **about, side=side, group=group)


def run_to_split(**split_: object) -> dict[str, pd.DataFrame]:
    shares = {"train": 0.6, "val": 0.2, "test": 0.2}
    asked = params(split={**shares, **split_}, dedupe={"radius": 0}, real=REALS)
    for name in asked.real:
        collect(Path(), asked, name)
    generate(Path(), asked, "fake")
    found = {}
    for item in (REAL, "fake"):
        dedupe(Path(), asked, item)
        split(Path(), asked, item)
        found[item] = pd.read_parquet(f"artifacts/split/{item}/split.parquet")
    return found


REALS = {"whole": {"from": "data/whole"}, "cropped": {"from": "data/cropped", "crop": 32}}


def test_published_sides_come_through_all_stages(workdir: Path) -> None:
    told = ["train"] * 20 + ["test"] * 10
    write_release(Path("data/whole"), 0, told)
    write_release(Path("data/cropped"), 0, [*told, None, None, None, None, None])
    tied = [f"g{number}" for number in range(30)]
    tied[0] = tied[29]  # in train and in test
    tied[1:3] = [prompt_group("a dog")] * 2
    write_release(Path("data/fake"), 1, told, tied)
    found = run_to_split(published=True)
    for name in ("whole", "cropped", "fake"):
        table = pd.concat(found.values())
        table = table[table["id"].str.startswith(name)].sort_values("id")
        published = ImageSet(Path("data") / name).rows.sort_values("id")["side"].tolist()
        for row, side in zip(table.itertuples(), published, strict=True):
            assert (
                row.side in {"train": ("train", "val"), "test": ("test",)}.get(side, SIDES)
                or row.id == "fake-000"
            )
    summary = json.loads(Path("artifacts/split/fake/summary.json").read_text())["published"]
    in_val = int((found["fake"]["side"] == "val").sum())
    assert summary["images"] == 30 and summary["moved"] == 1 and summary["carved"] == in_val > 0
    assert json.loads(Path("artifacts/split/real/summary.json").read_text())["published"]["images"] == 60
    plain = run_to_split()
    assert not plain["fake"]["side"].equals(found["fake"]["side"])
    assert "published" not in json.loads(Path("artifacts/split/fake/summary.json").read_text())


def test_a_side_that_is_none(workdir: Path) -> None:
    for name, label in (("whole", 0), ("cropped", 0), ("fake", 1)):
        write_release(Path("data") / name, label, ["train"] * 12 + ["dev"])
    with pytest.raises(AssayError, match=r"split of real: the image .* with the side 'dev', which is none"):
        run_to_split(published=True)
    run_to_split()


def test_a_release_without_a_test_side(workdir: Path) -> None:
    for name, label in (("whole", 0), ("cropped", 0), ("fake", 1)):
        write_release(Path("data") / name, label, ["train"] * 12)
    with pytest.raises(AssayError, match=r"nothing is left for test: .*, or set split.published to false"):
        run_to_split(published=True)
