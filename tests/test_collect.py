"""Real images: crops that depend on their name alone, groups that keep a photograph together."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from assets.choose import take
from assets.errors import AssayError
from assets.images.imageset import ImageSet, ImageSetWriter
from assets.params import Params
from tasks.collect import collect, crop_box
from tasks.photos import PHOTOS, pack_photos
from tests.conftest import file_bytes, textured
from tests.samples import params


def source(pictures: dict[str, bytes], label: int = 0) -> None:
    with ImageSetWriter(Path("data/photos")) as writer:
        for name, data in pictures.items():
            writer.add(name, data, label=label, generator="real", group=name, source=f"{name}.png")


def collected(settings: Params) -> ImageSet:
    collect(Path(), settings, "photos")
    return ImageSet(Path("artifacts/collect/photos"))


def crops(count: int = 12, **real: object) -> Params:
    return params(real={"photos": {"from": "data/photos", "count": count, "crop": 32, **real}})


def test_crops_have_their_photograph_as_group_and_are_pieces_of_it(workdir: Path) -> None:
    source({name: file_bytes(textured(index, 70, 90)) for index, name in enumerate("abc")})
    images = collected(crops())
    assert images.rows["group"].value_counts().to_dict() == {"a": 4, "b": 4, "c": 4}
    assert set(zip(images.rows["width"], images.rows["height"], strict=True)) == {(32, 32)}
    row = images.rows.iloc[0]
    _, left, top = row["source"].split(" ")[1:][0], *map(int, row["source"].split("+")[1:])
    assert np.array_equal(images.pixels(row["id"]), textured(0, 70, 90)[top : top + 32, left : left + 32])


def test_more_crops_leave_the_first_ones_as_they_were(workdir: Path) -> None:
    source({name: file_bytes(textured(index, 70, 90)) for index, name in enumerate("abc")})
    few = collected(crops(6, scales=[1.0, 0.5])).rows.set_index("id")["sha256"]
    many = collected(crops(30, scales=[1.0, 0.5])).rows.set_index("id")["sha256"]
    assert many.loc[few.index].equals(few) and len(many) == 30


def test_the_same_photograph_under_two_names_is_one_group(workdir: Path) -> None:
    pixels = textured(1, 80, 80)
    source({"a": file_bytes(pixels), "b": file_bytes(pixels, "JPEG"), "c": file_bytes(textured(2, 80, 80))})
    assert collected(crops()).rows["group"].value_counts().to_dict() == {"a": 8, "c": 4}


def test_small_and_unreadable_pictures_are_counted_rows(workdir: Path) -> None:
    source({"a": file_bytes(textured(1, 64, 64)), "tiny": file_bytes(textured(2, 1, 1)), "bad": b""})
    rows = collected(crops(4)).rows.set_index("id")
    assert rows["reason"].dropna().to_dict() == {
        "bad": "empty file",
        "tiny": "smaller than the crop of 32 px",
    }
    assert (rows["status"] == "ok").sum() == 4


def test_what_cannot_be_collected_is_refused(workdir: Path) -> None:
    source({"tiny": file_bytes(textured(2, 8, 8))})
    with pytest.raises(AssayError, match="no picture in data/photos is as large as the crop of 32 px"):
        collected(crops())
    source({"a": file_bytes(textured(2))}, label=1)
    with pytest.raises(AssayError, match="data/photos holds generated images; import it with --real"):
        collected(crops())
    source({"bad": b""})
    with pytest.raises(AssayError, match="no picture in data/photos can be used"):
        collected(crops())


def test_without_a_crop_the_original_bytes_pass(workdir: Path) -> None:
    files = {name: file_bytes(textured(index), "JPEG") for index, name in enumerate("abcdef")}
    source({**files, "bad": b""})
    images = collected(params(real={"photos": {"from": "data/photos", "count": 4}}))
    assert len(images.usable) == 4 and len(images) == 5
    assert all(images.read(name) == files[name] for name in images.usable["id"])


def test_fewer_crops_than_pictures_are_taken_evenly_over_classes(workdir: Path) -> None:
    with ImageSetWriter(Path("data/photos")) as writer:
        for index in range(12):
            name, kind = f"p{index:02d}", "first" if index < 9 else "last"
            data = file_bytes(textured(index, 40, 40))
            writer.add(name, data, label=0, generator="real", group=name, class_name=kind, source=name)
    assert collected(crops(6)).rows["class_name"].value_counts().to_dict() == {"first": 3, "last": 3}


def test_take_is_even_over_classes_and_grows_without_moving() -> None:
    rows = pd.DataFrame({"id": [f"i{n}" for n in range(40)], "class_name": ["x"] * 30 + ["y"] * 10})
    rows["status"] = "ok"
    few, more = take(rows, 8, 1), take(rows, 14, 1)
    assert few["class_name"].value_counts().to_dict() == {"x": 4, "y": 4}
    assert set(few["id"]) < set(more["id"])
    assert list(take(rows, None, 1)["id"]) == list(rows["id"])


def test_a_crop_box_lies_inside_and_reaches_every_edge() -> None:
    boxes = [crop_box(40, 35, 32, (1.0, 0.5), np.random.default_rng(seed)) for seed in range(200)]
    assert {box[0] for box in boxes} == {1.0}  # half of it would be smaller than the crop
    assert (min(b[1] for b in boxes), max(b[1] for b in boxes)) == (0, 8)
    assert (min(b[2] for b in boxes), max(b[2] for b in boxes)) == (0, 3)


def test_the_shipped_photographs(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert pack_photos(Path("data/photos")) == 11
    images = ImageSet(Path("data/photos"))
    images.verify()
    assert images.rows["group"].nunique() == 10 and images.rows["status"].eq("ok").all()
    wrong = PHOTOS[0]._replace(sha256="0" * 16)
    monkeypatch.setattr("tasks.photos.PHOTOS", (wrong,))
    with pytest.raises(AssayError, match=r"astronaut.png has checksum \w{16}, expected 0000"):
        pack_photos(Path("data/photos"))
    ImageSet(Path("data/photos")).verify()  # the good set still stands
