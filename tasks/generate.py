"""Generated images: drawn by a model, or taken from an imported image set."""

import json
from pathlib import Path
from typing import Any

from assets.choose import take
from assets.errors import AssayError
from assets.imageset import ImageSet, ImageSetWriter, link_set
from assets.machine import device, make_repeatable
from assets.params import Generator, Params, load_params
from assets.picture import encode
from assets.progress import counter
from assets.seeds import derive_seed
from models import generators
from tasks.command import arguments_for, run_stage


def generate(root: Path, params: Params, name: str) -> None:
    """Write the image set artifacts/generate/`name`.

    Drawing is resumable: shards that a killed run finished are kept, and the set is byte-identical to
    that of an undisturbed run.

    Raises:
        AssayError: an imported set that holds real images, or no usable one.
    """
    spec = params.generators[name]
    out = root / "artifacts" / "generate" / name
    if spec.drawn:
        _draw(root / spec.from_, out, name, spec, params.seed)
    else:
        _pass_on(ImageSet(root / spec.from_), out, name, spec, params.seed)


def _draw(model: Path, out: Path, name: str, spec: Generator, seed: int) -> None:
    make_repeatable()
    drawer = generators.open_model(model, spec.sampler, device())
    record = json.dumps(drawer.record, sort_keys=True)
    total = spec.count or 0
    common = {"label": 1, "generator": name, "family": spec.family}
    common |= {"released": spec.released, "content": spec.content}
    key = f"{name} {seed} {spec.model_dump_json()} {record}"
    with ImageSetWriter(out, resume=key) as writer, counter(f"generate {name}", total) as bar:
        bar.update(writer.done)
        for start in range(writer.done, total, spec.sampler.batch):
            images = [f"{name}-{index:06d}" for index in range(start, min(start + spec.sampler.batch, total))]
            requests = [
                generators.Request(derive_seed(seed, "generate", image), None, None) for image in images
            ]
            for image, request, pixels in zip(images, requests, drawer.draw(requests), strict=True):
                own: dict[str, Any] = {"seed": request.seed, "prompt": request.prompt, "group": image}
                writer.add(image, encode(pixels), **common, **own, record=record)
                bar.update()


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
    """python -m tasks.generate NAME"""
    (name,) = arguments_for(arguments, "name")
    generate(Path(), load_params(), name)


if __name__ == "__main__":
    run_stage(main)
