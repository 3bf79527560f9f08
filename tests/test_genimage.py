"""The GenImage release: both trees, all name patterns, damaged files, missing halves, archives."""

from pathlib import Path

import pandas as pd
import pytest

from assets.errors import AssayError
from assets.images.imageset import ImageSet
from tasks.importing import Imported, pack
from tasks.sources import genimage, layouts
from tasks.sources.entry import Found, Wanted
from tests.conftest import file_bytes, textured

TREE = {
    "Midjourney/imagenet_midjourney": ("208_midjourney_5.png", "0_midjourney_169.png"),
    "stable_diffusion_v_1_4/imagenet_ai_0419_sdv4": ("033_sdv4_00001.png", "000_sdv4_00152.png"),
    "stable_diffusion_v_1_5/imagenet_ai_0424_sdv5": ("000_sdv5_00000.png", "999_sdv5_00165.png"),
    "ADM/imagenet_ai_0508_adm": ("115_adm_1.PNG", "0_adm_174.PNG"),
    "glide/imagenet_glide": (
        "GLIDE_1000_200_08_808_glide_00001.png",
        "GLIDE_1000_200_1_109_glide_7.png",
    ),
    "wukong/imagenet_ai_0424_wukong": ("0_wukong_image0.png", "112_wukong_image17.png"),
    "VQDM/imagenet_ai_0419_vqdm": (
        "VQDM_1000_200_05_595_vqdm_00039.png",
        "VQDM_1000_200_00_000_vqdm_01.png",
    ),
    "BigGAN/imagenet_ai_0419_biggan": ("116_biggan_00001.png", "7_biggan_00003.png"),
}
"""Archive root -> a file of train/ai and one of val/ai."""
CLASSES = {
    "midjourney": [208, 0],
    "sd14": [33, 0],
    "sd15": [0, 999],
    "adm": [115, 0],
    "glide": [808, 109],
    "wukong": [0, 112],
    "vqdm": [595, 0],
    "biggan": [116, 7],
}


def _put(path: Path, number: int, kind: str = "PNG") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(file_bytes(textured(number, 16, 16), kind))


def _release(root: Path, logical: bool = False) -> None:
    for number, (folder, (train, val)) in enumerate(TREE.items()):
        top = root / (folder.partition("/")[0] if logical else folder)
        _put(top / "train/ai" / train, 4 * number)
        _put(top / "val/ai" / val, 4 * number + 1)
        _put(top / f"train/nature/n03495258_{number}.JPEG", 4 * number + 2, "JPEG")
        _put(top / f"val/nature/ILSVRC2012_val_{number + 1:08d}.JPEG", 4 * number + 3, "JPEG")


def _find(root: Path, **wanted: object) -> Found:
    return genimage.find(root, Wanted(**wanted))  # type: ignore[arg-type]


def _packed(found: Found) -> tuple[dict[str, pd.DataFrame], dict[str, Imported]]:
    done = {source.name: pack(source, Path("data") / source.name) for source in found.sources}
    return {name: ImageSet(Path("data") / name).rows for name in done}, done


@pytest.mark.parametrize("logical", [False, True])
def test_all_eight_in_both_trees(workdir: Path, logical: bool) -> None:
    _release(workdir / "GenImage", logical)
    assert layouts.recognise("GenImage")[0] == "genimage"
    rows, done = _packed(_find(workdir / "GenImage"))
    assert list(rows) == [*genimage.SUBSETS, "genimage_nature"]
    for name, classes in CLASSES.items():
        found = rows[name].set_index("side").loc[["train", "test"]]
        assert found["class_index"].tolist() == classes, name
        assert (found["generator"] == name).all() and (found["label"] == 1).all()
        assert (found["family"] == genimage.SUBSETS[name].family).all()
    assert rows["glide"].set_index("class_index")["class_name"].to_dict() == {
        808: "sombrero",
        109: "brain coral",
    }
    real = rows["genimage_nature"]
    train = real[real["side"] == "train"]
    assert len(real) == 16 and real["label"].eq(0).all() and real["family"].isna().all()
    assert train["class_index"].eq(594).all() and train["class_name"].eq("harp").all()
    assert real.loc[real["side"] == "test", "class_index"].isna().all()
    assert done["sd14"].sides == {"test": 1, "train": 1}


def test_ids_do_not_depend_on_the_tree_or_on_where_it_begins(workdir: Path) -> None:
    _release(workdir / "a")
    _release(workdir / "b", logical=True)

    def keys(root: str, name: str) -> list[str]:
        (source,) = [one for one in _find(workdir / root).sources if one.name == name]
        return [entry.key for entry in source.entries]

    assert keys("a", "sd14") == keys("b", "sd14") == keys("a/stable_diffusion_v_1_4", "sd14")
    assert keys("a", "sd14") == keys("a/stable_diffusion_v_1_4/imagenet_ai_0419_sdv4", "sd14")
    assert keys("a", "genimage_nature") == keys("b", "genimage_nature")


