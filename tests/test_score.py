"""Judging people's pictures: the scores are evaluation's, and what they mean is said and true."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from assets.attributions import UNKNOWN
from assets.detection import Attributor, Detector
from assets.errors import AssayError
from assets.files import sha256_of
from assets.images.picture import encode
from assets.lineage import Lineage
from assets.params import Params
from assets.predictions import predictions_path, read_predictions
from assets.verdict import at_rate, fit_platt, smallest_rate
from flows import cli
from models.detectors import build
from models.detectors.scoring import score_images
from tasks.adopt import adopt
from tasks.evaluate import evaluate
from tasks.pool import pool
from tasks.score import GENERATED, NO_SIGN, Answer, Asked, Scorer
from tasks.scoring import validation
from tasks.scoring.choice import choose
from tasks.scoring.files import find_pictures
from tasks.start import start
from tasks.train import train
from tests import bench
from tests.conftest import textured
from tests.samples import params

IMPORTED = {"family": "gan", "released": "2020-01"}
SETTINGS = bench.benchmark(
    generators={name: {"from": f"data/{name}", **IMPORTED} for name in ("fake", "lines")},
    detectors={"small": bench.SMALL, "later": {**bench.SMALL, "crop": 48}},
    train={"generators": ["fake", "lines"], "sets": {"both": ["fake", "lines"]}, "samples": {}, "seeds": [0]},
    degrade={},
)
REALS = 400
WITH_ATTRIBUTOR = SETTINGS.model_copy(
    update={"attributors": {"origin": Attributor.model_validate({**bench.SMALL, "epochs": 8})}}
)


def lines(number: int, label: int, height: int = 40, width: int = 48) -> np.ndarray:
    """As `bench.picture`, with stripes in place of a checkerboard."""
    smooth = 32 + 0.75 * textured(number + 1000 * label, height, width)
    stripes = np.indices((height, width))[1] % 4 // 2 * 48 - 24
    return (smooth + label * stripes[..., None]).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A benchmark whose detector `small` was trained on each of two generators."""
    path = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        bench.write_item("real", 0, SETTINGS, broken=(2,), count=REALS)
        bench.write_item("fake", 1, SETTINGS)
        patch.setattr(bench, "picture", lines)
        bench.write_item("lines", 1, SETTINGS)
        Path("params.yaml").write_text(yaml.safe_dump(SETTINGS.model_dump(mode="json", by_alias=True)))
        start(Path(), SETTINGS, "small")
        for generator in SETTINGS.train.generators:
            train(Path(), SETTINGS, generator, "small", 0)
        Path("mine").mkdir()
        for number in range(3):
            Path(f"mine/real{number}.png").write_bytes(encode(bench_picture(5000 + number, 0)))
            Path(f"mine/fake{number}.png").write_bytes(encode(bench_picture(5000 + number, 1)))
            Path(f"mine/line{number}.png").write_bytes(encode(lines(5000 + number, 1)))
    return path


bench_picture = bench.picture


