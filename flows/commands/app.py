"""The command line program that commands register with, and what they share."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="assay",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="""A benchmark factory for detectors of AI-generated images.

    From real images and a list of generators in params.yaml, assay makes the fakes, removes duplicates,
    splits, degrades, trains detectors, evaluates them and prints tables, in which every number can be traced
    by a hash. Only what a change touches is computed again.

    \b
    From nothing to a table:
      assay use mini    a small benchmark that needs no download
      assay plan        what would run, why, and how much
      assay run         run it
      assay table       read it

    \b
    Then add a generator of your own and see how well detectors know it:
      assay import ~/sdxl --as sdxl --family latent-diffusion --released 2023-07
      (paste the entry that is printed into params.yaml)
      assay run
    """,
)
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
ROOT = Path()
