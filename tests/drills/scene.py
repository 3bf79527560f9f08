"""Where a drill takes place: a workspace with its runs, what can be killed in it, what must hold after."""

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from assets.lineage import recorded_benchmark
from flows.running import dvc
from tests import prefect_server, toy

RUN = """
import json, sys
from flows.benchmark import RunFailed, benchmark
try:
    done = benchmark(**json.loads(sys.argv[1]))
except RunFailed as failed:
    print(failed)
    sys.exit(1)
print("DONE " + json.dumps(done["stages"]))
"""
"""A run as a process of its own, which tells what each stage did."""

_IN_STAGE = """\
import random, subprocess
tries = sum(json.loads(line)[:2] == ["start", stage] for line in open(os.environ["TOY_TRACE"]))
codes = orders.get("exit", {}).get(stage, [])
if tries <= len(codes):
    print("could not connect: timed out")
    sys.exit(codes[tries - 1])
if stage in orders.get("child", []):
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
"""
_BIG = """\
(out / "big.bin").write_bytes(random.Random(str(out)).randbytes(200_000))
"""
TOY = toy.TOY.replace('note("start")\n', f'note("start")\n{_IN_STAGE}').replace(
    "out.mkdir(parents=True)\n", f"out.mkdir(parents=True)\n{_BIG}"
)
"""The toy's stage, which can also end with a status, start a child, and writes a file that takes room."""


@dataclass(frozen=True)
class Seen:
    """What a drill saw; a row of docs/faults.md."""

    what: str
    when: str
    then: str
    """What the run that was disturbed did."""
    gone: float | None
    """Seconds until nothing that was to end ran any more."""
    again: Sequence[str]
    """Stages that the restart executed."""
    same: bool
    """Whether the lineage hash and dvc.lock are those of an undisturbed run."""


@dataclass
class Outcome:
    """How a run ended."""

    status: int
    said: str
    stages: dict[str, str] = field(default_factory=dict)
    """Stage -> what it did; {} unless the run succeeded."""


