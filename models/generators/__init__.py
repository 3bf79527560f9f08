"""The models that make images: trained here on the spot, run from released weights, or asked over a network.

`fit` writes a model folder, `open_model` opens one and draws from it. Each kind is one file of this folder
with a `fit` and an `open_drawer`; what it can be told is in `models/generators/options.py`. This file loads
no torch.
"""

import importlib
import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import numpy as np

from assets.code import code_digest
from assets.errors import AssayError, did_you_mean
from assets.files import write_json
from assets.params import Sampler
from assets.section import checked_options
from models.generators.folder import MODEL_FILE, content, digest
from models.generators.options import OPTIONS

_NOT_DRAWING = ("generators.options",)
"""What it decides is in model.json."""
PIPELINES = ("ddpm", "ldm", "vqdm")
"""Kinds whose folder is a diffusers pipeline; every other kind opens its folder itself."""


class Request(NamedTuple):
    """One image to draw."""

    seed: int
    """Seeds the image's own noise. torch's CPU generator uses the low 32 bits of it."""
    prompt: str | None = None
    """For a text-to-image model."""
    class_index: int | None = None
    """For a class-conditional model: a number of its own label list (0..999 for ImageNet)."""
    negative_prompt: str | None = None
    """What the image is not to show; for a text-to-image model that takes one."""
    number: int | None = None
    """The image's running number in its generator; for a model that draws from a list of its own."""


class Drawn(NamedTuple):
    """What came of one request: pixels, or a file's bytes as a service sent them, or a reason why neither."""

    pixels: np.ndarray | None = None
    """(H, W, 3) uint8."""
    data: bytes | None = None
    """An encoded picture, kept as it came."""
    reason: str | None = None
    """Why there is no picture: refused, blocked, black. It becomes a counted row."""
    note: Mapping[str, Any] = MappingProxyType({})
    """What is this image's own in its generation record; JSON values."""
    about: Mapping[str, Any] = MappingProxyType({})
    """Manifest columns that the model knows better than the request: `pair_id`, `group`, `class_name`, ..."""


class Drawer(Protocol):
    """An opened model."""

    record: dict[str, Any]
    """What is constant in its images' generation record: model, scheduler, settings; JSON values."""

    def draw(self, requests: Sequence[Request]) -> list[Drawn]:
        """One result per request; it depends on its request alone, not on its neighbours."""
        ...


REALS = "reals"
"""Where in a model's folder the real image sets lie that it draws from, one folder a source."""


def reals_for(kind: str) -> str:
    """What `fit` of this kind needs of the real images: `pixels`, `linked` or `none`.

    Raises:
        AssayError: an unknown kind.
    """
    if kind not in OPTIONS:
        raise AssayError(f"'{kind}' is not a kind of generator; {did_you_mean(kind, OPTIONS)}")
    return OPTIONS[kind].reals


def computes(kind: str) -> bool:
    """Whether drawing with this kind is work for this machine's devices; a service computes elsewhere."""
    return OPTIONS[kind].computes


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
        "code": code_of(kind),
        "versions": library_versions(),
        "sha256": digest(files),
        "files": files,
        **source,
    }
    write_json(out / MODEL_FILE, document)


def describe(folder: Path) -> dict[str, Any]:
    """What `fit` wrote about a model: kind, options, versions, hashes.

    Raises:
        AssayError: no model there, or one of a kind that there is not.
    """
    path = folder / MODEL_FILE
    if not path.is_file():
        raise AssayError(
            f"{folder} holds no {MODEL_FILE}: fit the model first, `dvc repro fit@{folder.name}`"
        )
    model: dict[str, Any] = json.loads(path.read_text("utf-8"))
    if model["kind"] not in OPTIONS:
        raise AssayError(f"{path}: kind is '{model['kind']}'; {did_you_mean(model['kind'], OPTIONS)}")
    return model


def open_model(folder: Path, sampler: Sampler, device: str) -> Drawer:
    """Open a folder that `fit` wrote, to draw from it as `sampler` says.

    Raises:
        AssayError: no model there, files missing or changed since the fit, a model that cannot be had
            offline, or a sampler setting that the model does not take.
    """
    model = describe(folder)
    drawer: Drawer = _module(_opener(model["kind"])).open_drawer(folder, model, sampler, device)
    return drawer


def code_of(kind: str) -> str:
    """Hash of the code that draws this kind's images."""
    modules = {f"generators.{module}" for module in (kind, _opener(kind))}
    return code_digest(modules, but_not=_NOT_DRAWING)


def library_versions() -> dict[str, str]:
    """Versions of the libraries that decide what a model draws."""
    return {name: version(name) for name in ("torch", "diffusers", "transformers", "safetensors")}


def _opener(kind: str) -> str:
    """The module that opens folders of this kind."""
    return "pipeline" if kind in PIPELINES else kind


def _module(kind: str) -> Any:
    return importlib.import_module(f"models.generators.{kind}")
