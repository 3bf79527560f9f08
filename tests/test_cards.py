"""The cards of generators: all can be read, say what they must, and a new one is picked up."""

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from assets.errors import AssayError
from assets.params import Fit, Generator, Params, load_params
from models.generators import card as cards
from models.generators.options import OPTIONS
from tests.conftest import REPO

GENIMAGE = {"midjourney", "sd14", "sd15", "adm", "glide", "wukong", "vqdm", "biggan"}
IMAGINET = {"stylegan_xl", "stylegan3", "progan", "sd21", "sdxl", "animagine_xl", "journeydb", "dalle3"}
TODAY = {"pixart_alpha", "sd3_medium", "sd35_large", "flux_schnell", "flux_dev", "dit_xl_256", "gpt_image_2"}

CARD: dict[str, Any] = {
    "title": "A new one",
    "family": "latent-diffusion",
    "released": "2026-01",
    "content": "photo",
    "source": {"model": "https://example.org/new"},
    "licence": "MIT",
    "fit": {"kind": "pretrained", "options": {"id": "someone/new"}},
    "prompts": {"of": "imagenet"},
    "sampler": {"steps": 20, "dtype": "bfloat16"},
    "side": 512,
    "rate": {
        "seconds_per_image": 0.5,
        "device": "a GPU",
        "measured": False,
        "source": "our estimate",
    },
    "bytes_per_image": 400_000,
}


def write(folder: Path, name: str = "new", **changes: Any) -> Path:
    """A card with some keys replaced; None leaves one out."""
    document = {key: value for key, value in {**CARD, **changes}.items() if value is not None}
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def test_every_generator_of_the_two_papers_has_a_card() -> None:
    assert set(cards.known_cards()) >= GENIMAGE | IMAGINET | TODAY


@pytest.mark.parametrize("name", cards.known_cards())
def test_what_a_card_puts_into_params_is_accepted_there(name: str) -> None:
    card = cards.known_cards()[name]
    fit, facts = card.entries()
    if fit is None:
        Generator.model_validate({"from": f"data/{name}", **facts})
        return
    assert fit["kind"] in OPTIONS
    OPTIONS[fit["kind"]].model_validate(fit["options"])
    Generator.model_validate({"from": f"artifacts/fit/{name}", "count": 10, **facts})
    named = {value for value in fit["options"].values() if str(value).startswith("weights/")}
    unpacked = {file.path for file in card.weights if file.then is None}
    assert named == unpacked or len(unpacked) < len(card.weights), (
        "a file to download that is not named, or not so"
    )


@pytest.mark.parametrize("name", cards.known_cards())
def test_hub_models_are_pinned_and_no_rate_is_passed_off_as_measured(name: str) -> None:
    card = cards.known_cards()[name]
    if card.hub_id is not None and card.fit is not None:
        assert re.fullmatch("[0-9a-f]{40}", card.fit.options["revision"])
        assert any("Commit seen" in note for note in card.notes), "the card says where the commit is from"
        assert card.download
    if card.rate is not None and not card.rate.measured:
        assert "estimate" in card.rate.source


def test_settings_of_genimage_are_upstreams() -> None:
    known = cards.known_cards()
    asked = {name: known[name].sampler for name in GENIMAGE if known[name].fit}
    assert {name: (one.steps, one.guidance) for name, one in asked.items()} == {
        "sd14": (50, 7.5),
        "sd15": (50, 7.5),
        "adm": (250, 1.0),
        "glide": (100, 3.0),
        "vqdm": (100, None),
        "biggan": (None, None),
    }
    assert known["vqdm"].fit and known["vqdm"].fit.options["truncation"] == 0.86


