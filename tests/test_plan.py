"""flows/plan.py and flows/counts.py: what would run, why, and how much."""

from pathlib import Path

import pytest

from assets.errors import AssayError
from flows.plan import Planned, check_inputs, plan, record_seconds
from tests import toy


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
