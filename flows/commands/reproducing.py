"""Making a recorded benchmark again."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.commands.app import Json, app
from flows.commands.flow_runs import recorded_run
from flows.commands.printing import print_json


@app.command(short_help="Make a recorded benchmark again from its hash, and compare every byte.")
def reproduce(
    hash_: Annotated[
        str, typer.Argument(metavar="HASH", help="A lineage or recipe hash, or the beginning of one.")
    ],
    rerun: Annotated[
        bool, typer.Option("--rerun", help="Compute everything anew from the raw inputs.")
    ] = False,
    tolerance: Annotated[
        float, typer.Option(min=0, help="How far numbers may lie apart and still count as equal.")
    ] = 1e-6,
    into: Annotated[
        Path | None, typer.Option(help="Folder for the worktree; by default .assay/reproduce/HASH.")
    ] = None,
    environment: Annotated[
        bool,
        typer.Option("--environment", help="Compute with the versions that the record pins (`make setup`)."),
    ] = False,
    remove: Annotated[
        bool,
        typer.Option("--remove/--keep", help="Remove the worktree afterwards, unless something differs."),
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", min=1, help="Stages that run side by side; by default, one a core."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a recorded benchmark again in a git worktree, and say whether it is the same to the byte.

    What DVC's cache or remote still has is restored, what nobody has is computed, and the tables are made
    again; with --rerun everything is computed from the raw inputs. Then every output is hashed anew and
    compared with the record. Started again after an interruption, it goes on.

    THE CODE OF THE RECORD IS RUN, with your rights: reproduce only what you would run.

    Exit status: 0 the same, or equal within the tolerance; 1 different; 2 a mistake.

    \b
    Examples:
      assay reproduce 3f9a02
      assay reproduce 3f9a02 --rerun --jobs 8
      assay reproduce 3f9a02 --rerun --environment --into ~/again --json
    """
    with recorded_run("the same command goes on where it was"):
        from flows.reproduce import Different
        from flows.reproduce import reproduce as run

        try:
            where = str(into) if into else None
            _print(run(hash_, rerun, tolerance, jobs, where, environment, remove), as_json)
        except Different as different:
            _print(different.verdict.as_dict(), as_json)
            sys.exit(1)


def _print(verdict: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(verdict)
    else:
        print("\n".join(verdict["account"]))
