"""What it costs to have the flow run stages, beside DVC alone: seconds, in generated repositories.

    python tests/speed/orchestrate.py                          # 50, 200 and 600 stages
    python tests/speed/orchestrate.py --stages 86 --code 48    # a dvc.lock as long as the mini benchmark's
    python tests/speed/orchestrate.py --quick                  # 20 stages, once

A repository has the families and edges of the real one, its stages write a line each, and everything in it
is up to date: outputs and dvc.lock are written by this program, and `dvc status` has to agree. A Prefect
server is started on a free port before the clock. Then, in every round, each of these has its turn:

    status        dvc status: what has changed
    plan          assay plan: the same, with reasons and estimates
    repro         dvc repro, with nothing to do
    run           assay run, with nothing to do
    single-item   dvc repro --single-item STAGE, once for each of so many changed stages
    one repro     dvc repro of the same stages in one process
    flow          assay run --jobs 1 of the same stages

The stages that run are changed by a parameter that was never there before, so none comes from DVC's run
cache. What a stage costs is the time of the command, less that of the same command with nothing to do (where
one command runs several), by the number of stages. Printed: medians over the rounds and ranges, by the clock
and in processor time; ratios are made in each round, since a machine that others use is as fast as they let
it.
"""

import argparse
import hashlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from assets.dag import Stage, load_dag, look_up
from tests import prefect_server, toy

ROOT = Path(__file__).resolve().parents[2]
OVER_STATUS = 3.0
"""The goal: seconds that a run with nothing to do may take beside `dvc status`."""
TIMES_SINGLE = 1.2
"""The goal: how much longer a stage may take in the flow than by `dvc repro --single-item`."""
_EACH = ("generate", "spectrum", "degrade", "evaluate")
"""Families with a stage a generator."""
_DVC_YAML = """\
stages:
  collect:
    foreach: ${real}
    do:
      cmd: python -I -S stage.py artifacts/collect/${key}
      deps: ["${item.from}", stage.py, CODE]
      params: [seed, "real.${key}"]
      outs: ["artifacts/collect/${key}"]
  generate:
    foreach: ${generators}
    do:
      cmd: python -I -S stage.py artifacts/generate/${key}
      deps: ["${item.from}", stage.py, CODE]
      params: [seed, "generators.${key}"]
      outs: ["artifacts/generate/${key}"]
  spectrum:
    foreach: ${generators}
    do:
      cmd: python -I -S stage.py artifacts/spectrum/${key}
      deps: ["artifacts/generate/${key}", stage.py, CODE]
      params: [spectrum]
      outs: ["artifacts/spectrum/${key}"]
  degrade:
    foreach: ${generators}
    do:
      cmd: python -I -S stage.py artifacts/degrade/${key}
      deps: ["artifacts/generate/${key}", stage.py, CODE]
      params: [degrade]
      outs: ["artifacts/degrade/${key}"]
  train:
    matrix:
      trained_on: ${train.generators}
      detector: ${detectors}
      seed: ${train.seeds}
    cmd: python -I -S stage.py artifacts/train/${item.trained_on}/${item.detector}-s${item.seed}
    deps: [artifacts/collect, "artifacts/generate/${item.trained_on}", stage.py, CODE]
    params: ["detectors.${item.detector}"]
    outs: ["artifacts/train/${item.trained_on}/${item.detector}-s${item.seed}"]
  evaluate:
    matrix:
      trained_on: ${train.generators}
      tested_on: ${generators}
    cmd: python -I -S stage.py artifacts/evaluate/${item.trained_on}/${item.tested_on}
    deps: ["artifacts/train/${item.trained_on}", "artifacts/degrade/${item.tested_on}", stage.py, CODE]
    params: [train.seeds]
    outs: ["artifacts/evaluate/${item.trained_on}/${item.tested_on}"]
  report:
    cmd: python -I -S stage.py results
    deps: [artifacts/evaluate, stage.py, CODE]
    params: [report]
    outs: [results]
"""
_STAGE = """\
import os, pathlib, sys
out = pathlib.Path(sys.argv[1])
os.makedirs(out)
(out / "made.txt").write_text(f"made by {out}\\n")
"""


@dataclass(frozen=True)
class Cost:
    """What a command took."""

    wall: float
    """Seconds by the clock."""
    processor: float
    """Seconds of its processes, without the server's: other work on the machine changes them less."""

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.wall + other.wall, self.processor + other.processor)

    def __sub__(self, other: "Cost") -> "Cost":
        return Cost(self.wall - other.wall, self.processor - other.processor)

    def over(self, count: int) -> "Cost":
        """For each of so many."""
        return Cost(self.wall / count, self.processor / count)


