"""Tables, and what they say."""

import json
import sys
from typing import Annotated

import typer

from assets.errors import AssayError, did_you_mean
from flows.commands.app import ROOT, Json, app


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
