"""Where the run of a command is recorded: the user's own server, that of `assay serve`, or a temporary one.

Prefect's own temporary server outlives a caller that is killed. Ours sits behind the guard, and starts while
the flow is loaded.
"""

import atexit
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from assets.errors import AssayError
from flows.running.dvc import LOGS
from flows.serving.children import Child
from flows.serving.server import LOOPBACK, api_url, await_health, own_environment, server_of, used

_ATTEMPTS = 3


@contextmanager
def recorded(root: Path) -> Iterator[None]:
    """Have a server for the flows that are run inside.

    Raises:
        AssayError: a temporary one was needed and does not start.
    """
    calm()
    with ExitStack() as stack:
        if not configured():
            known = server_of(root)
            temporary = None if known else Temporary(root)
            stack.enter_context(used(temporary.url if temporary else str(known)))
            if temporary:
                import flows.benchmark  # noqa: F401  # slow to load, while the server starts

                stack.enter_context(used(temporary.ready()))
        yield


def calm() -> None:
    """Settings for a run from a terminal, unless the user has set others; before prefect is loaded."""
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    os.environ.setdefault("PREFECT_SERVER_LOGGING_LEVEL", "CRITICAL")


def configured() -> bool:
    """Whether the user has a Prefect server, by variable or profile."""
    if os.environ.get("PREFECT_API_URL"):
        return True
    home = Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser()
    profiles = Path(os.environ.get("PREFECT_PROFILES_PATH", home / "profiles.toml"))
    if not profiles.exists() and not Path("prefect.toml").exists():
        return False  # nobody configured anything: spare the second that loading prefect takes
    calm()
    from prefect.settings import get_current_settings

    return bool(get_current_settings().api.url)


class Temporary:
    """A server without UI that ends with this process, however that ends."""

    def __init__(self, root: Path) -> None:
        """Start it; does not wait."""
        self._root = root
        self._child = self._start()
        # Registered before prefect is loaded, so called after what prefect registers: its last events
        atexit.register(self.stop)

    def _start(self) -> Child:
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            port = probe.getsockname()[1]
        self.url = api_url(LOOPBACK, port)
        app = ["-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"]
        place = ["--host", LOOPBACK, "--port", str(port), "--log-level", "error", "--lifespan", "on"]
        kind = {
            "PREFECT_UI_ENABLED": "0",
            "PREFECT_SERVER_UI_ENABLED": "0",
            "PREFECT__SERVER_EPHEMERAL": "1",
            "PREFECT__SERVER_FINAL": "1",
        }
        child = Child(
            "the temporary server",
            [sys.executable, *app, *place],
            {**own_environment(self._root), **kind},
            self._root / LOGS / "prefect-server.log",
        )
        child.log.unlink(missing_ok=True)
        child.start()
        return child

    def ready(self) -> str:
        """Wait until it answers; its API's URL.

        Raises:
            AssayError: it does not start.
        """
        for attempt in range(_ATTEMPTS):
            try:
                await_health(self.url, self._child)
                return self.url
            except AssayError:
                if attempt + 1 == _ATTEMPTS or "address already in use" not in self._child.tail():
                    raise
                self.stop()
                self._child = self._start()  # somebody took the port between our look and its own
        raise AssertionError("unreachable")

    def stop(self) -> None:
        """End it, and wait until it is gone."""
        self._child.hang_up()
        self._child.wait()
