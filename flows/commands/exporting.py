"""Taking a trained detector elsewhere."""

from pathlib import Path
from typing import Annotated

import typer

from flows.commands.app import ROOT, Json, app
from flows.commands.printing import print_json


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
