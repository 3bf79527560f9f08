"""Where a detector starts from: pretrained weights, read once, kept as one safetensors file."""

import difflib
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import save_file
from torch import Tensor

from assets.detection import NONE, TIMM, Judge
from assets.errors import AssayError
from assets.files import replacing, sha256_of
from models.checkpoint import plain_state, read_whole
from models.detectors.nets.timm_net import create, sized

WEIGHTS = "weights.safetensors"
_WRAPPERS = ("model", "state_dict", "net", "model_state_dict", "module")
"""Under these names training programs keep the network's state dict in a checkpoint."""


def known_model(model: str | None, where: str) -> None:
    """Refuse a model id that timm does not know, and name the nearest ones; None is one that needs none."""
    if not model:
        return
    name, _, tag = model.partition(".")
    if not timm.is_model(name):
        near = difflib.get_close_matches(name, timm.list_models(), n=4, cutoff=0.5)
        hint = f"; near to it: {', '.join(near)}" if near else ""
        raise AssayError(f"{where}.model: timm has no model '{model}'{hint} (timm.list_models() lists all)")
    if tag and model not in (tagged := timm.list_pretrained(f"{name}.*")):
        raise AssayError(
            f"{where}.model: timm has no weights '{tag}' of {name}; it has {', '.join(tagged) or 'none'}"
        )


def write_start(spec: Judge, path: Path, where: str) -> dict[str, str] | None:
    """Put the weights that `spec` starts from at `path`; None where it starts at random.

    Args: spec: with its model id (see `models.detectors.resolved`).
    Returns: `from`, where they came from in words, and `sha256`, of the file at `path`.
    Raises:
        AssayError: they cannot be had, are damaged, or not those of `sha256`.
    """
    if spec.weights == NONE:
        return None
    if spec.weights == TIMM:
        source, state = f"timm {spec.model}", _from_timm(spec, where)
    else:
        source, state = spec.weights, _from_file(spec, where)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        save_file({name: state[name].contiguous().clone() for name in sorted(state)}, temporary)
    return {"from": source, "sha256": sha256_of(path)}


def read_start(path: Path) -> dict[str, Tensor]:
    """What `write_start` wrote.

    Raises:
        AssayError: it is not there or damaged.
    """
    if not path.is_file():
        raise AssayError(f"{path} is not there: `dvc pull {path.parent}` or `assay run` brings it")
    return plain_state(read_whole(path), path)


def _from_file(spec: Judge, where: str) -> dict[str, Tensor]:
    path = Path(spec.weights)
    if not path.is_file():
        raise AssayError(f"{where}.weights: {path} is not there; put it there, or start with `weights: none`")
    if spec.sha256 is not None and (found := sha256_of(path)) != spec.sha256:
        raise AssayError(f"{where}.weights: {path} has SHA-256 {found}, not {spec.sha256} as `sha256` says")
    found = read_whole(path)
    while isinstance(found, dict) and (inner := next((key for key in _WRAPPERS if key in found), None)):
        if not isinstance(found[inner], dict):
            break
        found = found[inner]
    state = plain_state(found, path)
    if state and all(name.startswith("module.") for name in state):  # as DataParallel names them
        state = {name.removeprefix("module."): value for name, value in state.items()}
    return _for_timm(state, spec, where) if spec.model else state


def _for_timm(state: dict[str, Tensor], spec: Judge, where: str) -> dict[str, Tensor]:
    """A state dict as timm takes over one that it downloads: embeddings of positions resampled to the crop,
    the names of other projects (OpenAI's CLIP, OpenCLIP, DINOv2, ...) translated.

    What does not become the model's by that is left alone: it may be of a network that is made from it.
    """
    model = _blank(spec, where)
    translate = getattr(importlib.import_module(type(model).__module__), "checkpoint_filter_fn", None)
    own = _shapes(model.state_dict())
    if translate is None or _shapes(state) == own:
        return state
    try:
        translated = translate(dict(state), model)
    except (AssertionError, LookupError, RuntimeError, TypeError, ValueError):
        return state  # not a format that timm knows; whoever loads it says what does not fit
    missing = own.keys() - translated.keys()
    classifier = f"{model.pretrained_cfg.get('classifier')}."
    return state if any(not name.startswith(classifier) for name in missing) else translated


def _blank(spec: Judge, where: str) -> Any:
    """The model `spec.model` with its own classifier, for the crop, without memory for its weights."""
    with torch.device("meta"):
        return create(spec, None, where)


def _shapes(state: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in state.items()}


def _from_timm(spec: Judge, where: str) -> dict[str, Tensor]:
    config = timm.get_pretrained_cfg(spec.model) if spec.model else None
    if config is None or not config.has_weights:
        raise AssayError(f"{where}.weights: timm has no pretrained weights of {spec.model}")
    _blank(spec, where)  # refused now, not after a download
    try:
        with torch.random.fork_rng(devices=[]):
            # for the crop, so that embeddings of positions come resampled to it
            made: Any = timm.create_model(str(spec.model), pretrained=True, **sized(spec))
    except Exception as error:  # the network, the hub's client and the disk each raise their own kind
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise AssayError(
            f"{where}.weights: timm's weights of {spec.model} cannot be had: {reason}\n"
            "timm downloads them once from huggingface.co. Connect this machine (and unset HF_HUB_OFFLINE), "
            f"or bring the file from https://huggingface.co/{config.hf_hub_id or 'timm'} and write "
            "`weights: FILE.safetensors`, or start at random with `weights: none`."
        ) from None
    return dict(made.state_dict())
