"""Keeping a benchmark up to date with what arrives."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from flows.commands.app import ROOT, Json, app
from flows.commands.flow_runs import recorded_run
from flows.commands.printing import print_json

if TYPE_CHECKING:
    from flows.refreshing.looking import Looked


@app.command(short_help="Find what is new, add it, run it, compare.")
def refresh(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what is new, and do nothing.")] = False,
    retry: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|all",
            help="Try a generator again that was set aside; take a folder's other pictures.",
        ),
    ] = None,
    arrived: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="A folder that is complete: take it in, however young it is."),
    ] = None,
    hub: Annotated[
        Literal["follow", "say", "off"],
        typer.Option(help="A hub model that has changed: move its pin, only tell, or do not ask the hub."),
    ] = "follow",
    push: Annotated[
        str | None, typer.Option(metavar="REMOTE", help="Push records to this git remote.")
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", min=1, help="Stages that run side by side; by default, one a core."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Find what is new, add it, run what it touches, record the new benchmark and compare it with the last.

    New is: a generator card that the last record did not have; an entry in params.yaml that has not run; a
    folder of pictures in incoming/ (or ASSAY_INCOMING) with an about.yaml; a hub model whose repository has
    changed. A generator that fails is set aside, and the tables say why. See docs/refresh.md.

    \b
    Examples:
      assay refresh --dry-run
      assay refresh
      assay refresh --retry sdxl
      assay refresh --hub say --push origin
    """
    from flows.refreshing.looking import TOLD, look
    from flows.serving.temporary import configured

    if dry_run or not (push or configured()):
        looked = look(ROOT, hub, retry, arrived)
        if dry_run or looked.is_nothing:  # spares the seconds that a server for the run alone takes to start
            _print_looked(looked, as_json)
            return
    done = _run_flow(jobs=jobs, hub=hub, retry=retry, arrived=arrived, push=push)
    if as_json:
        print_json(done)
        return
    _print_found(done["found"])
    for name, why in done["set_aside"].items():
        print(f"set aside: {name} ({why}); the tables are made without it")
    how = list(done["stages"].values())
    if how:
        counted = ", ".join(f"{how.count(word)} {word}" for word in ("ran", "restored", "skipped"))
        print(f"{len(how)} stages: {counted}")
    if done["record"]:
        print(f"\n{(ROOT / TOLD).read_text('utf-8')}")
    elif not how and not any(finding["action"] == "add" for finding in done["found"]):
        print("nothing new")


@app.command(short_help="Tell the server that a generator has arrived.")
def arrived(
    name: Annotated[str, typer.Argument(help="The generator: its card, or its folder in incoming/.")],
) -> None:
    """Tell the Prefect server that a generator has arrived, so that the deployment `refresh` starts. For
    whatever drops folders or cards. The server is that of PREFECT_API_URL, or of `assay serve` here.

    \b
    Examples:
      rsync -a sdxl/ host:checkout/incoming/sdxl/ && assay arrived sdxl
    """
    from flows.refreshing.arriving import arrived as tell

    tell(ROOT, name)
    print(f"told: {name} has arrived")


def _run_flow(**parameters: Any) -> dict[str, Any]:
    with recorded_run("`assay refresh` goes on where it was"):
        from flows.refresh import refresh as run

        return run(**parameters)


def _print_looked(looked: "Looked", as_json: bool) -> None:
    found = [finding.as_dict() for finding in looked.found]
    if as_json:
        print_json({"found": found, "stages": looked.stages, "nothing_new": looked.is_nothing})
        return
    _print_found(found)
    if looked.is_nothing:
        print("nothing new")
        return
    if looked.stages:
        print(f"{len(looked.stages)} stages are out of date already; `assay plan` says why")
    print("`assay refresh` takes in what is new, runs what it touches and records it")


def _print_found(found: list[dict[str, Any]]) -> None:
    words = {"add": "new", "run": "new", "told": "left to you"}
    for finding in found:
        print(f"{words[finding['action']]}: {finding['says']}")
