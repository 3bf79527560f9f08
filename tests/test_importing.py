"""`import_pictures` on a folder of everything that goes wrong: one row each, nothing lost."""

import errno
import os
import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from assets.errors import AssayError
from assets.images import shards
from assets.images.imageset import ImageSet, ImageSetWriter
from tasks import importing
from tasks.importing import import_pictures
from tasks.sources import folder as plain
from tasks.sources import polarity
from tasks.sources.archives import unpacking
from tasks.sources.entry import Wanted
from tasks.sources.places import File
from tests.conftest import file_bytes, textured


def test_a_folder_of_trouble(workdir: Path) -> None:
    folder = workdir / "pictures"
    (folder / "cat").mkdir(parents=True)
    good = {
        "a.b.PNG": file_bytes(textured(1)),
        "UPPER.JPEG": file_bytes(textured(2), "JPEG"),
        "cat/one.webp": file_bytes(textured(3), "WEBP"),
        "twin 1.png": file_bytes(textured(4)),
        "twin-ü.png": file_bytes(textured(4)),
        "tiny.bmp": file_bytes(textured(5, 1, 1), "BMP"),
    }
    bad = {
        "zero.png": b"",
        "text.jpg": b"no picture",
        "cut.png": file_bytes(textured(6))[:-200],
        "bomb.png": b"",
    }
    for name, data in {**good, **bad, "README.txt": b"ignored"}.items():
        (folder / name).write_bytes(data)
    Image.new("L", (30_000, 30_000)).save(folder / "bomb.png")
    (folder / "dangling.jpg").symlink_to("gone.jpg")
    os.mkfifo(folder / "pipe.png")

    found = import_pictures(folder, "odd", real=False, family="gan")

    images = ImageSet(Path("data/odd"))
    rows = images.rows.set_index("source")
    assert (found.images, found.unreadable, found.ignored) == (12, 6, 1)
    assert set(rows.index) == {*good, *bad, "dangling.jpg", "pipe.png"}
    assert {name: images.read(rows["id"][name]) for name in good} == good
    reasons = rows.loc[rows["status"] == "unreadable", "reason"].to_dict()
    assert set(reasons) == {*bad, "dangling.jpg", "pipe.png"}
    assert reasons["dangling.jpg"] == "a link that leads nowhere"
    assert reasons["pipe.png"] == "not a regular file"
    assert "pixels" in reasons["bomb.png"] and reasons["zero.png"] == "empty file"
    assert rows["class_name"]["cat/one.webp"] == "cat" and rows["label"].eq(1).all()
    assert rows["pixels"]["twin 1.png"] == rows["pixels"]["twin-ü.png"]
    assert not [p for p in Path("data/odd").iterdir() if p.suffix not in (".tar", ".parquet")]


