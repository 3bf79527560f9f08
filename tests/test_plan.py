"""plan.py, counts.py, estimates.py and overview.py: what would run, why, how much, how long."""

import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from assets.dag import load_dag
from assets.errors import AssayError
from assets.images.manifest import write_manifest
from assets.params import Params, load_params
from flows.planning import overview
from flows.planning.counts import Counts
from flows.planning.estimates import Estimates, record_seconds
from flows.planning.plan import Planned, check_inputs, plan
from models.generators.card import known_cards
from tests import toy
from tests.conftest import REPO
from tests.samples import params as sample_params


def _by_stage(root: Path, targets: list[str] | None = None) -> dict[str, Planned]:
    return {stage.stage: stage for stage in plan(root, targets)}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return toy.finished_repo(tmp_path / "repo")


def test_a_fresh_repository_is_all_new_and_executes_nothing(tmp_path: Path) -> None:
    root = toy.toy_repo(tmp_path / "repo")
    planned = _by_stage(root)
    assert list(planned) == toy.STAGES
    assert planned["collect@photos"].why == planned["report"].why == ("new",)
    assert not (root / "artifacts").exists()
    assert {name: stage.images for name, stage in planned.items()} == {
        "collect@photos": 4,
        "generate@a": 3,
        "generate@b": 3,  # ten are asked for, three are there
        "train@a-net-0": 8,  # half of 4 + 3, rounded, for two epochs
        "evaluate@a-a": 2,  # 30 % of 3, clean and degraded
        "evaluate@a-b": 2,
        "report": None,
    }
    assert [name for name, stage in planned.items() if stage.gpu] == [
        "generate@a",
        "generate@b",
        "train@a-net-0",
    ]


def test_only_a_target_and_what_it_needs(tmp_path: Path) -> None:
    root = toy.toy_repo(tmp_path / "repo")
    assert list(_by_stage(root, ["train"])) == ["collect@photos", "generate@a", "train@a-net-0"]
    with pytest.raises(AssayError, match="neither a stage nor a path"):
        plan(root, ["trian"])


def test_nothing_to_do(root: Path) -> None:
    assert plan(root) == []


def test_reasons(root: Path) -> None:
    generators = {**toy.PARAMS["generators"], "a": {**toy.PARAMS["generators"]["a"], "count": 2}}
    toy.set_params(root, generators=generators)
    planned = _by_stage(root)
    assert planned["generate@a"].why == ("parameter changed: generators.a.count 3 -> 2",)
    assert planned["train@a-net-0"].why == ("follows from generate@a",)
    assert planned["evaluate@a-a"].why == ("follows from train@a-net-0, generate@a",)
    assert set(planned["report"].why) == {
        "parameter changed: generators.a.count 3 -> 2",
        "follows from evaluate@a-a, evaluate@a-b",
    }
    assert "generate@b" not in planned
    assert "collect@photos" not in planned


def test_reasons_of_every_other_kind(root: Path) -> None:
    (root / "generate.py").write_text("# changed\n")
    (root / "data" / "b" / "x.txt").write_text("changed")
    (root / "artifacts" / "evaluate" / "a" / "a" / "made.txt").write_text("changed")
    text = (root / "dvc.yaml").read_text()
    (root / "dvc.yaml").write_text(text.replace("toy.py artifacts/collect", "toy.py  artifacts/collect"))
    planned = _by_stage(root)
    assert planned["generate@b"].why == ("code changed: generate.py", "input changed: data/b")
    assert planned["collect@photos"].why == ("command changed",)
    assert "output changed: artifacts/evaluate/a/a" in planned["evaluate@a-a"].why


def test_a_missing_output_is_one_reason_and_not_a_new_stage(root: Path) -> None:
    (root / "artifacts" / "generate" / "b" / "made.txt").unlink()
    (root / "artifacts" / "generate" / "b").rmdir()
    planned = _by_stage(root)
    assert planned["generate@b"].why == ("output missing: artifacts/generate/b",)
    assert planned["evaluate@a-b"].why == ("follows from generate@b",)


def test_a_new_generator_touches_only_what_it_must(root: Path) -> None:
    new = {"c": {"from": "data/c", "family": "gan", "released": "2017-11"}}
    toy.set_params(root, generators={**toy.PARAMS["generators"], **new})
    planned = _by_stage(root)
    assert list(planned) == ["generate@c", "evaluate@a-c", "report"]
    assert planned["report"].why[0] == "parameter changed: generators.c added"


