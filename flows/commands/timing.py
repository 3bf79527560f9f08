"""How fast detectors are."""

from collections.abc import Iterator
from typing import Annotated

import typer

from flows.commands.app import ROOT, Json, app
from flows.commands.printing import print_json, print_table


@app.command("time", short_help="How long detectors take for an image on this machine.")
def time_(
    names: Annotated[list[str] | None, typer.Argument(help="Names under `detectors`; nothing: all.")] = None,
    side: Annotated[
        int | None, typer.Option(help="Side of the crops, e.g. ImagiNet's 448; default: each one's own.")
    ] = None,
    repeats: Annotated[int, typer.Option(help="Runs, of which the median is taken.")] = 5,
    as_json: Json = False,
) -> None:
    """Time the benchmark's detectors, from 8-bit crops in memory to scores, as ImagiNet's Table 6 does.

    ResNet-50 is timed first in the same run: a share of its time says more than milliseconds on one machine.
    ASSAY_DEVICE says where. Weights are random, for the work is the same; nothing has to be trained.

    \b
    Examples:
      assay time --side 448
      assay time npr selfcon --json
    """
    from assets.params import load_params

    params = load_params(ROOT / "params.yaml")
    from tasks.time_detectors import time_detectors  # loads torch

    rows = list(time_detectors(params, names or (), side, repeats))
    if as_json:
        print_json([{**row._asdict(), "timing": row.timing._asdict()} for row in rows])
        return
    print(f"on {rows[0].timing.device}")
    print_table(
        ["detector", "crop", "weights, M", "ms an image", "x ResNet-50", "images/s", "in batches of", "MiB"],
        [
            [
                row.name,
                str(row.crop),
                f"{row.timing.parameters / 1e6:.2f}",
                f"{row.timing.milliseconds:.2f}",
                f"{row.times:.2f}",
                f"{row.timing.rate:.1f}",
                str(row.timing.batch),
                f"{row.timing.memory / 2**20:.0f}",
            ]
            for row in rows
        ],
    )
    for line in _published(params.report.paper):
        print(line)


def _published(paper: str | None) -> Iterator[str]:
    """What the paper that a benchmark follows prints about times."""
    from assets.papers.reading import read_paper

    for table in read_paper(paper).tables if paper else ():
        if "milliseconds" in table.metrics:
            yield f"\n{table.title}"
            for row in table.rows:
                numbers = {column: table.number(row, column, "milliseconds") for column in table.columns}
                yield ", ".join(f"{column} {number}" for column, number in numbers.items())
