"""`assay serve`, `assay worker` and `assay start`, and the temporary server of `assay run`."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from assets.errors import AssayError
from flows.records.records import records
from flows.running import slots
from flows.serving import serve as serving
from flows.serving import setup as serving_setup
from flows.serving.children import Child, Keeper
from flows.serving.notice import leave_notice, only_serve, read_notice
from flows.serving.server import LOGIN, api_url, is_loopback, own_environment, require_free
from flows.serving.start import parameters, start_run
from tests import clones, toy
from tests.conftest import file_bytes, textured

_ASSAY = "import sys; sys.argv[0] = 'assay'; from flows.cli import main; main()"


def _until(condition: Callable[[], Any], seconds: float = 600) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.1)


def _alive(process: int) -> bool:
    with suppress(FileNotFoundError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def _pid_of(path: Path) -> int:
    _until(lambda: path.exists() and path.read_text())
    return int(path.read_text())


def _child(tmp_path: Path, code: str = "import time; time.sleep(600)") -> Child:
    write = f"import os, pathlib; pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(os.getpid()));"
    return Child("it", _python(write + code), dict(os.environ), tmp_path / "log")


def test_a_child_that_is_killed_is_started_again_and_ends_with_its_keeper(tmp_path: Path) -> None:
    said: list[str] = []
    prepared: list[bool] = []
    keeper = Keeper(said.append)
    child = _child(tmp_path)
    child.prepare = lambda: prepared.append(True)
    keeper.add(child)
    first = _pid_of(tmp_path / "pid")
    assert not prepared
    (tmp_path / "pid").unlink()
    os.kill(first, signal.SIGKILL)

    def again() -> bool:
        keeper.tick()
        return (tmp_path / "pid").exists()

    _until(again)
    second = _pid_of(tmp_path / "pid")
    assert second != first
    assert prepared == [True]
    assert len(said) == 1
    assert "it ended with status 137" in said[0]
    keeper.stop()
    assert not _alive(second)


def test_a_child_that_dies_at_once_is_started_ever_more_rarely(tmp_path: Path) -> None:
    said: list[str] = []
    keeper = Keeper(said.append)
    keeper.add(_child(tmp_path, "raise SystemExit(3)"))

    def twice() -> bool:
        keeper.tick()
        return len(said) >= 2

    _until(twice)
    keeper.stop()
    assert "status 3; starting it again in 1 s" in said[0]
    assert "status 3; starting it again in 2 s" in said[1]


def test_children_end_when_their_keeper_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from tests.test_serving import _child;"
        f"_child(Path({str(tmp_path)!r})).start(); time.sleep(600)"
    )
    keeper = subprocess.Popen(_python(code), cwd=toy.ROOT, env=toy.environment())
    child = _pid_of(tmp_path / "pid")
    keeper.kill()
    keeper.wait()
    _until(lambda: not _alive(child), 30)


def test_one_serve_a_workspace_and_one_message_for_the_second(tmp_path: Path) -> None:
    assert read_notice(tmp_path) is None
    with only_serve(tmp_path):
        assert read_notice(tmp_path) is None, "it is just starting"
        leave_notice(tmp_path, "http://127.0.0.1:4300/api")
        found = read_notice(tmp_path)
        assert found is not None
        assert found.url == "http://127.0.0.1:4300/api"
        with pytest.raises(AssayError, match=r"another `assay serve` is at work.*4300"), only_serve(tmp_path):
            pass
    assert read_notice(tmp_path) is None


def test_a_notice_of_a_killed_serve_is_not_believed(tmp_path: Path) -> None:
    code = (
        "import os; from pathlib import Path; from flows.serving.notice import *; root = Path('.');\n"
        "with only_serve(root): leave_notice(root, 'http://x/api'); os.kill(os.getpid(), 9)"
    )
    subprocess.run(_python(code), cwd=tmp_path, env=toy.environment(), check=False)
    assert (tmp_path / ".assay/server.json").exists()
    assert read_notice(tmp_path) is None
    with only_serve(tmp_path):
        assert read_notice(tmp_path) is None, "nor while the next one starts"


def test_an_occupied_port_is_said_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "prefect.yaml").write_text("deployments: []")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(AssayError, match=rf"cannot listen on 127.0.0.1:{port}.*--port"):
            serving.serve(tmp_path, "127.0.0.1", port, print)
    with pytest.raises(AssayError, match=r"cannot listen on no\.such\.host\.invalid"):
        require_free("no.such.host.invalid", 4200)
    assert not (tmp_path / ".assay/serve").exists()


@pytest.mark.parametrize(
    ("host", "closed"), [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False)]
)
def test_only_loopback_is_closed_to_others(host: str, closed: bool) -> None:
    assert is_loopback(host) is closed


def test_addresses_and_variables_of_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert api_url("0.0.0.0", 4200) == "http://127.0.0.1:4200/api"
    assert api_url("::1", 4200) == "http://[::1]:4200/api"
    monkeypatch.setenv("PREFECT_API_URL", "http://foreign/api")
    monkeypatch.delenv("PREFECT_HOME", raising=False)
    monkeypatch.setenv(LOGIN, "me:secret")
    ours = own_environment(tmp_path, "http://127.0.0.1:4200/api")
    assert ours["PREFECT_API_URL"] == "http://127.0.0.1:4200/api", "never deploy to a foreign server"
    assert ours["PREFECT_HOME"] == str(tmp_path / ".assay/prefect")
    assert ours["PREFECT_API_AUTH_STRING"] == "me:secret"
    for child in (serving.server(tmp_path, "127.0.0.1", 4200), *_workers(tmp_path)):
        assert not any("secret" in word for word in child.command)


def _workers(root: Path) -> list[Child]:
    return serving.stage_workers(root, "http://127.0.0.1:1/api")


def _options(child: Child, name: str) -> list[str]:
    return [after for word, after in zip(child.command, child.command[1:], strict=False) if word == name]


def test_a_gpu_has_a_worker_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "devices", lambda: ["0", "3"])
    rest, first, second = _workers(tmp_path)
    assert _options(rest, "--work-queue") == ["cpu"]
    assert [gpu.environment["CUDA_VISIBLE_DEVICES"] for gpu in (first, second)] == ["0", "3"]
    for gpu in (first, second):
        assert _options(gpu, "--work-queue") == ["gpu"]
        assert _options(gpu, "--limit") == ["1"]
    assert len({_options(one, "--name")[0] for one in (rest, first, second)}) == 3


def test_without_a_gpu_one_worker_does_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "devices", list)
    (only,) = _workers(tmp_path)
    assert _options(only, "--work-queue") == ["cpu", "gpu"]
    assert _options(only, "--limit") == [str(serving._cores())]
    assert only.environment["ASSAY_REPO"] == str(tmp_path)


def test_no_worker_for_stages_takes_whole_runs(tmp_path: Path) -> None:
    with pytest.raises(AssayError, match="--queue is 'flows': expected one of cpu, gpu"):
        serving.work(tmp_path, "http://127.0.0.1:1/api", ["flows"], print)
    with pytest.raises(AssayError, match="no Prefect server answers at"):
        serving.work(tmp_path, f"http://127.0.0.1:{_free_port()}/api", ["cpu"], print)


def test_a_worker_needs_a_remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "is_healthy", lambda url: True)
    monkeypatch.setattr(serving, "has_remote", lambda root: False)
    with pytest.raises(AssayError, match=r"no default DVC remote.*dvc remote add -d"):
        serving.work(tmp_path, "http://127.0.0.1:1/api", ["cpu"], print)


def test_parameters_are_json_or_words() -> None:
    words = ["jobs=4", 'targets=["train"]', "hash=3f9a02", "push=", "rerun=true"]
    expected = {"jobs": 4, "targets": ["train"], "hash": "3f9a02", "push": "", "rerun": True}
    assert parameters(words) == expected
    with pytest.raises(AssayError, match="expected KEY=VALUE"):
        parameters(["jobs"])


def test_start_without_a_server_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(AssayError, match="start one with `assay serve`"):
        start_run(tmp_path, "benchmark", {})


def test_the_temporary_server_of_a_run_ends_with_a_killed_run(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from flows.serving.temporary import *\n"
        "with recorded(Path('.')):\n"
        "    from prefect import flow\n"
        "    flow(lambda: None, name='nothing')()\n"
        "    Path('ready').write_text(os.environ['PREFECT_API_URL'])\n"
        "    import time; time.sleep(600)"
    )
    kept = {key: value for key, value in toy.environment().items() if not key.startswith("PREFECT")}
    run = subprocess.Popen(
        _python(code), cwd=tmp_path, env={**kept, "HOME": str(tmp_path), "PREFECT_HOME": str(tmp_path / "p")}
    )
    try:
        _until(lambda: (tmp_path / "ready").exists() or run.poll() is not None)
        url = (tmp_path / "ready").read_text()
        port = int(url.rpartition(":")[2].removesuffix("/api"))
        _listening(port)
    finally:
        run.kill()
        run.wait()
    _until(lambda: not _listening(port), 30)


def _listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class _Served:
    """An `assay serve` on a toy repository, in a process of its own."""

    def __init__(self, root: Path, **variables: str) -> None:
        self.root = root
        self.port = _free_port()
        kept = {key: value for key, value in toy.environment().items() if not key.startswith("PREFECT")}
        quiet = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "HOME": str(root.parent)}
        self.environment = {**kept, **quiet, "TOY_TRACE": str(root / "trace"), **variables}
        self.said = root / "said"
        self.process = self._assay("serve", "--port", str(self.port))

    def _assay(self, *words: str) -> "subprocess.Popen[bytes]":
        with self.said.open("ab") as said:
            return subprocess.Popen(
                [*_python(_ASSAY), *words], cwd=self.root, env=self.environment, stdout=said, stderr=said
            )

    def ready(self) -> "_Served":
        _until(lambda: read_notice(self.root) or self.process.poll() is not None, 900)
        assert self.process.poll() is None, self.said.read_text()
        return self

    def assay(self, *words: str) -> str:
        """A command in another terminal, in which nothing is set."""
        plain = {key: value for key, value in self.environment.items() if not key.startswith("PREFECT_API")}
        done = subprocess.run(
            [*_python(_ASSAY), *words], cwd=self.root, env=plain, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def ask(self, path: str, body: dict[str, Any] | None = None, method: str = "POST") -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/{path}",
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or "null")

    def start(self, *words: str) -> str:
        return self.assay("start", *words).strip().rpartition("/")[2]

    def state(self, run: str) -> str:
        return str(self.ask(f"flow_runs/{run}", method="GET")["state"]["type"])

    def at_work(self) -> list[int]:
        """Every process that has this workspace in its environment."""
        found = []
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if entry.name.isdecimal() and str(self.root).encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
        return [process for process in found if _alive(process) and process != self.process.pid]

    def end(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)
        self.process.wait(60)
        _until(lambda: not self.at_work(), 60)


@contextmanager
def _served(root: Path, **variables: str) -> Iterator[_Served]:
    served = _Served(root, **variables)
    try:
        yield served.ready()
    finally:
        served.end()


def _slow(root: Path) -> None:
    """Stages that wait while there is a file `hold`."""
    held = 'import os\nwhile os.path.exists("hold") and stage == "generate@a": time.sleep(0.05)'
    (root / "toy.py").write_text(toy.TOY.replace('note("start")\n', f'note("start")\n{held}\n'))
    (root / "hold").touch()


@pytest.mark.slow
def test_serve_run_cancel_and_every_kind_of_kill(tmp_path: Path) -> None:
    root = toy.toy_repo(tmp_path / "repo")
    _slow(root)
    trace = root / "trace"
    with _served(root) as served:
        page = urllib.request.urlopen(f"http://127.0.0.1:{served.port}/", timeout=60).read()
        assert b"<html" in page, "the UI is served"
        _cancelled(served, trace)
        _worker_killed(served, trace)
        _server_killed(served, trace)
        with pytest.raises(AssertionError, match="another `assay serve` is at work"):
            served.assay("serve")
        (root / "hold").touch()
        shutil.rmtree(root / ".dvc/cache/runs")
        (root / "dvc.lock").unlink()
        lost = served.start()
        _until(lambda: "generate@a" in toy.traced(trace))
        served.end(signal.SIGKILL)
    (root / "hold").unlink()
    with _served(root) as served:
        _until(lambda: served.state(lost) == "CRASHED")
        run = served.start("benchmark", "-p", "jobs=2")
        _until(lambda: served.state(run) == "COMPLETED")


def _stage(trace: Path) -> int:
    _until(lambda: "generate@a" in toy.traced(trace))
    process = next(entry[2] for entry in toy.trace(trace) if entry[1] == "generate@a")
    return int(process)


def _cancelled(served: _Served, trace: Path) -> None:
    """What is cancelled in the UI is gone in seconds, and the next run goes on."""
    run = served.start()
    stage = _stage(trace)
    served.ask(f"flow_runs/{run}/set_state", {"state": {"type": "CANCELLING", "name": "Cancelling"}})
    _until(lambda: not _alive(stage), 20)
    _until(lambda: served.state(run) == "CANCELLED", 60)
    trace.unlink()


def _worker_killed(served: _Served, trace: Path) -> None:
    """Its run goes with it and is marked, and the worker that comes back takes the next one."""
    run = served.start()
    stage = _stage(trace)
    (worker,) = (one for one in served.at_work() if _is_worker(one))
    os.kill(worker, signal.SIGKILL)
    _until(lambda: not _alive(stage), 20)
    _until(lambda: served.state(run) == "CRASHED", 60)
    trace.unlink()


def _words(process: int) -> list[bytes]:
    """A process's command; nothing, if it has ended since it was listed."""
    with suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
    return []


