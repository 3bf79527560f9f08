"""Generators and detectors: what there is, adding one, drawing an image again."""

import sys
from pathlib import Path
from textwrap import shorten
from typing import Annotated, Any

import typer

from flows.commands.app import ROOT, Json, app
from flows.commands.printing import print_json, print_records

_WIDTH = 50
"""Of a column with free text."""


@app.command(short_help="Add a generator or a detector from its card.")
def add(
    card: Annotated[
        str, typer.Argument(metavar="NAME", help="A card; `assay generators`, `assay detectors` list them.")
    ],
    count: Annotated[int | None, typer.Option(min=1, help="Images to draw, or to take.")] = None,
    train: Annotated[bool, typer.Option("--train", help="Train detectors on it, too.")] = False,
    revision: Annotated[
        str | None, typer.Option(metavar="COMMIT", help="Pin a hub model to these 40 hex digits.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A detector: its settings for small data, not the published ones.")
    ] = False,
    as_: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="Another name: a-z, 0-9, _.")
    ] = None,
) -> None:
    """Put what a card says into params.yaml; nothing else there changes. A generator's goes under `fit` and
    `generators`, a detector's under `detectors` or `attributors`. Licence, terms and what to download are
    printed.

    A card is a YAML file in models/generators/cards/ or models/detectors/cards/; a new one there is picked
    up. --count, --train and --revision are for generators, --quick is for detectors.

    \b
    Examples:
      assay add sd15
      assay add sdxl --count 6000 --train
      assay add sd15 --as sd15_hot --revision 451f4fe16113bff5a5d2269ed5ad43b0592e9a14
      assay add resnet18 --quick
      assay add convnext_tiny --as convnext
    """
    from flows.editing.catalogue import add as put

    for line in put(ROOT, card, count, train, revision, quick, as_):
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
    from flows.planning.inventory import generators as listed

    rows = listed(ROOT)
    if as_json:
        print_json(rows)
        return
    here = ("name", "family", "released", "runs", "wanted", "images", "trained_on", "state")
    cards = ("name", "title", "family", "released", "licence", "terms", "runs", "state")
    for columns, some in (
        (here, [row for row in rows if row["wanted"] is not None]),
        (cards, [row for row in rows if row["wanted"] is None]),
    ):
        if some:
            print_records([{column: row[column] for column in columns} for row in some], False)
            print()


@app.command(short_help="List the detectors.")
def detectors(as_json: Json = False) -> None:
    """List the detectors of params.yaml, and those that have a card and can be added: what each is, and how
    many of its trainings are done.

    Three sections of params.yaml: `detectors` say real or generated and are trained here; `attributors` say
    which generator; `given` ones were made elsewhere.

    \b
    Examples:
      assay detectors
      assay detectors --json
    """
    from flows.planning.inventory import detectors as listed

    rows = listed(ROOT)
    if as_json:
        print_json(rows)
        return
    here = ("name", "section", "kind", "model", "weights", "crop", "epochs", "trained", "state")
    cards = ("name", "title", "section", "kind", "licence", "published", "state")
    for columns, some in (
        (here, [row for row in rows if not row["state"].startswith("card:")]),
        (cards, [row for row in rows if row["state"].startswith("card:")]),
    ):
        if some:
            print_records(
                [{column: _short(column, row[column]) for column in columns} for row in some], False
            )
            print()


def _short(column: str, value: Any) -> Any:
    """Free text as far as it fits into a column; `--json` has all of it."""
    wide = column in ("title", "licence", "published")
    return shorten(value, _WIDTH, placeholder=" ...") if wide and value else value


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
    from assets.images.picture import encode
    from tasks.redraw import redraw as drawn_again

    found = drawn_again(ROOT, image)
    if out is not None:
        write_bytes(out, encode(found.pixels))
    if as_json:
        print_json({"image": image, "same": found.same, "record": found.record})
    else:
        print(f"{image}: {'the same to the last pixel' if found.same else 'not the same'}")
    if not found.same:
        sys.exit(1)
