"""`assay`, the command line. Exit status: 0 ok, 1 a run failed, 2 a mistake with one clear message.

Whatever is slow to load (prefect, pandas, the image code) is imported by the command that needs it.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assets.errors import AssayError, did_you_mean

if TYPE_CHECKING:
    from flows.checks import DetectorCheck

app = typer.Typer(
    name="assay",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="""A benchmark factory for detectors of AI-generated images.

    From real images and a list of generators in params.yaml, assay makes the fakes, removes duplicates,
    splits, degrades, trains detectors, evaluates them and prints tables, in which every number can be traced
    by a hash. Only what a change touches is computed again.

    \b
    From nothing to a table:
      assay use mini    a small benchmark that needs no download
      assay plan        what would run, why, and how much
      assay run         run it
      assay table       read it

    \b
    Then add a generator of your own and see how well detectors know it:
      assay import ~/sdxl --as sdxl --family latent-diffusion --released 2023-07
      (paste the entry that is printed into params.yaml)
      assay run
    """,
)
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
ROOT = Path()


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
    from flows import presets

    for line in presets.use(ROOT, preset, force):
        print(line)
    print("next: `assay plan`, then `assay run`")


@app.command(short_help="What would run, why, and how much.")
def plan(
    targets: Annotated[
        list[str] | None, typer.Argument(help="Stages, families or paths; nothing: everything.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say which stages would run and why, and how many images that is. Nothing is run.

    \b
    Examples:
      assay plan
      assay plan train            the trainings and what they need
      assay plan --json | jq '.[].stage'
    """
    from flows.plan import plan as make_plan

    planned = make_plan(ROOT, targets)
    if as_json:
        _print_json([stage.as_dict() for stage in planned])
        return
    if not planned:
        print("everything is up to date")
        return
    rows = [
        [stage.stage, "" if stage.images is None else f"{stage.images:,}", "; ".join(stage.why)]
        for stage in planned
    ]
    _print_table(["stage", "images", "why"], rows)
    print(f"\n{len(planned)} stages would run{_duration(planned)}; `assay run` runs them")