class Scene:
    """A workspace, and the runs in it."""

    def __init__(self, root: Path, environment: dict[str, str]) -> None:
        self.root = root.resolve()
        self.trace = self.root.parent / f"{self.root.name}.trace"
        self._runs = 0
        self.environment = {
            **environment,
            **prefect_server.start(),
            "TOY_TRACE": str(self.trace),
            "ASSAY_RETRY_SECONDS": "0.1,0.1",
        }

    def start(
        self, orders: dict[str, Any] | None = None, *, variables: Any = None, **parameters: Any
    ) -> "Started":
        """Start a run; `orders` are for the toy's stages, `parameters` the flow's."""
        self._runs += 1
        log = self.root.parent / f"{self.root.name}.run{self._runs}.log"
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, json.dumps({"jobs": 2, **parameters})],
            cwd=self.root,
            env={**self.environment, "TOY": json.dumps(orders or {}), **(variables or {})},
            stdin=subprocess.DEVNULL,
            stdout=log.open("wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        return Started(process, log)

    def run(self, orders: dict[str, Any] | None = None, **parameters: Any) -> Outcome:
        """A run from start to end."""
        return self.start(orders, **parameters).end()

    def started(self, stage: str, times: int = 1) -> bool:
        """Whether a toy stage has begun so many times."""
        return toy.traced(self.trace).count(stage) >= times

    def executions(self, word: str = "start") -> list[str]:
        """Toy stages in the order in which they began, or ended."""
        return toy.traced(self.trace, word)

    def processes(self) -> dict[int, list[str]]:
        """Live processes that work here, by their working directory or command line: id -> command."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = [
                    word.decode(errors="replace") for word in (folder / "cmdline").read_bytes().split(b"\0")
                ]
                here = (folder / "cwd").resolve()
                state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            mine = (
                here == self.root
                or self.root in here.parents
                or any(str(self.root) in word for word in words)
            )
            if mine and state != "Z" and int(folder.name) != os.getpid():
                found[int(folder.name)] = words
        return found

    def process_of(self, role: str, stage: str) -> int | None:
        """The process that is the `stage` itself, its `dvc`, its `guard` or the guard's `leader`."""
        for process, words in self.processes().items():
            guarded = any(word.endswith("guard.py") for word in words)
            if role == "stage" and _variable(process, "DVC_STAGE") == stage and "repro" not in words:
                if _parent(process) == self.process_of("dvc", stage):
                    return process
            elif role == "dvc" and stage in words and "repro" in words and not guarded:
                return process
            elif role in ("guard", "leader") and guarded and stage in words:
                parent = Path(f"/proc/{_parent(process)}/cmdline")
                led = parent.exists() and b"guard.py" in parent.read_bytes()
                if led == (role == "leader"):
                    return process
        return None

    def await_gone(self, but: Sequence[int] = (), seconds: float = 60) -> float:
        """Seconds until nothing is at work here but what is named."""
        begun = time.monotonic()
        until(lambda: not set(self.processes()) - {*but}, seconds, lambda: str(self.processes()))
        return round(time.monotonic() - begun, 1)

    def lock(self) -> dict[str, Any]:
        """dvc.lock's entries."""
        return dict(yaml.safe_load((self.root / "dvc.lock").read_text())["stages"])

    def left(self) -> list[str]:
        """Whatever must not be left when no run is at work: processes, locks, unfinished files."""
        found = [f"process {process}: {' '.join(words)}" for process, words in self.processes().items()]
        for lock in (".assay/run.lock", ".dvc/tmp/lock", ".dvc/tmp/rwlock.lock"):
            if (self.root / lock).exists() and _held(self.root / lock):
                found.append(f"{lock} is held")
        in_use = self.root / ".dvc/tmp/rwlock"
        if in_use.exists() and any(json.loads(in_use.read_text()).values()):
            found.append(f"{in_use}: {in_use.read_text()}")
        for path in self.root.rglob("*"):
            inside = path.relative_to(self.root).parts
            if inside[0] != ".git" and path.name.endswith((".part", ".tmp", ".open")) and path.is_file():
                found.append(str(path))
        found += self.half_written()
        return found

    def half_written(self) -> list[str]:
        """Files in DVC's cache that are not what their names say."""
        wrong = []
        for path in (self.root / ".dvc/cache/files/md5").glob("??/*"):
            digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
            name = (path.parent.name + path.name).removesuffix(".dir")
            if len(name) == 32 and digest != name:
                wrong.append(str(path))
        return wrong


@dataclass
class Started:
    """A run at work."""

    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def said(self) -> str:
        """What it has written so far."""
        return self.log.read_text(errors="replace")

    def end(self, seconds: float = 300) -> Outcome:
        """Wait for it."""
        status = self.process.wait(seconds)
        done = [line[5:] for line in self.said.splitlines() if line.startswith("DONE ")]
        return Outcome(status, self.said, json.loads(done[0]) if done else {})


class Toy(Scene):
    """Seven quick stages; see tests/toy.py."""

    def __init__(self, folder: Path, whole: "Toy | None" = None, *missing: str) -> None:
        """A fresh one, or a copy of a finished one in which some stages have never run."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        if whole:
            root = Path(shutil.copytree(whole.root, folder, symlinks=True))
            forget(root, missing)
        else:
            root = toy.toy_repo(folder)
            (root / "toy.py").write_text(TOY)
        super().__init__(root, toy.environment())

    def compare(self, undisturbed: "Toy") -> bool:
        """Whether all is as after a run that nothing disturbed; whatever is left behind is an error."""
        assert not self.left(), self.left()
        ours = {name: entry for name, entry in self.lock().items() if name in toy.STAGES}
        assert dvc.status(self.root) == {}
        same = recorded_benchmark(self.root) == recorded_benchmark(undisturbed.root)
        return same and ours == undisturbed.lock()

    def restart(self, undisturbed: "Toy", **parameters: Any) -> tuple[list[str], bool]:
        """Run to the end; stages that were executed, and whether all is as it should be.

        A stage whose result DVC had already is not to be executed.
        """
        finished = {
            name for name, entry in _entries(self.root).items() if entry == undisturbed.lock().get(name)
        }
        before = len(self.executions())
        outcome = self.run(**parameters)
        assert outcome.status == 0, outcome.said
        again = self.executions()[before:]
        assert not finished & {*again}, f"computed again: {finished & {*again}}"
        self.await_gone()
        return again, self.compare(undisturbed)


def undisturbed(folder: Path) -> Toy:
    """A toy workspace in which one run has done everything; what it did."""
    scene = Toy(folder)
    outcome = scene.run()
    assert outcome.status == 0, outcome.said
    return scene


def forget(root: Path, stages: Sequence[str]) -> None:
    """Make as if stages had never run: no entry, no outputs, nothing in the run cache."""
    lock = root / "dvc.lock"
    text = lock.read_text()
    for stage in stages:
        entry = entry_of(text, stage)
        text = text.replace(entry, "")  # as text: another writer of YAML would write 1e-05 in another way
        for out in yaml.safe_load(entry)[stage]["outs"]:
            shutil.rmtree(root / out["path"])
            for run in (root / ".dvc/cache/runs").glob("*/*/*"):
                if f"path: {out['path']}\n" in run.read_text().partition("outs:")[2]:
                    run.unlink()
                    run.parent.rmdir()
    lock.write_text(text)
    shutil.rmtree(root / ".assay", ignore_errors=True)


def entry_of(lock: str, stage: str) -> str:
    """A stage's lines in the text of a dvc.lock."""
    found = re.search(rf"^  {re.escape(stage)}:\n(?:    .*\n)+", lock, re.MULTILINE)
    assert found, f"{stage} is not in dvc.lock"
    return found[0]


def until(
    condition: Callable[[], Any], seconds: float = 120, account: Callable[[], str] = str, pause: float = 0.02
) -> Any:
    """What `condition` gives once it gives something; it is an error if it does not in time."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"it did not come to pass: {account()}"
        time.sleep(pause)
    return found


def kill(process: int | None) -> None:
    """SIGKILL."""
    assert process, "there is no such process"
    os.kill(process, 9)


def _entries(root: Path) -> dict[str, Any]:
    from assets.lineage import intact_stages

    return intact_stages(root / "dvc.lock") or {}


def _held(path: Path) -> bool:
    with path.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _parent(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _variable(process: int, name: str) -> str:
    try:
        words = Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
    except OSError:
        return ""
    return next(
        (word.decode().partition("=")[2] for word in words if word.startswith(f"{name}=".encode())), ""
    )