def test_tables_that_print_an_old_hash_are_made_again(root: Path) -> None:
    for name in ("dvc.yaml", "dvc.lock"):  # as if another command had run and given the same bytes
        text = (root / name).read_text()
        (root / name).write_text(text.replace("toy.py artifacts/generate", "toy.py  artifacts/generate"))
    planned = _by_stage(root)
    assert list(planned) == ["report"]
    assert planned["report"].force
    assert planned["report"].why == ("its tables print an old lineage hash",)


def test_missing_inputs_say_how_to_get_them(root: Path) -> None:
    (root / "data").rename(root / "elsewhere")
    planned = plan(root)
    with pytest.raises(AssayError, match=r"data/a, data/b, data/photos are not there.*assay use mini"):
        check_inputs(root, planned)


def test_estimates_come_from_the_last_time(root: Path) -> None:
    record_seconds(root, "generate@a", 3.0)
    record_seconds(root, "generate@c", 5.0)
    toy.set_params(root, seed=2)
    planned = _by_stage(root)
    assert planned["generate@a"].seconds == 3.0
    assert planned["generate@b"].seconds == 4.0
    assert planned["report"].seconds is None


def test_mistakes_in_params_are_told_first(root: Path) -> None:
    toy.set_params(root, degrdae={})
    with pytest.raises(AssayError, match="did you mean 'degrade'"):
        plan(root)


def _repository(folder: Path, preset: str) -> Path:
    """A fresh checkout as far as a plan needs it, without data/, that uses a preset."""
    folder.mkdir()
    _use(folder, preset)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    toy.dvc(folder, "init", "-q")
    return folder


def _use(folder: Path, preset: str) -> None:
    shutil.copyfile(REPO / "dvc.yaml", folder / "dvc.yaml")
    shutil.copyfile(REPO / "presets" / f"{preset}.yaml", folder / "params.yaml")


def _whole(folder: Path, preset: str) -> tuple[list[Planned], Params]:
    """All stages of a preset with their estimates, as the plan of a fresh checkout has them."""
    _use(folder, preset)
    params = load_params(folder / "params.yaml")
    counts = Counts(folder, params)
    estimates = Estimates(folder, params, counts)
    planned = []
    for stage in load_dag(folder).stages.values():
        images = counts.of(stage)
        estimate = estimates.of(stage, images)
        planned.append(
            Planned(stage.name, stage.family, ("new",), images, None, stage.gpu, estimate=estimate)
        )
    return planned, params


def _row(table: overview.Table, name: str) -> dict[str, str]:
    heading, rows = table
    return dict(zip(heading, next(row for row in rows if row[0] == name), strict=True))


def test_the_whole_of_genimage_is_planned_in_seconds_without_its_data(tmp_path: Path) -> None:
    root = _repository(tmp_path / "repo", "genimage")
    begun = time.monotonic()
    planned = _by_stage(root)
    assert time.monotonic() - begun < 60, "a few seconds, where nobody else is at work"
    assert len(planned) == 206
    assert not (root / "artifacts").exists()
    made = [stage.images or 0 for stage in planned.values() if stage.family == "generate"]
    assert sum(made) == 1_350_000
    assert planned["collect@imagenet"].images == 1_331_167
    assert planned["generate@sd15"].images == 174_000
    sd15 = planned["generate@sd15"].as_dict()["estimate"]
    rate = known_cards()["sd15"].rate
    assert rate is not None
    assert (sd15["basis"], sd15["seconds"]) == ("card", pytest.approx(174_000 * rate.seconds_per_image))
    assert all(stage.seconds is None for stage in planned.values()), "nothing was measured here"
    with pytest.raises(AssayError, match=r"data/imagenet, data/midjourney, data/wukong are not there"):
        check_inputs(root, list(planned.values()))


