"""Give a pipeline another scheduler, where it is one for the noise that the model was trained with."""

import difflib
import inspect
from typing import Any

import diffusers

from assets.errors import AssayError


def swap_scheduler(pipeline: Any, name: str) -> None:
    """Give the pipeline another scheduler class, with the noise schedule of its own.

    Raises:
        AssayError: diffusers has no such scheduler, it is for another kind of noise, or it needs a library
            that is not installed.
    """
    scheduler = getattr(diffusers, name, None) if name in _schedulers() else None
    if scheduler is None:
        near = difflib.get_close_matches(name, _schedulers(), n=3, cutoff=0.5) or ["DDIMScheduler"]
        raise AssayError(
            f"sampler.scheduler: diffusers has no scheduler '{name}'; did you mean {' or '.join(near)}?"
        )
    if getattr(pipeline, "scheduler", None) is None:
        raise AssayError(
            f"sampler.scheduler: {type(pipeline).__name__} has no scheduler of its own to set another for"
        )
    if absent := [one for one in getattr(scheduler, "_backends", ()) if one != "torch"]:
        raise AssayError(
            f"sampler.scheduler: {name} needs {' and '.join(absent)}, which is not installed: "
            f"`pip install {' '.join(absent)}`"
        )
    own = type(pipeline.scheduler)
    if own is not scheduler and not _noise_of(own) & _noise_of(scheduler):
        raise AssayError(
            f"sampler.scheduler: {name} has another kind of noise than {type(pipeline).__name__} was trained "
            f"with, whose own scheduler is {own.__name__}; set one of the same kind, or null to keep that"
        )
    try:
        swapped = scheduler.from_config(pipeline.scheduler.config)
    except (ValueError, NotImplementedError) as error:
        raise AssayError(
            f"sampler.scheduler: {name} cannot follow the noise schedule of {own.__name__}: {error}"
        ) from None
    pipeline.register_modules(scheduler=swapped)


def _noise_of(scheduler: type) -> set[str]:
    """How a scheduler class describes noise: by variances (diffusion) or by a shift (flow matching)."""
    return {"beta_schedule", "shift"} & set(inspect.signature(scheduler).parameters)


def _schedulers() -> list[str]:
    """Names of the scheduler classes that torch can run."""
    return [
        name for name in dir(diffusers) if name.endswith("Scheduler") and not name.startswith(("Flax", "_"))
    ]
