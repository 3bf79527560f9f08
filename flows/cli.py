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
    from flows.overview import is_large
    from flows.plan import plan as make_plan

    planned = make_plan(ROOT, targets)
    if as_json:
        _print_json([stage.as_dict() for stage in planned])
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


def _print_stages(planned: list[Any]) -> None:
    rows = [
        [stage.stage, "" if stage.images is None else f"{stage.images:,}", "; ".join(stage.why)]
        for stage in planned
    ]
    _print_table(["stage", "images", "why"], rows)


def _print_overview(planned: list[Any]) -> None:
    """Steps, generators, what the hours are, money."""
    from assets.params import load_params
    from flows import overview

    params = load_params(ROOT / "params.yaml")
    _print_table(*overview.steps(planned, params))
    heading, rows = overview.drawn(planned, params)
    if rows:
        print()
        _print_table(heading, rows)
    print("\ndisk: DVC keeps a second copy in its cache, unless the file system shares blocks (XFS, Btrfs)")
    if dollars := overview.costs(planned, params):
        print(f"services: up to {dollars:,.2f} US dollars")


def _print_needed(planned: list[Any]) -> None:
    """What has to be there before a run, and what the licences ask for."""
    from assets.params import load_params
    from flows import overview

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
    from flows.adding import notices

    for line in notices(load_params(ROOT / "params.yaml"), planned):
        print(line, file=sys.stderr)


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
    _print_terms(planned)
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


@app.command(short_help="Add a generator from its card.")
def add(
    card: Annotated[str, typer.Argument(metavar="NAME", help="A card; `assay generators` lists them.")],
    count: Annotated[int | None, typer.Option(min=1, help="Images to draw, or to take.")] = None,
    train: Annotated[bool, typer.Option("--train", help="Train detectors on it, too.")] = False,
    revision: Annotated[
        str | None, typer.Option(metavar="COMMIT", help="Pin a hub model to these 40 hex digits.")
    ] = None,
    as_: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="Another name: a-z, 0-9, _.")
    ] = None,
) -> None:
    """Put what a generator's card says into params.yaml, under `fit` and `generators`; nothing else there
    changes. Licence, terms and what to download are printed.

    A card is a YAML file in models/generators/cards/; a new one there is picked up.

    \b
    Examples:
      assay add sd15
      assay add sdxl --count 6000 --train
      assay add sd15 --as sd15_hot --revision 451f4fe16113bff5a5d2269ed5ad43b0592e9a14
    """
    from flows.adding import add as put

    for line in put(ROOT, card, count, train, revision, as_):
        print(line)


@app.command(short_help="List the generators.")
def generators(as_json: Json = False) -> None:
    """List the generators of params.yaml, and those that have a card and can be added: what each is, where
    its images come from, how many are there.

    \b
    Examples:
      assay generators
      assay generators --json
    """
    from flows.inventory import generators as listed

    rows = listed(ROOT)
    if as_json:
        _print_json(rows)
        return
    here = ("name", "family", "released", "runs", "wanted", "images", "trained_on", "state")
    cards = ("name", "title", "family", "released", "licence", "terms", "runs", "state")
    for columns, some in (
        (here, [row for row in rows if row["wanted"] is not None]),
        (cards, [row for row in rows if row["wanted"] is None]),
    ):
        if some:
            _print_records([{column: row[column] for column in columns} for row in some], False)
            print()


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


@app.command(short_help="Draw a generated image again from its record.")
def redraw(
    image: Annotated[str, typer.Argument(help="The image's id, GENERATOR-NUMBER.")],
    out: Annotated[Path | None, typer.Option("--out", help="Where to write it, as PNG.")] = None,
    as_json: Json = False,
) -> None:
    """Draw a generated image again from its generation record alone, and compare every pixel.

    The record is in the manifest of the image's set: model and its hash, scheduler, steps, guidance,
    seed, prompt, dtype, library versions. Exit status 1 if a pixel differs.

    \b
    Examples:
      assay redraw dcgan-000017
      assay redraw sd15-004711 --out again.png
    """
    from assets.files import write_bytes
    from assets.picture import encode
    from tasks.redraw import redraw as drawn_again

    found = drawn_again(ROOT, image)
    if out is not None:
        write_bytes(out, encode(found.pixels))
    if as_json:
        _print_json({"image": image, "same": found.same, "record": found.record})
    else:
        print(f"{image}: {'the same to the last pixel' if found.same else 'not the same'}")
    if not found.same:
        sys.exit(1)


