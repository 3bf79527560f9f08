"""The presets: those of the two papers add up, and `assay use folder` benchmarks whatever lies in data/."""

from pathlib import Path

import pytest
import yaml

from assets.dag import load_dag
from assets.errors import AssayError
from assets.images.degradations import parse
from assets.images.prepared import preparation
from assets.params import Params, load_params
from assets.statistics.studies import aligned_trainings, chronologies, scales
from flows.editing import presets
from flows.planning.checks import check_params
from tasks.importing import import_pictures
from tests.conftest import REPO, file_bytes, textured


@pytest.fixture
def folder(workdir: Path) -> Path:
    """A workspace with the presets and two folders of pictures."""
    (workdir / "presets").symlink_to(REPO / "presets")
    for index, name in enumerate(("mine", "theirs")):
        (workdir / name).mkdir()
        for number in range(3):
            (workdir / name / f"{number}.png").write_bytes(file_bytes(textured(10 * index + number)))
    return workdir


def test_sources_and_generators_are_filled_in_from_the_image_sets(folder: Path) -> None:
    import_pictures(folder / "mine", "mine", real=True)
    import_pictures(folder / "theirs", "sdxl", real=False, family="latent-diffusion", released="2023-07")
    lines = presets.use(folder, "folder")
    assert lines[1] == "with the image sets in data/: mine, sdxl"
    params = load_params(folder / "params.yaml")
    assert params.real["mine"].from_ == "data/mine"
    assert params.generators["sdxl"].released == "2023-07"
    assert params.train.generators == ("sdxl",)
    (folder / "dvc.yaml").symlink_to(REPO / "dvc.yaml")
    assert "train@sdxl-resnet18-0" in load_dag(folder).stages
    presets.use(folder, "folder")  # what `use` wrote is nothing to lose
    document = yaml.safe_load((folder / "params.yaml").read_text())
    (folder / "params.yaml").write_text(yaml.safe_dump({**document, "seed": 7}))
    with pytest.raises(AssayError, match=r"params.yaml has changes .* add --force"):
        presets.use(folder, "folder")
    presets.use(folder, "folder", force=True)
    assert load_params(folder / "params.yaml").seed == 1


def test_missing_pictures_are_asked_for(folder: Path) -> None:
    with pytest.raises(AssayError, match="there is no real one: `assay import FOLDER --as NAME --real`"):
        presets.use(folder, "folder")
    import_pictures(folder / "mine", "mine", real=True)
    with pytest.raises(AssayError, match=r"no generated one: .* --family FAMILY --released"):
        presets.use(folder, "folder")
    import_pictures(folder / "theirs", "sdxl", real=False)
    with pytest.raises(AssayError, match="data/sdxl does not say what made it when"):
        presets.use(folder, "folder")


def preset(name: str) -> Params:
    return load_params(REPO / "presets" / f"{name}.yaml")


@pytest.mark.parametrize(
    "name", sorted({path.stem for path in (REPO / "presets").glob("*.yaml")} - {"folder"})
)
def test_every_preset_would_be_accepted_by_every_stage(name: str, workdir: Path) -> None:
    params = preset(name)
    prompts = [spec.prompts for spec in params.generators.values() if spec.prompts and spec.prompts.file]
    if prompts:  # files of the user's, whose hashes a preset cannot know
        with pytest.raises(AssayError, match="is not there"):
            check_params(params)
        generators = {
            key: spec.model_copy(update={"prompts": None}) for key, spec in params.generators.items()
        }
        params = params.model_copy(update={"generators": generators})
    check_params(params)
    assert (REPO / "presets" / f"{name}.yaml").read_text().startswith("# "), "says what it is"


def test_genimage_adds_up_to_the_papers_numbers() -> None:
    params = preset("genimage")
    counts = {name: spec.count for name, spec in params.generators.items()}
    assert sum(filter(None, counts.values())) == 1_350_000
    assert set(counts.values()) == {168_000, 174_000}
    assert counts["sd15"] == 1000 * (166 + 8)
    assert round(params.split.test * 168) == 6
    assert params.split.test * 168 == pytest.approx(6)
    assert {name for name, spec in params.generators.items() if not spec.drawn} == {"midjourney", "wukong"}
    assert params.split.owners == params.train.generators == tuple(counts)
    assert [params.degrade[name] for name in ("lr112", "lr64", "jpeg65", "jpeg30", "blur3", "blur5")] == [
        "resize(112)", "resize(64)", "jpeg(65)", "jpeg(30)", "blur(3)", "blur(5)"
    ]  # fmt: skip
    assert params.recipe("aligned_generated", 0) == "" and params.recipe("aligned_generated", 1) == "jpeg(96)"
    assert params.recipe("aligned", 0) == params.recipe("aligned", 1)
    assert set(params.report.twins) == {"aligned", "aligned_generated"}
    drawn = [spec for spec in params.generators.values() if spec.drawn]
    assert all(spec.prompts and spec.prompts.of == "imagenet" for spec in drawn)
    assert all(spec.prompts and spec.prompts.classes is None for spec in drawn), "all 1,000"


