"""The audit of the whole set: planted leaks, copies, damage and imbalance are all found and counted."""

import json
from math import log
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from assets.audit.balance import balance, damaged, removed_copies
from assets.audit.leaks import read_leaks
from assets.frames import write_frame
from assets.images.imageset import ImageSetWriter
from assets.params import Params
from assets.report.results import Results
from assets.tables.audit import chapter
from assets.tables.table import Chapter
from tasks.audit import audit
from tasks.audit_all import audit_all, by_chance
from tasks.dedupe import decide, dedupe
from tests.conftest import file_bytes, textured
from tests.samples import params, rows

SIDES = ("train", "val", "test")
TWO = {name: {"from": f"data/{name}", "family": "gan", "released": "2020-01"} for name in ("a", "b")}
ENOUGH = 18


def settings(**sections: object) -> Params:
    chosen = {"audit": {"folds": 2, "look": 8}, "report": {"resamples": 100}, **sections}
    train = {"generators": ["a"], "sets": {}, "samples": {}, "seeds": [0]}
    return params(generators=TWO, train=train, **chosen)


def write(item: str, pictures: dict[str, bytes], sides: dict[str, str], **groups: str) -> None:
    """An image set, its decisions and its split; image i is on the side SIDES[i % 3] if none is given."""
    place = "collect/photos" if item == "real" else f"generate/{item}"
    label = int(item != "real")
    with ImageSetWriter(Path("artifacts") / place) as writer:
        for name, data in pictures.items():
            columns = {"group": groups.get(name), "class_name": "cat", "content": "photo"}
            writer.add(name, data, label=label, generator=item, **columns)
    dedupe(Path(), settings(), item)
    decided = pd.read_parquet(f"artifacts/dedupe/{item}/decisions.parquet")
    kept = decided[decided["keep"]].reset_index(drop=True)
    names = list(pictures)
    kept["side"] = [sides.get(name, SIDES[names.index(name) % 3]) for name in kept["id"]]
    write_frame(Path(f"artifacts/split/{item}/split.parquet"), kept)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real JPEG files, two generators of PNG files; b-0 to b-2 are of a's training in three ways."""
    monkeypatch = pytest.MonkeyPatch()
    home = tmp_path_factory.mktemp("home")
    monkeypatch.chdir(home)
    write("real", {f"r-{n}": file_bytes(textured(n), "JPEG") for n in range(ENOUGH)}, {})
    a = {f"a-{n}": file_bytes(textured(100 + n)) for n in range(ENOUGH)}
    write("a", {**a, "a-bad": b"no picture"}, {f"a-{n}": "train" for n in range(3)}, **{"a-2": "prompt:x"})
    b = {f"b-{n}": file_bytes(textured(200 + n)) for n in range(ENOUGH)}
    b |= {"b-0": file_bytes(textured(100), "BMP"), "b-1": file_bytes(textured(101), "JPEG", quality=60)}
    b["b-3"] = file_bytes(255 - (255 - textured(103)) // 4)  # near a-3 by its hash, and far brighter
    write("b", b, {"b-0": "test", "b-1": "test", "b-2": "test", "b-3": "test"}, **{"b-2": "prompt:x"})
    audit_all(Path(), settings())
    for item in ("a", "b"):
        audit(Path(), settings(), item)
    monkeypatch.undo()
    return home


def document(home: Path) -> dict[str, object]:
    return json.loads((home / "artifacts/audit_all/audit.json").read_text())


def test_the_three_kinds_of_leaks_are_found_and_nothing_else(home: Path) -> None:
    assert list(read_leaks(home).itertuples(index=False, name=None)) == [
        ("b", "b-0", "exact-copy", "a", "a-0"),
        ("b", "b-1", "near-duplicate", "a", "a-1"),
        ("b", "b-2", "group", "a", "a-2"),
    ]
    assert document(home)["leaks"] == {
        "images": 3,
        "by": [
            {"tested_on": "b", "trained_on": "a", "kind": kind, "images": 1}
            for kind in ("exact-copy", "group", "near-duplicate")
        ],
    }


def test_near_hashes_of_unlike_pictures_are_counted_apart(home: Path) -> None:
    near = document(home)["near_duplicates"]
    assert near["across"] == [{"one": "a", "other": "b", "exact": 1, "near": 1, "hash_alone": 1}]
    assert near["compared"] == 3 * ENOUGH and near["by_chance"] == by_chance(3 * ENOUGH, 4)


def test_all_generators_are_audited_together(home: Path) -> None:
    found = document(home)
    assert (found["n_real"], found["n_generated"], found["verdict"]) == (ENOUGH, 2 * ENOUGH, "leak")
    assert found["features"]["format"]["auroc"] > 0.95
    assert found["looked_at"]["opened"] == {"real": 8, "generated": 8}
    assert found["single"][0]["words"] == (
        "JPEG quality: 75 for all of the real images and none of the generated ones (97 % of them: no JPEG)"
    )


def test_damage_and_balance_are_counted_for_every_item(home: Path) -> None:
    found = document(home)
    assert found["corrupt"]["a"] == {
        "images": ENOUGH + 1,
        "unreadable": 1,
        "reasons": {"not an image, or of an unsupported format": 1},
        "ids": ["a-bad"],
    }
    assert found["corrupt"]["real"]["unreadable"] == 0
    assert found["balance"]["b"]["classes"]["largest"] == {"name": "cat", "images": ENOUGH}
    assert sum(found["balance"]["b"]["sides"].values()) == ENOUGH


def test_the_stage_repeats_itself_to_the_byte(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    paths = [Path("artifacts/audit_all") / name for name in ("audit.json", "leaks.parquet")]
    first = [path.read_bytes() for path in paths]
    audit_all(Path(), settings())
    assert [path.read_bytes() for path in paths] == first


def test_balance_by_hand() -> None:
    frame = rows(1, [0] * 8, class_name=["cat"] * 4 + ["dog"] * 2 + ["axolotl", None], side="train")
    frame.loc[0, "content"] = "face"
    found = balance(frame)
    assert found["contents"] == {"face": 1, "photo": 7}
    entropy = -(4 / 7 * log(4 / 7) + 2 / 7 * log(2 / 7) + 1 / 7 * log(1 / 7))
    assert found["classes"] == {
        "known": 7,
        "number": 3,
        "largest": {"name": "cat", "images": 4},
        "evenness": pytest.approx(entropy / log(3), abs=1e-8),
    }
    assert balance(frame.assign(class_name=None))["classes"]["evenness"] is None


def test_copies_of_real_images_count_their_real_image() -> None:
    real = rows(0, [0, 0xFFFF])
    decided = decide(rows(1, [0, 1, 2, 0xFF0000]), real, radius=2)
    assert removed_copies(decided) == {
        "clusters": 1,
        "largest": 4,
        "removed": {"near-duplicate-of-real": 3},
    }
    assert damaged(decided)["unreadable"] == 0


def test_the_expected_number_of_chance_pairs() -> None:
    """679,121 of 2^64 words differ from a given one in at most four bits."""
    assert by_chance(2_700_000, 4) == pytest.approx(2.7e6**2 / 2 * 679_121 / 2**64, rel=1e-6)
    assert round(by_chance(2_700_000, 4), 2) == 0.13


def audit_chapter(home: Path, whole: bool = True) -> Chapter:
    audits = {name: json.loads((home / f"artifacts/audit/{name}/audit.json").read_text()) for name in "ab"}
    found = Results(settings(), None, audits, [], "l", "r", whole=document(home) if whole else {})
    return chapter(found)


def test_the_chapter_tells_all_of_it(home: Path) -> None:
    found = audit_chapter(home)
    assert found.intro[-1] == (
        "Test images that a training may know: 3. Pairs of copies between items: 2. "
        "Images that cannot be used: 1."
    )
    tables = {table.name: table for table in found.tables}
    assert list(tables) == [
        *("shortcuts", "giveaways", "advice", "leaks", "across", "copies", "damage", "balance"),
    ]
    for table in tables.values():
        for line in table.lines:
            assert len(line.heads) == len(table.heads) and len(line.values) == len(table.columns), table.name
    shortcuts = tables["shortcuts"]
    assert [line.heads for line in shortcuts.lines] == [("a",), ("b",), ("all generators",)]
    format_column = [column.name for column in shortcuts.columns].index("format")
    value = shortcuts.lines[0].values[format_column]
    assert value.value == 1.0 and value.low == 1.0 and value.shade == -1.0
    assert tables["leaks"].caption.startswith("3 test images ")
    assert tables["damage"].lines[0].heads == ("a", "not an image, or of an unsupported format")
    assert tables["damage"].lines[0].values[1].text == "a-bad"


def test_without_an_audit_of_the_whole_the_chapter_is_about_generators(home: Path) -> None:
    tables = audit_chapter(home, whole=False).tables
    assert [table.name for table in tables] == ["shortcuts", "giveaways", "advice"]
    assert np.isfinite([line.values[1].value for line in tables[0].lines]).all()
