"""The models that make images: trained here on the spot, or any diffusers pipeline.

`fit` writes a model folder, `open_model` opens one and draws from it. Each kind is one file of this folder
with a `fit` and an `open_drawer`; what it can be told is in `models/generators/options.py`. This file loads
no torch.
"""

import importlib
import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from assets.errors import AssayError, did_you_mean
from assets.files import write_json
from assets.params import Sampler, checked_options
from models.generators.folder import MODEL_FILE, content, digest
from models.generators.options import OPTIONS

OWN_OPENERS = ("dcgan", "pretrained")
"""Kinds that open their folders themselves; every other folder is a diffusers pipeline."""


class Request(NamedTuple):
    """One image to draw."""

    seed: int
    """Seeds the image's own noise. torch's CPU generator uses the low 32 bits of it."""
    prompt: str | None = None
    """For a text-to-image pipeline."""
    class_index: int | None = None
    """For a class-conditional pipeline: a number of its own label list (0..999 for ImageNet)."""


class Drawer(Protocol):
    """An opened model."""

    record: dict[str, Any]
    """What is constant in its images' generation record: model, scheduler, settings; JSON values."""

    def draw(self, requests: Sequence[Request]) -> list[np.ndarray]:
        """One uint8 (H, W, 3) image per request; it depends on its request alone, not on its neighbours."""
        ...


def fit(kind: str, images: np.ndarray, out: Path, options: dict[str, Any], seed: int, device: str) -> None:
    """Train a model of this kind on uint8 (N, H, W, 3) images and write it to the folder `out`.

    `model.json` in it names the kind, the options as resolved, library versions and each file's SHA-256.

    Raises:
        AssayError: an unknown kind or option, or images that this kind cannot learn.
    """
    if kind not in OPTIONS:
        raise AssayError(f"'{kind}' is not a kind of generator; {did_you_mean(kind, OPTIONS)}")
    checked = checked_options(OPTIONS[kind], options, f"fit ({kind})")
    out.mkdir(parents=True, exist_ok=True)
    source = _module(kind).fit(images, out, checked, seed, device)
    files = content(out)
    document = {
        "kind": kind,
        "options": checked.model_dump(mode="json"),
        "versions": library_versions(),
        "sha256": digest(files),
        "files": files,
        **source,
    }
    write_json(out / MODEL_FILE, document)


def open_model(folder: Path, sampler: Sampler, device: str) -> Drawer:
    """Open a folder that `fit` wrote, to draw from it as `sampler` says.

    Raises:
        AssayError: no model there, files missing or changed since the fit, a model that cannot be had
            offline, or a sampler setting that the model does not take.
    """
    path = folder / MODEL_FILE
    if not path.is_file():
        raise AssayError(
            f"{folder} holds no {MODEL_FILE}: fit the model first, `dvc repro fit@{folder.name}`"
        )
    model = json.loads(path.read_text("utf-8"))
    if model["kind"] not in OPTIONS:
        raise AssayError(f"{path}: kind is '{model['kind']}'; {did_you_mean(model['kind'], OPTIONS)}")
    opener = model["kind"] if model["kind"] in OWN_OPENERS else "pipeline"
    drawer: Drawer = _module(opener).open_drawer(folder, model, sampler, device)
    return drawer


def library_versions() -> dict[str, str]:
    """Versions of the libraries that decide what a model draws."""
    return {name: version(name) for name in ("torch", "diffusers", "transformers", "safetensors")}


def _module(kind: str) -> Any:
    return importlib.import_module(f"models.generators.{kind}")
