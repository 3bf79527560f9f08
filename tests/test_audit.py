"""The audit shouts at planted shortcuts, says which value gives them away, and stays calm without one."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image, PngImagePlugin

from assets.audit.metadata import Metadata, metadata
from assets.audit.shortcuts import FEATURES, FROM_FILES, SIZE, TITLES, as_table, from_file, from_manifest
from assets.audit.watermark import MARKS, watermark
from assets.frames import write_frame
from assets.images.degradations import parse
from assets.images.imageset import ImageSetWriter
from assets.images.picture import decode, encode, examine
from assets.params import Audit
from tasks import audit as stage
from tasks.audit import audit, judge_rows
from tests.conftest import file_bytes, textured
from tests.samples import params

SPEC = Audit(folds=3, alarm=0.6)
Encoder = Callable[[np.ndarray], bytes]


def material(encoders: dict[int, Encoder], count: int = 36) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of `count` images a class, and what stands in them; both classes show the same kind of picture."""
    found, opened = [], {}
    for label, encoder in encoders.items():
        for index in range(count):
            data = encoder(textured(1000 * label + index))
            facts = examine(data).facts
            name = f"{label}-{index}"
            row = {"id": name, "label": label, "group": None, "size": len(data), **facts._asdict()}
            found.append(row)
            opened[name] = from_file(data, decode(data))
    rows = pd.DataFrame(found, index=[row["id"] for row in found]).astype({"jpeg_quality": "Int16"})
    return rows, as_table(opened)


def judged(encoders: dict[int, Encoder], count: int = 36) -> dict[str, Any]:
    found = judge_rows(*material(encoders, count), SPEC, 1, 100, 0.95)
    raised = alarms(found)
    assert found["verdict"] == ("leak" if raised - {"appearance"} else "clean")
    assert {single["set"] for single in found["single"]} == raised - {"all"}
    return found


def alarms(found: dict[str, Any]) -> set[str]:
    return {name for name, feature in found["features"].items() if feature["alarm"]}


def jpeg(quality: int, subsampling: str = "4:2:0", **options: object) -> Encoder:
    return lambda pixels: file_bytes(pixels, "JPEG", quality=quality, subsampling=subsampling, **options)


def with_text(key: str, value: str) -> Encoder:
    info = PngImagePlugin.PngInfo()
    info.add_text(key, value)
    return lambda pixels: file_bytes(pixels, "PNG", pnginfo=info)


def test_the_flaw_of_genimage_is_shouted_at() -> None:
    found = judged({0: jpeg(96), 1: encode})
    for name in ("all", "format", "jpeg"):
        feature = found["features"][name]
        assert (feature["auroc"], feature["low"], feature["alarm"]) == (1.0, 1.0, True), name
    words = {single["set"]: single["words"] for single in found["single"]}
    assert words["format"] == (
        "file format: JPEG for all of the real images and none of the generated ones (all of them: PNG)"
    )
    assert any(line.startswith("format: bring both classes into one container") for line in found["advice"])
    assert found["aligned"] == "jpeg(96)" and any("jpeg(96)" in line for line in found["advice"])


