"""Generators and detectors: what there is, adding one, drawing an image again."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from flows.commands.app import ROOT, Json, app
from flows.commands.printing import print_json, print_records


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
    """List the detectors of params.yaml: what each is, and how many of its trainings are done.

    \b
    Examples:
      assay detectors
      assay detectors --json
    """
    from flows.inventory import detectors as listed

    print_records(listed(ROOT), as_json)


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
        print_json({"image": image, "same": found.same, "record": found.record})
    else:
        print(f"{image}: {'the same to the last pixel' if found.same else 'not the same'}")
    if not found.same:
        sys.exit(1)
