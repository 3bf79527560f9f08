"""assets/dag.py against DVC itself, and what it refuses."""

import re
from pathlib import Path

import pytest
import yaml

from assets.dag import Dag, load_dag, normal_path
from assets.errors import AssayError
from assets.yaml12 import parse_yaml
from tests import toy

WIDE = """\
stages:
  make:
    foreach: ${names}
    do:
      cmd: echo ${item} ${flags.deep[on]} \\${HOME} > ${item}.txt
      outs: ["${item}.txt"]
  number:
    foreach: ${table}
    do:
      cmd: echo ${item.x} > out/n${item.x}.txt
      outs:
        - out/n${item.x}.txt:
            cache: true
  cross:
    matrix: {name: "${names}", of: "${by_name}", n: [1, 2.5, true], d: [{x: 1}]}
    cmd: echo ${key} ${item.name} ${item.d.x} > out/${key}.txt
    deps: ["${item.name}.txt", ./code.py]
    params: [flags, {other.yaml: [a.b]}]
    metrics: ["out/${key}.txt"]
    meta: {gpu: true}
  none:
    foreach: ${nothing}
    do: {cmd: "echo ${key}", outs: ["${key}"]}
  last:
    cmd: cat out/n1.txt
    deps: [out, two.txt/inside]
    params:
      - params.yaml:
"""
WIDE_PARAMS = """\
names: [one, two]
flags: {deep: {on: true}}
by_name: {p: 1, q: {}}
nothing: {}
table: [{x: 1}, {x: 2}]
"""


def _assert_as_dvc_says(root: Path) -> Dag:
    dag = load_dag(root)
    assert list(dag.stages) == toy.dvc(root, "stage", "list", "--name-only").split()
    edges = set(re.findall(r'^"([^"]+)" -> "([^"]+)"', toy.dvc(root, "dag", "--dot"), re.MULTILINE))
    ours = {(upstream, name) for name in dag.stages for upstream in dag.upstream[name]}
    assert ours == {edge for edge in edges if not edge[0].endswith(".dvc")}
    return dag


def test_the_real_dag_is_what_dvc_makes_of_it(tmp_path: Path) -> None:
    root = toy.toy_repo(tmp_path / "repo")
    for name in ("dvc.yaml", "params.yaml"):
        (root / name).write_bytes((toy.ROOT / name).read_bytes())
    (root / "data.dvc").unlink()
    dag = _assert_as_dvc_says(root)
    assert dag.stages["train@dcgan-resnet18-0"].gpu
    assert {"collect", "fit", "generate", "report"} <= {stage.family for stage in dag.stages.values()}


def test_every_form_that_is_understood_is_what_dvc_makes_of_it(tmp_path: Path) -> None:
    root = toy.toy_repo(tmp_path / "repo")
    (root / "dvc.yaml").write_text(WIDE)
    (root / "params.yaml").write_text(WIDE_PARAMS)
    (root / "data.dvc").unlink()
    dag = _assert_as_dvc_says(root)
    stage = dag["cross@one-p-2.5-d0"]
    assert stage.cmd == "echo one-p-2.5-d0 one 1 > out/one-p-2.5-d0.txt"
    assert stage.deps == ("one.txt", "code.py")
    assert stage.outs == ("out/one-p-2.5-d0.txt",)
    assert stage.params == {"params.yaml": ("flags",), "other.yaml": ("a.b",)}
    assert dag["last"].params == {"params.yaml": ()}
    assert dag["make@one"].cmd == "echo one true ${HOME} > one.txt"


def test_numbers_and_words_are_told_apart_as_dvc_does() -> None:
    ruamel = pytest.importorskip("ruamel.yaml")
    samples = (
        "1e-3 1E5 1e-05 .5 -.5e+2 5. 012 0o17 0x1F 0b11 1_000 +3 0 -1 no yes on y true False ~ null 12:30 "
        ".inf .nan 2015-11 none '' 1.5.2 =x"
    )
    text = "\n".join(f"- {word}" for word in samples.split())
    theirs = ruamel.YAML(typ="safe").load(text)
    ours = parse_yaml(f"list:\n{text}\nempty:\n", "here")
    assert [repr(value) for value in ours["list"]] == [repr(value) for value in theirs]
    assert ours["empty"] is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("stages: {a: {cmd: 'echo ${nope.x}'}}", "stages.a.cmd: params.yaml has no 'nope.x'"),
        ("stages: {a: {cmd: x, outs: [o]}, b: {cmd: x, outs: [o]}}", "a and b both write o"),
        (
            "stages: {a: {cmd: x, deps: [p], outs: [o]}, b: {cmd: x, deps: [o], outs: [p]}}",
            "wait for one another",
        ),
        ("stages: {a: {cmd: x, wdir: sub}}", "Assay does not read 'wdir'"),
        ("stages: {a: {cmd: [x, y]}}", "expected one command"),
        ("stages: {a: {foreach: 3, do: {cmd: x}}}", "expected a list or a mapping"),
        ("stages: [", "is not YAML"),
        ("- 1", "expected a mapping"),
    ],
)
def test_what_cannot_be_understood_is_refused(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "dvc.yaml").write_text(text)
    (tmp_path / "params.yaml").write_text("seed: 1")
    with pytest.raises(AssayError, match=re.escape(says)):
        load_dag(tmp_path)


def test_missing_params_say_how_to_get_them(tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").write_text("stages: {a: {cmd: x}}")
    with pytest.raises(AssayError, match="assay use mini"):
        load_dag(tmp_path)


def _toy_dag(tmp_path: Path) -> Dag:
    (tmp_path / "dvc.yaml").write_text(toy.DVC_YAML)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(toy.PARAMS))
    return load_dag(tmp_path)


def test_what_follows_and_what_is_needed(tmp_path: Path) -> None:
    dag = _toy_dag(tmp_path)
    assert list(dag.stages) == toy.STAGES
    assert dag.descendants(["generate@b"]) == {"generate@b", "evaluate@a-b", "report"}
    assert dag.ancestors(["evaluate@a-a"]) == {
        "evaluate@a-a",
        "train@a-net-0",
        "generate@a",
        "collect@photos",
    }
    assert dag.outs_behind("artifacts/collect") == ("artifacts/collect/photos",)
    assert dag.outs_behind("artifacts/collect/photos/deep") == ("artifacts/collect/photos",)
    assert dag.outs_behind("artifacts/coll") == ()
    assert dag.made_by("results/lineage.json") == "report"
    assert dag.made_by("data/photos") is None


def test_targets_are_stages_families_or_paths(tmp_path: Path) -> None:
    dag = _toy_dag(tmp_path)
    assert dag.select(["report"]) == {"report"}
    assert dag.select(["generate"]) == {"generate@a", "generate@b"}
    assert dag.select(["artifacts/evaluate/a/"]) == {"evaluate@a-a", "evaluate@a-b"}
    assert dag.select(["./results/cross_generator.md"]) == {"report"}
    with pytest.raises(AssayError, match=re.escape("did you mean 'report'")):
        dag.select(["reprot"])


def test_paths_are_written_as_in_the_lock() -> None:
    assert normal_path("./a//b/../c/") == "a/c"