def _is_worker(process: int, queue: bytes = b"flows") -> bool:
    words = _words(process)
    return b"worker" in words and queue in words and not any(b"guard.py" in word for word in words)


def _server_killed(served: _Served, trace: Path) -> None:
    """The server comes back, and the run that was at work meanwhile ends well."""
    run = served.start()
    stage = _stage(trace)
    (server,) = (one for one in served.at_work() if _is_server(one))
    os.kill(server, signal.SIGKILL)
    _until(lambda: any(_is_server(one) for one in served.at_work()))
    _until(lambda: _listening(served.port))
    assert _alive(stage)
    (served.root / "hold").unlink()
    _until(lambda: served.state(run) == "COMPLETED")
    trace.unlink()


def _is_server(process: int) -> bool:
    words = _words(process)
    return b"server" in words and not any(b"guard.py" in word for word in words)


@pytest.mark.slow
def test_a_refresh_is_worked_off_in_another_clone(tmp_path: Path) -> None:
    origin = clones.origin(tmp_path / "origin", str(tmp_path / "store"))
    home, other = (clones.clone(origin, tmp_path / name) for name in ("home", "other"))
    toy.dvc(home, "pull", "-q", "data.dvc")
    with _served(home, PREFECT_WORKER_QUERY_SECONDS="1") as served:
        _until(lambda: any(_is_worker(one, b"cpu") for one in served.at_work()))
        (own,) = (one for one in served.at_work() if _is_worker(one, b"cpu"))
        os.kill(own, signal.SIGSTOP)  # what is done now, the other clone does
        helper = _Worker(other, served)
        try:
            _drop(home / "incoming/d")
            run = served.start("refresh", "-p", "where=workers", "-p", "arrived=d")
            _until(lambda: served.state(run) in ("COMPLETED", "FAILED", "CRASHED"))
            assert served.state(run) == "COMPLETED", (home / ".assay/serve/worker-flows.log").read_text()
            assert "d" in yaml.safe_load((home / "params.yaml").read_text())["generators"]
            assert {"generate@d", "evaluate@a-d", "train@a-net-0"} <= set(toy.lock(home))
            assert (other / "artifacts/generate/d/made.txt").exists()
            assert not (home / "artifacts/train").exists(), "it was not made here"
            assert (home / ".assay/refresh.md").exists() and records(home)
        finally:
            os.kill(own, signal.SIGCONT)
            helper.end()


