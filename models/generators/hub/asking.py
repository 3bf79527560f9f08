"""What a pipeline is asked: read from the signature of its `__call__`, and never more than it heeds."""

import inspect
from collections.abc import Mapping
from typing import Any

from assets.errors import AssayError, did_you_mean
from assets.params import Sampler

ASKED = {
    "steps": "num_inference_steps",
    "guidance": "guidance_scale",
    "height": "height",
    "width": "width",
    "negative_prompt": "negative_prompt",
}
"""Our sampler parameters and what diffusers calls them."""

OURS = (
    "self", "prompt", "class_labels", "batch_size", "generator", "output_type", "return_dict", "kwargs",
    "latents", "num_images_per_prompt", "callback", "callback_steps", "callback_on_step_end",
    "callback_on_step_end_tensor_inputs", *ASKED.values(),
)  # fmt: skip
"""Arguments of a pipeline that are not `call` options: the adapter or the sampler sets them, or nobody."""

PADS_TO_LONGEST = (
    "BriaFiboPipeline", "CogView4Pipeline", "DreamLitePipeline", "GlmImagePipeline", "LongCatImagePipeline",
    "NucleusMoEImagePipeline", "OmniGenPipeline", "QwenImagePipeline", "ZImagePipeline",
)  # fmt: skip
"""Pipelines of diffusers 0.42 that pad the prompts of a batch to the longest of them."""


def asked_of(pipeline: Any, sampler: Sampler, call: Mapping[str, Any]) -> dict[str, Any]:
    """The sampler's parameters that are set, in the words of the pipeline's `__call__`, and `call`.

    Args: call: further arguments, by the pipeline's own names.
    Raises:
        AssayError: the pipeline does not take or heed one of them, or needs an input that a benchmark does
            not have, or an image would depend on its neighbours.
    """
    name = type(pipeline).__name__
    takes = inspect.signature(type(pipeline).__call__).parameters
    set_here = {ours: getattr(sampler, ours) for ours in ASKED if getattr(sampler, ours) is not None}
    for ours in set_here:
        if ASKED[ours] not in takes:
            allowed = [name for name, theirs in ASKED.items() if theirs in takes]
            raise AssayError(f"sampler.{ours}: {name} does not take it; it takes {', '.join(allowed)}")
    for theirs in call:
        if theirs not in takes or theirs in OURS:
            known = [parameter for parameter in takes if parameter not in OURS]
            raise AssayError(f"call.{theirs}: not for {name}; {did_you_mean(theirs, known)}")
    _check_needs(name, takes, set(call))
    if name in PADS_TO_LONGEST and sampler.batch > 1:
        raise AssayError(
            f"sampler.batch: {name} pads the prompts of a batch to the longest of them, so that an image "
            "would depend on its neighbours; set batch: 1"
        )
    transformer = getattr(pipeline, "transformer", None)
    if "guidance" in set_here and getattr(transformer, "config", {}).get("guidance_embeds") is False:
        raise AssayError(f"sampler.guidance: this {name} was trained without it and ignores it; leave it out")
    asked = {**call, **{ASKED[ours]: value for ours, value in set_here.items()}}
    if "negative_prompt" in set_here:
        check_negative(name, takes, asked)
    return asked


def check_negative(name: str, takes: Mapping[str, inspect.Parameter], asked: Mapping[str, Any]) -> None:
    """Whether a negative prompt would change anything, asked like this.

    Raises:
        AssayError: the pipeline does not take one, or its guidance is off.
    """
    if "negative_prompt" not in takes:
        raise AssayError(f"negative_prompt: {name} does not take one; leave it out")
    where, scale = next(
        ((where, theirs) for where, theirs in _SCALES if theirs in takes), ("", "guidance_scale")
    )
    value = asked.get(scale, takes[scale].default if scale in takes else None)
    if isinstance(value, int | float) and value <= 1:
        raise AssayError(
            f"negative_prompt: {name} ignores it while {scale} is {value:g}; set {where} above 1, or leave "
            "the negative prompt out"
        )


_SCALES = (("options.call.true_cfg_scale", "true_cfg_scale"), ("sampler.guidance", "guidance_scale"))
"""Where the scale is set by which a pipeline heeds negative prompts; the first that it takes is the one."""


def _check_needs(name: str, takes: Mapping[str, inspect.Parameter], given: set[str]) -> None:
    for parameter in takes.values():
        needed = parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        if needed and parameter.name not in {"self", "prompt", "class_labels"} | given:
            raise AssayError(
                f"{name} needs '{parameter.name}': it does not draw from text, class or noise alone"
            )
    if "generator" not in takes:
        raise AssayError(f"{name} takes no generator, so that no seed would decide what it draws")
