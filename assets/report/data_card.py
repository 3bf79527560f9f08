"""DATACARD.md: what is in a benchmark's images, how they came about, and what is wrong with them.

Sections follow Gebru et al., Datasheets for Datasets (arXiv 1803.09010), as far as a program can answer them.
"""

from collections.abc import Iterator

from assets.inventory import Holding
from assets.params import Generator, Params
from assets.report.results import Results
from assets.tables.formats.markdown import markdown_table


def data_card(results: Results) -> str:
    """The card as Markdown."""
    params = results.params
    parts = [
        "# Data card",
        f"lineage `{results.lineage}`  \nrecipe `{results.recipe}`",
        _summary(results),
        "## Composition",
        markdown_table(
            ["item", "family", "released", "content", "images", "kept", "train", "val", "test"],
            [_composition(params, holding) for holding in results.holdings],
            num_labels=4,
        ),
        "An item is the real images together, or one generator. kept: what is left without unreadable images "
        "and copies; train, val, test: kept images on each side. Images of one group (one source photograph, "
        "one prompt, one cluster of near-duplicates) are on one side.",
        "## Where they come from",
        *_sources(params),
        "## What was removed",
        *_removed(results),
        "## What gives the class away",
        *_shortcuts(results),
        "## Uses",
        "Made to compare detectors of generated images with each other. The numbers hold for these "
        "generators, contents and conditions; a verdict on one image is no proof of where it comes from. "
        "Real images keep the terms of their sources, generated ones those of their generators "
        "(`assay generators`).",
        "## How to make it anew",
        f"`assay lineage {results.lineage[:16]}` lists every command, parameter and input; `assay export` "
        "writes the images as a folder with a Croissant description.",
    ]
    return "\n\n".join(parts) + "\n"


def _summary(results: Results) -> str:
    real, *generated = results.holdings
    contents = sorted({spec.content or "as imported" for spec in results.params.generators.values()})
    return (
        f"{real.kept:,} real and {sum(one.kept for one in generated):,} generated images of "
        f"{len(generated)} generators; contents: {', '.join(contents)}; seed {results.params.seed}."
    )


def _composition(params: Params, holding: Holding) -> list[str]:
    spec = params.generators.get(holding.item)
    about = ["", "", ""] if spec is None else [spec.family, spec.released, spec.content or "as imported"]
    counts = (holding.images, holding.kept, *(holding.split[side] for side in ("train", "val", "test")))
    return [holding.item, *about, *(f"{count:,}" for count in counts)]


def _sources(params: Params) -> Iterator[str]:
    real = [
        f"- `{name}`: {source.count or 'all'} from `{source.from_}`, "
        + (f"crops of {source.crop} px" if source.crop else "the original files")
        for name, source in params.real.items()
    ]
    yield "Real images:\n\n" + "\n".join(real)
    yield "Generated images:\n\n" + "\n".join(
        f"- `{name}`: {_made(params, spec)}" for name, spec in params.generators.items()
    )


def _made(params: Params, spec: Generator) -> str:
    if not spec.drawn:
        return f"imported, `{spec.from_}`, {spec.count or 'all'} images"
    fit = params.fit[spec.from_.removeprefix("artifacts/fit/")]
    sampler = spec.sampler
    said = [f"{spec.count} images drawn by a model of kind `{fit.kind}`"]
    said += [f"scheduler {sampler.scheduler}"] if sampler.scheduler else []
    said += [f"{sampler.steps} steps"] if sampler.steps else []
    said += [f"guidance {sampler.guidance:g}"] if sampler.guidance is not None else []
    said += [f"prompts: {spec.prompts.of}"] if spec.prompts else []
    return ", ".join(said)


def _removed(results: Results) -> Iterator[str]:
    reasons = sorted({reason for holding in results.holdings for reason in holding.removed} | {"unreadable"})
    rows = [
        [holding.item, *(f"{_count(holding, reason):,}" for reason in reasons)]
        for holding in results.holdings
    ]
    yield markdown_table(["item", *reasons], rows)
    if left := {item: count for item, count in results.tabulated.left_out.items() if count}:
        told = ", ".join(f"{count} of {item}" for item, count in left.items())
        yield f"Test images that count for no detector, because training images are nearly the same: {told}."


def _count(holding: Holding, reason: str) -> int:
    return holding.unreadable if reason == "unreadable" else holding.removed.get(reason, 0)


def _shortcuts(results: Results) -> Iterator[str]:
    leaks = [name for name, audit in results.audits.items() if audit["verdict"] != "clean"]
    if not leaks:
        yield "Nothing that the audit looks at (format, size, compression, metadata) tells the classes apart."
    for name in leaks:
        advice = "".join(f"\n- {line}" for line in results.audits[name]["advice"])
        yield f"`{name}`: what files say about themselves tells real from generated images.{advice}"
