"""Bringing pictures in."""

from pathlib import Path
from typing import Annotated

import typer

from flows.commands.app import ROOT, app


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
    from flows.editing.importing import import_place
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