def test_genimages_studies_share_everything_that_is_made_with_genimage() -> None:
    params, paper = preset("genimage-studies"), preset("genimage")
    for section in ("seed", "real", "fit", "generators", "dedupe", "split", "audit", "spectrum", "degrade"):
        assert getattr(params, section) == getattr(paper, section), f"{section}: it would be made again"
    assert params.detectors == {"resnet50": paper.detectors["resnet50"]}
    scaled = {study.varied: [count for count, _ in study.steps] for study in scales(params)}
    assert scaled == {
        "images": [81_000, 162_000, 405_000, 810_000, None],
        "classes": [10, 100, 500, None],
        "per_class": [10, 40, None],
    }
    (windows,) = chronologies(params)
    assert [len(window) for window in windows.windows] == [1, 1, 2, 1, 2, 1]
    assert aligned_trainings(params) == [(name, f"unbiased_{name}") for name in ("sd14", "sd15", "wukong")]
    for sample in (params.train.samples[f"unbiased_{name}"] for name in ("sd14", "sd15", "wukong")):
        assert (sample.real_sides, sample.real_quality, sample.balance) == ((450, 550), 96, True)
        assert preparation(sample) == ("centre(450)", "jpeg(96)|centre(450)")


def test_imaginets_contents() -> None:
    params = preset("imaginet-contents")
    everything, *others = params.train.samples.values()
    assert everything.images == 3 * 4_500 and all(sample.images == 2 * 4_500 for sample in others)
    assert [len(sample.of or ()) for sample in others] == [4, 4, 4]
    for sample in others:
        shown = {params.generators[name].content for name in sample.of or ()}
        assert shown == {*(sample.contents or ())} and len(shown) == 2
    for name, spec in params.generators.items():
        assert spec.sampler == preset("imaginet").generators[name].sampler
        assert (spec.count or 0) * params.split.train > 1.02 * 2_250, "a few more than are taken"
    (detector,) = params.detectors.values()
    assert (detector.model, detector.weights, detector.epochs) == ("resnet18", "none", 200)


def test_the_small_one_is_small_and_balanced() -> None:
    params = preset("genimage-small")
    classes = {spec.prompts.classes for spec in params.generators.values() if spec.prompts}
    assert len(classes) == 1, "all generators draw the same classes"
    (chosen,) = classes
    assert chosen is not None and len(chosen) == 100
    assert all(spec.count == 10 * len(chosen) for spec in params.generators.values())
    assert {fit.kind for fit in params.fit.values()} == {"pretrained"}, "nothing to download by hand"


def test_imaginet_adds_up_to_table_2() -> None:
    params = preset("imaginet")
    assert sum(spec.count or 0 for spec in params.real.values()) == 100_000
    drawn = {name: spec.count or 0 for name, spec in params.generators.items()}
    assert sum(drawn.values()) == 100_000
    assert drawn["sd21_photos"] + drawn["sdxl_photos"] == 15_000
    assert drawn["sd21_paintings"] + drawn["sdxl_paintings"] == 5_625 == drawn["animagine_xl"]
    assert drawn["sd21_faces"] + drawn["sdxl_faces"] == 11_250 == drawn["stylegan3"]
    assert drawn["stylegan_xl"] == 7_500 + 11_250
    assert str(parse(params.recipe("social", 0))) == (
        "square(256,1000)|to(256)|(jpeg(60,100)/webp(60,100))@0.75"
    )
    assert sum(len(members) for members in params.report.groups.values()) == len(params.generators)
    schedulers = {spec.sampler.scheduler for spec in params.generators.values() if spec.drawn}
    assert schedulers == {
        "EulerDiscreteScheduler",
        "EulerAncestralDiscreteScheduler",
        "DPMSolverMultistepScheduler",
        "PNDMScheduler",
    }
    by_content: dict[str, list[str | None]] = {}
    for name, spec in params.generators.items():
        if name.startswith("sd"):
            by_content.setdefault(str(spec.content), []).append(spec.sampler.scheduler)
    assert all(len(set(used)) == 2 for used in by_content.values())
