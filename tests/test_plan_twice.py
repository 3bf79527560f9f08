"""A plan that was made a moment ago is not made again, unless what it is of has changed."""

from pathlib import Path
from typing import Any

import pytest

from flows.planning.plan import plan, planned_already
from flows.running import dvc
from tests import toy


def test_a_plan_is_given_on_until_its_files_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = toy.toy_repo(tmp_path / "repo")
    asked: list[Path] = []

    def status(root: Path) -> dict[str, list[Any]]:
        asked.append(root)
        return {"generate@a": [{"changed deps": {"generate.py": "modified"}}]}

    monkeypatch.setattr(dvc, "status", status)
    monkeypatch.chdir(root)
    planned = plan(Path(), ["generate"])
    assert [stage.stage for stage in planned] == ["generate@a"] and len(asked) == 1
    with planned_already(Path(), ["generate"], planned):
        assert plan(root, ["generate"]) == planned and len(asked) == 1
        plan(root, ["train"])
        assert len(asked) == 2, "of other targets"
        (root / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
        plan(root, ["generate"])
        assert len(asked) == 3, "dvc.lock has changed"
    plan(root, ["generate"])
    assert len(asked) == 4