def test_samples_are_counted_by_what_they_take(tmp_path: Path) -> None:
    root = _repository(tmp_path / "repo", "genimage-studies")
    planned = _by_stage(root)
    train = {
        name: planned[f"train-sample@{name}-resnet50-0"].images
        for name in load_params(root / "params.yaml").samples
    }
    assert train["images_162k"] == 200 * 2 * 162_000
    assert train["per_class_10"] == 200 * 2 * 10 * 8 * 1_000
    assert train["classes_100"] == pytest.approx(train["classes_500"] / 5, rel=1e-3)
    assert train["until_2018"] == train["images_81k"] == 200 * 162_000
    whole = 200 * 2 * 156_000  # nobody knows yet how many real images are of these sides and this quality
    assert train["unbiased_sd14"] == whole
    unbiased = planned["pool-sample@unbiased_sd14"].estimate
    plain = planned["pool-sample@until_2018"].estimate
    assert unbiased and plain and unbiased.disk and plain.disk and unbiased.disk > 1000 * plain.disk
    rows = [
        {"id": str(number), "width": 430 + number, "height": 500, "jpeg_quality": 96} for number in range(21)
    ]
    (root / "data/imagenet").mkdir(parents=True)
    write_manifest(root / "data/imagenet/manifest.parquet", [{**row, "status": "ok"} for row in rows])
    counts = Counts(root, load_params(root / "params.yaml"))
    found = counts.of(load_dag(root)["train-sample@unbiased_sd14-resnet50-0"])
    assert found == pytest.approx(200 * 2 * 1_331_167 * 156 / 168 / 21, rel=1e-4), "one of 21 is as large"


def test_stages_that_look_at_everything(tmp_path: Path) -> None:
    planned, params = _whole(tmp_path, "genimage-small")
    images = {stage.stage: stage.images for stage in planned}
    assert images["audit-all"] == 10_000 + 5_000 and images["audit@sd14"] == 2_000
    assert images["spectrum-real"] == 2_000 and images["spectrum@sd14"] == 1_000
    assert images["gallery"] == 8 * 6
    assert images["pool@all"] == 5_000 * 3 // 4 and images["pool-sample@classes_25"] == pytest.approx(
        1_875, 5
    )
    tests = len(params.conditions) * len(params.detectors)
    assert images["evaluate-sample@images_750-sd14"] == 250 * tests
    assert images["evaluate-sample-real@images_750"] == 2_500 * tests


def test_a_large_plan_at_a_glance(tmp_path: Path) -> None:
    planned, params = _whole(tmp_path, "genimage")
    assert overview.is_large(planned)
    steps = overview.steps(planned, params)
    assert [row[0] for row in steps[1]][-2:] == ["report", "total"]
    generate = _row(steps, "generate")
    assert (generate["stages"], generate["images"]) == ("8", "1,350,000")
    assert generate["hours are"] == "6 by the cards, 2 rough figures"
    total = float(_row(steps, "total")["GPU hours"].replace(",", ""))
    parts = [float(row[3].replace(",", "")) for row in steps[1][:-1] if row[3]]
    assert total == pytest.approx(sum(parts), abs=len(parts))
    drawn = overview.drawn(planned, params)
    assert _row(drawn, "midjourney")["how"] == "imported from data/midjourney"
    assert _row(drawn, "midjourney")["GPU hours"] == ""
    assert _row(drawn, "adm")["s/image"] == "6"
    assert "A100" in _row(drawn, "adm")["how"]
    assert float(_row(drawn, "adm")["GPU hours"]) == pytest.approx(168_000 * 6 / 3600, abs=1)


def test_what_has_to_be_there_first(tmp_path: Path) -> None:
    planned, params = _whole(tmp_path, "genimage")
    lines = overview.needed(tmp_path, params, planned)
    assert "data/imagenet: real images; `assay import FOLDER --as imagenet --real`" in lines
    released = "`assay import FOLDER --layout genimage --only midjourney,wukong`"
    assert any(line.endswith(released) for line in lines)
    assert sum(line.startswith("weights/") for line in lines) == 8
    assert any("CompVis/stable-diffusion-v1-4" in line and "fetched by itself" in line for line in lines)
    for name in ("imagenet", "midjourney", "wukong"):
        (tmp_path / "data" / name).mkdir(parents=True)
    assert not any(line.startswith("data/") for line in overview.needed(tmp_path, params, planned))
    planned, params = _whole(tmp_path, "imaginet")
    lines = overview.needed(tmp_path, params, planned)
    assert any("imaginet_ffhq" in line and "dalle3" in line and "--layout imaginet" in line for line in lines)
    assert any(line.startswith("data/captions_train2017.json: the prompts of") for line in lines)


