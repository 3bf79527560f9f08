"""A server with a UI, workers, and runs that they work off."""

import os
import signal
from typing import Annotated

import typer

from assets.errors import AssayError
from flows.commands.app import ROOT, app


@app.command(short_help="A server with a UI, workers, schedules and events.")
def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen on; anything but a loopback one is open to others.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 4200,
) -> None:
    """Start a Prefect server with its UI, deploy prefect.yaml, and start workers: one for whole runs, one for
    single stages, and one a GPU. Ctrl-C ends all of them; what dies in between is started again.

    The server keeps its database in .assay/prefect; with PREFECT_API_DATABASE_CONNECTION_URL, say
    postgresql+asyncpg://user:password@host/name, it keeps it there. Logs are in .assay/serve. See
    docs/serving.md.

    \b
    Examples:
      assay serve                        then open http://127.0.0.1:4200
      assay serve --port 4300
    """
    from flows.serving.serve import serve as run_server

    _warn_if_open(host)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job of a shell ignores it
    try:
        run_server(ROOT, host, port, _say)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


@app.command(short_help="Work off stages that another machine sends.")
def worker(
    queue: Annotated[
        list[str] | None, typer.Option("--queue", "-q", help="cpu or gpu; may be repeated. Default: both.")
    ] = None,
) -> None:
    """Work off stages for a server on another machine: run this there, in a clone of the same commit, with
    the same DVC remote. A clone does one stage at a time: for more, run it in several clones, and give each
    its GPU.

    \b
    Examples:
      export PREFECT_API_URL=http://serving-machine:4200/api
      assay worker                       every stage that this machine can do
      CUDA_VISIBLE_DEVICES=1 assay worker --queue gpu
    """
    from flows.serving.serve import work

    url = os.environ.get("PREFECT_API_URL")
    if not url:
        raise AssayError(
            "PREFECT_API_URL is not set; put the server's address there, e.g. "
            "export PREFECT_API_URL=http://serving-machine:4200/api"
        )
    try:
        work(ROOT, url, queue or ["cpu", "gpu"], _say)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


@app.command(short_help="Start a run on the server of `assay serve`.")
def start(
    name: Annotated[
        str, typer.Argument(help="A deployment of prefect.yaml: benchmark, refresh, reproduce, stage.")
    ] = "benchmark",
    parameter: Annotated[
        list[str] | None,
        typer.Option("--param", "-p", metavar="KEY=VALUE", help="A parameter, as JSON or a plain word."),
    ] = None,
) -> None:
    """Start a run on the server of `assay serve` in this folder, or on PREFECT_API_URL's; print its page.

    \b
    Examples:
      assay start
      assay start benchmark -p jobs=4 -p targets='["train"]'
      assay start refresh
      assay start reproduce -p hash=3f9a02
    """
    from flows.serving.start import parameters, start_run

    print(start_run(ROOT, name, parameters(parameter or [])))


def _say(line: str) -> None:
    print(line, flush=True)


def _warn_if_open(host: str) -> None:
    from flows.serving.server import LOGIN, is_loopback

    if not is_loopback(host) and not os.environ.get(LOGIN):
        _say(
            f"warning: {host} is open to other machines, and Prefect asks for no login: whoever reaches it "
            f"can run flows as you. Set {LOGIN}=user:password, or stay on 127.0.0.1 and use an SSH tunnel."
        )
