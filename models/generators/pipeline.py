"""Draw from any diffusers pipeline: the ones trained here and Stable Diffusion alike.

What a pipeline can be asked is read from the signature of its `__call__`: `prompt` makes it text-to-image,
`class_labels` class-conditional, neither unconditional. Nothing is asked that the parameters do not ask for,
and what they ask for and the pipeline does not take is an error, never ignored.
"""

import difflib
import importlib
import inspect
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from diffusers import DiffusionPipeline

from assets.errors import AssayError
from assets.machine import make_repeatable
from assets.params import Sampler
from models.generators import Request
from models.generators.batches import fixed_batches
from models.generators.folder import check_content

OWN_PIPELINES = {"TokenPipeline": "models.generators.vqdm"}
"""Pipeline classes of ours, by the `_class_name` in model_index.json, and where they are."""

OWN_COMPONENTS = ("models.generators.ddpm", "models.generators.vqdm")
"""Modules of ours whose classes a model_index.json may name; diffusers imports none but its own."""

ASKED = {
    "steps": "num_inference_steps",
    "guidance": "guidance_scale",
    "height": "height",
    "width": "width",
    "negative_prompt": "negative_prompt",
}
"""Our sampler parameters and what diffusers calls them."""


class PipelineDrawer:
    """A diffusers pipeline that is asked the same way every time."""

    def __init__(
        self,
        source: str | Path,
        model: dict[str, Any],
        sampler: Sampler,
        device: str,
        revision: str | None = None,
        variant: str | None = None,
    ) -> None:
        """Open a pipeline folder, or a hub id at `revision`; `model` is the content of its model.json.

        Raises:
            AssayError: weights that are not there, an unknown pipeline or scheduler, a sampler parameter
                that the pipeline does not take.
        """
        make_repeatable()
        self.pipeline = load_pipeline(source, sampler.dtype, device, revision, variant)
        self.pipeline.set_progress_bar_config(disable=True)
        if sampler.scheduler is not None:
            swap_scheduler(self.pipeline, sampler.scheduler)
        self.takes = inspect.signature(type(self.pipeline).__call__).parameters
        self.asked = asked_of(self.pipeline, sampler)
        self.batch = sampler.batch
        self.record = self._record(source, model, sampler)

    def draw(self, requests: Sequence[Request]) -> list[np.ndarray]:
        """One uint8 (H, W, 3) image per request, from noise of its own seed."""
        batches = fixed_batches(requests, self.batch)
        return [image for batch, used in batches for image in self._draw_batch(batch)[:used]]

    def _draw_batch(self, requests: list[Request]) -> list[np.ndarray]:
        generators = [torch.Generator().manual_seed(request.seed) for request in requests]
        asked = {**self.asked, **self._conditions(requests), "generator": generators, "output_type": "pil"}
        if "negative_prompt" in asked:
            asked["negative_prompt"] = [asked["negative_prompt"]] * len(requests)
        before = _global_noise()
        try:
            pictures = self.pipeline(**asked).images
        except torch.OutOfMemoryError:
            raise AssayError(
                f"{self.record['model_id']}: {len(requests)} images at a time do not fit in memory; "
                "set the generator's sampler.batch lower"
            ) from None
        if _global_noise() != before:
            raise AssayError(
                f"{self.record['pipeline']} with {self.record['scheduler']} draws noise that no seed of an "
                "image reaches, so that an image would depend on its neighbours; set sampler.scheduler to a "
                "deterministic one, such as DDIMScheduler"
            )
        return [np.asarray(picture.convert("RGB")) for picture in pictures]

    def _conditions(self, requests: list[Request]) -> dict[str, Any]:
        """What the images are to show, in the words of this pipeline."""
        if "prompt" in self.takes:
            return {"prompt": self._every("prompt", [request.prompt for request in requests])}
        if "class_labels" in self.takes:
            return {"class_labels": self._every("class_index", [request.class_index for request in requests])}
        return {"batch_size": len(requests)}

    def _every(self, what: str, values: list[Any]) -> list[Any]:
        if None in values:
            raise AssayError(
                f"{self.record['pipeline']} needs a {what} for every image, and a request has none"
            )
        return values

    def _record(self, source: str | Path, model: dict[str, Any], sampler: Sampler) -> dict[str, Any]:
        scheduler = self.pipeline.scheduler
        options = model["options"]
        return {
            "kind": model["kind"],
            "model_id": source.name if isinstance(source, Path) else source,
            "revision": options.get("revision"),
            "variant": options.get("variant"),
            "sha256": model["sha256"],
            "pipeline": type(self.pipeline).__name__,
            "scheduler": type(scheduler).__name__,
            "scheduler_config": {
                key: value for key, value in sorted(scheduler.config.items()) if not key.startswith("_")
            },
            **{ours: self._used(theirs) for ours, theirs in ASKED.items()},
            "dtype": sampler.dtype,
            "batch": sampler.batch,
            "safety_checker": False,
            "watermarker": False,
            "versions": {name: version(name) for name in ("torch", "diffusers")},
        }

    def _used(self, parameter: str) -> Any:
        """What a parameter is in every call: as asked, or the pipeline's default; null where it has none."""
        if parameter in self.asked:
            return self.asked[parameter]
        default = self.takes[parameter].default if parameter in self.takes else None
        return default if isinstance(default, int | float | str) else None


def open_drawer(folder: Path, model: dict[str, Any], sampler: Sampler, device: str) -> PipelineDrawer:
    """Open a pipeline that was trained here, in `folder`, where it still is what was trained."""
    check_content(folder, model["files"], f"fit it again: `dvc repro --force fit@{folder.name}`")
    return PipelineDrawer(folder, model, sampler, device)