def test_what_a_service_lacks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"model": "m", "key": "SHOP_KEY", "usd_per_image": 0.04, "budget_usd": 1.0}
    shop = {"from": "artifacts/fit/shop", "family": "proprietary", "released": "2026-04", "count": 30}
    settings = sample_params(
        fit={"shop": {"kind": "api", "options": options}},
        generators={"shop": shop},
        train={"generators": ["shop"], "sets": {}, "samples": {}, "seeds": [0]},
    )
    planned = [Planned("generate@shop", "generate", ("new",), 30, None, True)]
    monkeypatch.delenv("SHOP_KEY", raising=False)
    key, budget = overview.needed(tmp_path, settings, planned)
    assert key.startswith("the environment variable SHOP_KEY: the key for shop's service")
    assert "30 images may cost 1.20 US dollars" in budget and budget.endswith("budget_usd, 1.00")
    monkeypatch.setenv("SHOP_KEY", "any")
    assert overview.needed(tmp_path, settings, planned) == [budget]
    assert overview.needed(tmp_path, settings, []) == []


def test_weights_that_are_missing_stop_a_run_before_it_starts(tmp_path: Path) -> None:
    planned, params = _whole(tmp_path, "genimage")
    for name in ("imagenet", "midjourney", "wukong"):
        (tmp_path / "data" / name).mkdir(parents=True)
    with pytest.raises(AssayError, match=r"weights/adm/256x256_diffusion.pt, .* are not there: `assay plan`"):
        check_inputs(tmp_path, planned)
    for fit in params.fit.values():
        for value in map(str, fit.options.values()):
            if value.startswith("weights/"):
                (tmp_path / value).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / value).touch()
    check_inputs(tmp_path, planned)


def _sd15(root: Path, count: int | None = None, **sampler: Any) -> tuple[float | None, str | None]:
    """The estimate of `generate@sd15` with another count or sampler."""
    params = load_params(root / "params.yaml")
    spec = params.generators["sd15"]
    changed = {"sampler": spec.sampler.model_copy(update=sampler), "count": count or spec.count}
    generators = {**params.generators, "sd15": spec.model_copy(update=changed)}
    params = params.model_copy(update={"generators": generators})
    counts = Counts(root, params)
    stage = load_dag(root)["generate@sd15"]
    found = Estimates(root, params, counts).of(stage, counts.of(stage))
    return found.seconds, found.basis


def test_a_cards_rate_follows_steps_and_pixels(tmp_path: Path) -> None:
    _use(tmp_path, "genimage-small")
    rate = known_cards()["sd15"].rate
    assert rate is not None
    whole = 1000 * rate.seconds_per_image
    assert _sd15(tmp_path) == (pytest.approx(whole), "card")
    assert _sd15(tmp_path, steps=25) == (pytest.approx(whole / 2), "card")
    assert _sd15(tmp_path, height=256, width=256) == (pytest.approx(whole / 4), "card")


def test_a_rate_that_was_measured_here_beats_the_cards(tmp_path: Path) -> None:
    _use(tmp_path, "genimage-small")
    record_seconds(tmp_path, "generate@sd15", 300.0)
    assert _sd15(tmp_path) == (300.0, "measured")
    assert _sd15(tmp_path, count=50_000) == (15_000.0, "measured"), "50 times the images"
    assert _sd15(tmp_path, steps=25)[1] == "card", "what was measured with other settings says nothing"
    _use(tmp_path, "genimage")  # the same model with the same settings
    assert _sd15(tmp_path) == (pytest.approx(174_000 * 0.3), "measured")


def test_a_few_seconds_do_not_speak_for_hours(tmp_path: Path) -> None:
    _use(tmp_path, "genimage-small")
    record_seconds(tmp_path, "generate@sd15", 5.0)  # nearly all of it starting up
    assert _sd15(tmp_path, count=1100) == (5.0, "measured")
    assert _sd15(tmp_path, count=100_000)[1] == "card"


def test_services_cost_money_and_no_gpu(tmp_path: Path) -> None:
    planned, params = _whole(tmp_path, "genimage")
    params = params.model_copy(update={"fit": {**params.fit, "sd15": known_cards()["gpt_image_2"].fit}})
    assert overview.costs(planned, params) == pytest.approx(174_000 * 0.1)
    generate = next(stage for stage in planned if stage.stage == "generate@sd15")
    assert not overview.on_gpu(generate, params)
    assert "17,400 US dollars" in _row(overview.drawn([generate], params), "sd15")["how"]


def test_a_small_plan_is_told_stage_by_stage(tmp_path: Path) -> None:
    planned, _ = _whole(tmp_path, "mini")
    assert not overview.is_large(planned)
