"""A Prefect server of our own: how it is started, and how others find it.

Nothing of the user's is touched: a server keeps its SQLite file in the workspace (.assay/prefect), unless
PREFECT_HOME or PREFECT_API_DATABASE_CONNECTION_URL say otherwise.
"""

import base64
import ipaddress
import json
import os
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from assets.errors import AssayError
from flows.running.dvc import WORKSPACE
from flows.serving.children import Child
from flows.serving.notice import read_notice

HOME = WORKSPACE / "prefect"
LOGIN = "PREFECT_SERVER_API_AUTH_STRING"
"""Variable with `user:password` that the server asks for. Never on a command line: others can read those."""
LOOPBACK = "127.0.0.1"
_PATIENCE = 300.0
PREFECT = [sys.executable, "-m", "prefect"]


def own_environment(root: Path, url: str | None = None) -> dict[str, str]:
    """Variables for Prefect's programs in this workspace.

    Args:
        url: of the API that they shall talk to, whatever the user's variables and profile say.
    """
    home = {} if "PREFECT_HOME" in os.environ else {"PREFECT_HOME": str((root / HOME).resolve())}
    quiet = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}
    aimed = {"PREFECT_API_URL": url} if url else {}
    login = os.environ.get("PREFECT_API_AUTH_STRING") or os.environ.get(LOGIN)
    known = {"PREFECT_API_AUTH_STRING": login} if login else {}
    return {**quiet, **os.environ, **home, **aimed, **known}


def server(root: Path, host: str, port: int) -> Child:
    """The server of `assay serve`, with its UI, not yet started."""
    url = api_url(host, port)
    return Child(
        "the server",
        [*PREFECT, "--no-prompt", "server", "start", "--host", host, "--port", str(port)],
        own_environment(root, url),
        root / WORKSPACE / "serve" / "server.log",
    )


def api_url(host: str, port: int) -> str:
    """Where a server that listens on `host` is reached from this machine."""
    reached = {"0.0.0.0": LOOPBACK, "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{reached}:{port}/api"


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine can reach it."""
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    return all(ipaddress.ip_address(str(address)).is_loopback for address in found)


def require_free(host: str, port: int) -> None:
    """Raises AssayError if something listens there already, or if this machine has no such address."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT is free
            probe.bind(address)
    except OSError as error:
        raise AssayError(
            f"cannot listen on {host}:{port}: {error.strerror}; stop what uses it, or choose another "
            "place with --port and --host"
        ) from None


def await_health(url: str, child: Child) -> None:
    """Wait until a server answers.

    Raises:
        AssayError: it ended, or did not answer in time; the end of its output.
    """
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and child.process and child.process.poll() is None:
        if is_healthy(url):
            return
        time.sleep(0.05)
    raise AssayError(f"the Prefect server did not start; the end of {child.log}:\n{child.tail()}")


def is_healthy(url: str) -> bool:
    """Whether a Prefect server answers under this API's URL."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with suppress(OSError, ValueError), direct.open(f"{url}/health", timeout=5) as answer:
        return bool(json.load(answer) is True)
    return False


@contextmanager
def used(url: str) -> Iterator[None]:
    """Let Prefect in this process, and in its children, talk to the API at `url`."""
    before = os.environ.get("PREFECT_API_URL")
    os.environ["PREFECT_API_URL"] = url
    from prefect.settings import PREFECT_API_URL, temporary_settings

    try:
        with temporary_settings({PREFECT_API_URL: url}):  # where prefect was loaded before
            yield
    finally:
        if before is None:
            os.environ.pop("PREFECT_API_URL", None)
        else:
            os.environ["PREFECT_API_URL"] = before


def server_of(root: Path) -> str | None:
    """The API's URL of an `assay serve` that is at work in this workspace.

    Raises:
        AssayError: it asks for a login that is not set here.
    """
    notice = read_notice(root)
    if notice is None or not is_healthy(notice.url):
        return None
    _require_login(notice.url)
    return notice.url


def _require_login(url: str) -> None:
    known = base64.b64encode(os.environ.get("PREFECT_API_AUTH_STRING", "").encode()).decode()
    request = urllib.request.Request(f"{url}/admin/version", headers={"Authorization": f"Basic {known}"})
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        direct.open(request, timeout=30).close()
    except urllib.error.HTTPError as error:
        if error.code != 401:
            raise
        raise AssayError(f"{url} asks for a login: export PREFECT_API_AUTH_STRING=user:password") from None