def test_the_merged_training_set_is_told_apart_by_file_name(workdir: Path) -> None:
    for number, (train, _) in enumerate(TREE.values()):
        _put(workdir / "m/imagenet_ai/train/ai" / train, number)
    _put(workdir / "m/imagenet_ai/train/ai/whose.png", 50)
    _put(workdir / "m/imagenet_ai/train/nature/n03495258_1.JPEG", 51, "JPEG")
    assert layouts.recognise("m")[0] == "genimage"
    found = _find(workdir / "m")
    assert {source.name: len(source.entries) for source in found.sources} == {
        **dict.fromkeys(genimage.SUBSETS, 1),
        "genimage_nature": 1,
    }
    left = "1 left out: its name does not say which generator made it (imagenet_ai/train/ai/whose.png)"
    assert left in found.notes
    with pytest.raises(AssayError, match="--reals-by-subset needs to know whose these are"):
        _find(workdir / "m", reals_by_subset=True)


def test_reals_by_subset_and_only(workdir: Path) -> None:
    _release(workdir / "g")
    found = _find(workdir / "g", reals_by_subset=True, only=("adm", "adm_nature"))
    assert [(one.name, one.real, len(one.entries)) for one in found.sources] == [
        ("adm", False, 2),
        ("adm_nature", True, 2),
    ]
    assert [note for note in found.notes if not note.startswith("1 real images have no class")] == [
        "adm, found of published: train/ai 1 of 162,000, train/nature 1 of 157,453, test/ai 1 of 6,000, "
        "test/nature 1 of 6,000"
    ]
    found = _find(workdir / "g", only=("midjourney",))
    assert found.notes == ["midjourney, found of published: train/ai 1 of 162,000, test/ai 1 of 6,000"]
    with pytest.raises(AssayError, match=r"--only mijourney: did you mean 'midjourney'"):
        _find(workdir / "g", only=("mijourney",))


def test_corrupt_files_are_rows_and_known_ones_are_named(workdir: Path) -> None:
    _release(workdir / "g")
    train = workdir / "g/Midjourney/imagenet_midjourney/train/ai"
    for name in ("208_midjourney_76.png", "208_midjourney_91.png", "5_midjourney_1.png"):
        (train / name).write_bytes(b"")
    sd15 = workdir / "g/stable_diffusion_v_1_5/imagenet_ai_0424_sdv5/train/nature"
    (sd15 / "n03445777_1.JPEG").write_bytes(b"\xff\xd8 cut")
    assert len(genimage.CORRUPT) == 17
    rows, done = _packed(_find(workdir / "g"))
    midjourney = done["midjourney"]
    assert (midjourney.images, midjourney.unreadable) == (5, 3)
    assert midjourney.remarks == [
        "2 of midjourney's 3 files known to be corrupt in the release: "
        "208_midjourney_76.png, 208_midjourney_91.png"
    ]
    bad = rows["midjourney"].set_index("status").loc["unreadable"]
    assert sorted(bad["class_index"]) == [5, 208, 208] and bad["reason"].eq("empty file").all()
    assert "1 of them among the 3,648 JPEGs" in done["genimage_nature"].remarks[0]
    assert done["adm"].remarks == []


def test_missing_halves_are_counted(workdir: Path) -> None:
    top = workdir / "g/BigGAN/imagenet_ai_0419_biggan"
    _put(top / "train/ai/116_biggan_00001.png", 1)
    (top / "train/ai/notes.txt").write_text("x")
    (top / "val/ai").mkdir(parents=True)
    found = _find(workdir / "g")
    assert found.ignored == 1
    assert found.notes == [
        "biggan, found of published: train/ai 1 of 162,000, train/nature 0 of 162,000, test/ai 0 of 6,000, "
        "test/nature 0 of 6,000",
        "not in this tree: midjourney, sd14, sd15, adm, glide, wukong, vqdm",
    ]


def test_published_counts_are_those_of_the_paper() -> None:
    counts = [subset.published for subset in genimage.SUBSETS.values()]
    assert sum(one["train/ai"] + one["test/ai"] for one in counts) == 1_350_000
    assert sum(one["train/nature"] for one in counts) == 1_281_167
    assert sum(one["test/nature"] for one in counts) == 50_000


