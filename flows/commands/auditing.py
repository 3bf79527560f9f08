"""What gives pictures away, before anything is trained on them."""

from pathlib import Path
from typing import Annotated, Any

import typer

from flows.commands.app import Json, app
from flows.commands.printing import print_json, print_table


@app.command(short_help="What gives real and generated pictures away: any folders.")
def audit(
    folder: Annotated[Path, typer.Argument(metavar="REAL_FOLDER", help="Real pictures; or, alone, any.")],
    generated: Annotated[
        Path | None,
        typer.Argument(metavar="GENERATED_FOLDER", show_default=False, help="Generated pictures."),
    ] = None,
    at_most: Annotated[
        int, typer.Option(min=0, metavar="N", help="Pictures of each folder to look at; 0: all.")
    ] = 5000,
    as_json: Json = False,
) -> None:
    """Say what real and generated pictures differ in besides what they show: file format, size, JPEG quality,
    chroma subsampling, file length, metadata, content credentials, Stable Diffusion's watermarks, brightness.

    A detector that is trained on such pictures may learn the difference in place of the generator. A small
    classifier is given nothing but these facts, cross-validated: AUROC 0.5 means that they say nothing, 1
    that they say all.

    One folder alone is described: formats, sizes, qualities, metadata, copies, files that cannot be read. If
    its subfolders' names say real and generated (real/fake, 0_real/1_fake, nature/ai), they are held against
    each other. No benchmark is needed, and nothing is written. Files that cannot be read are counted.

    \b
    Examples:
      assay audit photographs/ fakes/
      assay audit GenImage/BigGAN/val
      assay audit downloads/ --json | jq .copies
    """
    from tasks.audit_folder import audit_folders

    found = audit_folders([folder] if generated is None else [folder, generated], at_most)
    if as_json:
        print_json(found)
        return
    for note in found["notes"]:
        print(f"note: {note}")
    for kind, told in found["classes"].items():
        _print_class(kind, told)
    _print_copies(found["copies"], len(found["classes"]) == 2)
    if found["audit"]:
        _print_audit(found["audit"])


def _print_class(kind: str, told: dict[str, Any]) -> None:
    looked, looks = told["looked_at"], told["looks"]
    usable = looked - told["unreadable"]
    part = f", {looked} of them looked at" if looked < told["pictures"] else ""
    print(f"{kind}: {told['pictures']} files in {told['folder']}{part}")
    if told["unreadable"]:
        print(f"  cannot be read: {told['unreadable']}")
        for one in told["unreadable_files"]:
            print(f"    {one['picture']}: {one['reason']}")
    metadata = looks["metadata"]
    lines = {
        "format": _shares(looks["format"], usable),
        "colour mode": _shares(looks["mode"], usable),
        "size": _shares(looks["size_in_pixels"], usable),
        "shorter side": _range(looks["shorter_side"], "px"),
        "file length": _range(looks["bytes"], "bytes"),
        "a pixel takes": _range(looks["bits_per_pixel"], "bits"),
        "JPEG quality": _shares(looks["jpeg_quality"], usable),
        "chroma": _shares(looks["jpeg_subsampling"], usable),
        "metadata": ", ".join(
            f"{word} {_percent(metadata[name], usable)}" for name, word in _METADATA.items() if metadata[name]
        ),
        "software": _shares(metadata["software"], usable),
        "text": _shares(metadata["text"], usable),
        "colour profile": _shares(metadata["icc"], usable),
        "watermark": _shares(looks["watermark"], usable),
        "brightness": _range(looks["brightness"], "of 255"),
    }
    for title, text in lines.items():
        if text:
            print(f"  {title:<15}{text}")
    print()


_METADATA = {
    "exif": "EXIF",
    "camera": "a camera",
    "xmp": "XMP",
    "c2pa": "content credentials (C2PA)",
    "says_generated": "trainedAlgorithmicMedia",
    "jfif": "JFIF",
    "progressive": "progressive",
}


def _shares(counts: dict[str, int], total: int) -> str:
    return ", ".join(f"{name} ({_percent(count, total)})" for name, count in counts.items())


def _percent(count: int, total: int) -> str:
    if count == total:
        return "all"
    return f"{min(max(100 * count / total, 0.1), 99.9):.{0 if 1 <= 100 * count / total <= 99 else 1}f} %"


def _range(spread: dict[str, float], unit: str) -> str:
    least, median, most = (
        f"{value:.4g}" if value < 1e4 else f"{value:.0f}"
        for value in (spread["least"], spread["median"], spread["most"])
    )
    return f"{least} to {most} {unit} (median {median})"


def _print_copies(copies: dict[str, Any], two: bool) -> None:
    if not copies["clusters"]:
        print("copies: none\n")
        return
    pairs = copies["pairs"]
    print(
        f"copies: {copies['clusters']} pictures are there more than once, the most frequent one "
        f"{copies['largest']} times (pairs: {pairs.get('exact-copy', 0)} exact, "
        f"{pairs.get('near-duplicate', 0)} near-duplicates)"
    )
    if two:
        print(f"  pairs of a real and a generated one: {copies['pairs_across']}")
    for example in copies["examples"][:3]:
        print(f"  {example['kind']}: {example['one']}  {example['other']}")
    print()


def _print_audit(found: dict[str, Any]) -> None:
    print("What tells them apart (AUROC of a classifier that is given this alone)")
    print_table(
        ["", "AUROC", "95 % interval", ""],
        [[name, *_numbers(one)] for name, one in found["features"].items()],
    )
    if found["single"]:
        print("\nThe most telling value of each")
        for single in found["single"]:
            print(f"  {single['words']}")
    if found["advice"]:
        print("\nWhat to do")
        for line in found["advice"]:
            print(f"  {line}")
    verdict = {
        "leak": "leak: the files give it away; a detector's score on them may say nothing about generators",
        "clean": "clean: nothing about the files gives it away",
    }
    print(f"\nverdict: {verdict[found['verdict']]}")


def _numbers(one: dict[str, Any]) -> list[str]:
    if one["auroc"] is None:
        return ["no data", "", ""]
    return [
        f"{one['auroc']:.3f}",
        f"{one['low']:.3f} to {one['high']:.3f}" if one["low"] is not None else "",
        "gives it away" if one["alarm"] else "",
    ]
