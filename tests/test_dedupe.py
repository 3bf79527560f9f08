"""Copies: who wins, why the others go, and that nobody goes without a reason."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.images.imageset import ImageSetWriter
from assets.images.near import as_bits, clusters, near_pairs
from tasks.dedupe import decide, dedupe
from tests.conftest import file_bytes, textured
from tests.samples import params, rows

FAR = [0x0, 0xFFFF, 0xFFFF0000, 0xFFFF00000000]


def reasons(decided: pd.DataFrame) -> dict[str, tuple[str, str]]:
    gone = decided[~decided["keep"]]
    return {row.id: (row.removed, row.copy_of) for row in gone.itertuples()}


def test_the_first_of_two_near_duplicates_stays() -> None:
    assert reasons(decide(rows(1, [0b0, 0b11, 0xFF]), None, radius=2)) == {"g1": ("near-duplicate", "g0")}


def test_radius_zero_still_removes_equal_hashes() -> None:
    decided = decide(rows(1, [5, 5, 4]), None, radius=0)
    assert reasons(decided) == {"g1": ("near-duplicate", "g0")}


def test_near_duplicates_are_joined_through_a_third() -> None:
    decided = decide(rows(1, [0b0000, 0b0011, 0b1111]), None, radius=2)
    assert set(reasons(decided)) == {"g1", "g2"} and decided["cluster"].tolist() == ["g0"] * 3


def test_exact_copies_are_told_from_near_ones() -> None:
    copies = rows(1, [7, 7, 6], pixels=["p", "p", "q"])
    assert reasons(decide(copies, None, radius=4)) == {
        "g1": ("exact-copy", "g0"),
        "g2": ("near-duplicate", "g0"),
    }


def test_a_real_picture_wins_over_its_copies_whatever_their_ids() -> None:
    real = rows(0, [FAR[0], FAR[1]], id=["z0", "z1"])
    fake = rows(1, [FAR[0], FAR[1] ^ 1, FAR[2]], pixels=["r-pixels-0", "x", "y"])
    assert reasons(decide(fake, real, radius=4)) == {
        "g0": ("exact-copy-of-real", "z0"),
        "g1": ("near-duplicate-of-real", "z1"),
    }


def test_a_bridge_between_two_reals_goes_and_the_reals_are_not_touched() -> None:
    real = rows(0, [0b0000, 0b1111])
    decided = decide(rows(1, [0b0011]), real, radius=2)
    assert list(decided["id"]) == ["g0"] and reasons(decided)["g0"][0] == "near-duplicate-of-real"


def test_unreadable_pictures_are_no_copies_of_each_other() -> None:
    bad = rows(1, [1, 2, FAR[2]])
    bad.loc[[0, 1], ["status", "reason", "phash", "pixels"]] = ["unreadable", "empty file", None, None]
    assert reasons(decide(bad, None, radius=4)) == {"g0": ("unreadable", None), "g1": ("unreadable", None)}


@given(st.lists(st.integers(0, 2**64 - 1), max_size=40), st.integers(0, 20), st.randoms())
def test_what_stays_is_apart_and_does_not_depend_on_row_order(
    hashes: list[int], radius: int, random: object
) -> None:
    frame = rows(1, hashes)
    decided = decide(frame, None, radius)
    kept = as_bits(decided.loc[decided["keep"], "phash"])
    assert not any(len(first) for first, _, _ in near_pairs(kept, radius))
    assert decided["keep"].sum() + decided["removed"].notna().sum() == len(hashes)
    order = list(range(len(hashes)))
    random.shuffle(order)  # type: ignore[attr-defined]
    again = decide(frame.iloc[order], None, radius)
    assert set(again.loc[again["keep"], "id"]) == set(decided.loc[decided["keep"], "id"])


@pytest.mark.parametrize("sorting", [60, 1e-5, 1e-8, 1e-16])  # each makes another way the cheapest
def test_pairs_equal_a_literal_double_loop(sorting: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assets.images.near._SORTING", sorting)
    hashes = np.random.default_rng(0).integers(0, 2**12, 60).astype(np.uint64)
    literal = {
        (i, j, (int(hashes[i]) ^ int(hashes[j])).bit_count()) for i in range(60) for j in range(i + 1, 60)
    }
    found = {
        triple
        for block in near_pairs(hashes, 3)
        for triple in zip(*(part.tolist() for part in block), strict=True)
    }
    assert found == {triple for triple in literal if triple[2] <= 3} and found


def test_signed_hashes_are_refused() -> None:
    with pytest.raises(TypeError, match="must be uint64, got int64"):
        next(near_pairs(np.array([-1]), 1))


def test_clusters_name_the_smallest_position() -> None:
    assert clusters(pd.Series(["00", "ff00", "01", "ff01"]), 1).tolist() == [0, 1, 0, 1]


def test_a_real_picture_planted_among_the_fakes_is_found(workdir: Path) -> None:
    def write(path: str, label: int, pictures: dict[str, bytes]) -> None:
        with ImageSetWriter(Path(path)) as writer:
            for name, data in pictures.items():
                writer.add(name, data, label=label, generator="fake" if label else "real", group=name)

    write("artifacts/collect/photos", 0, {f"r{s}": file_bytes(textured(s)) for s in range(4)})
    planted = {"planted": file_bytes(textured(2), "BMP"), "recoded": file_bytes(textured(3), "JPEG")}
    fakes = {f"g{s}": file_bytes(textured(10 + s)) for s in range(3)}
    write("artifacts/generate/fake", 1, {**fakes, **planted, "bad": b"", "same": fakes["g0"]})
    settings = params()
    for item in ("real", "fake"):
        dedupe(Path(), settings, item)
    summary = json.loads(Path("artifacts/dedupe/fake/summary.json").read_text())
    assert summary == {
        "item": "fake",
        "images": 7,
        "kept": 3,
        "unreadable": 1,
        "removed": {
            "exact-copy": 1,
            "exact-copy-of-real": 1,
            "near-duplicate-of-real": 1,
            "unreadable": 1,
        },
        "unreadable_reasons": {"empty file": 1},
    }
    first = Path("artifacts/dedupe/fake/decisions.parquet").read_bytes()
    dedupe(Path(), settings, "fake")
    assert Path("artifacts/dedupe/fake/decisions.parquet").read_bytes() == first