def test_volumes_say_how_to_extract(workdir: Path) -> None:
    folder = workdir / "g/Midjourney"
    folder.mkdir(parents=True)
    for ending in ("z01", "z02", "zip"):
        (folder / f"imagenet_midjourney.{ending}").write_bytes(b"PK")
    assert layouts.recognise("g")[0] == "genimage"
    with pytest.raises(AssayError, match=r"in 3 volumes: .*7z x imagenet_midjourney.zip.*plain unzip fails"):
        _find(workdir / "g")
    _release(workdir / "g2")
    (workdir / "g/Midjourney").rename(workdir / "g2/moved")
    for path in (workdir / "g2/Midjourney").rglob("*.*"):
        path.unlink()
    found = _find(workdir / "g2")
    assert "midjourney" not in [source.name for source in found.sources]
    assert "7z x imagenet_midjourney.zip" in found.notes[-1]


def test_misplaced_files(workdir: Path) -> None:
    _release(workdir / "g")
    ai = workdir / "g/ADM/imagenet_ai_0508_adm/train/ai"
    _put(ai / "3_sdv4_00001.png", 60)
    _put(ai / "4_adm_1.PNG", 61)
    _put(ai / "without.png", 62)
    _put(ai / "1000_adm_3.PNG", 63)
    _put(ai / "n03495258_7.JPEG", 64, "JPEG")
    (ai / "sub").mkdir()
    found = _find(workdir / "g")
    sets = {source.name: [Path(entry.key).name for entry in source.entries] for source in found.sources}
    assert "3_sdv4_00001.png" in sets["sd14"]
    assert {"without.png", "1000_adm_3.PNG", "4_adm_1.PNG"} <= set(sets["adm"])
    notes = "\n".join(found.notes)
    assert "1 files in adm's folders are named like sd14's and went to sd14" in found.notes
    assert any(
        note.startswith("2 generated images kept, but with no class in its name") for note in found.notes
    )
    assert any(
        "1 left out: in a folder 'ai', but named like an ImageNet photograph" in n for n in found.notes
    )
    assert "1 left out: a folder where GenImage has none" in notes


def test_swapped_folders_are_refused(workdir: Path) -> None:
    _release(workdir / "g")
    train = workdir / "g/wukong/imagenet_ai_0424_wukong/train"
    (train / "ai").rename(train / "x")
    (train / "nature").rename(train / "ai")
    (train / "x").rename(train / "nature")
    with pytest.raises(AssayError, match=r"would be labelled generated, but names say real: 1 of 1 files"):
        _find(workdir / "g")
    found = _find(workdir / "g", polarity_checked=True)
    assert sum(len(source.entries) for source in found.sources) == 32


@pytest.mark.parametrize(
    ("text", "classes"),
    [
        ("ILSVRC2012_val_00000001.JPEG 65\nILSVRC2012_val_00000003.JPEG 0\n", [65, 0]),
        (
            "ImageId,P\nILSVRC2012_val_00000001,n01751748 1 2\nILSVRC2012_val_00000003,n01440764 9\n",
            [65, 0],
        ),
        ("\n".join(["n01751748", "n01443537", "n01440764"] + ["n01443537"] * 49_997), [65, 0]),
    ],
)
def test_ground_truth_gives_classes(workdir: Path, text: str, classes: list[int]) -> None:
    for number in (1, 3, 9):
        _put(workdir / f"g/ADM/val/nature/ILSVRC2012_val_{number:08d}.JPEG", number, "JPEG")
    (workdir / "truth").write_text(text)
    (source,) = _find(workdir / "g", ground_truth=workdir / "truth").sources
    given = [entry.columns.get("class_index") for entry in source.entries]
    assert given[:2] == classes
    assert given[2] == (1 if len(text) > 1000 else None)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("490\n361\n", "bare numbers"),
        ("n01440764\n", "has 1 lines"),
        ("ILSVRC2012_val_00000001 n00000000\n", "line 1: 'n00000000' is no class"),
        ("ILSVRC2012_val_00000001 1000\n", "line 1: '1000' is no class"),
        ("a b\nc d\n", "line 2: no ILSVRC2012_val"),
        ("", "names no ILSVRC2012_val image"),
    ],
)
def test_a_ground_truth_that_is_none(workdir: Path, text: str, says: str) -> None:
    _release(workdir / "g")
    (workdir / "truth").write_text(text)
    with pytest.raises(AssayError, match=says):
        _find(workdir / "g", ground_truth=workdir / "truth")


def test_another_dataset_with_these_folder_names_is_not_taken_for_it(workdir: Path) -> None:
    _put(workdir / "d/train/ai/cat.png", 1)
    _put(workdir / "d/train/nature/dog.png", 2)
    assert layouts.recognise("d") == ("folder", "it has no layout of its own")
    with pytest.raises(AssayError, match="holds no train/ai, train/nature, val/ai or val/nature folder"):
        _find(workdir / "d/train")
