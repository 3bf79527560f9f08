"""Which layout a place has; webdataset tars, parquet, json beside pictures: good ones and hostile ones."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import httpx
import huggingface_hub
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from huggingface_hub import errors

from assets.errors import AssayError
from assets.images.imageset import ImageSet
from tasks.importing import pack
from tasks.sources import genimage, hub, imaginet, journeydb, layouts, places, webdataset
from tasks.sources.entry import Found, Wanted
from tests.conftest import REPO, file_bytes, textured

CARDS = REPO / "models/generators/cards"
GEN: dict[str, Any] = {"name": "x", "family": "gan"}


def _picture(number: int, kind: str = "PNG") -> bytes:
    return file_bytes(textured(number, 16, 16), kind)


def _find(place: Path | str, layout: str | None = None, **wanted: Any) -> Found:
    chosen = layout or layouts.recognise(str(place))[0]
    return layouts.find(str(place), chosen, Wanted(**{**GEN, **wanted}))


def _rows(found: Found, number: int = 0) -> pd.DataFrame:
    source = found.sources[number]
    pack(source, Path("data") / source.name)
    return ImageSet(Path("data") / source.name).rows


def _sizes(found: Found) -> list[tuple[str, bool, int]]:
    return [(source.name, source.real, len(source.entries)) for source in found.sources]


def _plain(rows: pd.DataFrame, *columns: str) -> list[list[Any]]:
    return rows[list(columns)].astype(object).where(rows[list(columns)].notna(), None).to_numpy().tolist()


# webdataset


def _tar(path: Path, members: dict[str, bytes], special: list[tarfile.TarInfo] | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for info in special or []:
            tar.addfile(info)


def test_webdataset(workdir: Path) -> None:
    _tar(
        workdir / "w/set-train-000000.tar",
        {
            "a/0001.jpg": _picture(1, "JPEG"),
            "a/0001.cls": b"17\n",
            "a/0001.txt": b"a cat",
            "a/0002.PNG": _picture(2),
            "a/0002.json": b'{"prompt": "a  cat", "class_name": "cat", "nested": {}}',
        },
    )
    _tar(workdir / "w/set-val-000000.tar", {"a/0001.webp": _picture(3, "WEBP"), "a/0001.cls": b"3"})
    assert layouts.recognise("w") == ("webdataset", "set-train-000000.tar is a tar")
    rows = _rows(_find(workdir / "w"))
    assert _plain(rows, "source", "class_name", "class_index", "prompt", "side") == [
        ["set-train-000000.tar/a/0001", "17", None, "a cat", "train"],
        ["set-train-000000.tar/a/0002", "cat", None, "a  cat", "train"],
        ["set-val-000000.tar/a/0001", "3", None, None, "val"],
    ]
    assert rows["group"][0] == rows["group"][1] and rows["group"][0].startswith("prompt:")
    assert ImageSet(Path("data/x")).read(rows["id"][2]) == _picture(3, "WEBP")
    rows = _rows(_find(workdir / "w", imagenet_classes=True))
    assert _plain(rows, "class_name", "class_index")[0] == ["jay", 17]
    rows = _rows(_find(workdir / "w", real=True, family=None))
    assert rows["prompt"].isna().all() and rows["group"].eq(rows["id"]).all()


def test_hostile_tars(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link, device, sparse = (tarfile.TarInfo(f"{name}.png") for name in ("link", "device", "sparse"))
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    device.type = tarfile.CHRTYPE
    sparse.type = tarfile.GNUTYPE_SPARSE
    monkeypatch.setattr(webdataset, "MAX_SIDECAR", 100)
    _tar(
        workdir / "w/a.tar",
        {
            "../../escape.png": _picture(1),
            "/abs.png": _picture(2),
            "twice.png": _picture(3),
            "other.png": _picture(4),
            "twice.jpg": _picture(5, "JPEG"),
            "alone.json": b"{}",
            "bad.png": b"no picture",
            "bad.json": b"[[[",
            "large.png": _picture(6),
            "large.txt": b"x" * 101,
            "two.png": _picture(7),
            "two.jpg": _picture(8, "JPEG"),
        },
        [link, device, sparse],
    )
    found = _find(workdir / "w")
    rows = _rows(found)
    names = ["../../escape", "abs", "twice", "other", "twice#2", "bad", "large", "two"]
    assert rows["source"].tolist() == [f"a.tar/{name}" for name in names]
    assert rows["id"].str.fullmatch(r"x-[0-9a-f]{16}").all()
    assert rows["status"].tolist() == ["ok"] * 5 + ["unreadable"] + ["ok"] * 2
    notes = "\n".join(found.notes)
    for reason in (
        "3 left out: links, devices and sparse files in a tar (a.tar: link.png, a.tar: device.png, ",
        "1 left out: samples without a picture (a.tar/alone)",
        "1 left out: .json files that hold no object (a.tar/bad)",
        "1 left out: .txt files of more than 100 bytes (a.tar/large)",
        "1 left out: further pictures of one sample (the first is taken) (a.tar/two)",
    ):
        assert reason in notes
    assert sorted(path.name for path in workdir.rglob("*.png")) == []


def test_a_tar_that_is_cut_short(workdir: Path) -> None:
    _tar(workdir / "w/a.tar", {"1.png": _picture(1), "2.png": _picture(2), "3.png": _picture(3)})
    data = (workdir / "w/a.tar").read_bytes()
    offset = data.index(b"2.png") + 512
    (workdir / "w/a.tar").write_bytes(data[: offset + 40])
    (workdir / "w/b.tar").write_bytes(b"")
    (workdir / "w/c.tar").write_bytes(b"no tar" * 200)
    found = _find(workdir / "w")
    rows = _rows(found)
    assert _plain(rows, "source", "status", "reason") == [
        ["a.tar/1", "ok", None],
        ["a.tar/2", "unreadable", "a.tar is cut short here"],
    ]
    notes = "\n".join(found.notes)
    assert notes.count("the rest of a tar that is damaged or cut short") == 3
    assert all(name in notes for name in ("(a.tar after 2)", "(b.tar)", "(c.tar)"))


def test_a_tar_that_would_be_walked_for_ever(workdir: Path) -> None:
    _tar(workdir / "w/a.tar", {"1.png": _picture(1), "2.png": _picture(2)})
    data = bytearray((workdir / "w/a.tar").read_bytes())
    at = data.index(b"2.png")
    data[at + 124 : at + 136] = (-2048).to_bytes(12, "big", signed=True)
    data[at + 148 : at + 156] = b" " * 8
    data[at + 148 : at + 156] = b"%06o\0 " % sum(data[at : at + 512])
    (workdir / "w/a.tar").write_bytes(data)
    found = _find(workdir / "w")
    assert [entry.key for entry in found.sources[0].entries] == ["a.tar/1"]
    assert "1 left out: the rest of a tar that is damaged" in "\n".join(found.notes)


def test_a_webdataset_with_labels_needs_a_mapping(workdir: Path) -> None:
    members = {}
    for number in range(4):
        members |= {f"{number}.png": _picture(number), f"{number}.cls": str(number % 2).encode()}
    _tar(workdir / "w/a.tar", members)
    with pytest.raises(AssayError, match=r"'cls' \(0, 1\) may say which .* --label-column cls --generated"):
        _find(workdir / "w")
    found = _find(workdir / "w", label_column="cls", generated=("0",))
    assert [(one.name, one.real, len(one.entries)) for one in found.sources] == [
        ("x", False, 2),
        ("x_real", True, 2),
    ]
    assert _rows(found)["source"].tolist() == ["a.tar/0", "a.tar/2"]
    assert len(_find(workdir / "w", class_column="cls").sources) == 1
    with pytest.raises(AssayError, match="--label-column lable: no sample has it; they have cls"):
        _find(workdir / "w", label_column="lable", generated=("0",))


# parquet


def _parquet(
    path: Path, labels: list[Any] | None = None, names: list[str] | None = None, **columns: Any
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    count = len(labels) if labels else 3
    images = [{"bytes": _picture(number), "path": f"{number}.png"} for number in range(count)]
    data: dict[str, Any] = {"image": images, **columns}
    if labels:
        data["label"] = labels
    features: dict[str, Any] = {"image": {"_type": "Image"}}
    if names:
        features["label"] = {"_type": "ClassLabel", "names": names}
    table = pa.table(data).replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": features}})}
    )
    pq.write_table(table, path, row_group_size=2)


def test_parquet(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _parquet(workdir / "p/data/train-00000-of-00001.parquet", caption=["one", "two", None])
    _parquet(workdir / "p/data/validation-00000-of-00001.parquet", caption=["one", "", "b"])
    assert layouts.recognise("p")[0] == "parquet"
    found = _find(workdir / "p")
    assert found.notes == ["2 parquet files, 6 rows, pictures in the column 'image'"]
    rows = _rows(found)
    assert rows["source"][3] == "data/validation-00000-of-00001.parquet#0"
    assert _plain(rows, "side", "prompt") == [
        *(["train", "one"], ["train", "two"], ["train", None]),
        *(["val", "one"], ["val", None], ["val", "b"]),
    ]
    assert ImageSet(Path("data/x")).read(rows["id"][5]) == _picture(2)
    before = Path("data/x/manifest.parquet").read_bytes()
    monkeypatch.setenv("ASSAY_WORKERS", "2")
    pack(found.sources[0], Path("other"))
    assert Path("other/manifest.parquet").read_bytes() == before


def test_parquet_polarity_is_mapped(workdir: Path) -> None:
    _parquet(workdir / "p/0.parquet", [0, 1, 1, None], ["ai-generated", "nature"])
    with pytest.raises(AssayError, match=r"\(0 = ai-generated, 1 = nature\) may say which .* --generated"):
        _find(workdir / "p")
    with pytest.raises(AssayError, match=r"real, but names say generated: label 0 = .*; say --generated 0"):
        _find(workdir / "p", label_column="label", generated=("1",))
    for word in ("0", "ai-generated"):
        found = _find(workdir / "p", label_column="label", generated=(word,))
        assert [(one.name, one.real, len(one.entries)) for one in found.sources] == [
            ("x", False, 1),
            ("x_real", True, 2),
        ]
        assert "label: generated is 0 = ai-generated; real is 1 = nature" in found.notes
        assert "1 left out: no value in the column label" in found.notes
    found = _find(workdir / "p", label_column="label", generated=("1",), polarity_checked=True)
    assert [len(one.entries) for one in found.sources] == [2, 1]
    with pytest.raises(AssayError, match=r"--generated fake: .*Allowed: 0, 1, ai-generated, nature"):
        _find(workdir / "p", label_column="label", generated=("fake",))


@pytest.mark.parametrize(
    ("labels", "asks"), [([0, 1, 1], True), ([True, False, True], True), ([3, 4, 5], False)]
)
def test_numbers_without_names(workdir: Path, labels: list[Any], asks: bool) -> None:
    _parquet(workdir / "p/0.parquet", labels)
    if asks:
        with pytest.raises(AssayError, match="may say which pictures are generated"):
            _find(workdir / "p")
    else:
        assert len(_find(workdir / "p").sources) == 1
    rows = _rows(_find(workdir / "p", class_column="label"))
    assert rows["class_name"].tolist() == [str(label) for label in labels]


def test_parquet_classes(workdir: Path) -> None:
    _parquet(workdir / "p/0.parquet", [1, 0, 1], ["n01440764", "cat"])
    rows = _rows(_find(workdir / "p"))
    assert _plain(rows, "class_name", "class_index") == [["cat", None], ["tench", 0], ["cat", None]]


def test_parquet_without_pictures_or_with_several_columns(workdir: Path) -> None:
    (workdir / "p").mkdir()
    pq.write_table(pa.table({"a": [1], "b": ["x"]}), workdir / "p/0.parquet")
    with pytest.raises(AssayError, match="no column holds pictures; the columns are a, b"):
        _find(workdir / "p")
    pq.write_table(pa.table({"one": [_picture(1)], "two": [b"x"]}), workdir / "p/0.parquet")
    with pytest.raises(AssayError, match=r"\(one, two\): say which with --image-column"):
        _find(workdir / "p")
    with pytest.raises(AssayError, match="--image-column on holds no bytes; did you mean 'one'"):
        _find(workdir / "p", image_column="on")
    assert _rows(_find(workdir / "p", image_column="one"))["status"].tolist() == ["ok"]


def test_damaged_parquet(workdir: Path) -> None:
    _parquet(workdir / "p/0.parquet")
    whole = (workdir / "p/0.parquet").read_bytes()
    (workdir / "p/0.parquet").write_bytes(whole[:-20])
    with pytest.raises(AssayError, match=r"0.parquet is cut short or damaged .*: download it again"):
        _find(workdir / "p")
    # Pages of the first row group, overwritten: its two rows are lost, the third is not.
    start = pq.ParquetFile(pa.BufferReader(whole)).metadata.row_group(0).column(0)
    first = start.dictionary_page_offset or start.data_page_offset
    (workdir / "p/0.parquet").write_bytes(whole[:first] + b"\xff" * 40 + whole[first + 40 :])
    rows = _rows(_find(workdir / "p"))
    assert rows["status"].tolist() == ["unreadable", "unreadable", "ok"]
    assert rows["reason"][0].startswith("0.parquet is damaged here: ")


def test_more_rows_than_bytes(workdir: Path) -> None:
    (workdir / "p").mkdir()
    pq.write_table(pa.table({"image": pa.nulls(100_000, pa.binary())}), workdir / "p/0.parquet")
    with pytest.raises(AssayError, match=r"0.parquet announces 100,000 rows in \d+ bytes: it is damaged"):
        _find(workdir / "p")


def test_row_groups_that_are_too_large(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "MAX_GROUP_BYTES", 100)
    _parquet(workdir / "p/0.parquet")
    assert set(_rows(_find(workdir / "p"))["reason"]) == {"its row group is larger than 100 bytes"}


def test_column_names_that_are_no_text(workdir: Path) -> None:
    _parquet(workdir / "p/0.parquet", strange=["a", "b", "c"])
    data = (workdir / "p/0.parquet").read_bytes()
    (workdir / "p/0.parquet").write_bytes(data.replace(b"strange", b"str\xb4nge"))
    with pytest.raises(AssayError, match="is cut short or damaged"):
        _find(workdir / "p")


def test_empty_cells_are_rows(workdir: Path) -> None:
    (workdir / "p").mkdir()
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    cells = [{"bytes": None, "path": "a.png"}, None, {"bytes": b"x", "path": None}]
    pq.write_table(pa.table({"image": pa.array(cells, kind)}), workdir / "p/0.parquet")
    assert _rows(_find(workdir / "p"))["reason"].tolist() == [
        "the row names a file (a.png) but holds no bytes",
        "empty row",
        "not an image, or of an unsupported format",
    ]


@pytest.mark.parametrize("place", ["hf:", "hf:name", "hf:a/b/c", "hf:../x@y", "hf:/x"])
def test_hub_names_that_are_none(place: str) -> None:
    with pytest.raises(AssayError, match="write hf:OWNER/NAME"):
        layouts.recognise(place)


def _response(status: int) -> httpx.Response:
    return httpx.Response(status, request=httpx.Request("GET", "https://example.org"))


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (errors.GatedRepoError("gated", response=_response(403)), "is gated: accept its terms"),
        (errors.RepositoryNotFoundError("gone", response=_response(404)), "the hub has no such dataset"),
        (errors.RevisionNotFoundError("rev", response=_response(404)), "has no revision v1"),
        (errors.LocalEntryNotFoundError("offline"), "the hub cannot be reached"),
        (
            errors.HfHubHTTPError("502 Bad Gateway\nmore", response=_response(502)),
            r"failed \(502 Bad Gateway\)",
        ),
        (httpx.ReadTimeout("timed out"), r"failed \(timed out\); start again, it goes on"),
    ],
)
def test_the_hub_refuses(error: Exception, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def snapshot_download(*given: Any, **options: Any) -> str:
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    with pytest.raises(AssayError, match=says):
        _find("hf:owner/name@v1")


def test_the_hub_is_offline_in_tests() -> None:
    with pytest.raises(AssayError, match="is not in the cache of the hub"):
        hub.bring(hub.HubPlace("owner/never-there", None))


def test_a_hub_dataset(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _parquet(workdir / "cache/0a1b2c/default/train/0000.parquet")

    def snapshot_download(repo: str, **options: Any) -> str:
        assert (repo, options["revision"], options["repo_type"]) == ("owner/fake-faces", "main", "dataset")
        return str(workdir / "cache/0a1b2c")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    found = _find("hf:owner/fake-faces@main")
    assert found.notes[0] == "hf:owner/fake-faces@0a1b2c"
    assert found.sources[0].entries[0].key == "default/train/0000.parquet#0"
    assert found.sources[0].entries[0].columns["side"] == "train"
    with pytest.raises(AssayError, match="names say generated: 'fake-faces'"):
        _find("hf:owner/fake-faces@main", real=True, family=None)


# json beside pictures


def _journey(root: Path) -> None:
    for number in range(3):
        path = root / f"data/train/imgs/00{number}/u{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_picture(number, "JPEG"))
    lines = [
        json.dumps({"img_path": "./000/u0.jpg", "prompt": "a cat --v 5", "Task1": {}}),
        json.dumps({"img_path": "./001/u1.jpg", "prompt": "a  cat --v 5 "}),
        json.dumps({"img_path": "./009/gone.jpg", "prompt": "gone"}),
        json.dumps({"img_path": "../../etc/x.jpg", "prompt": "out"}),
        json.dumps({"img_path": "/etc/x.jpg", "prompt": "out"}),
        json.dumps({"prompt": "no path"}),
        '{"img_path": "./002',
        json.dumps(["a list"]),
        json.dumps({"img_path": "./000/u0.jpg", "prompt": "again"}),
        "",
    ]
    (root / "data/train/train_anno.jsonl").write_text("\n".join(lines))


def test_journeydb(workdir: Path) -> None:
    _journey(workdir / "j")
    assert layouts.recognise("j") == ("journeydb", "data/train/train_anno.jsonl gives pictures their prompts")
    found = _find(workdir / "j")
    rows = _rows(found)
    assert _plain(rows, "source", "prompt", "side", "reason") == [
        ["data/train/imgs/000/u0.jpg", "a cat --v 5", "train", None],
        ["data/train/imgs/001/u1.jpg", "a  cat --v 5 ", "train", None],
        ["data/train/imgs/002/u2.jpg", None, None, None],
        ["009/gone.jpg", "gone", "train", "missing"],
    ]
    assert rows["group"][0] == rows["group"][1] != rows["group"][3]
    assert rows["group"][2] == rows["id"][2]
    notes = "\n".join(found.notes)
    for part in (
        "1 pictures are in no annotation: kept, without a prompt",
        "1 annotated pictures are missing, kept as unreadable rows",
        "2 left out: a path that leaves the folder (train_anno.jsonl line 4, train_anno.jsonl line 5)",
        "2 left out: no picture's path",
        "1 left out: a line that is no json (train_anno.jsonl line 7)",
        "1 left out: a picture that an earlier record describes (train_anno.jsonl line 9)",
    ):
        assert part in notes
    with pytest.raises(AssayError, match="labelled real, but names say generated: the annotation gives"):
        _find(workdir / "j", real=True, family=None)


def test_json_lists_and_json_beside_each_picture(workdir: Path) -> None:
    for number in range(3):
        (workdir / "j").mkdir(exist_ok=True)
        (workdir / f"j/{number}.png").write_bytes(_picture(number))
    (workdir / "j/all.json").write_text('[{"image": "0.png", "caption": "zero"}, {"image": "1.png"}]')
    (workdir / "j/2.json").write_text('{"prompt": "two"}')
    found = _find(workdir / "j")
    assert [entry.columns.get("prompt") for entry in found.sources[0].entries] == ["zero", None, "two"]
    assert any(
        "pictures without a prompt in the annotation (kept) (all.json record 2)" in n for n in found.notes
    )
    (workdir / "j/all.json").write_text("{")
    (workdir / "j/2.json").write_text("{")
    assert layouts.recognise("j")[0] == "folder"
    with pytest.raises(AssayError, match=r"(?s)no json with picture paths.*json that cannot be read"):
        _find(workdir / "j", "journeydb")


def test_a_line_without_end(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journeydb, "MAX_LINE", 100)
    _journey(workdir / "j")
    with (workdir / "j/data/train/train_anno.jsonl").open("a") as file:
        file.write("\n" + "x" * 250 + "\n" + json.dumps({"img_path": "002/u2.jpg", "prompt": "last"}))
    found = _find(workdir / "j")
    assert "1 left out: a line that is too long (train_anno.jsonl line 11)" in found.notes
    assert found.sources[0].entries[2].columns["prompt"] == "last"


# which layout


def test_places_that_are_read_in_several_ways(workdir: Path) -> None:
    _tar(workdir / "m/a.tar", {"1.png": _picture(1)})
    (workdir / "m/loose.png").write_bytes(_picture(2))
    with pytest.raises(AssayError, match=r"several ways \(webdataset, .*; folder, as loose.png .*--layout"):
        layouts.recognise("m")
    assert len(_find(workdir / "m", "folder").sources[0].entries) == 1
    _parquet(workdir / "n.parquet")
    assert layouts.recognise("n.parquet")[0] == "parquet"
    assert len(_find("n.parquet").sources[0].entries) == 3
    assert len(_find("m/a.tar").sources[0].entries) == 1


def test_places_that_are_none(workdir: Path) -> None:
    (workdir / "a.zip").write_bytes(b"PK")
    with pytest.raises(AssayError, match=r"a.zip is a file: .*archives have to be extracted"):
        layouts.recognise("a.zip")
    with pytest.raises(AssayError, match="nowhere is not there"):
        layouts.recognise("nowhere")
    with pytest.raises(AssayError, match="--layout genimag: did you mean 'genimage'"):
        layouts.find("a.zip", "genimag", Wanted())
    with pytest.raises(AssayError, match="read as parquet, not as folder"):
        layouts.find("hf:a/b", "folder", Wanted(name="x"))


@pytest.mark.parametrize("layout", list(layouts.LAYOUTS))
def test_options_of_other_layouts_are_refused(layout: str) -> None:
    takes = layouts.LAYOUTS[layout].TAKES
    assert takes <= set(layouts.OPTIONS) == set(vars(Wanted()))
    for name in set(layouts.OPTIONS) - takes:
        value: Any = {"annotations": (Path("a"),), "only": ("a",), "generated": ("a",)}.get(name, "a")
        with pytest.raises(AssayError, match=f"{layouts.OPTIONS[name]} is not for the layout {layout}, "):
            layouts.find("x", layout, Wanted(**{name: value}))


@pytest.mark.parametrize("layout", ["genimage", "imaginet"])
def test_the_cards_of_released_generators_agree(layout: str) -> None:
    facts = {name: (one.family, one.released) for name, one in genimage.SUBSETS.items()}
    if layout == "imaginet":
        facts = {one.name: (one.family, one.released) for one in imaginet.GENERATORS}
    cards = [yaml.safe_load(path.read_text("utf-8")) for path in sorted(CARDS.glob("*.yaml"))]
    on_cards = {
        one["name"]: (card["family"], str(card["released"]))
        for card in cards
        for one in card.get("import") or []
        if one["layout"] == layout
    }
    assert on_cards == facts
