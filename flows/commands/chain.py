"""Choosing, planning and running a benchmark."""

import sys
from enum import StrEnum
from importlib import import_module
from threading import Thread
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assets.errors import AssayError
from flows.commands.app import ROOT, Json, app
from flows.commands.flow_runs import recorded_run
from flows.commands.printing import print_json, print_table

if TYPE_CHECKING:
    from flows.planning.checks import DetectorCheck


class Where(StrEnum):
    """Who does the stages of a run."""

    here = "here"
    workers = "workers"
    cluster = "cluster"


@app.command(short_help="Start from a preset.")
def use(
    preset: Annotated[str, typer.Argument(help="A name in presets/, e.g. mini.")],
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite your own params.yaml; accept other pictures.")
    ] = False,
) -> None:
    """Start from a preset: copy it to params.yaml and pack the pictures it comes with.

    \b
    Examples:
      assay use mini
    """
    from flows.editing import presets

    for line in presets.use(ROOT, preset, force):
        print(line)
    print("next: `assay plan`, then `assay run`")


@app.command(short_help="What would run, why, and how much.")
def plan(
    targets: Annotated[
        list[str] | None, typer.Argument(help="Stages, families or paths; nothing: everything.")
    ] = None,
    stages: Annotated[
        bool, typer.Option("--stages", help="Tell a large plan stage by stage, with the reasons.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Say which stages would run and why, and how many images that is. Nothing is run.

    A large plan is told by steps and by generators, with GPU hours and disk: as measured on this machine,
    else as the generators' cards say. What has to be there first is listed.

    \b
    Examples:
      assay plan
      assay plan train            the trainings and what they need
      assay plan --stages         every stage of a large plan
      assay plan --json | jq '.[].stage'
    """
    from flows.planning.overview import is_large
    from flows.planning.plan import plan as make_plan

    planned = make_plan(ROOT, targets)
    if as_json:
        print_json([stage.as_dict() for stage in planned])
        return
    if not planned:
        print("everything is up to date")
        return
    if is_large(planned) and not stages:
        _print_overview(planned)
    else:
        _print_stages(planned)
    _print_needed(planned)
    print(f"\n{len(planned)} stages would run{_duration(planned)}; `assay run` runs them")


@app.command(short_help="Bring the benchmark up to date.")
def run(
    targets: Annotated[
        list[str] | None, typer.Argument(help="Stages, families or paths; nothing: everything.")
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", min=1, help="Stages that run side by side; by default, one a core."),
    ] = None,
    where: Annotated[
        Where, typer.Option("--where", help="Who does the stages: this machine, Prefect workers, a cluster.")
    ] = Where.here,
    cluster: Annotated[
        str | None, typer.Option("--cluster", metavar="URL", help="dask://HOST:PORT or ray://HOST:PORT.")
    ] = None,
    remote: Annotated[
        bool, typer.Option("--remote", help="Fetch what others have computed from DVC's remote, and push.")
    ] = False,
) -> None:
    """Bring the benchmark up to date: run what is out of date, and what follows from it.

    Each stage starts as soon as its own inputs are there; stages that want a GPU wait for a free one. Stop
    with Ctrl-C and start again whenever you like: finished stages are not repeated. A stage's output is in
    .assay/logs/STAGE.log. The run is recorded by the server of `assay serve` or of PREFECT_API_URL, if any.

    \b
    Examples:
      assay run
      assay run --jobs 8
      assay run --where workers    on every machine where `assay worker` runs (docs/workers.md)
      assay run generate           all generators, and what they need
      assay run train@dcgan-resnet18-0
    """
    from flows.planning.checks import DetectorCheck
    from flows.planning.plan import check_inputs, planned_already
    from flows.planning.plan import plan as make_plan
    from flows.running.dvc import heal_lock
    from flows.running.workspace import only_run
    from flows.serving.server import server_of
    from flows.serving.temporary import configured

    options = {"jobs": jobs, "targets": targets, "remote": remote}
    if where != Where.here:  # what is not on this disk may be done all the same: the flow finds out
        if where == Where.workers and not configured() and server_of(ROOT) is None:
            raise AssayError("there is no server that workers poll: `assay serve`, or set PREFECT_API_URL")
        _tell(_run_flow({**options, "where": where.value, "cluster": cluster}))
        return
    if configured():
        _load_flow()
    with only_run(ROOT):
        if mended := heal_lock(ROOT):
            print(mended, file=sys.stderr)
        planned = make_plan(ROOT, targets)
    check_inputs(ROOT, planned)
    _print_terms(planned)
    if not planned and not configured():
        print("everything is up to date")
        return
    trains = any(stage.stage.startswith("train@") for stage in planned)
    check = DetectorCheck(ROOT) if trains else None
    with planned_already(ROOT, targets, planned):
        _tell(_run_flow(options, check))


def _tell(done: dict[str, Any]) -> None:
    how = list(done["stages"].values())
    counted = ", ".join(f"{how.count(word)} {word}" for word in ("ran", "restored", "skipped"))
    print(f"{len(how)} stages: {counted}")
    if done["lineage"]:
        print(
            f"lineage {done['lineage'][:16]}  recipe {done['recipe'][:16]}; `assay table` prints the tables"
        )


def _print_stages(planned: list[Any]) -> None:
    rows = [
        [stage.stage, "" if stage.images is None else f"{stage.images:,}", "; ".join(stage.why)]
        for stage in planned
    ]
    print_table(["stage", "images", "why"], rows)


def _print_overview(planned: list[Any]) -> None:
    """Steps, generators, what the hours are, money."""
    from assets.params import load_params
    from flows.planning import overview

    params = load_params(ROOT / "params.yaml")
    print_table(*overview.steps(planned, params))
    heading, rows = overview.drawn(planned, params)
    if rows:
        print()
        print_table(heading, rows)
    print("\ndisk: DVC keeps a second copy in its cache, unless the file system shares blocks (XFS, Btrfs)")
    if dollars := overview.costs(planned, params):
        print(f"services: up to {dollars:,.2f} US dollars")


def _print_needed(planned: list[Any]) -> None:
    """What has to be there before a run, and what the licences ask for."""
    from assets.params import load_params
    from flows.planning import overview

    params = load_params(ROOT / "params.yaml")
    if lines := overview.needed(ROOT, params, planned):
        print("\nfirst:")
        for line in lines:
            print(f"  {line}")
    _print_terms(planned)


def _print_terms(planned: list[Any]) -> None:
    if not any(stage.family == "generate" for stage in planned):
        return
    from assets.params import load_params
    from flows.editing.adding import notices

    for line in notices(load_params(ROOT / "params.yaml"), planned):
        print(line, file=sys.stderr)


def _load_flow() -> None:
    """Begin to load what the flow needs while DVC looks at the files."""
    from flows.serving.temporary import calm

    calm()
    Thread(target=import_module, args=("flows.benchmark",), daemon=True).start()


def _run_flow(options: dict[str, Any], check: "DetectorCheck | None" = None) -> dict[str, Any]:
    """Run the flow, once `check` has passed."""
    with recorded_run("`assay run` goes on where it was"):
        from flows.benchmark import benchmark

        if check:
            check.wait()
        return benchmark(**options)


def _duration(planned: list[Any]) -> str:
    known = [stage.seconds for stage in planned if stage.seconds is not None]
    if len(known) < len(planned) / 2:
        return ""
    from flows.running.display import in_words

    return f", about {in_words(sum(known) / len(known) * len(planned))} of work"
