"""The degrade stage: both classes alike, seeded per image, the recipe recorded."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from assets.images.degradations import DegradationError
from assets.images.imageset import ImageSet, ImageSetWriter
from assets.params import Params
from tasks.dedupe import dedupe
from tasks.degrade import degrade
from tasks.split import split
from tests.conftest import file_bytes, textured
from tests.made_up import CONDITIONS
from tests.samples import params


@pytest.fixture
def benchmark(workdir: Path) -> Path:
    """20 real and 20 generated images, deduped and split; every fake shows what a real one shows."""
    for path, label, prefix in (("collect/photos", 0, "r"), ("generate/fake", 1, "g")):
        with ImageSetWriter(Path("artifacts") / path) as writer:
            for index in range(20):
                data = file_bytes(textured(1000 * label + index, 64, 64))
                writer.add(f"{prefix}{index:02d}", data, label=label, generator="x", group=f"{prefix}{index}")
    for item in ("real", "fake"):
        dedupe(Path(), params(), item)
        split(Path(), params(), item)
    return workdir


def run(settings: Params, item: str = "fake") -> dict[str, ImageSet]:
    degrade(Path(), settings, item)
    return {name: ImageSet(Path("artifacts/degrade") / item / name) for name in settings.degrade}


def test_the_six_of_genimage(benchmark: Path) -> None:
    sets = run(params(degrade=CONDITIONS))
    clean = ImageSet(Path("artifacts/generate/fake"))
    ids = sets["lr112"].rows["id"].tolist()
    assert len(ids) == 4 and all(images.rows["id"].tolist() == ids for images in sets.values())
    assert sets["lr112"].rows[["width", "height"]].to_numpy().tolist() == [[32, 32]] * 4
    assert sets["lr64"].rows[["width", "height"]].to_numpy().tolist() == [[18, 18]] * 4
    assert sets["jpeg65"].rows["jpeg_quality"].tolist() == [65] * 4
    assert sets["jpeg30"].rows["jpeg_subsampling"].tolist() == ["4:2:0"] * 4
    assert sets["blur5"].rows["source"].tolist() == ["blur(5)"] * 4
    for image in ids:
        detail = [
            np.abs(np.diff(s.pixels(image).astype(float), axis=0)).mean()
            for s in (clean, sets["blur3"], sets["blur5"])
        ]
        assert detail[0] > detail[1] > detail[2]
        buffer = io.BytesIO()
        Image.fromarray(clean.pixels(image)).save(buffer, "JPEG", quality=65, subsampling="4:2:0")
        assert np.array_equal(sets["jpeg65"].pixels(image), np.asarray(Image.open(buffer)))


def test_real_images_go_through_the_same_recipes(benchmark: Path) -> None:
    sets = run(params(degrade=CONDITIONS), "real")
    assert sets["jpeg30"].rows["label"].tolist() == [0] * 4
    assert sets["jpeg30"].rows["jpeg_quality"].tolist() == [30] * 4


def test_a_condition_may_differ_by_class(benchmark: Path) -> None:
    aligned = {"twin": {"generated": "jpeg(96)"}, "both": "jpeg(96)"}
    real, fake = run(params(degrade=aligned), "real"), run(params(degrade=aligned))
    clean = ImageSet(Path("artifacts/collect/photos"))
    assert all(real["twin"].read(image) == clean.read(image) for image in real["twin"].rows["id"])
    assert dict(fake["twin"].stream()) == dict(fake["both"].stream())
    assert real["both"].rows["jpeg_quality"].tolist() == [96] * 4
    other = run(params(degrade={"twin": {"real": "noise(0.1)", "generated": "noise(0.1)"}}))
    assert other["twin"].rows["source"].tolist() == ["noise(0.1)"] * 4
    with pytest.raises(DegradationError, match=r"degrade.x: recipe 'blr.1.'"):
        run(params(degrade={"x": {"real": "blr(1)"}}), "real")


def test_what_is_drawn_depends_on_image_condition_and_seed_alone(benchmark: Path) -> None:
    recipe = {"a": "jpeg(30,95)|noise(0.05)", "b": "jpeg(30,95)|noise(0.05)"}
    first = run(params(degrade=recipe))
    files = {name: dict(images.stream()) for name, images in first.items()}
    assert files["a"] != files["b"]
    alone = run(params(degrade={"b": recipe["b"]}))
    assert dict(alone["b"].stream()) == files["b"]
    assert dict(run(params(degrade=recipe, seed=2))["a"].stream()) != files["a"]


def test_no_conditions_and_bad_recipes(benchmark: Path) -> None:
    assert run(params(degrade={})) == {}
    assert Path("artifacts/degrade/fake").is_dir()
    with pytest.raises(DegradationError, match=r"degrade.x: recipe 'jepg.5.': .*did you mean 'jpeg'"):
        run(params(degrade={"x": "jepg(5)"}))