def load_pipeline(
    source: str | Path, dtype: str, device: str, revision: str | None = None, variant: str | None = None
) -> Any:
    """Load a pipeline from safetensors only, without the parts that alter finished images.

    Raises:
        AssayError: not there (nor in the hub's cache, when offline), not a pipeline, no safetensors.
    """
    diffusers.utils.logging.disable_progress_bar()
    diffusers.utils.logging.set_verbosity_error()  # LDMPipeline warns of any autoencoder but a VQModel
    try:
        index = DiffusionPipeline.load_config(source, revision=revision)
        pipeline_class = _pipeline_class(index["_class_name"], source)
        _import_components(index)
        pipeline = pipeline_class.from_pretrained(
            source,
            revision=revision,
            variant=variant,
            use_safetensors=True,
            dtype=getattr(torch, dtype),
            **_left_out(pipeline_class),
        )
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise AssayError(_unopened(source, error)) from error
    return pipeline.to(device)


def swap_scheduler(pipeline: Any, name: str) -> None:
    """Give the pipeline another scheduler class, with the noise schedule of its own.

    Raises:
        AssayError: diffusers has no such scheduler, or it is for another kind of noise.
    """
    scheduler = getattr(diffusers, name, None) if name in _schedulers() else None
    if scheduler is None:
        near = difflib.get_close_matches(name, _schedulers(), n=3, cutoff=0.5) or ["DDIMScheduler"]
        raise AssayError(
            f"sampler.scheduler: diffusers has no scheduler '{name}'; did you mean {' or '.join(near)}?"
        )
    own = type(pipeline.scheduler)
    if own is not scheduler and not _noise_of(own) & _noise_of(scheduler):
        raise AssayError(
            f"sampler.scheduler: {name} has another kind of noise than {type(pipeline).__name__} was trained "
            f"with, whose own scheduler is {own.__name__}; set one of the same kind, or null to keep that"
        )
    pipeline.register_modules(scheduler=scheduler.from_config(pipeline.scheduler.config))


def asked_of(pipeline: Any, sampler: Sampler) -> dict[str, Any]:
    """The sampler's parameters in the words of the pipeline's `__call__`, only those that are set.

    Raises:
        AssayError: the pipeline does not take one of them, or needs an input that a benchmark does not have.
    """
    name = type(pipeline).__name__
    takes = inspect.signature(type(pipeline).__call__).parameters
    set_here = {ours: getattr(sampler, ours) for ours in ASKED if getattr(sampler, ours) is not None}
    for ours in set_here:
        if ASKED[ours] not in takes:
            allowed = [name for name, theirs in ASKED.items() if theirs in takes]
            raise AssayError(f"sampler.{ours}: {name} does not take it; it takes {', '.join(allowed)}")
    given = {"self", "prompt", "class_labels"}
    for parameter in takes.values():
        needed = parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        if needed and parameter.name not in given:
            raise AssayError(
                f"{name} needs '{parameter.name}': it does not draw from text, class or noise alone"
            )
    return {ASKED[ours]: value for ours, value in set_here.items()}


def _pipeline_class(name: str, source: str | Path) -> Any:
    if name in OWN_PIPELINES:
        return getattr(importlib.import_module(OWN_PIPELINES[name]), name)
    found = getattr(diffusers, name, None)
    if found is None:
        raise AssayError(
            f"{source}: its pipeline class '{name}' is not in diffusers {version('diffusers')}; "
            "a newer diffusers may have it"
        )
    return found


def _import_components(index: dict[str, Any]) -> None:
    """Import our modules that a model_index.json names, as entries {component: [module, class]}."""
    named = {entry[0] for entry in index.values() if isinstance(entry, list | tuple) and entry}
    for module in sorted(named.intersection(OWN_COMPONENTS)):
        importlib.import_module(module)


def _left_out(pipeline_class: Any) -> dict[str, Any]:
    """Checkers that black images out and watermarks would be what a detector finds: leave them out."""
    wanted = {
        "safety_checker": None,
        "requires_safety_checker": False,
        "watermarker": None,
        "add_watermarker": False,
    }
    takes = inspect.signature(pipeline_class.__init__).parameters
    return {name: value for name, value in wanted.items() if name in takes}


def _unopened(source: str | Path, error: Exception) -> str:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if Path(source).is_dir():
        return f"{source} cannot be opened as a diffusers pipeline with safetensors weights: {reason}"
    return (
        f"the pipeline '{source}' is neither a folder here nor in the Hugging Face cache, and could not be "
        f"fetched: {reason} With a network, unset HF_HUB_OFFLINE or run `hf download {source}` first; "
        "without one, put the folder here and name its path as id"
    )


def _noise_of(scheduler: type) -> set[str]:
    """How a scheduler class describes noise: by variances (diffusion) or by a shift (flow matching)."""
    return {"beta_schedule", "shift"} & set(inspect.signature(scheduler).parameters)


def _schedulers() -> list[str]:
    """Names of the scheduler classes that torch can run."""
    return [
        name for name in dir(diffusers) if name.endswith("Scheduler") and not name.startswith(("Flax", "_"))
    ]


def _global_noise() -> bytes:
    """State of the generators that belong to no image."""
    state = bytes(torch.get_rng_state().numpy())
    if torch.cuda.is_available():
        state += b"".join(bytes(one.numpy()) for one in torch.cuda.get_rng_state_all())
    return state
