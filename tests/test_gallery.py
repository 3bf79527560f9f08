"""The hardest images are those that most detectors get wrong, one of a group, and safe to show."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from assets.errors import AssayError
from assets.gallery import GALLERY, gallery_folder, read_gallery
from assets.images.imageset import ImageSetWriter
from assets.params import ELSEWHERE, REAL, Params
from assets.predictions import given_source, predictions_path, write_predictions
from tasks.gallery import Opinions, asked, gallery, hardest, thumbnail
from tests.conftest import file_bytes, textured
from tests.made_up import benchmark_params, rows

NAMES = ("dcgan", "ldm")
COUNT = 6
HOSTILE = "<script>alert(1)</script>"


def opinions(p: Any, wrong: Any, groups: Any = None) -> Opinions:
    p, wrong = np.array(p, float), np.array(wrong, float)
    ids = np.array([f"i{index}" for index in range(len(p))], object)
    judges = [("net", f"g{column}") for column in range(p.shape[1])]
    return Opinions(ids, np.array(groups or ids, object), judges, p, wrong)


def test_what_more_judges_get_wrong_is_harder() -> None:
    found = opinions([[0.1, 0.9], [0.4, 0.4], [0.9, 0.9]], [[1, 0], [1, 1], [0, 0]])
    assert hardest(found, [0, 1], 1, 3) == [1, 0, 2]
    assert hardest(found, [1], 1, 1) == [1]
    # wrong for all three, if barely, is harder than very wrong for two
    found = opinions([[0.45, 0.45, 0.45], [0.0, 0.0, 0.6]], [[1, 1, 1], [1, 1, 0]])
    assert hardest(found, [0, 1, 2], 1, 2) == [0, 1]


def test_ties_go_to_the_worst_mean_rank_whatever_the_scale_of_a_detector() -> None:
    # all wrong by both; the first judge's tiny differences count as much as the second's large ones
    p = [[0.0010, 0.40], [0.0011, 0.01], [0.0012, 0.02]]
    ones = np.ones((3, 2))
    assert hardest(opinions(p, ones), [0, 1], 1, 3) == [1, 0, 2]  # ranks 2+1, 1+3, 3+2, then the lower id
    assert hardest(opinions(p, ones), [0, 1], 0, 3) == [2, 0, 1]


def test_one_of_a_group_and_none_that_somebody_could_not_read() -> None:
    p = [[0.1], [0.2], [np.nan], [0.3], [0.4]]
    found = opinions(p, np.ones((5, 1)), ["a", "a", "b", "c", "b"])
    assert hardest(found, [0], 1, 9) == [0, 3, 4]
    assert hardest(opinions([[np.nan]], [[1]]), [0], 1, 9) == []


def test_who_is_asked() -> None:
    given = {"old": {"seen": ["dcgan"], "model": "resnet18"}, "web": {"model": "resnet18"}}
    settings = benchmark_params(NAMES, ("net",), (), sets={"both": NAMES}, given=given)
    judges = [
        ("net", "dcgan"),
        ("net", "ldm"),
        ("net", "both"),
        ("old", ELSEWHERE),
        ("web", ELSEWHERE),
    ]
    assert asked(settings, judges, "dcgan") == [1]
    assert asked(settings, judges, "ldm") == [0, 3]
    assert asked(settings, judges, REAL) == [0, 1, 3, 4]
    assert asked(settings, judges[2:5], "dcgan") == [2]  # nobody who has not seen it, but one may not have
    assert asked(settings, [judges[0], judges[3]], "dcgan") == [0, 1]


@pytest.mark.parametrize(
    ("shape", "expected"), [((300, 150), (112, 56)), ((64, 64), (64, 64)), ((4000, 8), (112, 1))]
)
def test_thumbnails_keep_their_shape_and_are_never_enlarged(
    shape: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert thumbnail(np.zeros((*shape, 3), np.uint8), 112).shape[:2] == expected


@pytest.fixture
def settings() -> Params:
    given = {"web": {"model": "resnet18"}}
    found = benchmark_params(NAMES, ("net", "other"), ("jpeg30",), (0, 1), given=given)
    return found.model_copy(update={"gallery": found.gallery.model_copy(update={"hardest": 3, "side": 40})})


@pytest.fixture
def benchmark(workdir: Path, settings: Params) -> Path:
    """Six test images an item; predictions in which image 4 is hardest, 2 next; image 5 cannot be read."""
    for item in (REAL, *NAMES):
        label = int(item != REAL)
        ids = [f"{item}-{index:04d}" for index in range(COUNT)]
        folder = "collect/photos" if item == REAL else f"generate/{item}"
        with ImageSetWriter(Path("artifacts") / folder) as writer:
            for index, image in enumerate(ids):
                data = b"no picture" if index == 5 else file_bytes(textured(index, 60, 80))
                prompt = HOSTILE if label else None
                writer.add(image, data, label=label, generator=item, prompt=prompt)
        table = pd.DataFrame(
            {"id": ids, "side": "test", "content": "photo", "class_name": [None, *"bcdef"], "group": ids}
        )
        place = Path("artifacts/split") / item
        place.mkdir(parents=True)
        table.to_parquet(place / "split.parquet")
        for source, path, detectors in (
            *((name, name, ("net", "other")) for name in NAMES),
            (ELSEWHERE, given_source("web"), ("web",)),
        ):
            frames = []
            for detector in detectors:
                for seed in (0,) if source == ELSEWHERE else (0, 1):
                    for condition in ("clean", "jpeg30"):
                        margins = np.array([1.0, 2.0, -1.0, 0.5, -2.0, np.nan]) + 0.01 * seed
                        margins = margins if condition == "clean" else margins[::-1].copy()
                        margins[-1 if condition == "clean" else 0] = np.nan
                        margins[5] = np.nan
                        logits = 0.25 + (margins if label else -margins)
                        names = {"detector": detector, "seed": seed, "condition": condition}
                        frames.append(rows(source, item, logits, threshold=0.25, **names))
            write_predictions(predictions_path(Path(), path, item), pd.concat(frames))
    return workdir


def test_the_gallery_of_a_benchmark(benchmark: Path, settings: Params) -> None:
    gallery(Path(), settings)
    walls = read_gallery(Path())
    assert [(wall.item, wall.label) for wall in walls] == [(REAL, 0), ("dcgan", 1), ("ldm", 1)]
    for wall in walls:
        assert [image.id[-1] for image in wall.images] == ["4", "2", "3"]
        assert [image.wrong for image in wall.images] == [1, 1, 0]
        assert [image.file for image in wall.images] == [f"{wall.item}-{n:02d}.jpg" for n in (1, 2, 3)]
    real, dcgan, _ = walls
    assert (real.images[0].asked, dcgan.images[0].asked) == (5, 2)
    first = dcgan.images[0]
    assert (first.content, first.class_name, first.prompt) == ("photo", "e", HOSTILE)
    assert (first.width, first.height) == (40, 30)
    with Image.open(gallery_folder(Path()) / first.file) as picture:
        assert (picture.format, picture.size) == ("JPEG", (40, 30))
    assert [(score.detector, score.trained_on, score.seen) for score in first.scores] == [
        ("net", "dcgan", True),
        ("other", "dcgan", True),
        ("net", "ldm", False),
        ("other", "ldm", False),
        ("web", ELSEWHERE, None),
    ]
    expected = np.mean([1 / (1 + np.exp(-logit)) for logit in (-1.75, -1.74)])
    assert first.scores[0].p == pytest.approx(expected, abs=1e-4)
    assert {score.seen for score in real.images[0].scores} == {None}


def test_the_gallery_has_the_same_bytes_again_and_nothing_stale(benchmark: Path, settings: Params) -> None:
    def files() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in gallery_folder(Path()).iterdir()}

    gallery(Path(), settings)
    once = files()
    assert len(once) == 10
    gallery(Path(), settings)
    assert files() == once
    less = settings.model_copy(update={"gallery": settings.gallery.model_copy(update={"hardest": 1})})
    gallery(Path(), less)
    assert sorted(files()) == ["dcgan-01.jpg", GALLERY, "ldm-01.jpg", "real-01.jpg"]
    none = settings.model_copy(update={"gallery": settings.gallery.model_copy(update={"hardest": 0})})
    gallery(Path(), none)
    assert sorted(files()) == [GALLERY] and not any(wall.images for wall in read_gallery(Path()))


def test_what_is_no_gallery_is_refused_by_name(benchmark: Path, settings: Params) -> None:
    with pytest.raises(AssayError, match=r"gallery.json is not there: `assay run`"):
        read_gallery(Path())
    gallery(Path(), settings)
    path = gallery_folder(Path()) / GALLERY
    good = path.read_text()

    def changed(**values: Any) -> None:
        document = json.loads(good)
        document["items"][0]["images"][0].update(values)
        path.write_text(json.dumps(document))

    for values in (
        {"file": "../../secret.jpg"},
        {"file": "real-01.jpg/../x"},
        {"wrong": 2},
        {"scores": [{"detector": "x", "trained_on": "y", "seen": "no", "p": 0.5}]},
        {"scores": [{"detector": "x", "trained_on": "y", "seen": None, "p": "much"}]},
    ):
        changed(**values)
        with pytest.raises(AssayError, match=r"gallery.json is malformed"):
            read_gallery(Path())
    path.write_text(good)
    (gallery_folder(Path()) / "ldm-02.jpg").unlink()
    with pytest.raises(AssayError, match=r"ldm-02.jpg is not there: `assay run` makes it anew"):
        read_gallery(Path())


def test_thumbnails_are_small(benchmark: Path, settings: Params) -> None:
    gallery(Path(), settings)
    data = (gallery_folder(Path()) / "real-01.jpg").read_bytes()
    assert len(data) < 4000 and Image.open(io.BytesIO(data)).mode == "RGB"