@pytest.mark.parametrize(
    ("fake", "feature"),
    [
        (jpeg(90), "jpeg"),
        (jpeg(96, "4:4:4"), "jpeg"),
        (lambda pixels: file_bytes(pixels[:40, :40], "JPEG", quality=96), "dimensions"),
        (jpeg(96, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"), "metadata"),
        (lambda pixels: file_bytes(pixels // 2, "JPEG", quality=96), "appearance"),
    ],
    ids=["quality", "chroma subsampling", "size", "metadata", "brightness"],
)
def test_one_shortcut_is_found_by_its_name(fake: Encoder, feature: str) -> None:
    raised = alarms(judged({0: jpeg(96, progressive=feature == "metadata"), 1: fake}))
    assert feature in raised
    assert raised <= {feature, "all", "bytes"}
    assert ("all" in raised) == (raised != {"appearance"})


def test_what_pictures_show_is_no_part_of_the_verdict() -> None:
    found = judged({0: encode, 1: lambda pixels: encode(pixels // 2)})
    assert found["verdict"] == "clean" and alarms(found) == {"appearance"}
    assert found["aligned"] is None and "not how they are stored" in found["advice"][0]
    (single,) = found["single"]
    assert single["what"] == "brightness" and single["words"].startswith("mean brightness (0 to 255): above ")


def test_an_aligning_recipe_aligns() -> None:
    smaller = {0: jpeg(96), 1: lambda pixels: encode(pixels[:40, :44])}
    recipe = judged(smaller)["aligned"]
    assert recipe == "resize(40)|crop(40)|jpeg(96)"
    chain = parse(recipe)

    def aligned(encoder: Encoder) -> Encoder:
        return lambda pixels: chain.encode(decode(encoder(pixels)), np.random.default_rng(0))

    found = judged({label: aligned(encoder) for label, encoder in smaller.items()})
    assert not alarms(found) & {"format", "dimensions", "jpeg", "metadata"}


def test_two_classes_that_are_stored_alike_are_clean() -> None:
    found = judged({0: encode, 1: encode})
    assert found["verdict"] == "clean" and found["advice"] == [] and found["single"] == []
    stored = [feature for name, feature in found["features"].items() if name != "appearance"]
    assert {feature["auroc"] for feature in stored} == {0.5}
    assert not alarms(judged({0: jpeg(90), 1: jpeg(90)}, 60))


def test_features_that_say_nothing_give_one_score_even_with_unequal_classes() -> None:
    both = [material({0: encode}, 90), material({1: encode}, 25)]
    rows, opened = (pd.concat(parts) for parts in zip(*both, strict=True))
    found = judge_rows(rows, opened, SPEC, 1, 100, 0.95)
    assert found["features"]["dimensions"] == {"auroc": 0.5, "low": 0.5, "high": 0.5, "alarm": False}
    assert found["looked_at"]["opened"] == {"real": 90, "generated": 25}


def test_a_class_with_one_group_is_no_data() -> None:
    rows, opened = material({0: encode, 1: encode}, 12)
    rows.loc[rows["label"] == 0, "group"] = "one photograph"
    found = judge_rows(rows, opened, SPEC, 1, 100, 0.95)
    assert found["features"]["all"] == {"auroc": None, "low": None, "high": None, "alarm": False}


def test_without_opened_images_the_manifest_speaks_alone() -> None:
    rows, opened = material({0: jpeg(96), 1: encode}, 20)
    found = judge_rows(rows, opened.iloc[:0], SPEC, 1, 100, 0.95)
    assert found["features"]["all"]["auroc"] == 1.0 and found["features"]["metadata"]["auroc"] is None
    assert found["looked_at"]["opened"] == {"real": 0, "generated": 0}


def test_a_million_rows_would_be_told_apart_by_no_more_values_than_forty() -> None:
    many = pd.DataFrame({"text": [f"value {index % 300}" for index in range(900)], "number": range(900)})
    assert stage._encode(many).shape == (900, 1 + 40 + 1)


def test_every_measure_belongs_to_a_feature_set_and_has_a_name() -> None:
    rows, opened = material({0: encode}, 2)
    columns = {*from_manifest(rows).columns, *opened.columns}
    assert columns == {name for names in FEATURES.values() for name in names} | {SIZE} == set(TITLES)
    assert list(opened.columns) == [column for name in FROM_FILES for column in FEATURES[name]]


def test_powers_of_two_that_divide_both_sides() -> None:
    rows, _ = material({0: lambda pixels: encode(pixels[:48, :40]), 1: lambda pixels: encode(pixels[:47])}, 1)
    assert from_manifest(rows)["multiple"].tolist() == [8, 1]


def test_metadata_is_read_and_kept_short() -> None:
    assert metadata(encode(textured(1))) == Metadata()
    picture = Image.fromarray(textured(1))
    exif = picture.getexif()
    exif[0x010F], exif[0x0131] = "Canon", "<script>alert(1)</script>\x00\x1b[31m" + "x" * 9999
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", exif=exif, comment=b"made by hand", progressive=True)
    found = metadata(buffer.getvalue())
    assert (found.exif, found.camera, found.text, found.progressive) == (2, True, "comment", True)
    assert found.software.startswith("script alert 1 script") and len(found.software) <= 40
    told = metadata(with_text("parameters", "a cat, steps: 20")(textured(2)))
    assert (told.text, told.exif) == ("parameters", 0)
    assert metadata(b"..jumb..c2pa..").c2pa and not metadata(b"..jumb..").c2pa
    assert metadata(b"http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia").says_generated


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "GIF", "AVIF"])
def test_metadata_of_broken_files_is_no_error(kind: str) -> None:
    data = file_bytes(textured(3), kind)
    random = np.random.default_rng(0)
    for _ in range(40):
        broken = bytearray(data)
        for place in random.integers(0, min(len(data), 300), 8):
            broken[place] = random.integers(256)
        assert isinstance(metadata(bytes(broken[: random.integers(1, len(data))])), Metadata)


def marked(pixels: np.ndarray, bits: np.ndarray) -> np.ndarray:
    """Write a watermark as invisible-watermark's `dwtDct` does, into (H, W, 3) RGB with sides of 8 n."""
    red, green, blue = (pixels[..., band].astype(float) for band in range(3))
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    u, v = 0.492 * (blue - luma) + 128, 0.877 * (red - luma) + 128
    half = (u[0::2, 0::2] + u[0::2, 1::2] + u[1::2, 0::2] + u[1::2, 1::2]) / 2
    old, number = half.copy(), 0
    for top in range(0, half.shape[0], 4):
        for left in range(0, half.shape[1], 4):
            block = half[top : top + 4, left : left + 4]
            row, column = divmod(int(np.abs(block.ravel()[1:]).argmax()) + 1, 4)
            block[row, column] = (block[row, column] // 36 + 0.25 + 0.5 * bits[number % len(bits)]) * 36
            number += 1
    u += np.kron(half - old, np.ones((2, 2))) / 2
    blue = luma + (u - 128) / 0.492
    red = luma + (v - 128) / 0.877
    green = (luma - 0.299 * red - 0.114 * blue) / 0.587
    return np.stack([red, green, blue], axis=-1).round().clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", MARKS)
def test_a_watermark_is_found_and_another_is_not(name: str) -> None:
    plain = 64 + textured(5, 256, 320)[..., [1, 1, 1]] // 2  # it holds best where colours are weak
    assert watermark(plain) is None
    assert watermark(marked(plain, MARKS[name])) == name
    assert watermark(marked(plain, ~MARKS[name])) is None
    assert watermark(marked(plain, MARKS[name])[:200]) is None  # 64,000 pixels: too small to bear one


def write_sets(counts: dict[str, int], encoders: dict[str, Encoder]) -> None:
    """Image sets and splits of real images and of `fake`."""
    for item, place in (("real", "collect/photos"), ("fake", "generate/fake")):
        names = [f"{item}-{index:03d}" for index in range(counts[item])]
        with ImageSetWriter(Path("artifacts") / place) as writer:
            for index, name in enumerate(names):
                data = encoders[item](textured(index + 500 * (item == "fake")))
                writer.add(name, data, label=int(item == "fake"), generator=item, group=name)
        pair = [names[0].replace(item, "real")] * len(names)
        write_frame(
            Path(f"artifacts/split/{item}/split.parquet"), pd.DataFrame({"id": names, "pair_id": pair})
        )


def test_the_stage_looks_at_no_more_images_than_asked_and_repeats_itself(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "MOST_ROWS", 15)
    write_sets({"real": 30, "fake": 20}, {"real": jpeg(96), "fake": encode})
    settings = params(audit={"folds": 2, "look": 8}, report={"resamples": 100})
    path = Path("artifacts/audit/fake/audit.json")
    audit(Path(), settings, "fake")
    first = path.read_bytes()
    found = json.loads(first)
    assert (found["generator"], found["n_real"], found["n_generated"]) == ("fake", 30, 20)
    assert found["looked_at"] == {
        "manifest": {"real": 15, "generated": 15},
        "opened": {"real": 8, "generated": 8},
    }
    assert found["verdict"] == "leak" and found["features"]["format"]["auroc"] == 1.0
    audit(Path(), settings, "fake")
    assert path.read_bytes() == first