def test_a_card_that_is_dropped_in_is_picked_up(tmp_path: Path) -> None:
    write(tmp_path)
    assert list(cards.read_cards(tmp_path)) == ["new"]
    assert cards.read_cards(tmp_path)["new"].runs == "pretrained: someone/new"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"familly": "gan"}, "new.yaml: familly is not a parameter; did you mean 'family'"),
        ({"licence": None}, "new.yaml: licence is missing"),
        ({"sampler": {"stepz": 3}}, "new.yaml: sampler.stepz is not a parameter; did you mean 'steps'"),
        ({"family": "gna"}, "new.yaml: family is 'gna'"),
        ({"released": "January"}, "new.yaml: released is 'January'"),
        ({"fit": {"kind": "pretraind"}}, "fit.kind is 'pretraind'; did you mean 'pretrained'"),
        (
            {"fit": {"kind": "pretrained", "options": {"id": "a/b", "revison": "x"}}},
            "fit.options: revison is not a parameter; did you mean 'revision'",
        ),
        ({"fit": None, "prompts": None, "sampler": None, "rate": None}, "give `fit`"),
        ({"rate": None}, "rate is missing"),
        ({"terms": {"gated": True}}, "terms: 'says' is missing"),
        ({"source": {}}, "source: give at least one"),
        ({"source": {"code": "http://example.org"}}, "begins with https"),
    ],
)
def test_mistakes_name_file_key_and_the_nearest_right_one(
    changes: dict[str, Any], says: str, tmp_path: Path
) -> None:
    with pytest.raises(AssayError, match=says):
        cards.read_card(write(tmp_path, **changes))


def test_a_file_name_that_cannot_name_a_generator_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "New-One")
    with pytest.raises(AssayError, match=r"New-One\.yaml: the file's name is the generator's"):
        cards.read_cards(tmp_path)


def test_the_published_schema_is_current() -> None:
    published = (cards.CARDS / cards.SCHEMA).read_text("utf-8")
    assert published == cards.schema(), "make it again: `python -m models.generators.card`"
    schema = json.loads(published)
    assert schema["additionalProperties"] is False
    assert {"title", "family", "released", "licence", "side"} <= set(schema["required"])
    assert {"fit", "import", "terms"} <= set(schema["properties"])


def test_a_drawn_generator_is_known_by_its_weights_and_an_imported_one_by_its_name() -> None:
    known = cards.known_cards()
    assert known["sd15"].fit
    fits = {"mine": known["sd15"].fit, "other": Fit(kind="dcgan")}

    def of(name: str, source: str) -> str | None:
        spec = Generator.model_validate(
            {"from": source, "family": "gan", "released": "2022-10", "count": 3, "content": "photo"}
        )
        found = cards.card_of(name, spec, fits)
        return found[0] if found else None

    assert of("anything", "artifacts/fit/mine") == "sd15"
    assert of("sd15", "artifacts/fit/other") is None, "a model of the user's own that has a card's name"
    assert of("midjourney", "data/midjourney") == "midjourney"
    assert of("unheard_of", "data/unheard_of") is None


@pytest.mark.parametrize("preset", ["genimage", "genimage-small", "imaginet"])
def test_presets_say_the_same_as_the_cards(preset: str) -> None:
    params: Params = load_params(REPO / "presets" / f"{preset}.yaml")
    for name, spec in params.generators.items():
        found = cards.card_of(name, spec, params.fit)
        assert found is not None, f"{preset}: {name} has no card"
        card = found[1]
        assert (spec.family, spec.released) == (card.family, card.released), name
        if spec.drawn and found[0] == name:
            assert card.fit is not None
            assert params.fit[name].options == card.fit.options, name
            assert spec.sampler == card.sampler, name


def test_schedulers_are_names_that_diffusers_has() -> None:
    spec = importlib.util.find_spec("diffusers")  # importing it would take seconds
    assert spec is not None and spec.origin is not None
    names = set(re.findall(r'"(\w+Scheduler)"', Path(spec.origin).read_text("utf-8")))
    used = {card.sampler.scheduler for card in cards.known_cards().values()} - {None}
    for preset in ("genimage", "genimage-small", "imaginet"):
        params = load_params(REPO / "presets" / f"{preset}.yaml")
        used |= {spec.sampler.scheduler for spec in params.generators.values()} - {None}
    assert used and used <= names