class Repository:
    """So many stages that have run, the last of which reads the others.

    Args:
        root: a folder that does not exist yet.
        stages: how many, at least 7.
        code: files of code that every stage depends on.
    """

    def __init__(self, root: Path, stages: int, code: int) -> None:
        self.root = root
        self._turn = 0
        self.generators = [f"g{number:03d}" for number in range((stages - 3) // len(_EACH))]
        self._sources = [f"s{number}" for number in range(stages - 2 - len(_EACH) * len(self.generators))]
        self._write(code)
        self.stages = len(self._finish())

    def change(self, count: int) -> list[str]:
        """Give `count` generators a parameter that they never had; returns the stages that have changed."""
        self._turn += 1
        self._set_params(self.generators[:count])
        return [f"generate@{name}" for name in self.generators[:count]]

    def lines(self) -> int:
        """Of dvc.lock."""
        return (self.root / "dvc.lock").read_text("utf-8").count("\n")

    def _write(self, code: int) -> None:
        data = self.root / "data" / "set"
        data.mkdir(parents=True)
        pq.write_table(pa.table({"id": ["one", "two", "three"]}), data / "manifest.parquet")
        (self.root / "code").mkdir()
        names = [f"code/part{number:03d}.py" for number in range(code)]
        for name in names:
            (self.root / name).write_text(f"# {name}\n", "utf-8")
        (self.root / "dvc.yaml").write_text(_DVC_YAML.replace(", CODE", "".join(f", {n}" for n in names)))
        (self.root / "stage.py").write_text(_STAGE, "utf-8")
        (self.root / ".gitignore").write_text("/data\n/artifacts\n/results\n/.assay/\n", "utf-8")
        self._set_params([])
        subprocess.run(["git", "init", "-q"], cwd=self.root, check=True)
        toy.dvc(self.root, "init", "-q")
        for key, value in {"core.analytics": "false", "core.check_update": "false"}.items():
            toy.dvc(self.root, "config", key, value)

    def _set_params(self, changed: list[str]) -> None:
        """Write params.yaml; those not named keep the parameters that they had."""
        known = getattr(self, "_counts", dict.fromkeys(self.generators, 1))
        self._counts: dict[str, int] = {**known, **dict.fromkeys(changed, 1 + self._turn)}
        given = {"from": "data/set", "family": "gan", "released": "2015-11"}
        toy.set_params(
            self.root,
            real={name: {"from": "data/set", "count": 2} for name in self._sources},
            generators={name: {**given, "count": count} for name, count in self._counts.items()},
            train={"generators": self.generators[:1], "sets": {}, "samples": {}, "seeds": [0]},
        )

    def _finish(self) -> dict[str, Stage]:
        """Make every output, and the dvc.lock that DVC would have written: it takes DVC an hour for 600."""
        dag, params = load_dag(self.root), yaml.safe_load((self.root / "params.yaml").read_text("utf-8"))
        for out in dag.out_of:
            (self.root / out).mkdir(parents=True)
            (self.root / out / "made.txt").write_text(f"made by {out}\n", "utf-8")
        recorded = {
            name: {
                "cmd": stage.cmd,
                "deps": [self._file(path) for path in sorted(stage.deps)],
                "params": {
                    file: {key: deepcopy(look_up(params, key)) for key in sorted(keys)}  # no aliases
                    for file, keys in stage.params.items()
                },
                "outs": [self._file(path) for path in sorted(stage.outs)],
            }
            for name, stage in dag.stages.items()
        }
        text = yaml.safe_dump({"schema": "2.0", "stages": recorded}, sort_keys=False)
        (self.root / "dvc.lock").write_text(text, "utf-8")
        said = toy.dvc(self.root, "status", "--json").strip()
        if said != "{}":
            raise RuntimeError(f"DVC would not have written this dvc.lock: {said[:500]}")
        return dag.stages

    def _file(self, path: str) -> dict[str, Any]:
        """A path as dvc.lock has it; in DVC's cache from then on."""
        there = self.root / path
        if not there.is_dir():
            return {
                "path": path,
                "hash": "md5",
                "md5": self._cached(there.read_bytes()),
                "size": there.stat().st_size,
            }
        files = sorted(file for file in there.rglob("*") if file.is_file())
        listed = [
            {"md5": self._cached(file.read_bytes()), "relpath": file.relative_to(there).as_posix()}
            for file in files
        ]
        md5 = self._cached(json.dumps(listed, sort_keys=True).encode(), ".dir")
        bytes_ = sum(file.stat().st_size for file in files)
        return {"path": path, "hash": "md5", "md5": md5, "size": bytes_, "nfiles": len(files)}

    def _cached(self, data: bytes, suffix: str = "") -> str:
        md5 = hashlib.md5(data, usedforsecurity=False).hexdigest() + suffix
        path = self.root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return md5


class Stopwatch:
    """Commands in one repository, and what they took in each round."""

    def __init__(self, repository: Repository, server: dict[str, str], most: int) -> None:
        """Args: most: stages that are run in a round."""
        self._repository = repository
        self._environment = toy.environment(**server, DVC_NO_ANALYTICS="1")
        self._most = min(most, len(repository.generators))
        self.rounds: list[dict[str, Cost]] = []

    def turn(self) -> None:
        """Let each command have its turn."""
        took = {name: self._nothing(name) for name in ("status", "plan", "repro", "run")}
        few = ["generate"]
        idle_flow = self._assay("run", "--jobs", "1", *few, says="0 stages:")
        changed = self._repository.change(self._most)
        idle_repro = self._dvc("status", "--json", says="generate@")  # what one process spends on loading
        single = [self._dvc("repro", "--single-item", stage, says="Running stage") for stage in changed]
        changed = self._repository.change(self._most)
        together = self._dvc("repro", "--single-item", *changed, says="Running stage")
        changed = self._repository.change(self._most)
        count = len(changed)
        flow = self._assay("run", "--jobs", "1", *few, says=f"{count} stages: {count} ran")
        took["single-item"] = sum(single, Cost(0, 0)).over(count)
        took["one repro"] = (together - idle_repro).over(count)
        took["flow"] = (flow - idle_flow).over(count)
        self.rounds.append(took)

    def _nothing(self, name: str) -> Cost:
        """One of the commands that have nothing to do."""
        if name == "status":
            return self._dvc("status", "--json", says="{}")
        if name == "repro":
            return self._dvc("repro", says="up to date")
        return self._assay(name, says="up to date" if name == "plan" else "0 stages:")

    def _dvc(self, *words: str, says: str) -> Cost:
        return self._timed([sys.executable, "-m", "dvc", *words], says)

    def _assay(self, *words: str, says: str) -> Cost:
        return self._timed([sys.executable, "-m", "flows.cli", *words], says)

    def _timed(self, command: list[str], says: str) -> Cost:
        begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            command,
            cwd=self._repository.root,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        seconds, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode or says not in done.stdout:
            raise RuntimeError(f"{' '.join(command[2:])}: expected '{says}'\n{done.stdout}{done.stderr}")
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Cost(seconds, spent)


def measure(stages: int, arguments: argparse.Namespace, server: dict[str, str]) -> dict[str, float]:
    """Measure in a repository of so many stages and print; returns the medians, and those of the ratios."""
    with tempfile.TemporaryDirectory() as place:
        repository = Repository(Path(place) / "repo", stages, arguments.code)
        watch = Stopwatch(repository, server, arguments.run)
        for _ in range(arguments.rounds):
            watch.turn()
        print(
            f"\n{repository.stages} stages, {arguments.code} files of code each, dvc.lock of "
            f"{repository.lines():,} lines; {arguments.rounds} rounds, {arguments.run} stages run in each"
        )
    return tell(watch.rounds)


def tell(rounds: list[dict[str, Cost]]) -> dict[str, float]:
    """Print medians, ranges and how they compare; returns the medians, by the clock, and of the ratios."""
    found = {name: statistics.median(one[name].wall for one in rounds) for name in rounds[0]}

    def line(name: str, beside: str = "", value: Callable[[dict[str, float]], float] | None = None) -> None:
        own = [one[name].wall for one in rounds]
        spent = statistics.median(one[name].processor for one in rounds)
        text = f"{name:>12}: {found[name]:6.2f} s ({min(own):.2f} to {max(own):.2f}; processor {spent:.2f})"
        if value is not None:
            each = [value({key: cost.wall for key, cost in one.items()}) for one in rounds]
            work = statistics.median(
                value({key: cost.processor for key, cost in one.items()}) for one in rounds
            )
            found[f"{name} {beside}"] = statistics.median(each)
            text += f"   {statistics.median(each):.2f} {beside}"
            text += f" ({min(each):.2f} to {max(each):.2f}; processor {work:.2f})"
        print(text)

    line("status")
    line("plan", "s over status", lambda one: one["plan"] - one["status"])
    line("repro", "s over status", lambda one: one["repro"] - one["status"])
    line("run", "s over status", lambda one: one["run"] - one["status"])
    print(f"{'goal':>12}: at most {OVER_STATUS:g} s over status, with 200 stages")
    print("a stage that runs:")
    line("single-item")
    line("one repro", "x single-item", lambda one: one["one repro"] / one["single-item"])
    line("flow", "x single-item", lambda one: one["flow"] / one["single-item"])
    print(f"{'goal':>12}: at most {TIMES_SINGLE:g} x single-item")
    return found


def main(words: list[str] | None = None) -> dict[int, dict[str, float]]:
    """Read the command line and measure; returns the medians by number of stages."""
    own = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=own)
    parser.add_argument("--stages", default="50,200,600", help="how many, with commas; default: %(default)s")
    parser.add_argument("--code", type=int, default=10, help="files a stage depends on; default: %(default)s")
    parser.add_argument("--run", type=int, default=8, help="stages run in a round; default: %(default)s")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--quick", action="store_true", help="20 stages, one round, two of them run")
    arguments = parser.parse_args(words)
    if arguments.quick:
        arguments.stages, arguments.run, arguments.rounds = "20", 2, 1
    server = prefect_server.start()
    counts = [int(part) for part in arguments.stages.split(",")]
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; medians over rounds, and the range")
    return {count: measure(count, arguments, server) for count in counts}


if __name__ == "__main__":
    main()
