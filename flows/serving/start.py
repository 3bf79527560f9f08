"""Start a run on a server, from a terminal in which nothing is set."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from assets.errors import AssayError, did_you_mean
from flows.serving.server import server_of, used


def parameters(words: Sequence[str]) -> dict[str, Any]:
    """`KEY=VALUE` words as a dictionary; a value is JSON or, if it is not, the text itself.

    Raises:
        AssayError: no `=`.
    """
    found: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not (key and equals):
            raise AssayError(f"--param is '{word}': expected KEY=VALUE, e.g. jobs=4")
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = value
    return found


def start_run(root: Path, name: str, asked: dict[str, Any]) -> str:
    """Have a deployment run; returns the address of the run's page.

    Raises:
        AssayError: no server, no such deployment, no such parameter.
    """
    url = os.environ.get("PREFECT_API_URL") or server_of(root)
    if url is None:
        raise AssayError(
            "no server is at work in this folder; start one with `assay serve` in another terminal, "
            "or name one: export PREFECT_API_URL=http://machine:4200/api"
        )
    with used(url):
        return _create(url, name, asked)


def _create(url: str, name: str, asked: dict[str, Any]) -> str:
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError

    try:
        with get_client(sync_client=True) as client:
            try:
                deployment = client.read_deployment_by_name(f"{name}/{name}")
            except ObjectNotFound:
                known = sorted(one.name for one in client.read_deployments())
                raise AssayError(f"there is no deployment '{name}'; {did_you_mean(name, known)}") from None
            allowed = (deployment.parameter_openapi_schema or {}).get("properties", {})
            for key in asked:
                if key not in allowed:
                    raise AssayError(f"{name} has no parameter '{key}'; {did_you_mean(key, allowed)}")
            run = client.create_flow_run_from_deployment(deployment.id, parameters=asked)
    except PrefectHTTPStatusError as error:
        if error.response.status_code == 401:
            raise AssayError(
                f"{url} asks for a login: export PREFECT_API_AUTH_STRING=user:password"
            ) from None
        raise AssayError(f"the server refuses that run: {error.response.text}") from None
    except httpx.HTTPError as error:
        raise AssayError(f"the server at {url} does not answer: {error}") from None
    return f"{url.removesuffix('/api')}/runs/flow-run/{run.id}"
