"""A real Prefect server on a free loopback port, started at most once a session; gone when pytest is."""

import atexit
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from functools import cache
from pathlib import Path

from flows.running import guard

QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_LOGGING_LEVEL": "WARNING",
    "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
    "DO_NOT_TRACK": "1",
}


@cache
def start() -> dict[str, str]:
    """Variables under which a child process talks to the server."""
    home = Path(tempfile.mkdtemp(prefix="assay-prefect-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}/api"
    environment = {**QUIET, "PREFECT_HOME": str(home), "PREFECT_API_URL": url}
    serve = ["-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-ui"]
    services = {"PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "1"}
    with (home / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-I", "-S", guard.__file__, sys.executable, *serve],
            env={**os.environ, **environment, **services},
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
        )
    atexit.register(_stop, server)
    _await(f"{url}/health", server, home / "server.log")
    return environment


def _stop(server: "subprocess.Popen[bytes]") -> None:
    assert server.stdin is not None
    server.stdin.close()
    server.wait(30)


def _await(url: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if answer.status == 200:
                    return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"the Prefect server did not start:\n{log.read_text()[-3000:]}")
