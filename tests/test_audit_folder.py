"""`assay audit`: any folders of pictures, however hostile what lies in them."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assets.errors import AssayError
from flows import cli
from tasks.audit_folder import audit_folders
from tests.conftest import file_bytes, textured


def fill(folder: Path, seed: int, count: int = 12, kind: str = "PNG", **options: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        data = file_bytes(textured(seed + number), kind, **options)
        (folder / f"{seed + number}.{kind.lower()}").write_bytes(data)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["assay", "audit", *arguments])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return caught.value.code or 0


def test_two_folders_are_held_against_each_other(
    workdir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(Path("holiday"), 0, kind="JPEG", quality=95)
    fill(Path("sdxl"), 100)
    assert run(monkeypatch, "holiday", "sdxl") == 0
    text = capsys.readouterr().out
    assert "real: 12 files in holiday" in text and "generated: 12 files in sdxl" in text
    assert "file format: JPEG for all of the real images and none of the generated ones" in text
    assert "copies: none" in text and "verdict: leak" in text
    assert run(monkeypatch, "holiday", "sdxl", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["audit"]["features"]["format"]["auroc"] == 1.0
    assert found["classes"]["real"]["looks"]["jpeg_quality"] == {"95": 12}
    assert not list(workdir.glob("artifacts"))


@pytest.mark.parametrize(("real", "fake"), [("real", "fake"), ("0_real", "1_fake"), ("nature", "ai")])
def test_subfolders_that_say_what_they_hold(workdir: Path, real: str, fake: str) -> None:
    fill(Path("set/val") / real / "cats", 0, count=4)
    fill(Path("set/val") / fake, 100, count=5)
    fill(Path("set/other"), 200, count=3)
    found = audit_folders([Path("set")], 0)
    counts = {kind: told["pictures"] for kind, told in found["classes"].items()}
    assert counts == {"real": 4, "generated": 5} and found["audit"] is not None
    assert found["notes"] == [
        f"taken as real, by the names of folders: {real}",
        f"taken as generated, by the names of folders: {fake}",
        "3 pictures lie in folders whose names say neither: left out",
    ]


def test_one_folder_of_one_kind_is_described(
    workdir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(Path("mine"), 0, kind="JPEG", quality=80)
    fill(Path("mine/more"), 50, count=4)
    assert run(monkeypatch, "mine") == 0
    text = capsys.readouterr().out
    assert "pictures: 16 files in mine" in text and "JPEG (75 %), PNG (25 %)" in text
    assert "80 (75 %)" in text and "verdict" not in text


def test_names_that_contradict_are_told(workdir: Path) -> None:
    fill(Path("fakes"), 0, count=3)
    fill(Path("reals"), 100, count=3)
    (first, second) = audit_folders([Path("fakes"), Path("reals")], 0)["notes"]
    assert first.startswith("the name of fakes says generated, and it was given as real")
    assert second.startswith("the name of reals says real, and it was given as generated")


def test_copies_are_found_within_and_across(workdir: Path) -> None:
    fill(Path("one"), 0, count=6)
    fill(Path("two"), 100, count=6)
    same = textured(3)
    Path("two/again.bmp").write_bytes(file_bytes(same, "BMP"))
    Path("two/smaller.jpg").write_bytes(file_bytes(same, "JPEG", quality=50))
    copies = audit_folders([Path("one"), Path("two")], 0)["copies"]
    assert (copies["clusters"], copies["largest"], copies["pairs_across"]) == (1, 3, 2)
    assert copies["pairs"] == {"exact-copy": 1, "near-duplicate": 2}
    assert {"kind": "exact-copy", "one": "one/3.png", "other": "two/again.bmp"} in copies["examples"]


def hostile(folder: Path) -> dict[str, bytes]:
    good = file_bytes(textured(1))
    bomb = bytearray(good)
    bomb[16:24] = (60000).to_bytes(4, "big") * 2
    random = np.random.default_rng(0).integers(0, 256, 4000, dtype=np.uint8).tobytes()
    files = {"empty.png": b"", "cut.png": good[:200], "bomb.png": bytes(bomb), "noise.jpg": random}
    files |= {"text.gif": b"<svg onload=alert(1)>", "\x1b[31mred\n.png": b"nothing"}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return files


def test_hostile_files_are_counted_and_nothing_falls_over(
    workdir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(Path("mixed"), 0, count=5)
    files = hostile(Path("mixed"))
    Path("mixed/link.png").symlink_to("nowhere")
    os.mkfifo("mixed/pipe.png")
    found = audit_folders([Path("mixed")], 0)["classes"]["pictures"]
    assert (found["pictures"], found["unreadable"]) == (5 + len(files) + 2, len(files) + 2)
    assert sum(found["unreadable_reasons"].values()) == len(files) + 2
    assert run(monkeypatch, "mixed") == 0
    text = capsys.readouterr().out
    assert "\x1b" not in text and f"cannot be read: {len(files) + 2}" in text


def test_no_more_pictures_than_asked_are_looked_at_whatever_lies_beside_them(workdir: Path) -> None:
    fill(Path("many"), 0, count=20)

    def looked(folder: str) -> dict[str, Any]:
        return audit_folders([Path(folder)], 6)["classes"]["pictures"]

    first = looked("many")
    assert (first["pictures"], first["looked_at"]) == (20, 6)
    assert looked("many") == first


def test_a_mistake_ends_in_one_message(
    workdir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("empty").mkdir()
    Path("bad").mkdir()
    Path("bad/one.png").write_bytes(b"")
    for folder, message in (
        ("missing", "missing is not a folder: give a folder that holds pictures"),
        ("empty", "empty holds no pictures"),
        ("bad", "bad: none of its 1 pictures can be read: empty file"),
    ):
        assert run(monkeypatch, folder) == 2
        assert capsys.readouterr().err == f"error: {message}\n"
        with pytest.raises(AssayError):
            audit_folders([Path(folder)], 0)
