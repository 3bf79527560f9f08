"""Provenance of released tables."""

import json
from typing import Annotated

import typer

from flows.commands.app import ROOT, app


@app.command(short_help="A statement of what tables were made from, to sign and release with them.")
def provenance(
    of: Annotated[
        str | None,
        typer.Argument(
            metavar="[HASH]", help="A recorded benchmark; nothing: the one that is here.", show_default=False
        ),
    ] = None,
    builder: Annotated[
        str, typer.Option(metavar="URI", help="What ran it, as those who check the statement know it.")
    ] = "urn:assay:local",
) -> None:
    """Print an in-toto statement with SLSA provenance: sha256 of every table, commit, inputs, parameters.

    It is not signed; docs/standards.md says how to sign it, and how to check it by hand.

    \b
    Examples:
      assay provenance > provenance.json
      assay provenance 3f9a02 --builder https://lab.example/runners/1
    """
    from flows.records.provenance import provenance as statement

    print(json.dumps(statement(ROOT, of, builder), indent=2, default=str))