class _Worker(_Served):
    """An `assay worker` in another clone."""

    def __init__(self, root: Path, served: _Served) -> None:
        self.root, self.said = root, root.parent / "worker.said"
        url = f"http://127.0.0.1:{served.port}/api"
        self.environment = {**served.environment, "PREFECT_API_URL": url}
        self.process = self._assay("worker")


def _drop(folder: Path) -> None:
    folder.mkdir(parents=True)
    for index in range(3):
        (folder / f"{index}.png").write_bytes(file_bytes(textured(index)))
    (folder / "about.yaml").write_text("family: gan\nreleased: 2018-12\n")


@pytest.mark.slow
def test_a_server_with_a_login(tmp_path: Path) -> None:
    root = toy.toy_repo(tmp_path / "repo")
    with _served(root, **{LOGIN: "me:a-secret-word"}) as served:
        with pytest.raises(urllib.error.HTTPError, match="401"):
            served.ask("flow_runs/filter", {})
        with pytest.raises(AssertionError, match="asks for a login: export PREFECT_API_AUTH_STRING"):
            served.assay("start")
        for log in [served.said, *(root / ".assay/serve").iterdir(), root / ".assay/server.json"]:
            assert "a-secret-word" not in log.read_text()


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("initdb"), reason="needs PostgreSQL")
def test_postgresql_is_one_variable(tmp_path: Path) -> None:
    root = toy.toy_repo(tmp_path / "repo")
    with _postgres() as url, _served(root, PREFECT_API_DATABASE_CONNECTION_URL=url) as served:
        run = served.start("benchmark", "-p", "jobs=2")
        _until(lambda: served.state(run) in ("COMPLETED", "FAILED", "CRASHED"))
        assert served.state(run) == "COMPLETED"
        assert not list((root / ".assay/prefect").glob("*.db")), "nothing is kept in SQLite"


