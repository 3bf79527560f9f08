"""Milliseconds an image of every detector card, as ImagiNet's Table 6, in one run on one machine.

    python tests/speed/infer.py                        # all cards but the largest networks
    python tests/speed/infer.py npr safe --crop 448    # some, all on crops of 448 px, as ImagiNet's
    python tests/speed/infer.py --all --out results/inference

Weights are random (the work is the same), nothing is downloaded. Measured is what `assay score` and an
evaluation do after decoding: 8-bit crops in memory -> scores in memory (models/detectors/timing.py).
ResNet-50 on crops of 224 is measured first, in the same run: a share of its time says more than the
milliseconds of one machine.

Printed, and with --out written as PATH.md and PATH.json: weights, milliseconds for one image alone, the same
over ResNet-50's, images a second in the best batch, and the most memory of tensors in that batch.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[2]))

import timm
import torch

from assets.detection import Judge
from assets.errors import AssayError, did_you_mean
from assets.files import write_json, write_text
from models.detectors import build, resolved
from models.detectors.card import Card, known_cards
from models.detectors.timing import Timing, measure

BASELINE = Judge(model="resnet50", crop=224)
LARGE = 100_000_000
"""Weights from which a network is left out unless --all is said."""
CLASSES = 8
"""That an attributor tells apart here."""


class Row(NamedTuple):
    """A detector and what was measured of it."""

    name: str
    crop: int
    timing: Timing
    times: float
    """Milliseconds of one image, over those of the baseline."""


def compare(arguments: argparse.Namespace) -> list[Row]:
    """Measure, print, write; returns the rows, the baseline first."""
    cards = _chosen(known_cards(), arguments.names)
    rows, left_out = [_row("resnet50 (baseline)", BASELINE, 1, arguments, None)], {}
    for name, card in cards.items():
        spec = _spec(card, arguments)
        size = _backbone(spec)
        if size >= LARGE and not arguments.all:
            left_out[name] = f"{resolved(spec).model} has {size / 1e6:.0f} million weights: with --all"
            continue
        try:
            outputs = CLASSES if card.attributor else 1
            rows.append(_row(name, spec, outputs, arguments, rows[0].timing))
        except AssayError as error:
            left_out[name] = str(error).split("\n")[0]
            continue
        print(f"  {name}: {rows[-1].timing.milliseconds:.1f} ms", file=sys.stderr, flush=True)
    text = _markdown(rows, left_out)
    print(text)
    if arguments.out:
        write_text(Path(f"{arguments.out}.md"), text)
        write_json(Path(f"{arguments.out}.json"), _document(rows, left_out))
    return rows


def _chosen(cards: Mapping[str, Card], names: list[str]) -> dict[str, Card]:
    """The cards of these names, or all.

    Raises:
        AssayError: a name that is none.
    """
    for name in names:
        if name not in cards:
            raise AssayError(f"there is no card '{name}'; {did_you_mean(name, cards)}")
    return {name: card for name, card in cards.items() if not names or name in names}


def _spec(card: Card, arguments: argparse.Namespace) -> Judge:
    """What a card builds, from random weights."""
    change: dict[str, Any] = {"weights": "none", "sha256": None}
    if arguments.crop:
        change["crop"] = arguments.crop
    return card.spec(arguments.quick).model_copy(update=change)


def _backbone(spec: Judge) -> int:
    """Weights of the timm model that it names, which is not built for that; 0 where it names none."""
    model = resolved(spec).model
    if not model:
        return 0
    with torch.device("meta"):
        return sum(weight.numel() for weight in timm.create_model(model).parameters())


def _row(name: str, spec: Judge, outputs: int, arguments: argparse.Namespace, baseline: Timing | None) -> Row:
    detector = build(spec, 0, name, outputs).to(arguments.device)
    timing = measure(detector, spec, arguments.batches, arguments.repeats)
    return Row(name, spec.crop, timing, timing.milliseconds / (baseline or timing).milliseconds)


def _markdown(rows: list[Row], left_out: Mapping[str, str]) -> str:
    lines = [
        f"Inference on {rows[0].timing.device}: 8-bit crops in memory -> scores in memory.",
        "",
        "| detector | crop | weights, M | ms an image | x ResNet-50 | images/s | in batches of | MiB |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {row.name} | {row.crop} | {row.timing.parameters / 1e6:.2f} | {row.timing.milliseconds:.2f} "
        f"| {row.times:.2f} | {row.timing.rate:.1f} | {row.timing.batch} | {row.timing.memory / 2**20:.0f} |"
        for row in rows
    ]
    lines += ["", *(f"Left out: {name} ({reason})." for name, reason in left_out.items())]
    return "\n".join(lines).rstrip() + "\n"


def _document(rows: list[Row], left_out: Mapping[str, str]) -> dict[str, Any]:
    measured = [
        {"name": row.name, "crop": row.crop, "times_resnet50": row.times, **row.timing._asdict()}
        for row in rows
    ]
    return {"torch": torch.__version__, "rows": measured, "left_out": dict(left_out)}


def main(words: list[str] | None = None) -> list[Row]:
    """Read the command line and measure."""
    gpu = torch.cuda.is_available()
    own = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=own)
    parser.add_argument("names", nargs="*", help="cards; default: all")
    parser.add_argument("--quick", action="store_true", help="the small variants of the cards")
    parser.add_argument("--all", action="store_true", help="large networks too")
    parser.add_argument("--crop", type=int, help="the same for all; default: each card's own")
    parser.add_argument("--device", default="cuda" if gpu else "cpu", help="default: %(default)s")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32, 128] if gpu else [1, 8])
    parser.add_argument("--repeats", type=int, default=20 if gpu else 5, help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of a CPU; %(default)s")
    parser.add_argument("--out", help="write PATH.md and PATH.json", metavar="PATH")
    arguments, before = parser.parse_args(words), torch.get_num_threads()
    torch.set_num_threads(arguments.threads)
    try:
        return compare(arguments)
    except AssayError as error:
        parser.error(str(error))
    finally:
        torch.set_num_threads(before)


if __name__ == "__main__":
    main()
