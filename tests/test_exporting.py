"""Export: every layout is what other programs expect, and an import gives back the same image sets."""

import json
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from assets.errors import AssayError
from assets.images.imageset import ImageSet, ImageSetWriter
from assets.images.picture import encode
from assets.params import Params
from flows.commands.app import app
from tasks import exporting
from tasks.exporting import LAYOUTS, export
from tasks.importing import pack
from tasks.sources import layouts
from tasks.sources.entry import Wanted
from tests.conftest import textured
from tests.samples import params

MEASURED_ELSEWHERE = ["shard", "offset", "side"]
NUMBER = 9


def made(root: Path) -> Params:
    """Two sources of real images and two generators, some images of JPEG, one unreadable, one removed."""
    settings = params(
        real={"photos": {"from": "data/photos"}, "faces": {"from": "data/faces"}},
        generators={
            "fake": {"from": "data/fake", "family": "gan", "released": "2020-01"},
            "other": {"from": "data/other", "family": "proprietary", "released": "2021-02"},
        },
    )
    items = {
        "real": ["collect/photos", "collect/faces"],
        "fake": ["generate/fake"],
        "other": ["generate/other"],
    }
    for item, folders in items.items():
        names = []
        for folder in folders:
            with ImageSetWriter(root / "artifacts" / folder) as writer:
                for number in range(NUMBER):
                    name = f"{Path(folder).name}-{number:02d}"
                    write(writer, name, number, item)
                    names.append(name)
        sides = [("train", "val", "test")[number % 3] for number in range(len(names))]
        table = pd.DataFrame({"id": names, "side": sides}).drop([1, NUMBER - 1])
        split = root / "artifacts/split" / item
        split.mkdir(parents=True)
        table.to_parquet(split / "split.parquet")
    return settings


def write(writer: ImageSetWriter, name: str, number: int, item: str) -> None:
    real = item == "real"
    about = {
        "label": int(not real),
        "generator": item,
        "family": None if real else "gan",
        "content": "photo" if number % 2 else "face",
        "class_name": "tabby, <b>cat</b>" if number % 3 else None,
        "class_index": 281 if number % 3 else None,
        "prompt": None if real else f"photo of number {number} | \u2028 ü",
        "seed": None if real else number,
        "group": f"{item}-{number // 2}",
        "pair_id": f"photos-{number:02d}" if item == "fake" else None,
        "record": None if real else json.dumps({"steps": 4}),
    }
    if number == NUMBER - 1:
        writer.add(name, b"no picture", **about)
        return
    pixels = textured(number + 50 * len(item), 24, 31)
    data = encode(pixels, "JPEG", quality=80) if number % 2 else encode(np.asarray(pixels))
    writer.add(name, data, **about)


