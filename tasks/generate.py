"""Generated images: drawn by a model, or taken from an imported image set."""

from pathlib import Path

from assets.choose import take
from assets.errors import AssayError
from assets.files import full_disk_told
from assets.images.imageset import ImageSet, link_set
from assets.machine import devices
from assets.params import Generator, Params, load_params
from tasks.command import arguments_for, run_stage
from tasks.drawers import draw_side_by_side
from tasks.drawing import Drawing, draw_here

CHUNKS = "--chunks"


def generate(root: Path, params: Params, name: str) -> None:
    """Write the image set artifacts/generate/`name`, drawn on all devices that this process may use.

    Drawing goes chunk by chunk (`sampler.chunk`). What a killed run, another process or another machine
    has finished is kept, and the set is byte-identical to that of an undisturbed run.

    Raises:
        AssayError: an imported set that holds real images, or no usable one; a disk that is full.
    """
    spec = params.generators[name]
    out = root / "artifacts" / "generate" / name
    if not spec.drawn:
        _pass_on(ImageSet(root / spec.from_), out, name, spec, params.seed)
        return
    drawing = Drawing(root, params, name)
    chunks = drawing.chunks(out)
    with full_disk_told(f"finished chunks of {name} are kept in {chunks.work}; make room and start again"):
        wanted = range(chunks.count)
        if chunks.num_finished(wanted) < drawing.total:
            if len(found := devices()) > 1 and drawing.computes:
                draw_side_by_side(name, chunks, wanted, found)
            else:
                draw_here(drawing, chunks, wanted, found[0])
        chunks.place()


def draw_chunks(root: Path, params: Params, name: str, first: int, end: int) -> Path:
    """Draw chunks `first` to `end` - 1 alone, and return the folder in which they lie when finished.

    For drawing on several machines: copy the files of that folder into the folder of the same name on
    the machine that runs the stage, which draws what is still missing.

    Raises:
        AssayError: an imported generator; chunks that there are not.
    """
    if not params.generators[name].drawn:
        raise AssayError(f"generators.{name} is imported: there is nothing to draw")
    drawing = Drawing(root, params, name)
    chunks = drawing.chunks(root / "artifacts" / "generate" / name)
    if not 0 <= first < end <= chunks.count:
        raise AssayError(f"{CHUNKS} {first}:{end}: {name} has chunks 0:{chunks.count}")
    with full_disk_told(f"finished chunks of {name} are kept in {chunks.work}; make room and start again"):
        draw_here(drawing, chunks, range(first, end), devices()[0])
    return chunks.work


def _pass_on(source: ImageSet, out: Path, name: str, spec: Generator, seed: int) -> None:
    if (source.rows["label"] != 1).any():
        raise AssayError(f"generators.{name}: {spec.from_} holds real images; import it without --real")
    if source.usable.empty:
        raise AssayError(f"generators.{name}: no picture in {spec.from_} can be used")
    about: dict[str, object] = {"generator": name, "family": spec.family, "released": spec.released}
    if spec.content:
        about["content"] = spec.content
    link_set(source, out, take(source.rows, spec.count, seed), **about)


def main(arguments: list[str]) -> None:
    """python -m tasks.generate NAME [--chunks FIRST:END]"""
    if CHUNKS not in arguments:
        (name,) = arguments_for(arguments, "name")
        generate(Path(), load_params(), name)
        return
    name, _, span = arguments_for(arguments, f"name {CHUNKS} first:end")
    first, colon, end = span.partition(":")
    if not (colon and first.isdecimal() and end.isdecimal()):
        raise AssayError(f"{CHUNKS} {span}: write FIRST:END, for example 0:40")
    print(f"finished chunks are in {draw_chunks(Path(), load_params(), name, int(first), int(end))}")


if __name__ == "__main__":
    run_stage(main)
