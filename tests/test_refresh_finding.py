"""What a refresh finds: cards, dropped folders, entries; nothing is run."""

import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from assets.errors import AssayError
from assets.params import Params, load_params, parse_params
from flows.planning.plan import Planned
from flows.records.records import Record
from flows.refreshing import cards, finding
from flows.refreshing.cards import find_cards
from flows.refreshing.entries import find_entries
from flows.refreshing.findings import Finding
from flows.refreshing.folders import find_folders, listing_of
from flows.refreshing.put_back import wanted_again
from flows.refreshing.state import State, read_state
from tests import toy
from tests.conftest import REPO, file_bytes, textured

CARD = (REPO / "models/generators/cards/sd15.yaml").read_text()


@pytest.fixture
def root(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copyfile(REPO / "presets" / "mini.yaml", workdir / "params.yaml")
    (workdir / cards.FOLDER).mkdir(parents=True)
    monkeypatch.setenv("ASSAY_SETTLE_SECONDS", "0")
    return workdir


def known_files(monkeypatch: pytest.MonkeyPatch, *paths: str) -> Record:
    """A record whose tree has these files."""
    monkeypatch.setattr(cards, "file_of", lambda root, record, path: b"x" if path in paths else None)
    return Record("0" * 64, "1" * 64, "assay/0", "2" * 40, "", {}, "", "", False, (), (), (), Path())


def by_name(found: Sequence[Finding]) -> dict[str, Finding]:
    return {one.name: one for one in found}


def test_a_card_that_the_last_record_lacks_is_added(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = root / cards.FOLDER
    for name in ("old", "fresh"):
        (folder / f"{name}.yaml").write_text(CARD)
    (folder / "broken.yaml").write_text("title: x\nfamly: gan\n")
    for name in ("midjourney", "flux_dev", "gpt_image_2", "adm"):
        shutil.copy(REPO / cards.FOLDER / f"{name}.yaml", folder)
    last = known_files(monkeypatch, f"{cards.FOLDER}/old.yaml")
    params, state = load_params(root / "params.yaml"), State()
    assert list(find_cards(root, params, None, state)) == [], "before there is a record, nothing is new"
    found = by_name(list(find_cards(root, params, last, state)))
    assert set(found) == {"fresh", "broken", "midjourney", "flux_dev", "gpt_image_2", "adm"}
    assert [name for name, one in found.items() if one.action == "add"] == ["fresh"]
    assert "famly is not a parameter" in found["broken"].says
    assert "its images have to be imported. `assay add midjourney`" in found["midjourney"].says
    assert "gated and non-commercial" in found["flux_dev"].says
    assert "paid for" in found["gpt_image_2"].says
    assert "its weights are not here: weights/adm/" in found["adm"].says

    (settled, _) = finding.take_in(root, list(found.values()), state)
    after = load_params(root / "params.yaml")
    assert after.generators["fresh"].count == 400, "as many as the others"
    assert "fresh" not in after.train.generators
    assert sorted(one.action for one in settled) == ["add", *["told"] * 5]
    assert "fresh" not in by_name(list(find_cards(root, after, last, state)))
    assert "fresh" not in by_name(list(find_cards(root, params, last, read_state(root)))), (
        "taken out, it stays out"
    )


def test_an_addition_that_fails_leaves_params_and_the_others_alone(root: Path) -> None:
    before = (root / "params.yaml").read_bytes()

    def spoil() -> list[str]:
        text = (root / "params.yaml").read_text()
        (root / "params.yaml").write_text(text.replace("kind: dcgan", "kind: dgcan"))
        return []

    def refuse() -> list[str]:
        raise AssayError("no")

    found = [
        Finding("card", "bad", "a card", spoil),
        Finding("card", "worse", "a card", refuse),
        Finding("card", "good", "a card", lambda: ["done"]),
    ]
    settled, said = finding.take_in(root, found, State())
    assert [one.action for one in settled] == ["told", "told", "add"] and said == ["good: done"]
    assert "unknown kind 'dgcan'" in settled[0].says
    assert (root / "params.yaml").read_bytes() == before


def drop(root: Path, name: str, about: str | None = "family: gan\nreleased: 2018-12-03\n") -> Path:
    folder = root / "incoming" / name
    (folder / "cats").mkdir(parents=True)
    (folder / "cats/1.png").write_bytes(file_bytes(textured(1)))
    if about is not None:
        (folder / "about.yaml").write_text(about)
    return folder


def folders(
    root: Path, state: State | None = None, again: frozenset[str] = frozenset(), arrived: str | None = None
) -> dict[str, Finding]:
    params = load_params(root / "params.yaml")
    return by_name(list(find_folders(root, params, state or State(), again, arrived)))


def test_hostile_names_are_refused_and_stop_nobody(root: Path, tmp_path: Path) -> None:
    for name in ("two words", "Upper", "real", "elsewhere", "1st", "new\nline", "é"):
        drop(root, name)
    outside = drop(root, "..").parent
    shutil.rmtree(root / "cats")
    assert outside == root / "incoming"
    drop(root, "good")
    (root / "incoming/loose.png").write_bytes(b"x")
    (root / "incoming/.hidden").mkdir()
    (root / "incoming/link").symlink_to(root / "incoming/good")
    (drop(root, "leaky") / "cats/2.png").symlink_to("/etc/hostname")
    (drop(root, "kept_in") / "2.png").symlink_to("cats/1.png")
    drop(root, "dcgan")
    found = folders(root)
    assert {name for name, one in found.items() if one.action == "add"} == {"good", "kept_in"}
    told = {name: one.says for name, one in found.items() if one.action == "told"}
    assert len(told) == 11
    for name in ("two words", "Upper", "real", "elsewhere", "1st", "new\\nline", "\\xe9"):
        assert "a name is lower-case letters" in told[f"incoming/{name}"]
    assert "it is no folder" in told["incoming/loose.png"]
    assert "it is a link" in told["incoming/link"]
    assert "'cats/2.png' is a link that leads out of it" in told["incoming/leaky"]
    assert "'dcgan' is another generator" in told["dcgan"]


@pytest.mark.parametrize(
    ("about", "says"),
    [
        (None, "incoming/x/about.yaml is missing. It says what made the pictures, e.g.: family: gan"),
        ("family: gan\n", "about.yaml: released is missing"),
        ("family: gann\nreleased: 2018-12\n", "about.yaml: family is 'gann'"),
        ("family: gan\nreleased: soon\n", "about.yaml: released is 'soon'"),
        ("family: gan\nreleased: 2018-12\ncuont: 3\n", "cuont is not a parameter; did you mean 'count'"),
        ("family: gan\nreleased: 2018-12\ncount: 0\n", "about.yaml: count is 0"),
        ("- gan\n", "about.yaml: expected a mapping"),
        ("family: [", "about.yaml is not YAML"),
    ],
)
def test_what_about_yaml_lacks_is_told(root: Path, about: str | None, says: str) -> None:
    drop(root, "x", about)
    (found,) = folders(root).values()
    assert found.action == "told" and says in found.says


def test_pictures_that_are_still_copied_are_left_for_the_next_time(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = drop(root, "x")
    (folder / "2.png.part").write_bytes(b"half")
    assert "'2.png.part' is still being written" in folders(root)["x"].says
    (folder / "2.png.part").unlink()
    for path in [folder, *folder.rglob("*")]:
        os.utime(path, (1, 1))  # as `cp -a` and rsync do
    monkeypatch.setenv("ASSAY_SETTLE_SECONDS", "3600")
    assert "left for the next time: its last change was" in folders(root)["x"].says
    monkeypatch.setenv("ASSAY_SETTLE_SECONDS", "0.2")
    time.sleep(0.3)
    assert folders(root)["x"].action == "add"
    monkeypatch.setenv("ASSAY_SETTLE_SECONDS", "soon")
    with pytest.raises(AssayError, match="ASSAY_SETTLE_SECONDS is 'soon': expected seconds"):
        folders(root)


def test_what_is_said_to_be_complete_need_not_rest(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_SETTLE_SECONDS", "3600")
    folder = drop(root, "x")
    drop(root, "y")
    assert "rest for 3600 s, unless you say that it is complete: `assay refresh --arrived x`" in (
        folders(root)["x"].says
    )
    found = folders(root, arrived="x")
    assert (found["x"].action, found["y"].action) == ("add", "told")
    (folder / "2.png.part").write_bytes(b"half")
    assert "'2.png.part' is still being written" in folders(root, arrived="x")["x"].says


def test_what_is_said_to_have_arrived_and_is_not_there_is_told(root: Path) -> None:
    for name in ("nobody", "../x", "incoming", ".."):
        (found,) = folders(root, arrived=name).values()
        assert found.action == "told" and "there is no incoming/NAME and no card" in found.says
    (root / cards.FOLDER / "carded.yaml").write_text(CARD)
    drop(root, "dropped")
    for name in ("carded", "dcgan", "dropped", ""):
        assert [one.action for one in folders(root, arrived=name).values()] == ["add"], name


def test_other_pictures_under_a_known_name_are_told(root: Path) -> None:
    toy_params = yaml.safe_load((root / "params.yaml").read_text())
    toy_params["generators"]["x"] = {"from": "data/x", "family": "gan", "released": "2018-12"}
    (root / "params.yaml").write_text(yaml.safe_dump(toy_params))
    folder = drop(root, "x")
    first = folders(root)["x"]
    assert "pictures this clone has not seen" in first.says and "`assay refresh --retry x`" in first.says
    seen = listing_of(root / "incoming/x")
    state = State(folders={"x": seen})
    assert folders(root, state) == {}
    (folder / "cats/1.png").write_bytes(file_bytes(textured(2)))
    assert "other pictures than it did" in folders(root, state)["x"].says
    assert folders(root, state, frozenset({"x"}))["x"].action == "add"
    params = load_params(root / "params.yaml")
    assert wanted_again(params, "x", {"x"}) == {"x"}


def test_what_the_user_took_out_stays_out_and_what_was_killed_goes_on(root: Path) -> None:
    drop(root, "x")
    seen = listing_of(root / "incoming/x")
    found = folders(root, State(folders={"x": seen}))["x"]
    assert found.action == "told" and "is not in params.yaml any more" in found.says
    assert folders(root, State(folders={"x": seen}), frozenset({"x"}))["x"].action == "add"
    (root / "data/x").mkdir(parents=True)
    assert folders(root, State(taking={"x": seen}))["x"].action == "add"


def test_pictures_that_lie_in_data_already_are_not_overwritten(root: Path) -> None:
    drop(root, "x")
    (root / "data/x").mkdir(parents=True)
    assert "data/x is there already, from elsewhere" in folders(root)["x"].says


def test_the_incoming_directory_may_lie_elsewhere(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drop(root, "x")
    shutil.move(root / "incoming", root / "drops")
    assert folders(root) == {}
    monkeypatch.setenv("ASSAY_INCOMING", str(root / "drops"))
    assert folders(root)["x"].says.startswith("a new folder: drops/x, gan, 2018-12-03")


def test_entries_that_have_not_run_are_named(tmp_path: Path) -> None:
    root = tmp_path
    (root / "dvc.yaml").write_text(toy.DVC_YAML)
    toy.set_params(root)
    planned = [_planned(stage) for stage in toy.STAGES]
    names = [one.name for one in find_entries(root, planned)]
    assert names == ["real.photos", "generators.a", "generators.b", "detectors.net"]
    (root / "dvc.lock").write_text("schema: '2.0'\nstages:\n  generate@a: {cmd: x}\n")
    assert "generators.a" not in [one.name for one in find_entries(root, planned)]
    assert {one.action for one in find_entries(root, planned)} == {"run"}


def _planned(stage: str) -> Planned:
    return Planned(stage, stage.partition("@")[0], ("new",), None, None, False)


def _params(**aside: Any) -> Params:
    document = yaml.safe_load((REPO / "presets/mini.yaml").read_text())
    document["report"]["set_aside"] = aside
    return parse_params(document, "p")


def test_who_is_tried_again() -> None:
    params = _params(x={"why": "so"}, y={"why": "so"})
    assert wanted_again(params, None, set()) == frozenset()
    assert wanted_again(params, "all", set()) == {"x", "y"}
    assert wanted_again(params, "x", set()) == {"x"}
    with pytest.raises(
        AssayError, match=r"--retry xx: that generator is not set aside.*did you mean 'x'|Allowed"
    ):
        wanted_again(params, "../x", set())
