"""Taking a benchmark's images, or a trained detector, elsewhere."""

from pathlib import Path
from typing import Annotated

import typer

from flows.commands.app import ROOT, Json, app
from flows.commands.printing import print_json


@app.command(short_help="Write the benchmark's images as a folder that other programs read.")
def export(
    out: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to write; it is made if need be.")],
    as_: Annotated[
        str, typer.Option("--as", metavar="LAYOUT", help="folder, genimage, webdataset or huggingface.")
    ] = "folder",
    only: Annotated[
        str | None, typer.Option(metavar="A,B", help="Only these: generators, or real.", show_default=False)
    ] = None,
    whole: Annotated[
        bool, typer.Option("--whole", help="All images, also copies and unreadable ones, on no side.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write the benchmark's images, original bytes, in a layout that other programs read.

    Without --whole: the images that were kept, each on its side of the split.

    \b
    Layouts:
      folder        SIDE/SET/ID.png, real sets as real_NAME
      genimage      GENERATOR/{train,val}/{ai,nature}/, as GenImage is released; our test is its val
      webdataset    SET-SIDE-000000.tar with a .json beside each picture
      huggingface   parquet files that datasets.load_dataset(FOLDER) reads

    \b
    Beside the pictures: manifest.parquet (all that is known of each), croissant.json (ML Commons'
    description), README.md (the data card). `assay import FOLDER` gives back the same image sets.

    \b
    Examples:
      assay export exported/
      assay export shards/ --as webdataset --only real,sd15
    """
    from assets.params import load_params
    from tasks.exporting import export as write

    items = tuple(word.strip() for word in (only or "").split(",") if word.strip())
    done = write(ROOT, load_params(ROOT / "params.yaml"), as_, out, items, whole)
    if as_json:
        print_json(done._asdict())
        return
    for name, rows in done.sets.items():
        print(f"{name}: {rows:,} images")
    lost = f"; {done.unreadable:,} that cannot be read are in the manifest alone" if done.unreadable else ""
    print(f"{done.pictures:,} pictures in {out}{lost}")


@app.command("export-detector", short_help="Write a trained detector as ONNX, with a card.")
def export_detector(
    name: Annotated[str, typer.Argument(help="A name under `detectors`.")],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where to write; it is made if need be.")],
    trained_on: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Its training: a generator, or a set; default: the only one."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Its training seed; default: the first.")] = None,
    as_json: Json = False,
) -> None:
    """Write a trained detector as ONNX, for programs in any language, with a card that says how to use it.

    \b
    Two files, NAME-TRAINED_ON-sSEED:
      .onnx   takes pixels (batch, 3, crop, crop) as uint8, normalises them itself, and gives logits (batch):
              P(generated) = 1 / (1 + exp(-logit))
      .json   the card: how a picture becomes those pixels, step by step; labels and threshold; the weights'
              hash and lineage; terms; and an entry to paste under `given` of another benchmark

    Before the files are put in place, the ONNX one is run by onnxruntime on noise and on test pictures, and
    its logits compared with PyTorch's: if one differs by more than 0.001, nothing is written. The card says
    by how much they differ. Needs pip install -e '.[onnx]'.

    \b
    Examples:
      assay export-detector npr --trained-on sd15 --out exported/
      assay export-detector npr --trained-on diffusion --seed 1 --out exported/ --json

    \b
    To score it in another benchmark, beside that one's own detectors, paste the card's `given` there:
      given:
        npr_sd15: {kind: onnx, weights: exported/npr-sd15-s0.onnx, sha256: ..., crop: 224,
                   options: {pixels: bytes}}
    """
    from assets.params import load_params

    params = load_params(ROOT / "params.yaml")
    from tasks.export_detector import export_detector as export  # loads torch

    done = export(ROOT, params, name, trained_on, seed, out)
    if as_json:
        print_json(done._asdict())
        return
    print(f"{done.onnx}\n{done.card}")
    print(
        f"checked with {done.pictures} pictures: no logit differs from PyTorch's by more than "
        f"{done.difference:.2g}"
    )
