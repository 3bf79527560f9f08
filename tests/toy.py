"""A repository of seven quick stages with the names, shapes and edges of the real one.

`toy_repo` gives a fresh one, `finished_repo` one in which everything has run; both are copies of templates
that are made once a session.
"""

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

ROOT = Path(__file__).resolve().parent.parent
_DVC = [sys.executable, "-m", "dvc"]

PARAMS: dict[str, Any] = {
    "seed": 1,
    "real": {"photos": {"from": "data/photos", "count": 4}},
    "fit": {},
    "generators": {
        "a": {"from": "data/a", "family": "gan", "released": "2015-11", "count": 3},
        "b": {"from": "data/b", "family": "gan", "released": "2016-11", "count": 10},
    },
    "detectors": {"net": {"model": "resnet18", "lr": 1e-05, "epochs": 2}},
    "attributors": {},
    "given": {},
    "train": {"generators": ["a"], "sets": {}, "samples": {}, "seeds": [0]},
    "dedupe": {"radius": 4},
    "split": {"train": 0.5, "val": 0.2, "test": 0.3},
    "audit": {"folds": 2},
    "spectrum": {"side": 32},
    "gallery": {},
    "report": {"resamples": 100},
    "degrade": {"jpeg65": "jpeg(65)"},
}
STAGES = [
    "collect@photos",
    "generate@a",
    "generate@b",
    "train@a-net-0",
    "evaluate@a-a",
    "evaluate@a-b",
    "report",
]

DVC_YAML = """\
stages:
  collect:
    foreach: ${real}
    do:
      cmd: python toy.py artifacts/collect/${key}
      deps: ["${item.from}", toy.py]
      params: [seed, "real.${key}"]
      outs: ["artifacts/collect/${key}"]
  generate:
    foreach: ${generators}
    do:
      cmd: python toy.py artifacts/generate/${key}
      deps: ["${item.from}", toy.py, generate.py]
      params: [seed, "generators.${key}"]
      outs: ["artifacts/generate/${key}"]
      meta: {gpu: true}
  train:
    matrix:
      trained_on: ${train.generators}
      detector: ${detectors}
      seed: ${train.seeds}
    cmd: python toy.py artifacts/train/${item.trained_on}/${item.detector}-s${item.seed}
    deps: [artifacts/collect, "artifacts/generate/${item.trained_on}", toy.py]
    params: ["detectors.${item.detector}"]
    outs: ["artifacts/train/${item.trained_on}/${item.detector}-s${item.seed}"]
    meta: {gpu: true}
  evaluate:
    matrix:
      trained_on: ${train.generators}
      tested_on: ${generators}
    cmd: python toy.py artifacts/evaluate/${item.trained_on}/${item.tested_on}
    deps: ["artifacts/train/${item.trained_on}", "artifacts/generate/${item.tested_on}", toy.py]
    params: [train.seeds]
    outs: ["artifacts/evaluate/${item.trained_on}/${item.tested_on}"]
  report:
    cmd: python toy.py results
    deps: [artifacts/evaluate, toy.py]
    params:
      - params.yaml:
    outs: [results]
"""

# What a stage does: note its start and end in $TOY_TRACE, sleep or fail if $TOY asks for it, write a file.
TOY = """\
import ctypes, json, os, pathlib, signal, sys, time
stage, orders = os.environ["DVC_STAGE"], json.loads(os.environ.get("TOY", "{}"))
def note(word):
    if "TOY_TRACE" in os.environ:
        with open(os.environ["TOY_TRACE"], "a") as trace:
            gpu = os.environ.get("CUDA_VISIBLE_DEVICES", "")
            trace.write(json.dumps([word, stage, os.getpid(), time.time(), gpu]) + "\\n")
note("start")
time.sleep(orders.get("sleep", {}).get(stage, 0))
if stage in orders.get("fail", []):
    print("first line\\nthe reason of the failure")
    sys.exit(3)
out = pathlib.Path(sys.argv[1])
out.mkdir(parents=True)
(out / "made.txt").write_text(f"made by {out}\\n")
if stage == "report":
    from assets.lineage import PRINTED, benchmark
    (out / PRINTED).write_text(json.dumps(benchmark(pathlib.Path()).as_dict()))
    (out / "tables").mkdir()
    (out / "tables/cross_generator.md").write_text("| a table |\\n")
    (out / "tables/cross_generator.csv").write_text("a,table\\n")
    (out / "figures").mkdir()
    (out / "figures/curve.svg").write_text("<svg/>")
    (out / "index.html").write_text("<p>a report</p>")
    clean = {"auroc": {"value": 0.75, "low": None, "high": None}}
    summary = {
        "sentences": ["net does best."],
        "lineage": benchmark(pathlib.Path()).lineage,
        "detectors": {"net": {"in_domain": {"clean": clean, "degraded": None}}},
    }
    (out / "summary.json").write_text(json.dumps(summary))
note("end")
"""


