"""`assay use folder`: a benchmark of whatever lies in data/."""

from pathlib import Path

import pytest
import yaml

from assets.dag import load_dag
from assets.errors import AssayError
from assets.params import load_params
from flows import presets
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
