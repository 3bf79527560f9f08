"""Tables, and what they came from."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from assets.errors import AssayError, did_you_mean
from flows.commands.app import ROOT, Json, app
from flows.commands.printing import print_json, print_table


@app.command(short_help="Print a table.")
def table(
    name: Annotated[
        str | None,
        typer.Argument(help="Which chapter; nothing: the first of cross_generator.", show_default=False),
    ] = None,
    latex: Annotated[bool, typer.Option("--latex", help="For a paper (booktabs).")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="A line a number, with intervals.")] = False,
    as_json: Json = False,
    names: Annotated[bool, typer.Option("--list", help="Name the tables that there are.")] = False,
) -> None:
    """Print the tables of a chapter of results/; every one says which hash it comes from.

    \b
    Examples:
      assay table                   the first of cross_generator
      assay table degraded
      assay table --list
      assay table cross_generator --latex > table.tex
    """
    from assets.lineage import is_current

    chosen = [form for form, wanted in (("tex", latex), ("csv", csv), ("json", as_json)) if wanted]
    if len(chosen) > 1:
        raise AssayError("--latex, --csv and --json: one of them")
    kind = (chosen or ["md"])[0]
    folder = ROOT / "results" / "tables"
    known = sorted(path.stem for path in folder.glob(f"*.{kind}"))
    if not known:
        raise AssayError("there are no tables yet: `assay run` makes them")
    if names:
        print("\n".join(known))
        return
    short = name is None and kind == "md"
    name = name or "cross_generator"
    if name not in known:
        raise AssayError(f"there is no table '{name}'; {did_you_mean(name, known)}")
    text = (folder / f"{name}.{kind}").read_text("utf-8").rstrip()
    if short and (parts := text.split("\n## "))[2:]:
        print("\n## ".join(parts[:2]).rstrip())
        print(f"\n{len(parts) - 2} more tables: `assay table {name}`; other chapters: `assay table --list`")
    else:
        print(text)
    if not is_current(ROOT):
        print("\nnote: something it depends on has changed since; `assay plan` says what", file=sys.stderr)


@app.command(short_help="What the benchmark found, in plain words, and where its page is.")
def report() -> None:
    """Print the summary of the last report and the address of its page.

    \b
    Examples:
      assay report
      open results/index.html
    """
    from assets.lineage import is_current

    folder = ROOT / "results"
    try:
        summary = json.loads((folder / "summary.json").read_text("utf-8"))
    except FileNotFoundError:
        raise AssayError("there is no report yet: `assay run` makes it") from None
    for sentence in summary["sentences"]:
        print(f"- {sentence}")
    print(f"\nlineage {summary['lineage']}\n{(folder / 'index.html').resolve().as_uri()}")
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
      assay lineage results/tables/cross_generator.md
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
        print_json(rows)
    elif of is None:
        print_table(
            ["lineage", "recipe", "stage"],
            [[row["lineage"][:16], row["recipe"][:16], row["stage"]] for row in rows],
        )
    else:
        _print_trace(rows)


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
