"""Leaks between train and test: found whatever items they run between, told, refused or left out."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from assets.audit.crossings import HASH, coded, leaks, pairs
from assets.audit.leaks import COLUMNS, EXACT, GROUP, NEAR, left_out, read_leaks, refuse, write_leaks
from assets.errors import AssayError
from assets.params import Params
from tests.samples import params

TWO = {name: {"from": f"data/{name}", "family": "gan", "released": "2020-01"} for name in ("a", "b")}


def settings(trained: list[str]) -> Params:
    train = {"generators": trained, "sets": {}, "samples": {}, "seeds": [0]}
    return params(generators=TWO, train=train)


def images(*rows: tuple[str, str, str, str, int]) -> pd.DataFrame:
    """(item, id, side, group, perceptual hash); pixels are equal where ids end alike."""
    frame = pd.DataFrame(rows, columns=["item", "id", "side", "group", "phash"])
    frame["group"] = coded(frame["group"])
    frame["pixels"] = coded(frame["id"].str[-2:])
    return frame.astype({"phash": np.uint64})


def always(near: pd.DataFrame) -> pd.Series:
    return pd.Series(True, index=near.index)


def found(frame: pd.DataFrame, radius: int = 4) -> set[tuple[str, ...]]:
    table = leaks(frame, pairs(frame, radius, always))
    assert tuple(table.columns) == COLUMNS
    return set(table.itertuples(index=False, name=None))


def test_a_group_that_is_torn_between_items_leaks() -> None:
    frame = images(
        ("a", "a-01", "test", "prompt:x", 0),
        ("b", "b-02", "train", "prompt:x", 0xFF),
        ("b", "b-03", "val", "prompt:x", 0xFF00),
        ("b", "b-04", "test", "prompt:x", 0xFF0000),
    )
    assert found(frame) == {("a", "a-01", GROUP, "b", "b-02"), ("b", "b-04", GROUP, "b", "b-02")}


def test_copies_leak_into_the_test_whichever_comes_first() -> None:
    frame = images(
        ("a", "a-01", "train", "g1", 0b0),
        ("a", "a-02", "test", "g2", 0xFF00),
        ("b", "b-01", "test", "g3", 0b0),
        ("b", "b-03", "val", "g4", 0xFF01),
        ("b", "b-05", "test", "g5", 0xFF0000),
    )
    assert found(frame) == {("b", "b-01", EXACT, "a", "a-01"), ("a", "a-02", NEAR, "b", "b-03")}
    assert found(frame, radius=0) == {("b", "b-01", EXACT, "a", "a-01")}


def test_two_training_images_or_two_test_images_that_are_alike_are_no_leak() -> None:
    frame = images(
        ("a", "a-01", "train", "g1", 0),
        ("b", "b-01", "val", "g2", 0),
        ("a", "a-02", "test", "g3", 0xFF00),
        ("b", "b-02", "test", "g4", 0xFF00),
    )
    assert not found(frame)


def test_a_leak_into_one_image_counts_once_for_each_training_item() -> None:
    frame = images(
        *[("b", f"b-{number}1", "train", f"g{number}", number) for number in (1, 2)],
        ("real", "r-71", "train", "g7", 4),
        ("a", "a-99", "test", "g9", 0),
    )
    assert found(frame) == {("a", "a-99", NEAR, "b", "b-11"), ("a", "a-99", NEAR, "real", "r-71")}


def test_a_near_hash_alone_is_no_near_duplicate() -> None:
    frame = images(("a", "a-01", "train", "g1", 0), ("b", "b-02", "test", "g2", 1))
    table = pairs(frame, 4, lambda near: ~always(near))
    assert table["kind"].tolist() == [HASH] and leaks(frame, table).empty


def test_every_pair_comes_once_with_the_smaller_place_first() -> None:
    random = np.random.default_rng(0)
    rows = [("a", f"a-{number}", "train", "g", int(random.integers(64))) for number in range(60)]
    table = pairs(images(*rows), 1, always)
    literal = {
        (one, other)
        for one in range(60)
        for other in range(one + 1, 60)
        if (rows[one][4] ^ rows[other][4]).bit_count() <= 1
    }
    assert set(zip(table["one"], table["other"], strict=True)) == literal and len(table) == len(literal)


LEAKS = pd.DataFrame(
    [
        ("a", "a-2", NEAR, "b", "b-1"),
        ("a", "a-1", EXACT, "b", "b-1"),
        ("a", "a-1", GROUP, "real", "r-1"),
        ("real", "r-2", GROUP, "b", "b-7"),
    ],
    columns=list(COLUMNS),
)


def test_leaks_are_written_sorted_and_read_back(workdir: Path) -> None:
    write_leaks(Path(), LEAKS)
    path = Path("artifacts/audit_all/leaks.parquet")
    first = path.read_bytes()
    write_leaks(Path(), LEAKS[::-1])
    assert path.read_bytes() == first
    assert read_leaks(Path())["id"].tolist() == ["a-1", "a-1", "a-2", "r-2"]
    write_leaks(Path(), LEAKS.iloc[:0])
    assert read_leaks(Path()).empty and tuple(read_leaks(Path()).columns) == COLUMNS


def test_a_missing_or_damaged_table_is_told(workdir: Path) -> None:
    with pytest.raises(AssayError, match=r"leaks\.parquet is not there: `assay run`"):
        read_leaks(Path())
    write_leaks(Path(), LEAKS)
    path = Path("artifacts/audit_all/leaks.parquet")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(AssayError, match="is damaged"):
        read_leaks(Path())


def test_only_what_detectors_are_trained_on_matters() -> None:
    assert left_out(LEAKS, settings(["b"])) == {"a": {"a-1", "a-2"}, "real": {"r-2"}}
    assert left_out(LEAKS, settings(["a"])) == {"a": {"a-1"}}  # real images are always trained on
    assert left_out(LEAKS.iloc[:2], settings(["a"])) == {}


def test_tables_over_leaks_are_refused_with_what_to_do() -> None:
    with pytest.raises(AssayError) as caught:
        refuse(LEAKS, settings(["b"]))
    message = str(caught.value)
    assert message.startswith("3 test images are known from training: a-1 of a (an exact copy of b-1 of b), ")
    assert "report: {leaks: leave_out}" in message
    refuse(LEAKS.iloc[:2], settings(["a"]))
    many = pd.DataFrame([("a", f"a-{n}", GROUP, "b", "b-1") for n in range(9)], columns=list(COLUMNS))
    with pytest.raises(AssayError, match=r"a-4 of a \(of one group with b-1 of b\), and 4 more;"):
        refuse(many, settings(["b"]))
