"""The ImagiNet release: annotation lines in every state, folders that are there or not."""

from pathlib import Path

import pytest

from assets.errors import AssayError
from assets.images.imageset import ImageSet
from tasks.importing import pack
from tasks.sources import imaginet, layouts
from tasks.sources.entry import Found, Wanted
from tests.conftest import file_bytes, textured

GOOD = [
    "progan_val/airplane/1_fake/0001.png,1,0,0,0",
    "imagenet_stylegan/seed0001.png,1,0,0,1",
    "ffhq_stylegan/seed0002.png,1,2,0,1",
    "wikiart_stylegan/seed0003.png,1,1,0,2",
    "sd_photos_fake/1.webp,1,0,1,3",
    "sdxl_faces_fake/1.webp,1,2,1,4",
    "animaginexl_paintings_fake/1.webp,1,1,1,5",
    "journeydb/000/a,b.jpg,1,3,2,6",
    "dalle3_addition/1.png,1,3,3,7",
    "progan_val/airplane/0_real/0001.png,0,0,4,8",
    "imagenet/n01440764_1.JPEG,0,0,4,8",
    "val2017/000000000001.jpg,0,0,4,8",
    "danbooru2021/1.jpg,0,1,4,8",
    "wikiart/style/1.jpg,0,1,4,8",
    "ffhq/00000.png,0,2,4,8",
    "photozilla/1.jpg,0,3,4,8",
    "elsewhere/1.jpg,0,3,4,8",
]
"""One line for each generator and each source of real images."""
SETS = {
    **dict.fromkeys(("progan", "stylegan3", "sd21", "sdxl", "animagine_xl", "journeydb", "dalle3"), 1),
    "stylegan_xl": 2,
    **dict.fromkeys(("imaginet_lsun", "imaginet_imagenet", "imaginet_coco", "imaginet_danbooru"), 1),
    **dict.fromkeys(("imaginet_wikiart", "imaginet_ffhq", "imaginet_photozilla", "imaginet_real"), 1),
}


def _release(root: Path, lines: list[str], name: str = "annotations/test_annotations.txt") -> Path:
    for number, line in enumerate(lines):
        path = root / line.rsplit(",", 4)[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        kind = {".png": "PNG", ".webp": "WEBP"}.get(path.suffix, "JPEG")
        path.write_bytes(file_bytes(textured(number, 16, 16), kind))
    _annotate(root, lines, name)
    return root


def _annotate(root: Path, lines: list[str], name: str = "annotations/test_annotations.txt") -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text("\n".join(lines) + "\n")


def _find(root: Path, **wanted: object) -> Found:
    return imaginet.find(root, Wanted(**wanted))  # type: ignore[arg-type]


def test_every_generator_and_source_is_a_set(workdir: Path) -> None:
    root = _release(workdir / "i", GOOD)
    (root / "imagenet/n01440764_2.JPEG").write_bytes(b"in no annotation")
    assert layouts.recognise("i") == (
        "imaginet",
        "annotations/test_annotations.txt has ImagiNet's annotation lines",
    )
    found = _find(root)
    assert {source.name: len(source.entries) for source in found.sources} == SETS
    assert found.notes == ["test_annotations.txt: 17 lines, published as test"]
    for source in found.sources:
        pack(source, Path("data") / source.name)
        rows = ImageSet(Path("data") / source.name).rows
        assert rows["status"].eq("ok").all() and rows["side"].eq("test").all()
        assert rows["label"].eq(0 if source.name.startswith("imaginet_") else 1).all()
    contents = ImageSet(Path("data/stylegan_xl")).rows.set_index("source")["content"].to_dict()
    assert contents == {"imagenet_stylegan/seed0001.png": "photo", "ffhq_stylegan/seed0002.png": "face"}
    assert ImageSet(Path("data/journeydb")).rows["source"][0] == "journeydb/000/a,b.jpg"
    assert ImageSet(Path("data/journeydb")).rows["content"][0] == "other"
    assert ImageSet(Path("data/imaginet_imagenet")).rows["class_name"][0] == "tench"


def test_two_annotations_say_the_side(workdir: Path) -> None:
    root = _release(workdir / "i", GOOD[:1], "test_annotations.txt")
    _release(root, ["progan_train/car/1_fake/1.png,1,0,0,0", GOOD[0]], "train_annotations.txt")
    found = _find(root)
    assert [entry.columns["side"] for entry in found.sources[0].entries] == ["train", "train"]
    assert any("an earlier line has (test_annotations.txt line 1, as train" in note for note in found.notes)
    _annotate(root, GOOD[:1], "mine.txt")
    found = _find(root, annotations=(root / "mine.txt",))
    assert found.sources[0].entries[0].columns["side"] is None
    assert "neither train nor test" in found.notes[0]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("sd_photos_fake/1.webp,1,0,1", "4 fields where"),
        ("sd_photos_fake/1.webp", "1 fields where"),
        ("x.png,1,0,one,3", "codes that are no numbers"),
        ("x.png,1,0,-1,3", "codes that are no numbers"),
        ("x.png,2,0,1,3", "origin 2 is unknown"),
        ("x.png,1,4,1,3", r"content 4 is unknown \(0 to 3 are\)"),
        ("x.png,1,0,5,3", "model 5 is unknown"),
        ("x.png,1,0,1,9", "specific 9 is unknown"),
        ("x.png,0,0,1,3", "contradict one another"),
        ("x.png,1,0,0,3", "contradict one another"),
        ("x.png,1,0,4,8", "contradict one another"),
        ("../x.png,1,0,1,3", "a path that leaves the folder"),
        ("a/../../x.png,1,0,1,3", "a path that leaves the folder"),
        ("/etc/passwd,1,0,1,3", "a path that leaves the folder"),
        ("a\\..\\x.png,1,0,1,3", "a path that leaves the folder"),
        ("a\0b.png,1,0,1,3", "a path that leaves the folder"),
        (",1,0,1,3", "a path that leaves the folder"),
        ("x.png,1,0,1,٣", "codes that are no numbers"),
    ],
)
def test_a_bad_line_is_counted_with_its_number(workdir: Path, line: str, says: str) -> None:
    root = _release(workdir / "i", GOOD[:1])
    (workdir / "x.png").write_bytes(file_bytes(textured(1)))
    _annotate(root, ["", line, GOOD[0]])
    with pytest.raises(imaginet.BadLine, match=says):
        imaginet.parse(line)
    found = _find(root)
    assert [len(source.entries) for source in found.sources] == [1]
    assert found.notes[-1].startswith("1 left out: ") and "(test_annotations.txt line 2)" in found.notes[-1]