@pytest.fixture
def benchmark(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path, made(tmp_path)


def back(out: Path) -> dict[str, ImageSet]:
    """The sets that an import of the export makes."""
    assert layouts.recognise(str(out))[0] == "export"
    found = layouts.find(str(out), "export", Wanted())
    for source in found.sources:
        pack(source, Path("data") / source.name)
    return {source.name: ImageSet(Path("data") / source.name) for source in found.sources}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_whole_export_comes_back_to_the_last_value(benchmark, layout):
    root, settings = benchmark
    done = export(root, settings, layout, root / "out", whole=True)
    assert done.sets == dict.fromkeys(("photos", "faces", "fake", "other"), NUMBER)
    assert (done.pictures, done.unreadable) == (4 * (NUMBER - 1), 4)
    for name, images in back(root / "out").items():
        folder = "collect" if name in ("photos", "faces") else "generate"
        before = ImageSet(root / "artifacts" / folder / name)
        pd.testing.assert_frame_equal(images.rows.drop(columns=["shard", "offset"]),
                                      before.rows.drop(columns=["shard", "offset"]))  # fmt: skip
        images.verify()
        assert all(images.read(one) == before.read(one) for one in before.usable["id"])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_export_holds_what_the_split_holds_on_its_sides(benchmark, layout):
    root, settings = benchmark
    export(root, settings, layout, root / "out")
    for name, images in back(root / "out").items():
        item = "real" if name in ("photos", "faces") else name
        split = pd.read_parquet(root / "artifacts/split" / item / "split.parquet").set_index("id")["side"]
        own = [image for image in split.index if image.startswith(name)]
        assert sorted(images.rows["id"]) == sorted(own)
        assert dict(zip(images.rows["id"], images.rows["side"], strict=True)) == dict(split[own])


def test_layouts_are_those_of_other_programs(benchmark):
    root, settings = benchmark
    for layout in LAYOUTS:
        export(root, settings, layout, root / layout)
    assert (root / "folder/test/fake/fake-02.png").is_file()
    assert (root / "folder/train/real_photos/photos-03.jpg").is_file()
    assert (root / "genimage/fake/val/ai/281_fake-02.png").is_file()
    # paired with the image of `fake`, so it stands beside that
    assert (root / "genimage/fake/train/nature/photos-03.jpg").is_file()
    assert layouts.LAYOUTS["genimage"].recognise(root / "genimage") is None, "its names are not GenImage's"
    leaves = {
        path.parent.relative_to(root / "genimage").as_posix() for path in (root / "genimage").rglob("*.jpg")
    }
    assert {leaf.split("/")[1:][0] for leaf in leaves} == {"train", "val"}
    wanted = Wanted("x", label_column="label", generated=("1",), family="gan")
    found = layouts.find(str(root / "webdataset/fake-test-000000.tar"), "webdataset", wanted)
    assert [entry.columns["prompt"][:8] for entry in found.sources[0].entries] == ["photo of"] * 2
    table = pq.read_table(root / "huggingface/data/train-fake-00000.parquet")
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert list(features) == table.column_names and features["label"]["names"] == ["real", "generated"]
    assert "split: validation" in (root / "huggingface/README.md").read_text()


def test_the_description_is_croissant(benchmark):
    mlc = pytest.importorskip("mlcroissant", reason="pip install mlcroissant")
    root, settings = benchmark
    for layout in LAYOUTS:
        export(root, settings, layout, root / layout)
        dataset = mlc.Dataset(str(root / layout / "croissant.json"))
        assert not dataset.metadata.issues.errors
        records = list(dataset.records("images"))
        assert len(records) == 4 * (NUMBER - 2) + 2


def test_a_changed_picture_is_named_and_not_taken(benchmark):
    root, settings = benchmark
    export(root, settings, "folder", root / "out")
    (root / "out/test/fake/fake-02.png").write_bytes(encode(textured(99, 8, 8)))
    with pytest.raises(AssayError, match="fake-02 has SHA-256"):
        back(root / "out")


def test_a_manifest_that_leads_out_of_the_folder_is_refused(benchmark):
    root, settings = benchmark
    export(root, settings, "folder", root / "out")
    path = root / "out/manifest.parquet"
    table = pq.read_table(path).to_pylist()
    table[0]["file"] = "../artifacts/x.png"
    pq.write_table(exporting.pa.Table.from_pylist(table, exporting.SCHEMA), path)
    with pytest.raises(AssayError, match="leads out of the folder"):
        back(root / "out")


def test_an_export_that_was_killed_goes_on_and_another_folder_is_left_alone(benchmark, monkeypatch):
    root, settings = benchmark
    with monkeypatch.context() as patched:
        patched.setattr(exporting, "_describe", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            export(root, settings, "folder", root / "out")
    with pytest.raises(AssayError, match="never ended"):
        back(root / "out")
    with pytest.raises(AssayError, match="a part of an export as folder"):
        export(root, settings, "webdataset", root / "out")
    kept = (root / "out/test/fake/fake-02.png").stat().st_mtime_ns
    export(root, settings, "folder", root / "out")
    assert (root / "out/test/fake/fake-02.png").stat().st_mtime_ns == kept
    assert len(back(root / "out")) == 4
    with pytest.raises(AssayError, match="holds an export already"):
        export(root, settings, "folder", root / "out")
    (root / "mine").mkdir()
    (root / "mine/letter.txt").write_text("dear")
    with pytest.raises(AssayError, match="holds no export"):
        export(root, settings, "folder", root / "mine")


def test_what_is_asked_for_has_to_be_there(benchmark):
    root, settings = benchmark
    with pytest.raises(AssayError, match="--as genimag: did you mean 'genimage'"):
        export(root, settings, "genimag", root / "out")
    with pytest.raises(AssayError, match="--only fak: did you mean 'fake'"):
        export(root, settings, "folder", root / "out", ("fak",))
    export(root, settings, "folder", root / "out", ("fake",))
    assert list(back(root / "out")) == ["fake"]


def test_the_command_teaches():
    import_module("flows.commands.exporting")
    (command,) = (one for one in app.registered_commands if one.callback.__name__ == "export")
    assert all(layout in command.callback.__doc__ for layout in LAYOUTS)
