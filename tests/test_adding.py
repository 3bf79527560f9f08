"""flows/editing/adding.py and insertion.py: a card's entries in params.yaml, and nothing else changed."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from assets.errors import AssayError
from assets.params import Params, load_params
from assets.yaml12 import parse_yaml
from flows.editing import adding
from flows.editing.adding import add, downloads, notices
from flows.editing.adding_detectors import add_detector
from flows.editing.catalogue import add as add_any
from flows.editing.insertion import append_item, checked, insert_entry
from flows.planning.plan import Planned
from models.detectors import card as detector_cards
from models.generators import card as cards
from tests.conftest import REPO
from tests.test_cards import write

ENTRY = {"from": "artifacts/fit/new", "count": 3, "prompts": {"of": "imagenet"}}


@pytest.fixture
def root(workdir: Path) -> Path:
    """A workspace with the mini preset's parameters."""
    shutil.copyfile(REPO / "presets" / "mini.yaml", workdir / "params.yaml")
    return workdir


def added(before: str, after: str) -> list[str]:
    """Lines that are new; all others have to be there still, in order."""
    new, old = [], iter(before.splitlines())
    expected = next(old, None)
    for line in after.splitlines():
        if line == expected:
            expected = next(old, None)
        else:
            new.append(line)
    assert expected is None, f"changed or gone: {expected!r}"
    return new


def test_only_the_entries_are_added_and_every_comment_stays(root: Path) -> None:
    before = (root / "params.yaml").read_text()
    lines = add(root, "sd15", count=2000)
    after = (root / "params.yaml").read_text()
    assert [line.strip() for line in added(before, after)][:2] == ["sd15:", "kind: pretrained"]
    params = load_params(root / "params.yaml")
    card = cards.known_cards()["sd15"]
    assert params.fit["sd15"] == card.fit
    spec = params.generators["sd15"]
    assert (spec.count, spec.family, spec.released) == (2000, "latent-diffusion", "2022-10")
    assert (spec.sampler, spec.prompts) == (card.sampler, card.prompts)
    assert "sd15" not in params.train.generators
    assert "licence: CreativeML Open RAIL-M" in "\n".join(lines)
    assert after.index("  sd15:\n    kind") < after.index("\ngenerators:")


def test_training_on_it_under_another_name(root: Path) -> None:
    commit = "0123456789012345678901234567890123456789"  # which YAML would take for a number
    add(root, "sdxl", train=True, revision=commit, as_="mine")
    params = load_params(root / "params.yaml")
    assert params.train.generators[-1] == "mine"
    assert params.fit["mine"].options["revision"] == commit
    assert params.generators["mine"].count == 400, "as many as the other generators"


def test_twice_is_an_error_that_changes_nothing(root: Path) -> None:
    add(root, "sd15")
    before = (root / "params.yaml").read_bytes()
    with pytest.raises(AssayError, match=r"generators.sd15 is in params.yaml already; .* --as NAME"):
        add(root, "sd15")
    with pytest.raises(AssayError, match=r"fit.vqdm|generators.vqdm is in params.yaml already"):
        add(root, "vqdm")
    assert (root / "params.yaml").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "given", "says"),
    [
        ("sdlx", {}, "no card 'sdlx'; did you mean 'sdxl'"),
        ("sdxl", {"as_": "Big One"}, "--as Big One: lower-case"),
        ("sdxl", {"as_": "real"}, "and not 'real'"),
        ("sdxl", {"revision": "main"}, "--revision main: a commit's 40 hex digits"),
        ("adm", {"revision": "0" * 40}, "--revision is for models of the Hugging Face hub"),
    ],
)
def test_mistakes(name: str, given: dict[str, Any], says: str, root: Path) -> None:
    before = (root / "params.yaml").read_bytes()
    with pytest.raises(AssayError, match=says):
        add(root, name, **given)
    assert (root / "params.yaml").read_bytes() == before


def test_terms_and_money_are_told_when_it_is_added(root: Path) -> None:
    text = "\n".join(add(root, "flux_dev"))
    assert "it is gated and non-commercial: The weights are for non-commercial use" in text
    text = "\n".join(add(root, "gpt_image_2", count=5000))
    assert "costs up to 500.00 US dollars; budget_usd is 100, where it would stop" in text
    assert "weights/adm/256x256_diffusion.pt (2.2 GB): `mkdir -p" in "\n".join(add(root, "adm"))


def test_an_imported_generator(root: Path) -> None:
    text = "\n".join(add(root, "midjourney"))
    assert "`assay import FOLDER --layout genimage --only midjourney`" in text
    spec = load_params(root / "params.yaml").generators["midjourney"]
    assert (spec.from_, spec.count, spec.drawn) == ("data/midjourney", None, False)