@pytest.fixture(scope="module")
def with_attributor(home: Path) -> Path:
    """The same with an attributor trained on both generators."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        start(Path(), WITH_ATTRIBUTOR, "origin")
        pool(Path(), WITH_ATTRIBUTOR, "both")
        train(Path(), WITH_ATTRIBUTOR, "both", "origin", 0)
    return home


@pytest.fixture
def there(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(home)
    return home


def scorer(
    settings: Params = SETTINGS,
    detector: str | None = None,
    trained_on: str | None = None,
    **asked: Any,
) -> Scorer:
    return Scorer(Path(), settings, choose(Path(), settings, detector, trained_on), Asked(**asked))


def assay(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> tuple[str, str]:
    before = sys.argv
    sys.argv = ["assay", *arguments]
    try:
        with pytest.raises(SystemExit) as end:
            cli.main()
    finally:
        sys.argv = before
    printed = capsys.readouterr()
    assert (end.value.code or 0) == status, printed.err
    return printed.out, printed.err


def test_a_score_is_the_one_that_evaluation_gives(there: Path) -> None:
    settings = SETTINGS.model_copy(update={"detectors": {"small": SETTINGS.detectors["small"]}})
    evaluate(Path(), settings, "fake", "lines")
    rows = read_predictions(predictions_path(Path(), "fake", "lines")).set_index("id")["logit"]
    for number in (3, 7):
        Path(f"test{number}.png").write_bytes(encode(lines(number, 1)))
    answers = list(
        scorer(detector="small", trained_on="fake").answers([Path("test7.png"), Path("test3.png")])
    )
    expected = [rows["lines-007"], rows["lines-003"]]
    assert [answer.logit for answer in answers] == pytest.approx(expected, abs=1e-5)


def test_verdict_probability_and_resemblance(there: Path) -> None:
    made = scorer(detector="small", trained_on="fake")
    answers = {answer.picture.stem: answer for answer in made.answers(find_pictures(["mine"]))}
    assert len(answers) == 9
    for number in range(3):
        fake, real = answers[f"fake{number}"], answers[f"real{number}"]
        assert fake.verdict == GENERATED and fake.resembles and fake.resembles.generator == "fake"
        assert real.verdict == NO_SIGN
        assert real.probability is not None and fake.probability is not None
        assert real.probability < 0.5 < fake.probability
    like = [answers[f"line{number}"].resembles for number in range(3)]
    assert {one.generator for one in like if one} == {"lines"}, "though it was trained on the other"
    about = made.about()
    card = json.loads(Path("artifacts/train/fake/small-s0/card.json").read_text())
    assert about["weights"] == card["weights"] and about["lineage"] is None
    assert about["val"] == {"real": 99, "groups": 99, "generated": 16}, "100 of 400, one of them is broken"
    assert about["fpr"] == 0.11 and "smallest they allow" in about["notes"][0]


def test_an_attributor_names_the_generator_of_what_is_called_generated(
    with_attributor: Path, there: Path
) -> None:
    made = scorer(WITH_ATTRIBUTOR, detector="small", trained_on="fake")
    answers = {answer.picture.stem: answer for answer in made.answers(find_pictures(["mine"]))}
    assert "attributor origin trained on both" in made.about()["resembles"]["how"]
    named = [answers[f"fake{number}"].resembles for number in range(3)]
    assert sum(one is not None and one.generator == "fake" for one in named) >= 2, named
    assert all(one is None or 0.5 <= one.value <= 1 or one.generator == UNKNOWN for one in named)
    assert answers["real0"].verdict == NO_SIGN and answers["real0"].resembles is None


def test_the_threshold_is_exceeded_by_as_few_real_val_images_as_asked(there: Path) -> None:
    made = scorer(detector="small", trained_on="fake", fpr=0.3)
    assert made.val is not None and made.rate is not None
    assert float(np.mean(made.val.real > made.rate.threshold)) <= 0.3
    assert float(np.mean(made.val.generated > made.rate.threshold)) > 0.9


def test_val_is_scored_once(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = scorer(detector="small", trained_on="lines")
    monkeypatch.setattr(validation, "score_images", None)
    again = scorer(detector="small", trained_on="lines")
    assert first.val is not None and again.val is not None
    assert np.array_equal(first.val.real, again.val.real) and first.threshold == again.threshold
    for kept in Path(".assay/score").glob("lines-*"):
        kept.write_bytes(b"torn")
    monkeypatch.setattr(validation, "score_images", score_images)
    assert scorer(detector="small", trained_on="lines").threshold == first.threshold


def test_a_rate_that_val_does_not_support_is_refused(there: Path) -> None:
    with pytest.raises(AssayError, match=r"--fpr is 0\.01: .* 1,000 real val images.* smallest .* is 0\.11"):
        scorer(detector="small", trained_on="fake", fpr=0.01)
    for fpr in (0.0, -1, 0.6, float("nan")):
        with pytest.raises(AssayError, match=r"--fpr is .*: it must be a share above 0 and up to 0\.5"):
            scorer(detector="small", trained_on="fake", fpr=fpr)


def test_without_val_images_the_cards_threshold_is_used_and_said(there: Path) -> None:
    folder = Path("artifacts/split/real")
    folder.rename("away")
    try:
        made = scorer(detector="small", trained_on="fake")
        card = json.loads(Path("artifacts/train/fake/small-s0/card.json").read_text())
        assert made.threshold == card["threshold"] and made.platt is None
        assert "rate of false alarms is not known" in made.notes[0]
        with pytest.raises(AssayError, match=r"--fpr needs the scores of the val images: .*split/real"):
            scorer(detector="small", trained_on="fake", fpr=0.3)
    finally:
        Path("away").rename(folder)


def test_what_cannot_be_read_is_named_and_the_rest_is_judged(
    there: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("torn.png").write_bytes(Path("mine/fake0.png").read_bytes()[:200])
    Path("note.txt").write_text("no picture")
    Path("tiny.png").write_bytes(encode(lines(1, 0, 12, 15)))
    names = ["mine/fake0.png", "torn.png", "note.txt", "gone.png", "tiny.png", "mine/re*0.png"]
    out, err = assay(capsys, "score", *names, "--detector", "small", "--trained-on", "fake", status=1)
    rows = out.splitlines()
    assert [row.split("  ")[1].strip() for row in rows[:1]] == [GENERATED]
    assert len(rows) == 3 and rows[0].endswith("mine/fake0.png") and rows[2].endswith("mine/real0.png")
    assert "15 x 12 px, and it looks at 32 px" in rows[1]
    for told in ("torn.png: damaged", "note.txt: not an image", "gone.png: ", "3 of 6 cannot be judged"):
        assert told in err
    assert "A score is no proof" in err and "lineage unknown" in err


def test_json(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ("mine/fake1.png", "missing.png")
    out, _ = assay(capsys, "score", *names, "--trained-on", "lines", "--json", "--no-resemblance", status=1)
    document = json.loads(out)
    assert document["detector"] == "small" and document["trained_on"] == "lines"
    assert document["pictures"][0].keys() >= {"probability", "logit", "verdict", "resembles"}
    assert document["pictures"][0]["resembles"] is None and document["resembles"] is None
    assert document["refused"][0]["picture"] == "missing.png" and "no proof" in document["warning"]


def test_which_pictures(workdir: Path) -> None:
    for name in ("a/one.png", "a/b/two.JPG", "a/three.txt", "odd[1].png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    found = find_pictures(["a", "a/one.png", "odd[1].png", "absent.png"])
    assert [str(path) for path in found] == ["a/one.png", "a/b/two.JPG", "odd[1].png", "absent.png"]
    assert find_pictures([str(workdir / "a" / "*.png")]) == [workdir / "a/one.png"]
    assert [str(path) for path in find_pictures(["a/**/*.JPG"])] == ["a/b/two.JPG"]
    Path("empty").mkdir()
    with pytest.raises(AssayError, match="empty holds no pictures"):
        find_pictures(["empty"])
    with pytest.raises(AssayError, match=r"nothing is called b\*"):
        find_pictures(["b*"])


def card(trained_on: str, detector: str, auroc: float) -> None:
    folder = Path(f"artifacts/train/{trained_on}/{detector}-s0")
    folder.mkdir(parents=True)
    (folder / "card.json").write_text(json.dumps({"val": {"auroc": auroc}}))


def table(**auroc: float) -> None:
    """results/cross_generator.json with the cross-generator means of `DETECTOR_TRAININGSET`."""
    rows = []
    for key, value in auroc.items():
        detector, _, trained_on = key.partition("_")
        about = {"detector": detector, "trained_on": trained_on, "tested_on": "", "condition": "clean"}
        rows.append({"kind": "cross_generator", **about, "auroc": value})
    Path("results").mkdir(exist_ok=True)
    Path("results/cross_generator.json").write_text(json.dumps({"rows": rows}))


def test_the_best_is_chosen_and_why_is_said(workdir: Path) -> None:
    def chosen(**asked: Any) -> tuple[str, str]:
        found = choose(Path(), SETTINGS, **asked)
        reasons.append(found.why)
        return found.detector, found.trained_on

    reasons: list[str] = []
    with pytest.raises(AssayError, match=r"nothing has been trained .*`assay run train@fake-small-0`"):
        choose(Path(), SETTINGS)
    card("fake", "small", 0.9)
    assert chosen() == ("small", "fake") and reasons[-1] == "the only one that is trained"
    card("lines", "small", 0.8)
    card("lines", "later", 0.7)
    assert chosen() == ("small", "fake") and "on val, 0.90" in reasons[-1]
    table(small_fake=0.6, small_lines=0.65, later_lines=0.7)
    assert chosen() == ("later", "lines") and "not trained on, 0.70" in reasons[-1]
    assert chosen(detector="small") == ("small", "lines")
    card("both", "small", 0.5)
    card("both", "later", 0.6)
    assert chosen() == ("later", "both") and "trained on most generators (2)" in reasons[-1]
    assert chosen(trained_on="fake") == ("small", "fake")


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"detector": "smal"}, "--detector smal is not in params.yaml; did you mean 'small'"),
        ({"trained_on": "line"}, "--trained-on line: did you mean 'lines'"),
        ({"seed": 4}, "--seed 4: Allowed: 0"),
        ({"detector": "made", "seed": 0}, "are for detectors that are trained here"),
        ({"detector": "told"}, "--detector told is a table of scores"),
        ({"detector": "made"}, "adopt/made/card.json is not there: `assay run adopt@made`"),
    ],
)
def test_mistakes(asked: dict[str, Any], says: str, workdir: Path) -> None:
    given = {"made": {"model": "resnet18", "weights": "timm"}, "told": {"kind": "scores"}}
    settings = SETTINGS.model_copy(update={"given": params(given=given).given})
    with pytest.raises(AssayError, match=says):
        choose(Path(), settings, **asked)


def test_a_heat_map_is_for_detectors_that_have_one(there: Path) -> None:
    with pytest.raises(AssayError, match=r"small \(kind timm\) judges a picture as a whole; .* ladeda"):
        scorer(detector="small", trained_on="fake", heat_maps=Path("maps"))


def test_heat_maps_are_written_one_a_picture(there: Path, tmp_path: Path) -> None:
    made = scorer(detector="small", trained_on="fake", resemblance=False)
    options = {"width": 4, "depths": [1, 1, 1, 1]}
    patches = build(Detector(kind="ladeda", crop=32, options=options), 0)
    made.trained = made.trained._replace(detector=patches)
    made.asked = made.asked._replace(heat_maps=tmp_path / "maps")
    Path("again").mkdir(exist_ok=True)
    Path("again/fake0.png").write_bytes(encode(lines(3, 1)))
    Path("again/dot.png").write_bytes(encode(lines(3, 1, 5, 5)))
    answers = list(made.answers([Path("mine/fake0.png"), Path("again/fake0.png"), Path("again/dot.png")]))
    drawn = [answer.heat_map for answer in answers]
    assert drawn == [tmp_path / "maps/fake0.png", tmp_path / "maps/fake0-2.png", None]
    with Image.open(tmp_path / "maps/fake0-2.png") as picture:
        assert picture.size == (48, 40), "of the whole picture, not of the crop"


def test_a_detector_that_was_made_elsewhere(there: Path) -> None:
    weights = Path("artifacts/train/fake/small-s0/weights.safetensors")
    spec = {"model": "test_resnet", "crop": 32, "weights": str(weights), "sha256": sha256_of(weights)}
    given = params(given={"made": spec}).given
    settings = SETTINGS.model_copy(update={"given": given})
    adopt(Path(), settings, "made")
    elsewhere, own = scorer(settings, detector="made"), scorer(detector="small", trained_on="fake")
    pictures = find_pictures(["mine"])
    expected = [answer.logit for answer in own.answers(pictures)]
    assert [answer.logit for answer in elsewhere.answers(pictures)] == pytest.approx(expected, abs=1e-5)
    assert elsewhere.val is not None and len(elsewhere.val.generated) == 32, "of all trained on here"
    assert elsewhere.about()["trained_on"] == "elsewhere" and elsewhere.about()["resembles"] is None
    assert "what a picture resembles is not said" in elsewhere.notes[-1]


def test_a_score_that_is_not_finite_is_refused(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = scorer(detector="small", trained_on="fake", resemblance=False)
    monkeypatch.setattr(made.trained.detector, "score", lambda pixels: np.array([np.nan], np.float32))
    assert list(made.answers([Path("mine/fake0.png")])) == [
        Answer(Path("mine/fake0.png"), reason="its score is not finite")
    ]


def test_smallest_rates_and_their_refusal() -> None:
    assert [smallest_rate(count) for count in (19, 20, 144, 200, 10_000)] == [None, 0.5, 0.07, 0.05, 0.001]
    assert at_rate(np.arange(200), 0.05).threshold == 190  # the tenth largest
    with pytest.raises(AssayError, match="too few for any rate"):
        at_rate(np.arange(19), 0.5)


def test_a_new_real_picture_exceeds_the_threshold_as_rarely_as_said() -> None:
    random = np.random.default_rng(0)
    draws = random.standard_cauchy((4000, 201))  # whatever the scores look like
    alarms = [row[200] > at_rate(row[:200], 0.05).threshold for row in draws]
    assert np.mean(alarms) == pytest.approx(0.05, abs=0.012)


def test_probabilities_are_those_of_a_logistic_regression() -> None:
    random = np.random.default_rng(1)
    # with both classes normal and of one spread s, the log odds of a balanced world are linear in the score
    real, generated = random.normal(-1, 1, 20_000), random.normal(3, 1, 5_000)
    platt = fit_platt(real, generated)
    assert platt is not None
    assert (platt.slope, platt.offset) == (pytest.approx(4, abs=0.2), pytest.approx(-4, abs=0.2))
    assert fit_platt([1.0, 2.0], [0.0, -1.0]) is None, "upside down"
    assert fit_platt([1.0, 1.0], [1.0]) is None and fit_platt([], [1.0]) is None
    sure = fit_platt([-1e4] * 3, [1e4] * 3)
    assert sure is not None and 0.7 < float(sure(1e4)) < 0.9, "three images do not make it certain"
    assert sure([-1e9, 1e9]).tolist() == [pytest.approx(0.2), pytest.approx(0.8)]


def test_the_lineage_of_the_weights_is_told(there: Path) -> None:
    out = {"path": "artifacts/train/fake/small-s0", "md5": "0" * 30 + ".dir"}
    stage = {"cmd": "python -m tasks.train fake small 0", "outs": [out["path"]]}
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": {"train": stage}}))
    try:
        about = scorer(detector="small", trained_on="fake", resemblance=False).about()
        assert about["lineage"] is None and "train has not run" in about["lineage_note"]
        recorded = {"train": {"cmd": stage["cmd"], "outs": [out]}}
        Path("dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": recorded}))
        about = scorer(detector="small", trained_on="fake", resemblance=False).about()
        assert about["stage"] == "train" and about["lineage"] == Lineage().stage("train").lineage
    finally:
        Path("dvc.yaml").unlink()
        Path("dvc.lock").unlink(missing_ok=True)
