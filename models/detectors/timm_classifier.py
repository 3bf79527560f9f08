"""Kind `timm`: a classifier of the timm library on normalised pixels, with one output."""

import difflib
from typing import Any

import timm

from assets.errors import AssayError
from assets.params import Detector as Spec
from models.detectors.detector import IMAGENET_MEAN, IMAGENET_STD, Detector


def build(spec: Spec, where: str) -> Detector:
    """A timm model with one logit; `weights: timm` starts from the model id's pretrained weights.

    Models whose input has a fixed side (most vision transformers) are built for the side `spec.crop`.

    Raises:
        AssayError: an unknown model id, one that cannot take this crop, weights that cannot be had.
    """
    check_model(spec.model, where)
    net = _pretrained(spec, where) if spec.weights == "timm" else _random(spec, where)
    config = net.pretrained_cfg
    return Detector(net, config.get("mean", IMAGENET_MEAN), config.get("std", IMAGENET_STD))


def check_model(model: str, where: str) -> None:
    """Refuse a model id that timm does not know, and name the nearest ones."""
    name, _, tag = model.partition(".")
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), n=4, cutoff=0.5)
        hint = f"; near to it: {', '.join(near)}" if near else ""
        raise AssayError(f"{where}.model: timm has no model '{model}'{hint} (timm.list_models() lists all)")
    if tag and model not in (tagged := timm.list_pretrained(f"{name}.*")):
        raise AssayError(
            f"{where}.model: timm has no weights '{tag}' of {name}; it has {', '.join(tagged) or 'none'}"
        )


def _random(spec: Spec, where: str) -> Any:
    try:
        return _create(spec, pretrained=False)
    except (AssertionError, RuntimeError, TypeError, ValueError) as error:
        raise AssayError(
            f"{where}: timm cannot build {spec.model} for a crop of {spec.crop} px: {_first_line(error)}"
        ) from None


def _pretrained(spec: Spec, where: str) -> Any:
    config = timm.get_pretrained_cfg(spec.model)
    if config is None or not config.has_weights:
        raise AssayError(f"{where}.weights: timm has no pretrained weights of {spec.model}")
    try:
        return _create(spec, pretrained=True)
    except Exception as error:  # the network, the hub's client and the disk each raise their own kind
        raise AssayError(
            f"{where}.weights: timm's weights of {spec.model} cannot be had: {_first_line(error)}\n"
            "timm downloads them once from huggingface.co. Connect this machine (and unset HF_HUB_OFFLINE), "
            f"or bring the file from https://huggingface.co/{config.hf_hub_id or 'timm'} and write "
            "`weights: FILE.safetensors`, or start at random with `weights: none`."
        ) from None


def _create(spec: Spec, pretrained: bool) -> Any:
    config = timm.get_pretrained_cfg(spec.model)
    sized: dict[str, Any] = {"img_size": spec.crop} if config is not None and config.fixed_input_size else {}
    return timm.create_model(spec.model, pretrained=pretrained, num_classes=1, **sized)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__
