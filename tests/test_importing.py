"""`import_pictures` on a folder of everything that goes wrong: one row each, nothing lost."""

import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from assets.errors import AssayError
from assets.imageset import ImageSet, ImageSetWriter
from tasks import importing
from tasks.importing import import_pictures
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
    seen: list[Path] = []
    read_one = importing._read_one

    def dies(path: Path) -> object:
        seen.append(path)
        if len(seen) == 6:
            raise KeyboardInterrupt
        return read_one(path)

    monkeypatch.setattr(importing, "_read_one", dies)
    with pytest.raises(KeyboardInterrupt):
        import_pictures(folder, "x", real=True)
    del seen[:]
    monkeypatch.setattr(importing, "_read_one", lambda path: seen.append(path) or read_one(path))
    found = import_pictures(folder, "x", real=True)
    assert [path.name for path in seen] == ["4.png", "5.png", "6.png"]
    assert (found.images, found.reasons) == (7, {"empty file": 1})
    assert Path("data/x/manifest.parquet").read_bytes() == Path("whole/manifest.parquet").read_bytes()


def test_pixels_are_those_of_the_file(workdir: Path) -> None:
    (workdir / "p").mkdir()
    (workdir / "p/x.png").write_bytes(file_bytes(textured(3)))
    import_pictures(workdir / "p", "x", real=True)
    images = ImageSet(Path("data/x"))
    assert np.array_equal(images.pixels(images.rows["id"][0]), textured(3))