@app.command(short_help="Bring the benchmark up to date.")
def run(
    targets: Annotated[
        list[str] | None, typer.Argument(help="Stages, families or paths; nothing: everything.")
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Stages that run side by side.")] = 2,
) -> None:
    """Bring the benchmark up to date: run what is out of date, and what follows from it.

    Each stage starts as soon as its own inputs are there; stages that want a GPU wait for a free one. Stop
    with Ctrl-C and start again whenever you like: finished stages are not repeated. A stage's output is in
    .assay/logs/STAGE.log. With PREFECT_API_URL set, the run is recorded by that server.

    \b
    Examples:
      assay run
      assay run --jobs 8
      assay run generate           all generators, and what they need
      assay run train@dcgan-resnet18-0
    """
    from flows.checks import DetectorCheck
    from flows.dvc import heal_lock
    from flows.plan import check_inputs
    from flows.plan import plan as make_plan
    from flows.workspace import only_run

    with only_run(ROOT):
        if mended := heal_lock(ROOT):
            print(mended, file=sys.stderr)
        planned = make_plan(ROOT, targets)
    check_inputs(ROOT, planned)
    if not planned and not _has_server():
        print("everything is up to date")
        return
    trains = any(stage.stage.startswith("train@") for stage in planned)
    done = _run_flow(jobs, targets, DetectorCheck(ROOT) if trains else None)
    how = list(done["stages"].values())
    counted = ", ".join(f"{how.count(word)} {word}" for word in ("ran", "restored", "skipped"))
    print(f"{len(how)} stages: {counted}")
    if done["lineage"]:
        print(
            f"lineage {done['lineage'][:16]}  recipe {done['recipe'][:16]}; `assay table` prints the tables"
        )


@app.command(short_help="Print a table.")
def table(
    name: Annotated[str, typer.Argument(help="Which table.")] = "cross_generator",
) -> None:
    """Print a table of results/; every table ends with the hash that it comes from.

    \b
    Examples:
      assay table
      assay table degraded
    """
    from assets.lineage import is_current

    folder = ROOT / "results"
    known = sorted(path.stem for path in folder.glob("*.md"))
    if not known:
        raise AssayError("there are no tables yet: `assay run` makes them")
    if name not in known:
        raise AssayError(f"there is no table '{name}'; {did_you_mean(name, known)}")
    print((folder / f"{name}.md").read_text("utf-8").rstrip())
    if not is_current(ROOT):
        print("\nnote: something it depends on has changed since; `assay plan` says what", file=sys.stderr)


@app.command(short_help="Trace a hash, a file or a stage to what it came from.")
def lineage(
    of: Annotated[
        str | None, typer.Argument(metavar="HASH|PATH", help="A hash or its beginning, a path, a stage.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Trace a hash, a file or a stage back to its commands, parameters, code and raw inputs.

    Without an argument: the hashes of the benchmark and of every stage.

    \b
    Examples:
      assay lineage
      assay lineage 3f9a02
      assay lineage results/cross_generator.md
      assay lineage artifacts/train/dcgan/resnet18-s0 --json
    """
    from assets.lineage import BENCHMARK, Lineage, printed

    known = Lineage(ROOT)
    name = _meant(known, of) if of else BENCHMARK
    rows = known.tree(name)
    on_paper = printed(ROOT, known.dag)
    if name == BENCHMARK and on_paper and on_paper != known.recorded_benchmark():
        older = f"the tables in results/ print {on_paper.lineage[:16]}, from before something was made anew"
        print(f"note: {older}; `assay run` makes them again", file=sys.stderr)
    if as_json:
        _print_json(rows)
    elif of is None:
        _print_table(
            ["lineage", "recipe", "stage"],
            [[row["lineage"][:16], row["recipe"][:16], row["stage"]] for row in rows],
        )
    else:
        _print_trace(rows)


@app.command(short_help="List the generators.")
def generators(as_json: Json = False) -> None:
    """List the generators of params.yaml: what each is, where its images come from, how many are there.

    \b
    Examples:
      assay generators
      assay generators --json
    """
    from flows.inventory import generators as listed

    _print_records(listed(ROOT), as_json)


@app.command(short_help="List the detectors.")
def detectors(as_json: Json = False) -> None:
    """List the detectors of params.yaml: what each is, and how many of its trainings are done.

    \b
    Examples:
      assay detectors
      assay detectors --json
    """
    from flows.inventory import detectors as listed

    _print_records(listed(ROOT), as_json)


@app.command("import", short_help="Pack a folder of pictures of your own.")
def import_(
    path: Annotated[Path, typer.Argument(help="A folder of pictures; its subfolders' names are classes.")],
    as_: Annotated[str, typer.Option("--as", metavar="NAME", help="Name: a-z, 0-9 and _.")],
    real: Annotated[bool, typer.Option("--real", help="Real images (otherwise: a generator's).")] = False,
    content: Annotated[str, typer.Option(help="photo, painting, face or other.")] = "photo",
    family: Annotated[
        str | None, typer.Option(help="gan, pixel-diffusion, latent-diffusion, vq-diffusion, ...")
    ] = None,
    released: Annotated[
        str | None, typer.Option(metavar="YYYY-MM", help="When the generator was published.")
    ] = None,
) -> None:
    """Pack a folder of pictures as an image set in data/ and pin it in data.dvc.

    The original bytes are kept. params.yaml is not touched: the entry to paste is printed.

    \b
    Examples:
      assay import ~/sdxl --as sdxl --family latent-diffusion --released 2023-07
      assay import ~/holiday --as holiday --real
    """
    from flows.importing import import_folder

    for line in import_folder(ROOT, path, as_, real, content, family, released):
        print(line)


def main() -> None:
    """Run the command line; turn a user's mistake into one message and status 2."""
    signal.signal(signal.SIGTERM, _end)
    try:
        app()
    except AssayError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # `assay table | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _end(number: int, frame: object) -> None:
    sys.exit(128 + number)


def _run_flow(jobs: int, targets: list[str] | None, check: "DetectorCheck | None") -> dict[str, Any]:
    """Run the flow, once `check` has passed; a failed run ends the program with status 1."""
    _calm_prefect()
    from flows.benchmark import RunFailed, TerminationSignal, benchmark

    if check:
        check.wait()
    try:
        return benchmark(jobs=jobs, targets=targets)
    except RunFailed as failed:
        print(f"\n{failed}", file=sys.stderr)
        sys.exit(1)
    except (KeyboardInterrupt, TerminationSignal) as ended:
        print("\nstopped; `assay run` goes on where it was", file=sys.stderr)
        sys.exit(130 if isinstance(ended, KeyboardInterrupt) else 143)


def _calm_prefect() -> None:
    """Settings for a run from a terminal, unless the user has set others; before prefect is loaded."""
    os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_ENABLED", "true")
    os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "180")  # it migrates a database
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    os.environ.setdefault("PREFECT_SERVER_LOGGING_LEVEL", "CRITICAL")


def _has_server() -> bool:
    """Whether a Prefect server is configured, by variable or profile."""
    if os.environ.get("PREFECT_API_URL"):
        return True
    home = Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser()
    profiles = Path(os.environ.get("PREFECT_PROFILES_PATH", home / "profiles.toml"))
    if not profiles.exists() and not Path("prefect.toml").exists():
        return False  # nobody configured anything: spare the second that loading prefect takes
    _calm_prefect()
    from prefect.settings import get_current_settings

    return bool(get_current_settings().api.url)


def _duration(planned: list[Any]) -> str:
    known = [stage.seconds for stage in planned if stage.seconds is not None]
    if len(known) < len(planned) / 2:
        return ""
    from flows.display import in_words

    return f", about {in_words(sum(known) / len(known) * len(planned))} of work"


def _meant(known: Any, of: str) -> str:
    """The stage that a hash, a stage's name or a path means."""
    if of in known.dag.stages or of == "benchmark":
        return of
    if all(digit in "0123456789abcdefABCDEF" for digit in of) and not Path(of).exists():
        return str(known.find(of).name)
    return str(known.of_path(of))


def _print_trace(rows: list[dict[str, Any]]) -> None:
    """The thing itself first, then what it came from."""
    for row in reversed(rows):
        print(
            f"{row['stage']}\n  lineage {row['lineage']}\n  recipe  {row['recipe']}\n  command {row['cmd']}"
        )
        for file, values in row["params"].items():
            print(f"  {file}: {json.dumps(values, sort_keys=True, default=str)}")
        for word, files in (("input", row["inputs"]), ("output", row["outputs"])):
            for path, md5 in files.items():
                print(f"  {word} {path}  md5 {md5}")
        if row["reads"]:
            print(f"  reads {', '.join(row['reads'])}")
        print()


def _print_records(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        _print_json(rows)
        return
    heading = list(rows[0])
    _print_table(heading, [["" if row[key] is None else str(row[key]) for key in heading] for row in rows])


def _print_table(heading: list[str], rows: list[list[str]]) -> None:
    """Columns side by side; the last is not padded."""
    widths = [max(len(row[column]) for row in [heading, *rows]) for column in range(len(heading))]
    for row in [heading, *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, default=str))


if __name__ == "__main__":
    main()