@app.command("import", short_help="Pack pictures, or a released dataset, as image sets.")
def import_(
    path: Annotated[str, typer.Argument(help="A folder, a .tar, a .parquet, or hf:OWNER/NAME@REVISION.")],
    as_: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="Name: a-z, 0-9 and _.", show_default=False)
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            metavar="LAYOUT",
            help="folder, genimage, imaginet, webdataset, parquet or journeydb; default: as it looks.",
        ),
    ] = None,
    real: Annotated[bool, typer.Option("--real", help="Real images (otherwise: a generator's).")] = False,
    content: Annotated[
        str | None, typer.Option(help="photo (the default), painting, face or other.", show_default=False)
    ] = None,
    family: Annotated[
        str | None, typer.Option(help="gan, pixel-diffusion, latent-diffusion, vq-diffusion, ...")
    ] = None,
    released: Annotated[
        str | None, typer.Option(metavar="YYYY-MM", help="When the generator was published.")
    ] = None,
    only: Annotated[
        str | None, typer.Option(metavar="A,B", help="genimage, imaginet: only these image sets.")
    ] = None,
    reals_by_subset: Annotated[
        bool, typer.Option("--reals-by-subset", help="genimage: a set of real images for each generator.")
    ] = False,
    ground_truth: Annotated[
        Path | None, typer.Option(help="genimage, folder: classes of the ILSVRC2012 validation images.")
    ] = None,
    annotations: Annotated[
        list[Path] | None,
        typer.Option(help="imaginet, journeydb: the annotation file, where it is not the usual one."),
    ] = None,
    image_column: Annotated[str | None, typer.Option(help="parquet: the column of pictures.")] = None,
    label_column: Annotated[
        str | None, typer.Option(help="parquet, webdataset: what says real or generated; makes two sets.")
    ] = None,
    generated: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Its values that mean generated; folder: names of subfolders."),
    ] = None,
    class_column: Annotated[str | None, typer.Option(help="parquet, webdataset: the class.")] = None,
    imagenet_classes: Annotated[
        bool, typer.Option("--imagenet-classes", help="Its numbers are ImageNet-1k's, from 0.")
    ] = False,
    prompt_column: Annotated[
        str | None, typer.Option(help="parquet, webdataset, journeydb: the column or key of prompts.")
    ] = None,
    polarity_checked: Annotated[
        bool,
        typer.Option("--polarity-checked", help="Real and generated are right, whatever names say."),
    ] = False,
) -> None:
    """Pack pictures as image sets in data/ and pin them in data.dvc. The original bytes are kept.

    How the pictures lie is seen by looking, or said with --layout. A picture that cannot be read is a counted
    row. Killed, or stopped by a full disk, the same command goes on where it was. params.yaml is not touched:
    the entries to paste are printed.

    \b
    Your own pictures; subfolders' names are classes (n01440764 is known as ImageNet's):
      assay import ~/sdxl --as sdxl --family latent-diffusion --released 2023-07
      assay import ~/holiday --as holiday --real
      assay import progan_train --as progan --family gan --generated 1_fake      and data/progan_real

    \b
    A released dataset brings its own names, families and dates, and becomes several sets:
      assay import /data/GenImage
      assay import /data/GenImage --only midjourney,wukong,genimage_nature
      assay import /data/GenImage/BigGAN --reals-by-subset --ground-truth LOC_val_solution.csv
      assay import /data/imaginet --annotations annotations/test_annotations.txt

    \b
    Other forms:
      assay import shards/ --as flux --family latent-diffusion        webdataset tars
      assay import /data/journeydb --as journeydb --family proprietary
      assay import hf:OWNER/NAME@REVISION --as fakes --family gan \\
        --label-column label --generated 1          data/fakes, and data/fakes_real with the rest
    """
    from flows.importing import import_place
    from tasks.sources.entry import Wanted

    wanted = Wanted(
        name=as_,
        real=real,
        content=content,
        family=family,
        released=released,
        only=_words(only),
        reals_by_subset=reals_by_subset,
        ground_truth=ground_truth,
        annotations=tuple(annotations or ()),
        image_column=image_column,
        label_column=label_column,
        generated=_words(generated),
        class_column=class_column,
        imagenet_classes=imagenet_classes,
        prompt_column=prompt_column,
        polarity_checked=polarity_checked,
    )
    for line in import_place(ROOT, path, layout, wanted):
        print(line, flush=True)


def _words(text: str | None) -> tuple[str, ...]:
    return tuple(word.strip() for word in (text or "").split(",") if word.strip())


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