@contextmanager
def _postgres() -> Iterator[str]:
    """A PostgreSQL server of an ordinary user; it refuses to run as root."""
    folder = Path(subprocess.check_output(["mktemp", "-d"], text=True).strip())
    become: dict[str, Any] = {}
    if os.getuid() == 0:
        shutil.chown(folder, "nobody")
        become = {"user": "nobody", "env": {**os.environ, "HOME": str(folder)}, "extra_groups": []}
    port = _free_port()
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c max_connections=200"
    control = ["pg_ctl", "-D", str(folder / "db"), "-w", "-l", str(folder / "log")]
    quiet = {"cwd": folder, "check": True, "stdout": subprocess.DEVNULL, **become}
    subprocess.run(["initdb", "-D", folder / "db", "-U", "assay", "--auth=trust", "-E", "UTF8"], **quiet)
    subprocess.run([*control, "-o", options, "start"], **quiet)
    try:
        yield f"postgresql+asyncpg://assay@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], **quiet)
        shutil.rmtree(folder)


def test_there_is_a_file_of_deployments(tmp_path: Path) -> None:
    assert serving_setup.deployments_file(toy.ROOT) == toy.ROOT / "prefect.yaml"
    assert serving_setup.deployments_file(tmp_path) == toy.ROOT / "prefect.yaml", "the code's own"
    (tmp_path / "prefect.yaml").touch()
    assert serving_setup.deployments_file(tmp_path) == tmp_path / "prefect.yaml"
