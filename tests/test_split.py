"""Splits: no group on two sides, in proportion, and nothing moves when generators come and go."""

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.errors import AssayError
from assets.frames import write_frame
from assets.params import Split
from tasks.dedupe import decide
from tasks.split import SIDES, assign, split, summarise
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
    for settings in (one, both):
        for item in ("real", *settings.generators):
            split(Path(), settings, item)
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
