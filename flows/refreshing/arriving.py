"""The event that a generator has arrived, for the server of PREFECT_API_URL or of `assay serve`."""

import asyncio
import re
from pathlib import Path
from typing import Any

from assets.errors import AssayError
from flows.refreshing.telling import ARRIVED
from flows.serving.server import server_of, used

_SECONDS = 30.0


def arrived(root: Path, name: str) -> None:
    """Emit `assay.generator.arrived`, and wait until the server has it.

    Raises:
        AssayError: a name that no generator can have; no server, or none that answers.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise AssayError(f"{name!a}: a generator's name is lower-case letters, digits and _, a letter first")
    url = _server(root)
    try:
        with used(url):
            asyncio.run(asyncio.wait_for(_emit(name), _SECONDS))
    except Exception as error:
        raise AssayError(
            f"the server at {url} did not take the event: {error or type(error).__name__}"
        ) from None


def _server(root: Path) -> str:
    from prefect.settings import get_current_settings

    url = get_current_settings().api.url or server_of(root)
    if not url:
        raise AssayError(
            "there is no server to tell: start `assay serve`, set PREFECT_API_URL, or type `assay refresh` "
            "here instead"
        )
    return url


async def _emit(name: str) -> None:
    from prefect.events import Event
    from prefect.events.clients import get_events_client

    facts: dict[str, Any] = {"name": name}
    event = Event(event=ARRIVED, resource={"prefect.resource.id": f"assay.generator.{name}"}, payload=facts)
    async with get_events_client(reconnection_attempts=1) as client:
        await client.emit(event)
