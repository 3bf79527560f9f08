"""Where results come from: hashes, records, and what differs between two of them."""

import json
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assets.errors import AssayError
from flows.commands.app import ROOT, Json, app
from flows.commands.printing import print_json, print_table

if TYPE_CHECKING:
    from assets.lineage import Lineage
    from flows.records.records import Record


@app.command(short_help="Trace a hash, a file or a stage to what it came from; compare two.")
def lineage(
    of: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[A [B]]",
            help="A hash or its beginning, a path, a stage, a git revision, or `now`.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
    listed: Annotated[bool, typer.Option("--list", help="List the recorded benchmarks.")] = False,
) -> None:
    """Trace a hash, a file or a stage back to its commands, parameters, code and raw inputs.

    Without an argument: the hashes of the benchmark and of every stage. With one: what it came from; what
    this checkout does not have is looked up among the recorded benchmarks. With two: what differs between
    them. REVISION:STAGE is a stage of a record or of another commit. docs/lineage.md says what is hashed.

    \b
    Examples:
      assay lineage
      assay lineage 3f9a02
      assay lineage results/tables/cross_generator.md
      assay lineage artifacts/train/dcgan/resnet18-s0 --json
      assay lineage --list
      assay lineage 3f9a02 now
      assay lineage 3f9a02:train@dcgan-resnet18-0 train@dcgan-resnet18-0
    """
    from assets.lineage import Lineage

    asked = of or []
    if listed and asked:
        raise AssayError("--list lists all records: leave out " + " ".join(asked))
    if len(asked) > 2:
        raise AssayError(f"one or two things, not {len(asked)}: `assay lineage A B` compares two")
    known = Lineage(ROOT)
    if listed:
        _list_records(known, as_json)
    elif len(asked) == 2:
        _compare(known, asked[0], asked[1], as_json)
    else:
        _trace(known, asked[0] if asked else None, as_json)


@app.command(short_help="Keep the finished benchmark in git.")
def record(
    push: Annotated[
        str | None,
        typer.Option(
            "--push",
            metavar="REMOTE",
            help="Send the records that this git remote lacks.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Keep the finished benchmark in git: code, parameters, dvc.lock and the tables, as a tag `assay/HASH`.

    `assay run` does so by itself at the end; after `dvc repro`, type this. Your index, files and branches
    stay as they are. `git clone` brings records along, `git push` does not send them unless told.

    \b
    Examples:
      assay record
      assay record --push origin
    """
    from flows.records import records

    kept = records.record_finished(ROOT)
    if kept is None:
        raise AssayError("this folder is in no git repository that could keep it: `git init`")
    sent = records.push(ROOT, push) if push else []
    if as_json:
        print_json({**kept.as_dict(), "left_out": kept.left_out, "pushed": sent})
        return
    print(f"{kept.tag}  lineage {kept.lineage[:16]}  recipe {kept.recipe[:16]}  recorded {kept.made}")
    for path in kept.left_out:
        print(
            f"note: {path} is not in it: new to git, and large or like a secret; `git add` and commit it if"
        )
        print("      others are to make the benchmark again")
    if differ := kept.environment["constraints"]["differ"]:
        names = ", ".join(f"{name} {installed} for {pinned}" for name, (pinned, installed) in differ.items())
        print(f"note: installed is not what constraints.txt pins: {names}")
    if push:
        print(f"sent to {push}: {', '.join(sent) or 'nothing, it has them all'}")
    else:
        print(f"to share it: `assay record --push origin`, or `git push origin refs/tags/{kept.tag}`")


def _trace(known: "Lineage", of: str | None, as_json: bool) -> None:
    from assets.lineage import BENCHMARK, printed
    from flows.records.sides import meant

    found = meant(ROOT, of or BENCHMARK, known)
    rows = found.rows
    if found.lineage is known:
        on_paper = printed(ROOT, known.dag) if found.name == BENCHMARK else None
        if on_paper and on_paper != known.recorded_benchmark():
            older = (
                f"the tables in results/ print {on_paper.lineage[:16]}, from before something was made anew"
            )
            print(f"note: {older}; `assay run` makes them again", file=sys.stderr)
    else:
        print(f"note: not of this checkout as it is now, but of {found.where}", file=sys.stderr)
    if as_json:
        print_json(rows)
    elif of is None:
        print_table(
            ["lineage", "recipe", "stage"],
            [[row["lineage"][:16], row["recipe"][:16], row["stage"]] for row in rows],
        )
    else:
        _print_trace(rows)


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


def _list_records(known: "Lineage", as_json: bool) -> None:
    from flows.records.environment import in_short
    from flows.records.records import records
    from flows.records.sides import present

    here = present(ROOT, known)
    found = records(ROOT)
    if as_json:
        print_json([{**one.as_dict(), "here": one == here} for one in found])
    elif not found:
        print("no benchmark is recorded in git yet: `assay record` records the one that is finished here")
    else:
        heading = [
            "",
            "lineage",
            "recipe",
            "recorded",
            "generators",
            "detectors",
            "computed on",
            "last commit",
        ]
        print_table(heading, [_listed(one, one == here, in_short(one.environment)) for one in found])
        if here:
            print("\n*: what this checkout has now")


def _listed(one: "Record", here: bool, environment: str) -> list[str]:
    subject = one.subject if len(one.subject) <= 60 else f"{one.subject[:57]}..."
    return [
        "*" if here else "",
        one.lineage[:16],
        one.recipe[:16],
        one.made.replace("T", " ").removesuffix("Z"),
        str(len(one.generators)),
        str(len(one.detectors)),
        _plain(environment),
        _plain(subject) + (" (and changes)" if one.changed else ""),
    ]


def _plain(text: str) -> str:
    """What others wrote, without what a terminal obeys."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _compare(known: "Lineage", first: str, second: str, as_json: bool) -> None:
    from assets.differing import differences
    from flows.commands.differences import lines
    from flows.records.sides import meant

    a, b = meant(ROOT, first, known), meant(ROOT, second, known)
    found = differences(a.side(), b.side())
    if as_json:
        print_json(found)
        return
    for line in lines(found, [a.where, b.where]):
        print(line)
    if found["code"] and (a.revision or b.revision):
        revisions = " ".join(revision for revision in (a.revision, b.revision) if revision)
        direction = " -R" if b.revision and not a.revision else ""
        paths = [one["path"] for one in found["code"]]
        shown = " ".join([*paths[:3], *(["..."] if len(paths) > 3 else [])])
        print(f"\nline by line: git diff{direction} {revisions} -- {shown}")
