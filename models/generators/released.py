"""What models run from released checkpoints have in common."""

from collections.abc import Callable, Collection, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from assets.errors import AssayError
from assets.params import Sampler
from models.checkpoint import load_strictly, pin, read_pinned
from models.generators import Drawn, Request
from models.generators.folder import digest

ASKABLE = ("scheduler", "steps", "guidance", "height", "width", "negative_prompt")
"""What a sampler can ask of some model and not of others; dtype, batch and chunk go for all."""

Model = TypeVar("Model", bound=nn.Module)


def only_takes(sampler: Sampler, kind: str, taken: Collection[str]) -> None:
    """Refuse what a model does not take.

    Raises:
        AssayError: a setting that is not in `taken`.
    """
    for name in ASKABLE:
        if name not in taken and getattr(sampler, name) is not None:
            allowed = ", ".join([*taken, "dtype", "batch"])
            raise AssayError(f"sampler.{name}: {kind} does not take it; it takes {allowed}")


def pinned(paths: Mapping[str, str]) -> dict[str, Any]:
    """What `fit` adds to model.json for files that stay where they are, one hash over all of them with it.

    Raises:
        AssayError: a file is not there.
    """
    found = pin(paths)
    hashes = {role: entry["sha256"] for role, entry in found["checkpoints"].items()}
    return {**found, "sha256": digest(hashes)}


def open_weights(build: Callable[[], Model], model: dict[str, Any], role: str, what: str) -> Model:
    """Build a model and load what was pinned as `role` into it; on the CPU, ready to draw.

    Args: what: the model in words, for an error, e.g. "ADM's diffusion model".
    Raises:
        AssayError: the file is gone, changed, damaged, or of another architecture.
    """
    path, state = read_pinned(model, role)
    with torch.device("meta"):  # without drawing first weights, which takes longer than reading these
        network = build()
    network.to_empty(device="cpu")
    load_strictly(network, state, path, what)
    return network.eval().requires_grad_(False)


def recorded(folder: Path, model: dict[str, Any], sampler: Sampler, **own: Any) -> dict[str, Any]:
    """The generation record of a model in `folder`, with what is its `own`: steps, guidance, ..."""
    return {
        "kind": model["kind"],
        "model_id": folder.name,
        "sha256": model["sha256"],
        "checkpoints": model["checkpoints"],
        "options": model["options"],
        "dtype": sampler.dtype,
        "batch": sampler.batch,
        "safety_checker": False,
        "watermarker": False,
        "versions": {"torch": version("torch")},
        **own,
    }


def shown(samples: Tensor, rounded: bool) -> list[Drawn]:
    """Samples (B, 3, S, S) of about [-1, 1] as pictures, their shades rounded or cut off.

    A sample that is not finite, as half precision can end in, has a reason and no picture.
    """
    shades = (samples + 1) * 127.5
    pictures = (shades.round() if rounded else shades).clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
    finite = samples.isfinite().flatten(1).all(1).tolist()
    return [
        Drawn(picture) if good else Drawn(reason="not a number in it")
        for picture, good in zip(pictures, finite, strict=True)
    ]


def prompts_of(requests: Sequence[Request], kind: str) -> list[str]:
    """What every image is to show.

    Raises:
        AssayError: a request without a prompt, or with a negative one.
    """
    if any(request.negative_prompt is not None for request in requests):
        raise AssayError(f"{kind} takes no negative prompt, and a request has one")
    prompts = [request.prompt for request in requests if request.prompt is not None]
    if len(prompts) < len(requests):
        raise AssayError(f"{kind} needs a prompt for every image, and a request has none")
    return prompts


def classes_of(requests: Sequence[Request], count: int, kind: str) -> list[int]:
    """The class of every image.

    Raises:
        AssayError: a request without a class, or with one that is not in 0 to `count` - 1.
    """
    classes = [request.class_index for request in requests if request.class_index is not None]
    if len(classes) < len(requests):
        raise AssayError(f"{kind} needs a class_index for every image, and a request has none")
    for index in classes:
        if not 0 <= index < count:
            raise AssayError(f"class_index {index}: {kind} knows classes 0 to {count - 1}")
    return classes