def test_missing_pictures_are_rows(workdir: Path) -> None:
    root = _release(workdir / "i", GOOD)
    (root / "journeydb/000/a,b.jpg").unlink()
    (root / "ffhq/00000.png").unlink()
    _annotate(root, [*GOOD, f"ffhq/{'x' * 300}.png,0,2,4,8"])
    found = _find(root)
    assert "journeydb: 1 of 1 pictures are missing, kept as unreadable rows" in found.notes
    assert "imaginet_ffhq: 2 of 2 pictures are missing, kept as unreadable rows" in found.notes
    sources = {source.name: source for source in found.sources}
    assert pack(sources["imaginet_ffhq"], Path("data/x")).reasons == {"missing": 2}


def test_only_some(workdir: Path) -> None:
    root = _release(workdir / "i", GOOD)
    assert [one.name for one in _find(root, only=("sdxl", "imaginet_coco")).sources] == [
        "sdxl",
        "imaginet_coco",
    ]
    with pytest.raises(AssayError, match="--only sdxxl: did you mean 'sdxl'"):
        _find(root, only=("sdxxl",))


def test_what_cannot_be_imagined_away(workdir: Path) -> None:
    (workdir / "i").mkdir()
    with pytest.raises(AssayError, match=r"holds no train_annotations\.txt or test_annotations\.txt"):
        _find(workdir / "i")
    (workdir / "i/imaginet.7z.001").write_bytes(b"7z")
    with pytest.raises(AssayError, match=r"7z x imaginet\.7z\.001"):
        _find(workdir / "i")
    _annotate(workdir / "i", ["no", "line", "fits"])
    with pytest.raises(AssayError, match=r"(?s)no line that can be used .*3 left out: .* line 1, .* line 3"):
        _find(workdir / "i")
    with pytest.raises(AssayError, match=r"gone\.txt: No such file"):
        _find(workdir / "i", annotations=(Path("gone.txt"),))


def test_an_annotation_that_calls_fakes_real_is_refused(workdir: Path) -> None:
    root = _release(workdir / "i", ["progan_val/airplane/1_fake/0001.png,0,0,4,8"])
    with pytest.raises(AssayError, match="would be labelled real, but names say generated: '1_fake'"):
        _find(root)
    assert _find(root, polarity_checked=True).sources[0].real