def test_a_file_that_may_not_be_read_is_a_row(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (workdir / "p").mkdir()
    (workdir / "p/locked.png").write_bytes(file_bytes(textured(1)))

    def denied(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    # The super-user reads files of mode 0, so the refusal itself is played.
    monkeypatch.setattr(Path, "read_bytes", denied)
    assert import_pictures(workdir / "p", "x", real=True).reasons == {"cannot be read: Permission denied": 1}


def test_no_pictures_is_a_clear_error(workdir: Path) -> None:
    (workdir / "empty").mkdir()
    (workdir / "empty/notes.txt").write_text("x")
    with pytest.raises(AssayError, match=r"empty holds no pictures \(endings looked for: .avif .bmp"):
        import_pictures(workdir / "empty", "x", real=True)
    with pytest.raises(AssayError, match="nowhere is not a folder"):
        import_pictures(workdir / "nowhere", "x", real=True)
    assert not Path("data").exists()


def test_a_new_picture_renames_no_other(workdir: Path) -> None:
    folder = workdir / "p"
    folder.mkdir()
    for name in ("b.png", "c.png"):
        (folder / name).write_bytes(file_bytes(textured(ord(name[0]))))
    import_pictures(folder, "x", real=True)
    before = ImageSet(Path("data/x")).rows.set_index("source")["id"].to_dict()
    (folder / "a.png").write_bytes(file_bytes(textured(1)))
    import_pictures(folder, "x", real=True)
    after = ImageSet(Path("data/x")).rows.set_index("source")["id"].to_dict()
    assert len(after) == 3 and before.items() <= after.items()


def test_workers_change_nothing(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = workdir / "p"
    folder.mkdir()
    for index in range(9):
        (folder / f"{index}.png").write_bytes(file_bytes(textured(index)))
    import_pictures(folder, "x", real=True, out=Path("one"))
    monkeypatch.setenv("ASSAY_WORKERS", "3")
    import_pictures(folder, "x", real=True, out=Path("two"))
    assert Path("one/manifest.parquet").read_bytes() == Path("two/manifest.parquet").read_bytes()


def test_a_killed_import_goes_on_where_it_was(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "ImageSetWriter", partial(ImageSetWriter, per_shard=2))
    folder = workdir / "p"
    folder.mkdir()
    for index in range(7):
        (folder / f"{index}.png").write_bytes(file_bytes(textured(index)))
    (folder / "3.png").write_bytes(b"")
    import_pictures(folder, "x", real=True, out=Path("whole"))
    seen: list[str] = []
    read_one = importing._read_one

    def dies(place: File) -> object:
        seen.append(place.path.name)
        if len(seen) == 6:
            raise KeyboardInterrupt
        return read_one(place)

    monkeypatch.setattr(importing, "_read_one", dies)
    with pytest.raises(KeyboardInterrupt):
        import_pictures(folder, "x", real=True)
    del seen[:]

    def watched(place: File) -> object:
        seen.append(place.path.name)
        return read_one(place)

    monkeypatch.setattr(importing, "_read_one", watched)
    found = import_pictures(folder, "x", real=True)
    assert seen == ["4.png", "5.png", "6.png"]
    assert (found.images, found.reasons) == (7, {"empty file": 1})
    assert Path("data/x/manifest.parquet").read_bytes() == Path("whole/manifest.parquet").read_bytes()


def test_pixels_are_those_of_the_file(workdir: Path) -> None:
    (workdir / "p").mkdir()
    (workdir / "p/x.png").write_bytes(file_bytes(textured(3)))
    import_pictures(workdir / "p", "x", real=True)
    images = ImageSet(Path("data/x"))
    assert np.array_equal(images.pixels(images.rows["id"][0]), textured(3))


@pytest.fixture
def seven(workdir: Path) -> Path:
    """A folder of seven pictures."""
    folder = workdir / "seven"
    folder.mkdir()
    for index in range(7):
        (folder / f"{index}.png").write_bytes(file_bytes(textured(index)))
    return folder


def test_a_full_disk_is_one_message_and_a_restart_goes_on(
    seven: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "ImageSetWriter", partial(ImageSetWriter, per_shard=2))
    import_pictures(seven, "x", real=True, out=Path("whole"))
    append = shards.append
    room = [5]

    def fills_up(*given: Any) -> int:
        room[0] -= 1
        if room[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device", "open.tar")
        return append(*given)

    monkeypatch.setattr(shards, "append", fills_up)
    with pytest.raises(AssayError, match=r"disk is full.* shards of x .* are kept; .* goes on"):
        import_pictures(seven, "x", real=True)
    assert not Path("data/x").exists()
    room[0] = 3  # two shards of two are kept, so three pictures are left to write
    assert import_pictures(seven, "x", real=True).images == 7
    assert Path("data/x/manifest.parquet").read_bytes() == Path("whole/manifest.parquet").read_bytes()


def test_a_finished_set_is_packed_again_only_if_something_changed(
    seven: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def again() -> bool:
        return import_pictures(seven, "x", real=True).kept

    assert not again()
    before = Path("data/x/manifest.parquet").read_bytes()
    monkeypatch.setattr(importing, "_read_one", None)  # nothing may be read
    assert again()
    monkeypatch.undo()
    monkeypatch.chdir(seven.parent)
    next(Path("data/x").glob("*.tar")).unlink()
    assert not again(), "a shard was missing"
    assert Path("data/x/manifest.parquet").read_bytes() == before
    (seven / "0.png").write_bytes(file_bytes(textured(70)))
    assert not again(), "a picture was written to"
    assert Path("data/x/manifest.parquet").read_bytes() != before


def test_a_worker_that_dies_is_one_message(seven: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_WORKERS", "1")
    monkeypatch.setattr(importing, "_read_one", lambda place: os._exit(9))
    with pytest.raises(AssayError, match=r"memory runs out: .* fewer than ASSAY_WORKERS=1"):
        import_pictures(seven, "x", real=True)


def test_class_folders_with_a_wordnet_id_and_published_sides(workdir: Path) -> None:
    for index, name in enumerate(("train/n01440764", "train/cat", "val/n99999999", "test")):
        (workdir / "p" / name).mkdir(parents=True)
        (workdir / "p" / name / "x.png").write_bytes(file_bytes(textured(index)))
    found = import_pictures(workdir / "p", "x", real=True)
    rows = ImageSet(Path("data/x")).rows.set_index("source")
    columns = rows[["class_name", "class_index", "side"]].astype(object).where(rows.notna(), None)
    assert columns.T.to_dict("list") == {
        "train/n01440764/x.png": ["tench", 0, "train"],
        "train/cat/x.png": ["cat", None, "train"],
        "val/n99999999/x.png": ["n99999999", None, "val"],
        "test/x.png": [None, None, "test"],
    }
    assert found.sides == {"test": 1, "train": 2, "val": 1}


@pytest.mark.parametrize(
    ("files", "real", "says"),
    [
        (["fake/a.png"], True, r"labelled real, but names say generated: 'fake'; leave --real out"),
        (
            ["1_fake/a.png", "0_real/b.png"],
            True,
            r"'1_fake'; leave .* --generated 1_fake: the others",
        ),
        (["cat/0_real/a.png"], False, r"labelled generated, but names say real: '0_real'; say --real"),
        (["train/nature/a.png"], False, "'nature'"),
        (
            ["033_sdv4_00001.png", "034_sdv4_00002.png", "x.png"],
            True,
            r"2 of 3 files .* \('033_sdv4_00001.png'\)",
        ),
        (["n03495258_20762.JPEG"], False, "named like an ImageNet photograph"),
    ],
)
def test_names_that_contradict_the_label(workdir: Path, files: list[str], real: bool, says: str) -> None:
    for name in files:
        (workdir / "p" / name).parent.mkdir(parents=True, exist_ok=True)
        (workdir / "p" / name).write_bytes(file_bytes(textured(1)))
    with pytest.raises(AssayError, match=says):
        plain.find(workdir / "p", Wanted("x", real))
    assert plain.find(workdir / "p", Wanted("x", real, polarity_checked=True)).sources[0].real is real
    if len({Path(name).parent for name in files}) == 1:
        assert plain.find(workdir / "p", Wanted("x", not real)).sources


def test_folders_that_are_generated_and_folders_that_are_real(workdir: Path) -> None:
    for index, name in enumerate(("cat/0_real", "cat/1_fake", "val/dog/1_fake", "n01440764/0_real")):
        (workdir / "p" / name).mkdir(parents=True)
        (workdir / "p" / name / "x.png").write_bytes(file_bytes(textured(index)))
    made, real = plain.find(workdir / "p", Wanted("x", family="gan", generated=("1_fake",))).sources
    assert (made.name, made.real, real.name, real.real) == ("x", False, "x_real", True)
    assert {entry.key: entry.columns.get("class_name") for entry in made.entries} == {
        "cat/1_fake/x.png": "cat",
        "val/dog/1_fake/x.png": "dog",
    }
    assert [entry.columns.get("class_name") for entry in real.entries] == ["cat", "tench"]
    with pytest.raises(AssayError, match="--generated 1_fakes is no folder in it; did you mean '1_fake'"):
        plain.find(workdir / "p", Wanted("x", generated=("1_fakes",)))
    with pytest.raises(AssayError, match="labelled generated, but names say real: '0_real'"):
        plain.find(workdir / "p", Wanted("x", generated=("0_real",)))


def test_imagenet_as_it_is_published(workdir: Path) -> None:
    for name in ("train/n01440764/n01440764_10026.JPEG", "val/ILSVRC2012_val_00000001.JPEG"):
        (workdir / "p" / name).parent.mkdir(parents=True)
        (workdir / "p" / name).write_bytes(file_bytes(textured(1), "JPEG"))
    (workdir / "truth").write_text("ILSVRC2012_val_00000001.JPEG 65\n")
    wanted = Wanted("x", True, ground_truth=workdir / "truth")
    entries = plain.find(workdir / "p", wanted).sources[0].entries
    assert [entry.columns["class_index"] for entry in entries] == [0, 65]


@pytest.mark.parametrize(
    "name", ["real_estate", "nature_walks", "airplane", "fake_or_real", "Synthetic_Cubism"]
)
def test_names_that_say_nothing(name: str) -> None:
    assert polarity.hint(name) is None


def test_archives_are_told_how_to_extract(workdir: Path) -> None:
    (workdir / "p").mkdir()
    for name in ("big.7z.001", "big.7z.002"):
        (workdir / "p" / name).write_bytes(b"7z")
    with pytest.raises(AssayError, match=r"no pictures; .*big.7z.001 is not extracted: .*7z x big.7z.001"):
        import_pictures(workdir / "p", "x", real=True)


@pytest.mark.parametrize(
    ("volumes", "says"),
    [
        (["a.z01", "a.z02", "a.zip"], r"a\.zip is a zip in 3 volumes: .*7z x a\.zip.*zip -s 0 a\.zip"),
        (["a.z01", "a.z02"], r"its last one, a\.zip, is missing"),
        (["a-001.z01", "a.zip"], r"renamed by the download"),
        (["a.tgz"], r"tar -xzf a\.tgz"),
        (["a.zip"], r"a\.zip is not extracted"),
    ],
)
def test_how_to_extract(volumes: list[str], says: str) -> None:
    told = unpacking(Path("d") / name for name in volumes)
    assert told is not None and re.search(says, told), told
    assert unpacking([Path("picture.png"), Path("notes.zipped")]) is None
