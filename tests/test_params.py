"""params.yaml: every mistake gets one message that names the place and the nearest right word."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from assets.errors import AssayError
from assets.params import load_params, parse_params
from assets.section import ParamsError
from tests.conftest import REPO

MINI = yaml.safe_load((REPO / "presets/mini.yaml").read_text())


def changed(path: str, value: Any) -> dict[str, Any]:
    document = copy.deepcopy(MINI)
    *above, last = path.split(".")
    place = document
    for part in above:
        place = place[part]
    place[last] = value
    return document


@pytest.mark.parametrize("preset", sorted(p.name for p in (REPO / "presets").glob("*.yaml")))
def test_presets_are_valid(preset: str) -> None:
    document = yaml.safe_load((REPO / "presets" / preset).read_text())
    if not document["real"]:  # filled in from the image sets in data/ when it is used
        for section in ("real", "generators"):
            document[section] = MINI[section]
        document["fit"] = MINI["fit"]
        document["train"]["generators"] = ["dcgan"]
    parse_params(document, preset)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("dedupe.radus", 3, r"params.yaml: dedupe.radus is not a parameter; did you mean 'radius'\?"),
        ("generatrs", {}, r"generatrs is not a parameter; did you mean 'generators'\?"),
        ("generators.ddpm.sampler.stpes", 3, r"generators.ddpm.sampler.stpes .* did you mean 'steps'\?"),
        ("detectors.cnnspot.learning_rate", 3, r"learning_rate is not a parameter; .*Allowed: augment"),
        ("train.generators", ["dcgna"], r"train.generators names 'dcgna'.*did you mean 'dcgan'\?"),
        ("train.generators", ["dcgan", "dcgan"], r"train.generators: must not name anything twice"),
        ("generators.dcgan.from", "artifacts/fit/dcgn", r"names the model 'dcgn'.*did you mean 'dcgan'\?"),
        ("generators.dcgan.from", "../elsewhere", r"generators.dcgan.from is '../elsewhere'"),
        ("generators.dcgan.family", "gann", r"generators.dcgan.family is 'gann': Input should be 'gan'"),
        ("generators.dcgan.count", None, r"a generator that is drawn here needs a count"),
        ("generators.real", MINI["generators"]["dcgan"], r"'real' cannot name a generator"),
        ("generators.Big-GAN", MINI["generators"]["dcgan"], r"Big-GAN"),
        ("split.train", 0.9, r"split: train \+ val \+ test must be 1, not 1.4"),
        ("dedupe.radius", 65, r"dedupe.radius is 65: Input should be less than or equal to 32"),
        ("real.photos.scales", [0.0], r"real.photos.scales: every scale must lie in \(0, 1\]"),
        ("seed", "one", r"seed is 'one': Input should be a valid integer"),
    ],
)
def test_mistakes_are_named(path: str, value: Any, message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        parse_params(changed(path, value), "params.yaml")


def test_every_section_has_to_be_there() -> None:
    document = {key: value for key, value in MINI.items() if key not in ("fit", "degrade")}
    with pytest.raises(ParamsError, match=r"params.yaml: fit is missing\nparams.yaml: degrade is missing"):
        parse_params(document, "params.yaml")


def test_numbers_are_read_as_dvc_reads_them(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text((REPO / "presets/mini.yaml").read_text().replace("0.001", "1e-3"))
    assert load_params(tmp_path / "p.yaml").detectors["cnnspot"].lr == 0.001


def test_a_date_must_be_quoted() -> None:
    document = changed("generators.dcgan.released", yaml.safe_load("2022-08-22"))
    with pytest.raises(ParamsError, match="write it in quotes: '2022-08-22'"):
        parse_params(document, "params.yaml")


def test_what_is_not_yaml_or_not_there(tmp_path: Path) -> None:
    with pytest.raises(AssayError, match=r"params.yaml is not there: `assay use mini` writes one"):
        load_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("seed: 1\n  real: [\n")
    with pytest.raises(AssayError, match=r"params.yaml is not YAML at line 2, column \d+"):
        load_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(AssayError, match="is not YAML"):
        load_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("- a\n- b\n")
    with pytest.raises(AssayError, match="expected a mapping"):
        load_params(tmp_path / "params.yaml")


def test_several_mistakes_are_told_at_once() -> None:
    document = changed("dedupe.radus", 3)
    document["sed"] = 1
    with pytest.raises(ParamsError) as caught:
        parse_params(document, "params.yaml")
    assert "radus" in str(caught.value) and "did you mean 'seed'" in str(caught.value)
