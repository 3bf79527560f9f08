"""Judging pictures with what a benchmark has trained."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from flows.commands.app import ROOT, Json, app
from flows.commands.printing import print_json


@app.command(short_help="Judge pictures with a trained detector.")
def score(
    pictures: Annotated[list[str], typer.Argument(help="Files, folders, or patterns in quotes.")],
    detector: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which detector; default: the best one.")
    ] = None,
    trained_on: Annotated[
        str | None, typer.Option(metavar="NAME", help="Its training: a generator, or a set of train.sets.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Its training seed; default: the first.")] = None,
    fpr: Annotated[
        float | None,
        typer.Option(
            help="Share of real pictures that may be called generated: where the verdict's threshold lies. "
            "Default: 0.05, or the smallest share that the real val images support.",
            show_default=False,
        ),
    ] = None,
    heat_map: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Draw where it sees traces, a PNG a picture (kind ladeda)."),
    ] = None,
    resemblance: Annotated[
        bool, typer.Option(help="Say which generator it resembles; without it is faster.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Judge pictures with a detector that this benchmark has trained: P(generated), a verdict, and which
    generator it resembles.

    \b
    What is printed for a picture:
      P          probability that it was generated, calibrated on the benchmark's validation images, as if
                 half of all pictures were; no surer than so many images allow
      verdict    `generated` above a threshold that real validation images exceed as rarely as --fpr says;
                 `no sign` below it, which does not mean that it is real
      resembles  the generator that an attributor takes it for (0 to 1), if the benchmark has one; else the
                 one whose own detector is alarmed most (1: as by half of that generator's images)

    Pictures are cropped as in an evaluation, never shrunk unless the detector's `view` says so. What cannot
    be read is named with the reason, the others are judged, and the exit status is 1. The first run scores
    the validation images and keeps that in .assay/score.

    A score is no proof. It says how much a picture is like what the detector was trained on; new generators,
    compression, resizing, screenshots and edits change it, in both directions. Do not accuse anybody with it.

    \b
    Examples:
      assay score photo.jpg
      assay score downloads/ 'more/*.png' --fpr 0.01
      assay score photo.jpg --detector npr --trained-on sd15
      assay score downloads/ --json | jq '.pictures[] | select(.verdict == "generated") | .picture'
      assay score photo.jpg --detector ladeda --heat-map maps/
    """
    from assets.params import load_params
    from assets.progress import counter
    from tasks.scoring.choice import choose
    from tasks.scoring.files import find_pictures

    params = load_params(ROOT / "params.yaml")
    paths = find_pictures(pictures)
    choice = choose(ROOT, params, detector, trained_on, seed)
    from tasks.score import Asked, Scorer  # torch takes seconds: mistakes are told before

    scorer = Scorer(ROOT, params, choice, Asked(fpr, resemblance, heat_map))
    if not as_json:
        for line in _about(scorer.about()):
            print(line, file=sys.stderr)
    answers: list[Any] = []
    refused: list[Any] = []
    with counter("score", len(paths)) as bar:
        for answer in scorer.answers(paths):
            bar.update(1)
            (answers if answer.reason is None else refused).append(answer)
            if not as_json:
                stream = sys.stdout if answer.reason is None else sys.stderr
                bar.write(_line(answer), file=stream)
                stream.flush()
    if as_json:
        print_json(_document(scorer.about(), answers, refused))
    else:
        if refused:
            print(f"{len(refused)} of {len(paths)} cannot be judged", file=sys.stderr)
        print(f"note: {scorer.about()['warning']}", file=sys.stderr)
    if refused:
        sys.exit(1)


def _about(about: dict[str, Any]) -> list[str]:
    """What the numbers come from, and what they mean."""
    val = about["val"]
    lines = [
        f"detector {about['detector']} trained on {about['trained_on']}, seed {about['seed']}: "
        + about["why"],
        f"  weights {about['weights'][:16]}  "
        + (
            f"lineage {about['lineage'][:16]}  recipe {about['recipe'][:16]}  ({about['stage']})"
            if about["lineage"]
            else f"lineage unknown: {about['lineage_note']}"
        ),
    ]
    if about["fpr"] is not None:
        lines.append(
            f"  verdict: 'generated' above logit {about['threshold']:.3g}, where at most "
            f"{100 * about['fpr']:g} % of real pictures like the {val['real']} of val ({val['groups']} "
            "photographs) lie"
        )
    lines.append(f"  P: {about['probability']}")
    if about["resembles"]:
        lines.append(f"  resembles: {about['resembles']['how']}")
    lines += [f"  note: {note}" for note in about["notes"]]
    return [*lines, "P      verdict    resembles            picture"]


def _line(answer: Any) -> str:
    from tasks.scoring.files import shown

    if answer.reason is not None:
        return f"{shown(answer.picture)}: {answer.reason}"
    like = answer.resembles
    words = f"{like.generator} ({like.value:.2f})" if like else "-"
    note = f"  [{answer.note}]" if answer.note else ""
    return f"{answer.probability:.3f}  {answer.verdict:<9}  {words:<19}  {shown(answer.picture)}{note}"


def _document(about: dict[str, Any], answers: list[Any], refused: list[Any]) -> dict[str, Any]:
    from tasks.scoring.files import shown

    return {
        **about,
        "pictures": [
            {
                "picture": shown(answer.picture),
                "probability": answer.probability,
                "logit": answer.logit,
                "verdict": answer.verdict,
                "resembles": answer.resembles._asdict() if answer.resembles else None,
                "note": answer.note,
                "heat_map": str(answer.heat_map) if answer.heat_map else None,
            }
            for answer in answers
        ],
        "refused": [{"picture": shown(answer.picture), "reason": answer.reason} for answer in refused],
    }
