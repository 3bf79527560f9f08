"""dvc.lock is read entry by entry, and that gives what reading it in one gives."""

import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from assets import lineage
from assets.dag import load_dag
from assets.lineage import intact_stages, read_lock
from assets.yaml12 import parse_yaml
from tests import toy


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that are parsed as YAML."""
    texts: list[str] = []

    def counting(text: str, where: str) -> dict[str, Any]:
        texts.append(text)
        return parse_yaml(text, where)

    monkeypatch.setattr(lineage, "parse_yaml", counting)
    monkeypatch.setattr(lineage, "_LAST", {})
    return texts


def _whole(root: Path) -> Any:
    return parse_yaml((root / "dvc.lock").read_text(), "dvc.lock")["stages"]


def test_only_what_is_new_is_parsed(tmp_path: Path, counted: list[str]) -> None:
    root = toy.finished_repo(tmp_path / "repo")
    before = read_lock(root)
    assert before == _whole(root)
    assert len(counted) == len(toy.STAGES)
    text = (root / "dvc.lock").read_text()
    old = before["generate@b"]["outs"][0]["md5"]
    (root / "dvc.lock").write_text(text.replace(old, "c0" * 16))
    counted.clear()
    after = read_lock(root)
    assert after == _whole(root) != before
    assert sorted(part.split(":")[0].strip() for part in counted) == ["evaluate@a-b", "generate@b"]
    counted.clear()
    assert read_lock(root) == after and not counted


WHOLE = "schema: '2.0'\nstages:\n"
ENTRY = "    cmd: a\n    outs:\n    - path: x\n      md5: '1'\n"


@pytest.mark.parametrize(
    "text",
    [
        WHOLE + "  a:\n" + ENTRY + "  b:\n" + ENTRY,
        WHOLE + "  a: &a\n" + ENTRY + "  b: *a\n",
        WHOLE + "  # a remark\n  a:\n" + ENTRY,
        WHOLE + "  a:\n    cmd: a\n\n    # another\n",
        WHOLE + "  a:\n    cmd: |\n      two\n\n      lines\n  b:\n" + ENTRY,
        WHOLE + '  a:\n    cmd: "two\n  b: lines"\n',
        WHOLE + "  a: {cmd: a,\n  outs: [{path: x,\n  md5: '1'}]}\n",
        WHOLE + f"  ? {'a' * 200}\n  :\n" + ENTRY,
        WHOLE + "  ? a\n  : cmd: a\n",
        WHOLE + "  a:\n" + ENTRY + "  a:\n    cmd: again\n",
        WHOLE + "  a:\n" + ENTRY + "metrics: []\n",
        WHOLE + "  a:\n" + ENTRY + "---\nanother: document\n",
        WHOLE + "  a:\n    cmd: 1e-3\n",
        WHOLE + "  - a\n  - b\n",
        WHOLE + "  a:\n    cmd: b\n    outs:\n    - path: x\n",
        "stages:\n  a:\n    cmd: a\nschema: '2.0'\n",
        "schema: '2.0'\nstages: {}\n",
        "schema: '2.0'\n",
        WHOLE,
        "",
    ],
)
def test_odd_files(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "dvc.lock"
    path.write_text(text)
    in_parts = [intact_stages(path), intact_stages(path)]  # the second time from memory
    monkeypatch.setattr(lineage, "_HEAD", "never")
    assert in_parts == [intact_stages(path)] * 2


def test_a_file_that_is_cut_off_or_garbled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = {
        "cmd": "run\nit",
        "deps": [{"path": "data", "md5": "1"}],
        "params": {"p.yaml": {"a": [1, {"b": "x: y"}]}},
    }
    whole = yaml.safe_dump(
        {"schema": "2.0", "stages": {f"s@{n}": {**entry, "cmd": f"n{n}"} for n in range(4)}}
    )
    path, chance = tmp_path / "dvc.lock", random.Random(0)
    found = []
    for _ in range(300):
        text = whole[: chance.randrange(len(whole))] if chance.random() < 0.4 else whole
        lines = text.splitlines(keepends=True)
        if lines and chance.random() < 0.7:
            place = chance.randrange(len(lines))
            lines[place] = chance.choice(
                ["", " " + lines[place], lines[place][1:], lines[place] * 2, "  b\n"]
            )
        path.write_text("".join(lines))
        found.append((path.read_text(), intact_stages(path)))
    monkeypatch.setattr(lineage, "_HEAD", "never")
    for text, in_parts in found:
        path.write_text(text)
        assert in_parts == intact_stages(path), text


def test_a_dag_is_read_again_when_its_files_change(tmp_path: Path) -> None:
    root = toy.toy_repo(tmp_path / "repo")
    before = load_dag(root)
    assert load_dag(root) is before
    toy.set_params(root, generators={"a": toy.PARAMS["generators"]["a"]})
    assert set(before.stages) - set(load_dag(root).stages) == {"generate@b", "evaluate@a-b"}
    text = (root / "dvc.yaml").read_text()
    (root / "dvc.yaml").write_text(text.replace("toy.py results", "toy.py  results"))
    assert load_dag(root)["report"].cmd == "python toy.py  results"
