"""flows/refreshing/setting_aside.py and put_back.py: what may be left out, and params.yaml after it."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from assets.params import load_params
from assets.yaml12 import read_yaml
from flows.editing.edits import ParamsFile
from flows.refreshing.put_back import find_again, put_back
from flows.refreshing.setting_aside import Inseparable, set_aside
from flows.refreshing.state import State
from tests.conftest import REPO

DVC = "failed to run: x, exited with 1"


@pytest.fixture
def root(workdir: Path) -> Path:
    """The real DAG of the mini preset; nobody but the set is told of dcgan, ddpm and vqdm."""
    shutil.copyfile(REPO / "dvc.yaml", workdir / "dvc.yaml")
    shutil.copyfile(REPO / "presets/mini.yaml", workdir / "params.yaml")
    return workdir


def alter(root: Path, **sections: Any) -> None:
    document = read_yaml(root / "params.yaml")
    for section, values in sections.items():
        document[section] = {**document[section], **values}
    (root / "params.yaml").write_text(yaml.safe_dump(document, sort_keys=False))


def restore(root: Path, *names: str) -> None:
    file = ParamsFile(root)
    for name in names:
        put_back(file, name)
    file.save()


def test_a_generator_with_its_model_and_trainings_goes_and_comes_back(root: Path) -> None:
    before = (root / "params.yaml").read_text()
    state = State()
    why = set_aside(root, {"dedupe@ldm": DVC}, state)
    assert why == {"ldm": "dedupe@ldm: its command ended with status 1"}
    params = load_params(root / "params.yaml")
    assert "ldm" not in {*params.fit, *params.generators, *params.train.generators}
    aside = params.report.set_aside["ldm"]
    assert set(aside.entries) == {"fit.ldm", "generators.ldm", "train.generators.2"}
    assert "# the mini" in before.lower() and (root / "params.yaml").read_text().startswith(before[:60])
    assert list(find_again(root, params, state, frozenset())) == []
    restore(root, "ldm")
    assert read_yaml(root / "params.yaml") == yaml.safe_load(before) | read_yaml(root / "params.yaml")
    after = load_params(root / "params.yaml")
    assert after.train.generators == ("dcgan", "ddpm", "ldm", "vqdm")
    assert "set_aside" not in (root / "params.yaml").read_text()


def test_two_that_are_drawn_by_one_model_go_together(root: Path) -> None:
    ldm = read_yaml(root / "params.yaml")["generators"]["ldm"]
    alter(root, generators={"ldm_hot": {**ldm, "count": 100}})
    before = load_params(root / "params.yaml")
    assert set(set_aside(root, {"fit@ldm": DVC}, State())) == {"ldm", "ldm_hot"}
    assert "ldm" not in load_params(root / "params.yaml").fit
    restore(root, "ldm_hot")
    assert set(load_params(root / "params.yaml").report.set_aside) == {"ldm"}
    restore(root, "ldm")
    assert load_params(root / "params.yaml") == before


def test_one_of_two_leaves_their_model(root: Path) -> None:
    ldm = read_yaml(root / "params.yaml")["generators"]["ldm"]
    alter(root, generators={"ldm_hot": {**ldm, "count": 100}})
    set_aside(root, {"generate@ldm_hot": DVC}, State())
    params = load_params(root / "params.yaml")
    assert "ldm" in params.fit and set(params.report.set_aside["ldm_hot"].entries) == {"generators.ldm_hot"}


def test_real_images_are_not_dealt_out_anew(root: Path) -> None:
    owners = ["dcgan", "ddpm", "ldm", "vqdm"]
    alter(root, split={"reals": "own", "owners": owners})
    set_aside(root, {"generate@ldm": DVC}, State())
    assert load_params(root / "params.yaml").split.owners == tuple(owners)


@pytest.mark.parametrize(
    ("failed", "sections", "says"),
    [
        ("generate@ddpm", {}, "ddpm cannot be set aside: train.sets.older names it"),
        ("train@ldm-npr-0", {}, "train@ldm-npr-0 is no generator's stage"),
        ("evaluate@dcgan-ldm", {}, "evaluate@dcgan-ldm is no generator's stage"),
        ("report", {}, "report is no generator's stage"),
        ("collect@photos", {}, "collect@photos is no generator's stage"),
        ("generate@ldm", {"report": {"groups": {"g": ["ldm"]}}}, "report.groups.g names it"),
        (
            "generate@ldm",
            {"train": {"samples": {"s": {"until": "2022-01", "images": 9}}}},
            "train.samples.s takes images of it",
        ),
        (
            "generate@ldm",
            {"given": {"g": {"kind": "scores", "weights": "x.csv", "sha256": "0" * 64, "seen": ["ldm"]}}},
            "given.g.seen names it",
        ),
        (
            "generate@ldm",
            {"train": {"generators": ["ldm"], "sets": {}}, "attributors": None},
            "make no sense",
        ),
    ],
)
def test_what_cannot_be_left_out(root: Path, failed: str, sections: dict[str, Any], says: str) -> None:
    if "attributors" in sections:
        document = read_yaml(root / "params.yaml")
        document["attributors"] = {}
        (root / "params.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    alter(root, **{section: values for section, values in sections.items() if values is not None})
    before = (root / "params.yaml").read_bytes()
    with pytest.raises(Inseparable, match=says.replace(".", r"\.")):
        set_aside(root, {failed: DVC, "generate@vqdm" if "ddpm" in failed else failed: DVC}, State())
    assert (root / "params.yaml").read_bytes() == before


def test_another_stage_that_would_change_keeps_a_generator_in(root: Path) -> None:
    text = (root / "dvc.yaml").read_text()
    (root / "dvc.yaml").write_text(
        text.replace(
            'params: [seed, "real.${key}", dedupe]', 'params: [seed, "real.${key}", train.generators]'
        )
    )
    assert (root / "dvc.yaml").read_text() != text
    with pytest.raises(Inseparable, match="collect@photos would change without them"):
        set_aside(root, {"generate@ldm": DVC}, State())


def test_a_changed_card_entry_or_picture_is_tried_again(root: Path) -> None:
    alter(root, generators={"x": {"from": "data/x", "family": "gan", "released": "2018-12"}})
    (root / "data/x").mkdir(parents=True)
    (root / "data/x/manifest.parquet").write_bytes(b"one")
    state = State()
    set_aside(root, {"split@x": DVC}, state)

    def again() -> list[str]:
        return [one.name for one in find_again(root, load_params(root / "params.yaml"), state, frozenset())]

    assert again() == []
    (root / "data/x/manifest.parquet").write_bytes(b"two")
    assert again() == ["x"]
    (root / "data/x/manifest.parquet").write_bytes(b"one")
    text = (root / "params.yaml").read_text()
    (root / "params.yaml").write_text(text.replace("2018-12", "2018-11"))
    assert again() == ["x"]