def toy_repo(folder: Path) -> Path:
    """A fresh repository at `folder`, with inputs and no stage run."""
    return _copy(_template(), folder)


def finished_repo(folder: Path) -> Path:
    """A repository at `folder` in which `dvc repro` has run everything."""
    return _copy(_finished_template(), folder)


def set_params(root: Path, **sections: Any) -> None:
    """Write params.yaml with some sections replaced."""
    text = yaml.safe_dump({**PARAMS, **sections}, sort_keys=False)
    # YAML 1.1 reads 1e-05 as a word and DVC, by YAML 1.2, as a number: the toy has one on purpose
    (root / "params.yaml").write_text(text.replace("1.0e-05", "1e-05"))


def dvc(root: Path, *arguments: str, check: bool = True) -> str:
    """Run dvc in a repository, as a user would in an activated environment."""
    result = subprocess.run(
        [*_DVC, *arguments], cwd=root, env=environment(), capture_output=True, text=True, check=False
    )
    assert not check or result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def environment(**extra: str) -> dict[str, str]:
    """Variables under which toy stages find their interpreter and our packages."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TOY")}
    return {**kept, "PATH": path, "PYTHONPATH": str(ROOT), **extra}


def lock(root: Path) -> dict[str, Any]:
    """dvc.lock, parsed."""
    return dict(yaml.safe_load((root / "dvc.lock").read_text())["stages"])


def traced(path: Path, word: str = "start") -> list[str]:
    """Names of the stages that noted `word` in a trace, in order."""
    return [entry[1] for entry in trace(path) if entry[0] == word]


def trace(path: Path) -> list[list[Any]]:
    """Entries [word, stage, process id, time, visible GPUs] of a trace."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@cache
def _scratch() -> Path:
    """A folder for the templates that goes when the session does."""
    folder = Path(tempfile.mkdtemp(prefix="assay-toy-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def _template() -> Path:
    root = _scratch() / "fresh"
    root.mkdir()
    (root / "dvc.yaml").write_text(DVC_YAML)
    (root / "toy.py").write_text(TOY)
    (root / "generate.py").write_text("# code of one family\n")
    (root / ".gitignore").write_text("/data\n/artifacts\n/results\n/.assay/\n")
    set_params(root)
    for name in ("photos", "a", "b", "c"):
        (root / "data" / name).mkdir(parents=True)
        (root / "data" / name / "x.txt").write_text(name)
        pq.write_table(pa.table({"id": ["one", "two", "three"]}), root / "data" / name / "manifest.parquet")
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    dvc(root, "init", "-q")
    for key, value in {
        "core.analytics": "false",
        "core.check_update": "false",
        "cache.type": "reflink,copy",
    }.items():
        dvc(root, "config", key, value)
    dvc(root, "add", "-q", "data")
    git = ["git", "-c", "user.name=toy", "-c", "user.email=toy@toy"]
    subprocess.run([*git, "add", "-A"], cwd=root, check=True)
    subprocess.run([*git, "commit", "-qm", "toy"], cwd=root, check=True)
    return root


@cache
def _finished_template() -> Path:
    root = _copy(_template(), _scratch() / "finished")
    dvc(root, "repro", "-q")
    return root


def _copy(template: Path, folder: Path) -> Path:
    return Path(shutil.copytree(template, folder, symlinks=True))
