"""Pairs: which real images a generator is judged against, and that nothing else is then looked at."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.dag import Stage
from assets.errors import AssayError
from assets.frames import write_frame
from assets.lineage import Hashes
from assets.params import REAL, Params, Split
from assets.splitting.dealing import SIDES
from assets.splitting.pairs import owned, paired
from assets.statistics import metrics
from assets.statistics.bootstrap import interval
from assets.statistics.tabulate import tabulate
from flows.planning.counts import Counts
from tasks.audit import audit
from tasks.dedupe import decide
from tasks.report import write_report
from tasks.split import split
from tasks.train import train
from tests import made_up
from tests.bench import SMALL, benchmark, write_benchmark
from tests.samples import params, rows

SHARED = Split(reals="shared")
OWNERS = ("one", "two", "three")
OWN = Split(reals="own", owners=OWNERS)


def table(label: int, classes: list[int], prefix: str, **columns: object) -> pd.DataFrame:
    """A split table: image i shows class classes[i] and is on a side that follows from its number."""
    frame = rows(label, list(range(len(classes))))
    frame["id"] = [f"{prefix}{number:03d}" for number in range(len(classes))]
    frame["class_name"] = [f"class {number}" for number in classes]
    frame["class_index"] = pd.array(classes, dtype="Int32")
    frame["side"] = [SIDES[(number * 7) % 3] for number in range(len(classes))]
    return frame.assign(**columns)


def joined(fake: pd.DataFrame, real: pd.DataFrame, pair: pd.Series) -> pd.DataFrame:
    """Paired rows side by side with their real images."""
    return (
        fake.assign(pair_id=pair)
        .dropna(subset="pair_id")
        .merge(real, left_on="pair_id", right_on="id", suffixes=("", "_real"), validate="one_to_one")
    )


class_lists = st.lists(st.integers(0, 4), max_size=80)
some = settings(max_examples=15)
"""Pairing goes through pandas: milliseconds an example."""


@some
@given(class_lists.filter(len), class_lists, st.integers(0, 3))
def test_as_many_of_the_same_class_on_the_same_side(real: list[int], fake: list[int], seed: int) -> None:
    reals, fakes = table(0, real, "r"), table(1, [number for number in fake if number in real], "g")
    found = joined(fakes, reals, paired(fakes, reals, SHARED, seed, "one"))  # no real image is there twice
    assert (found["side"] == found["side_real"]).all() and (
        found["class_index"] == found["class_index_real"]
    ).all()
    have, want = (frame.groupby(["side", "class_name"]).size() for frame in (reals, fakes))
    expected = pd.concat([have, want], axis=1).dropna().min(axis=1)
    assert found.groupby(["side", "class_name"]).size().to_dict() == expected.to_dict()


@some
@given(class_lists.filter(len), st.integers(0, 3))
def test_every_real_image_is_one_generator_s_own(classes: list[int], seed: int) -> None:
    reals = table(0, classes, "r")
    owner = owned(reals, OWNERS, seed)
    assert set(owner) <= set(OWNERS)
    for keys in (["side"], ["side", "class_name"]):
        for _, found in owner.groupby([reals[key] for key in keys]):
            counts = [int((found == name).sum()) for name in OWNERS]
            assert max(counts) - min(counts) <= 1
    fakes = table(1, classes * 3, "g")
    pairs = {name: set(paired(fakes, reals, OWN, seed, name).dropna()) for name in OWNERS}
    for name, found in pairs.items():
        assert found <= set(reals["id"][owner == name])
    full = table(1, [number for number in range(5) for _ in range(120)], "g")
    assert set().union(*(paired(full, reals, OWN, seed, name).dropna() for name in OWNERS)) == set(
        reals["id"]
    )


@some
@given(class_lists.filter(len), class_lists, st.sampled_from([SHARED, OWN]), st.randoms())
def test_pairs_do_not_depend_on_row_order(
    real: list[int], fake: list[int], spec: Split, random: object
) -> None:
    reals, fakes = table(0, real, "r"), table(1, fake, "g")
    first = dict(zip(fakes["id"], paired(fakes, reals, spec, 1, "two"), strict=True))
    mixed = []
    for frame in (reals, fakes):
        order = list(range(len(frame)))
        random.shuffle(order)  # type: ignore[attr-defined]
        mixed.append(frame.iloc[order].reset_index(drop=True))
    again = paired(mixed[1], mixed[0], spec, 1, "two")
    assert dict(zip(mixed[1]["id"], again, strict=True)) == first


def test_generators_share_reals_and_another_seed_chooses_others() -> None:
    reals = table(0, [1] * 90, "r")
    one, two = table(1, [1] * 30, "g"), table(1, [1] * 30, "h")
    assert set(paired(one, reals, SHARED, 1, "one")) == set(paired(two, reals, SHARED, 1, "two"))
    assert set(paired(one, reals, SHARED, 1, "one")) != set(paired(one, reals, SHARED, 2, "one"))


def test_classes_are_matched_by_index_where_there_is_one() -> None:
    reals = table(0, [134, 517, 3, 3], "r", side="test", class_name=["crane", "crane", "tiger shark", None])
    fakes = table(1, [517, 3, 134], "g", side="test", class_name=["crane", "n01491361", None])
    fakes.loc[3] = fakes.loc[0].to_dict() | {"id": "g003", "class_index": pd.NA, "class_name": "tiger shark"}
    found = paired(fakes, reals, SHARED, 1, "one").tolist()
    assert (found[0], found[2]) == ("r001", "r000") and {found[1], found[3]} == {"r002", "r003"}


def test_images_whose_class_no_real_image_has_are_matched_by_content() -> None:
    content = ["photo", "photo", "face", "painting"]
    reals = table(0, [1, 2, 3, 4], "r", side="test", content=content)
    fakes = table(
        1, [9, 9, 9, 1, 1], "g", side="test", content=["face", "painting", "other", "photo", "photo"]
    )
    fakes.loc[0, ["class_index", "class_name"]] = [pd.NA, None]
    found = paired(fakes, reals, SHARED, 1, "one")
    assert found[:3].tolist() == ["r002", "r003", None]
    assert sorted(found[3:], key=str) == [None, "r000"], "no photo of another class, and none twice"


def test_without_classes_anywhere_content_and_side_decide() -> None:
    about = {"class_name": None, "class_index": pd.Series([pd.NA] * 60, dtype="Int32")}
    reals = table(0, [0] * 60, "r", **about)
    fakes = table(1, [0] * 60, "g", **about)
    assert len(joined(fakes, reals, paired(fakes, reals, SHARED, 1, "one"))) == 60
    reals["content"] = "face"
    assert paired(fakes, reals, SHARED, 1, "one").isna().all()


def test_an_image_that_came_with_its_real_one_keeps_it() -> None:
    reals = table(0, [1] * 6, "r", side="test")
    fakes = table(1, [1] * 6, "g", side="test", pair_id=["r003", "r003", "gone", None, None, None])
    assert paired(fakes, reals, SHARED, 1, "one")[:2].tolist() == ["r003", "r003"]
    others = paired(fakes, reals, SHARED, 1, "one")[2:]
    assert others.notna().all() and others.is_unique and "r003" not in set(others)
    for name in OWNERS:
        assert paired(fakes, reals, OWN, 1, name)[:2].tolist() == ["r003", "r003"]


def dedupe_all(generators: tuple[str, ...] = OWNERS, real: int = 90, fake: int = 30) -> None:
    for item in (REAL, *generators):
        label = int(item != REAL)
        frame = table(label, [number % 3 for number in range(fake if label else real)], item)
        write_frame(
            Path(f"artifacts/dedupe/{item}/decisions.parquet"), decide(frame.assign(side=None), None, 0)
        )


def stage_params(**split_: Any) -> Params:
    about = {"family": "gan", "released": "2020-01"}
    shares = {"train": 0.5, "val": 0.2, "test": 0.3}
    return params(
        generators={name: {"from": f"data/{name}", **about} for name in OWNERS},
        train={"generators": list(OWNERS), "sets": {}, "samples": {}, "seeds": [0]},
        split={**shares, **split_},
    )


def test_the_stage_writes_pairs_and_counts_what_is_left(workdir: Path) -> None:
    dedupe_all()
    for item in (REAL, *OWNERS):
        split(Path(), stage_params(reals="own", owners=list(OWNERS)), item)
    tables = {item: pd.read_parquet(f"artifacts/split/{item}/split.parquet") for item in (REAL, *OWNERS)}
    given_out: list[str] = []
    for name in OWNERS:
        found = tables[name]
        answered = found.dropna(subset="pair_id").merge(tables[REAL], left_on="pair_id", right_on="id")
        assert (answered["side_x"] == answered["side_y"]).all()
        assert (answered["class_index_x"] == answered["class_index_y"]).all()
        given_out += found["pair_id"].dropna().tolist()
        pairs = json.loads(Path(f"artifacts/split/{name}/summary.json").read_text())["pairs"]
        without = found[found["pair_id"].isna()]["side"].value_counts()
        assert pairs["without"] == {side: int(without.get(side, 0)) for side in SIDES}
        assert pairs["came_with"] == 0 and pairs["dealt"] == len(answered) > 20
    assert len(set(given_out)) == len(given_out)
    assert "pairs" not in json.loads(Path("artifacts/split/real/summary.json").read_text())


def test_without_pairing_nothing_changes(workdir: Path) -> None:
    dedupe_all()
    for item in (REAL, "one"):
        split(Path(), stage_params(), item)
    assert pd.read_parquet("artifacts/split/one/split.parquet")["pair_id"].isna().all()
    assert set(json.loads(Path("artifacts/split/one/summary.json").read_text())) == {
        "item",
        "images",
        "groups",
    }


def test_test_images_without_any_real_one_are_refused(workdir: Path) -> None:
    dedupe_all(("one",))
    path = Path("artifacts/dedupe/one/decisions.parquet")
    lost = pd.read_parquet(path).assign(class_name=None, class_index=None, content="painting")
    write_frame(path, lost)
    split(Path(), stage_params(reals="shared"), REAL)
    with pytest.raises(AssayError, match=r"split of one: none of its .* test images finds a real test image"):
        split(Path(), stage_params(reals="shared"), "one")


@pytest.mark.parametrize(
    ("split_", "message"),
    [
        ({"reals": "own"}, "params: split: 'reals: own' needs 'owners'"),
        ({"reals": "shared", "owners": ["one"]}, "params: split: 'reals: own' needs 'owners'.*else none"),
        ({"reals": "own", "owners": ["one", "one"]}, "split: 'owners' must not name anything twice"),
        (
            {"reals": "own", "owners": ["one", "tow", "three"]},
            r"the generator 'two' is not in split.owners \(one, tow, three\)",
        ),
        ({"reals": "mine"}, "split.reals is 'mine'"),
    ],
)
def test_owners_that_cannot_be_meant(split_: dict[str, Any], message: str) -> None:
    with pytest.raises(AssayError, match=message):
        stage_params(**split_)


def test_an_owner_that_is_gone_keeps_its_share() -> None:
    stage_params(reals="own", owners=[*OWNERS, "former"])


# ---------------------------------------------------------------------------------- what follows from it


def write_pairs(which: Callable[[int], bool]) -> Params:
    """A benchmark of bench.py whose generated image n answers to real image n, for some n."""
    quick = {"small": {**SMALL, "epochs": 1}}
    small = benchmark(
        detectors=quick, split={"reals": "shared"}, audit={"folds": 2}, report={"resamples": 100}
    )
    write_benchmark(small, real=(1,), fake=(4,))
    path = Path("artifacts/split/fake/split.parquet")
    frame = pd.read_parquet(path)
    pair = [f"real-{number:03d}" if which(number) else None for number in range(len(frame))]
    write_frame(path, frame.assign(pair_id=pair))
    return small


def test_training_sees_only_the_real_images_that_are_answered(workdir: Path) -> None:
    train(Path(), write_pairs(lambda number: number < 32), "fake", "small", 0)
    card = json.loads(Path("artifacts/train/fake/small-s0/card.json").read_text())
    assert card["images"] == {"train": {"real": 15, "generated": 31}, "val": {"real": 8, "generated": 16}}
    assert card["unreadable"]["train"] == {"real": 1, "generated": 1}


def test_training_without_any_pair_is_refused(workdir: Path) -> None:
    prepared = write_pairs(lambda number: number % 4 != 2)
    with pytest.raises(
        AssayError, match=r"no real image is left for val: .* 0 on that side that images of fake "
    ):
        train(Path(), prepared, "fake", "small", 0)


def test_the_audit_looks_at_what_detectors_see(workdir: Path) -> None:
    audit(Path(), write_pairs(lambda number: number >= 20), "fake")
    found = json.loads(Path("artifacts/audit/fake/audit.json").read_text())
    assert (found["n_real"], found["n_generated"]) == (44, 64)


def made_up_params(reals: str) -> Params:
    chosen_params = made_up.benchmark_params(("dcgan", "ddpm"), ("resnet18",), ("jpeg65",))
    return chosen_params.model_copy(update={"split": Split(reals=reals)})


def test_cells_count_only_the_real_images_of_their_pairs(workdir: Path) -> None:
    chosen_params = made_up_params("shared")
    made_up.write_benchmark(workdir, chosen_params)
    chosen = {"dcgan": range(0, 12), "ddpm": range(8, 40)}
    for name, numbers in chosen.items():
        pairs = [f"real-{number:04d}" for number in numbers]
        split_ = pd.DataFrame({"id": [f"{name}-{number:04d}" for number in range(30)], "side": "test"})
        split_["pair_id"] = (pairs + [None] * 30)[:30]
        split_["content"] = "photo"
        write_frame(Path(f"artifacts/split/{name}/split.parquet"), split_)
    write_report(Path(), chosen_params, Hashes("l" * 64, "r" * 64))
    table_ = pd.read_csv("results/cells.csv")
    cells = table_[(table_["kind"] == "cell") & (table_["condition"] == "clean")].set_index(
        ["trained_on", "tested_on"]
    )
    real = (
        made_up.scores(chosen_params, "ddpm", REAL, 40).query("condition == 'clean'").set_index("id")["logit"]
    )
    fake = made_up.scores(chosen_params, "ddpm", "dcgan", 30).query("condition == 'clean'")["logit"].dropna()
    own = real[[f"real-{number:04d}" for number in chosen["dcgan"]]].dropna()
    cell = cells.loc["ddpm", "dcgan"]
    expected = metrics.auroc([0] * len(own) + [1] * len(fake), [*own, *fake])
    assert cell["auroc"] == pytest.approx(expected, abs=1e-6) and cell["auroc_low"] < expected
    assert (cell["n_real"], cells.loc["dcgan", "dcgan"]["n_real"]) == (len(own), 12)
    assert cells.loc["dcgan", "ddpm"]["n_real"] == 29, "of 30 pairs, real-0020 is unreadable"
    assert "are paired with" in Path("results/tables/cross_generator.md").read_text()
    (first, *_) = json.loads(Path("results/tables/cross_generator.json").read_text())["tables"]
    assert "are paired with" in first["caption"]
    assert cell["groups"] == 2 + len({number // 7 for number in range(30)})


def test_all_real_images_chosen_are_as_none_chosen() -> None:
    chosen_params = made_up_params("all")

    def read(trained_on: str, tested_on: str) -> pd.DataFrame:
        return made_up.scores(chosen_params, trained_on, tested_on, 40 if tested_on == REAL else 30)

    every = frozenset(f"real-{number:04d}" for number in range(40))
    plain, chosen = (
        tabulate(chosen_params, read),
        tabulate(chosen_params, read, dict.fromkeys(chosen_params.generators, every)),
    )
    for one, other in zip(plain.cells, chosen.cells, strict=True):
        assert one.tally == other.tally
        for name in metrics.METRICS:
            first, second = one.metrics[name], other.metrics[name]
            assert first.value == second.value and interval(first.draws, 0.9) == interval(second.draws, 0.9)
    with pytest.raises(AssayError, match=r"on real: nothing about real-0099, which split says"):
        tabulate(chosen_params, read, {"dcgan": frozenset(["real-0003", "real-0099"])})


def test_a_plan_counts_what_a_training_looks_at(workdir: Path) -> None:
    def of(count: int, reals: str, family: str = "train") -> int | None:
        spec = {"from": "artifacts/fit/m", "family": "gan", "released": "2020-01", "count": count}
        chosen_params = params(
            real={"photos": {"from": "data/photos", "count": 900, "crop": 32}},
            fit={"m": {"kind": "dcgan"}},
            generators={"fake": spec, "more": spec},
            detectors={"d": {"model": "resnet10t", "epochs": 2}},
            split={"reals": reals, "owners": ["fake", "more"] if reals == "own" else []},
        )
        item = {"trained_on": "fake", "detector": "d", "key": "fake"}
        return Counts(Path(), chosen_params).of(Stage(f"{family}@x", "", (), (), {}, False, item))

    assert [of(600, reals) for reals in ("all", "shared", "own")] == [1800, 1440, 1260]
    assert [of(2000, reals) for reals in ("all", "shared", "own")] == [3480, 3480, 2940]
    assert [of(600, reals, "audit") for reals in ("all", "shared", "own")] == [1500, 1200, 1050]