def test_owners_of_real_images_get_one_more(root: Path) -> None:
    text = (root / "params.yaml").read_text()
    owners = "reals: own, owners: [dcgan, ddpm, ldm, vqdm]"
    (root / "params.yaml").write_text(text.replace("test: 0.3}", f"test: 0.3, {owners}}}"))
    assert "dealt out anew" in "\n".join(add(root, "sd15"))
    assert load_params(root / "params.yaml").split.owners[-1] == "sd15"


def test_a_hub_model_without_a_commit_asks_the_hub_for_one(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cards").mkdir()
    write(tmp_path / "cards")
    monkeypatch.setattr(adding, "known_cards", lambda: cards.read_cards(tmp_path / "cards"))
    with pytest.raises(
        AssayError, match=r"pins no commit of someone/new, and the hub cannot be asked .*--revision"
    ):
        add(root, "new")

    class Api:
        def model_info(self, hub_id: str, timeout: float) -> Any:
            assert hub_id == "someone/new"
            return type("Info", (), {"sha": "ab" * 20})

    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    add(root, "new")
    assert load_params(root / "params.yaml").fit["new"].options["revision"] == "ab" * 20


def _params(**generators: str) -> Params:
    base = parse_yaml((REPO / "presets" / "genimage.yaml").read_text(), "preset")
    base["fit"]["dit"] = {"kind": "pretrained", "options": {"id": "facebook/DiT-XL-2-256"}}
    facts = {"family": "latent-diffusion", "released": "2022-12"}
    base["generators"]["dit"] = {"from": "artifacts/fit/dit", "count": 5, **facts}
    base["split"]["owners"] = [*base["split"]["owners"], "dit"]
    return Params.model_validate(base)


def test_terms_are_told_before_a_generator_is_drawn() -> None:
    def planned(*names: str) -> list[Planned]:
        return [Planned(f"generate@{name}", "generate", ("new",), 5, None, True) for name in names]

    params = _params()
    assert notices(params, planned("sd15", "adm")) == []
    assert notices(params, planned("dit")) == [
        "note: dit is non-commercial: The weights are for non-commercial use (CC BY-NC 4.0)."
    ]
    assert "midjourney is non-commercial" in notices(params, planned("midjourney"))[0]


def test_downloads_are_told_until_they_are_there(tmp_path: Path) -> None:
    known = cards.known_cards()
    base, upsampler, merges = downloads(tmp_path, known["glide"])
    assert "curl -fL 'https://openaipublic.blob.core.windows.net/diffusion/dec-2021/base.pt'" in base
    assert "{imagenet_pretrained_aa,imagenet_pretrained_ab," in downloads(tmp_path, known["vqdm"])[0]
    (tmp_path / "weights/glide").mkdir(parents=True)
    (tmp_path / "weights/glide/base.pt").touch()
    assert downloads(tmp_path, known["glide"]) == [upsampler, merges]
    (tmp_path / "weights/biggan/138k").mkdir(parents=True)
    (tmp_path / "weights/biggan/138k/G_ema.pth").touch()
    assert downloads(tmp_path, known["biggan"]) == [], "unpacked; the archive may be gone"


def test_a_detector_is_added_and_nothing_else_changes(root: Path) -> None:
    before = (root / "params.yaml").read_text()
    text = "\n".join(add_any(root, "resnet18", as_="plain"))
    after = (root / "params.yaml").read_text()
    card = detector_cards.known_cards()["resnet18"]
    new = added(before, after)
    assert new[0].startswith("  plain:") and all(line.startswith("  ") for line in new)
    params = load_params(root / "params.yaml")
    assert params.detectors["plain"] == card.spec()
    assert list(params.detectors)[-1] == "plain" and list(params.attributors) == ["which"]
    assert "detectors.plain" in text and "licence: Apache-2.0" in text
    assert "huggingface.co/timm/resnet18.a1_in1k is downloaded once, by the stage start@plain" in text


def test_a_detectors_settings_for_small_data(root: Path) -> None:
    text = "\n".join(add_any(root, "convnext_tiny", quick=True))
    card = detector_cards.known_cards()["convnext_tiny"]
    assert load_params(root / "params.yaml").detectors["convnext_tiny"] == card.spec(quick=True)
    assert "downloaded" not in text, "it starts at random"


def without_sets(text: str) -> str:
    """The mini benchmark's parameters without its set and the attributor that is trained on it."""
    start, end = text.index("  sets:"), text.index("  seeds:")
    text = text[:start] + "  sets: {}   # none\n  samples: {}\n" + text[end:]
    start, end = text.index("\nattributors:"), text.index("\n\ngiven:")
    return f"{text[:start]}\nattributors: {{}}   # which generator?{text[end:]}"


def test_an_attributor_needs_a_set(root: Path) -> None:
    before = without_sets((root / "params.yaml").read_text())
    (root / "params.yaml").write_text(before)
    with pytest.raises(
        AssayError, match=r"train.sets in params.yaml has none .* `sets: \{some: \[dcgan, ddpm"
    ):
        add_any(root, "resnet18_origin")
    assert (root / "params.yaml").read_text() == before
    (root / "params.yaml").write_text(before.replace("sets: {}", "sets: {some: [dcgan, ddpm]}"))
    add_any(root, "resnet18_origin", quick=True)
    params = load_params(root / "params.yaml")
    assert params.attributors["resnet18_origin"].model == "resnet18"
    assert "# which generator?" in (root / "params.yaml").read_text()


@pytest.mark.parametrize(
    ("name", "given", "says"),
    [
        ("resnet81", {}, "no card 'resnet81'; did you mean 'resnet18'"),
        ("resnet18", {}, r"detectors.resnet18 is in params.yaml already; `assay add resnet18 --as NAME`"),
        ("resnet18", {"as_": "Big One"}, "--as Big One: lower-case"),
        ("resnet18", {"count": 5}, "--count is for generators, and resnet18 is a detector"),
        ("resnet18", {"train": True}, "--train is for generators"),
        ("resnet18", {"revision": "0" * 40}, "--revision is for generators"),
        ("sd15", {"quick": True}, "--quick is for detectors, and sd15 is a generator"),
    ],
)
def test_mistakes_with_either_kind_of_card(name: str, given: dict[str, Any], says: str, root: Path) -> None:
    before = (root / "params.yaml").read_bytes()
    with pytest.raises(AssayError, match=says):
        add_any(root, name, **given)
    assert (root / "params.yaml").read_bytes() == before


def test_a_detector_needs_something_to_be_trained_on(root: Path) -> None:
    text = without_sets((root / "params.yaml").read_text())
    start, end = text.index("detectors:"), text.index("\nattributors:")
    text = text[:start] + "detectors: {}\n" + text[end:]
    text = text.replace("given: {}", "given: {told: {kind: scores, options: {file: scores.csv}}}")
    (root / "params.yaml").write_text(text.replace("generators: [dcgan, ddpm, ldm, vqdm]", "generators: []"))
    with pytest.raises(AssayError, match=r"name a generator in train\.generators first"):
        add_detector(root, "resnet18", as_="plain")


SHAPES = {
    "block": "a: 1\ngenerators:\n  one: {x: 1}   # first\n\n  # a remark on what follows\nb: 2\n",
    "deeper": "generators:\n    one:\n        x: 1\n        y: |\n         2\n         rows\n\n# end\nb: 2\n",
    "empty": "generators: {}   # none yet\nb: 2\n",
    "flow": "generators: {one: {x: 1}}\nb: 2\n",
    "flow over lines": "generators:\n  {\n    one: {x: 1},\n  }\nb: 2\n",
    "last, no line end": "b: 2\ngenerators:\n  one: {x: 1}",
    "list": "generators:\n  one:\n    x:\n      - 1\n      - 2\nb: 2\n",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_an_entry_fits_into_every_way_of_writing(shape: str) -> None:
    text = SHAPES[shape]
    after = insert_entry(text, "params.yaml", ("generators",), "new", ENTRY)
    expected = parse_yaml(text, "")
    expected["generators"] = {**expected["generators"], "new": ENTRY}
    assert parse_yaml(checked(after, "params.yaml", text, expected), "") == expected
    assert list(parse_yaml(after, "")["generators"])[-1] == "new"
    for remark in ("# first", "# a remark on what follows", "# end", "# none yet"):
        assert (remark in text) == (remark in after)
    with pytest.raises(AssayError, match=r"generators\.new is there already"):
        insert_entry(after, "params.yaml", ("generators",), "new", ENTRY)


@pytest.mark.parametrize(
    "text",
    [
        "t: {g: [a, b]}\n",
        "t:\n  g: []\n",
        "t:\n  g:\n    - a   # one\n    - b\n\nz: 1\n",
        "t: {g: [a, b,]}\n",
    ],
)
def test_a_name_fits_into_every_way_of_writing_a_list(text: str) -> None:
    before = parse_yaml(text, "")["t"]["g"]
    after = append_item(text, "params.yaml", ("t", "g"), "new")
    assert parse_yaml(after, "")["t"]["g"] == [*before, "new"]
    assert ("# one" in text) == ("# one" in after)


def test_what_cannot_be_extended_safely_is_left_alone(root: Path) -> None:
    text = "base: &base\n  x: 1\ngenerators:\n  one: *base\nb: 2\n"  # the entry would land in `base`
    after = insert_entry(text, "params.yaml", ("generators",), "new", ENTRY)
    expected = {**parse_yaml(text, ""), "generators": {"one": {"x": 1}, "new": ENTRY}}
    with pytest.raises(AssayError, match="cannot be extended safely"):
        checked(after, "params.yaml", text, expected)
    with pytest.raises(AssayError, match="'fit' is not there"):
        insert_entry(text, "params.yaml", ("fit",), "new", ENTRY)
