"""Load pipelines and their parts: from safetensors only, every weight in its place, or one clear message."""

import functools
import importlib
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import diffusers
import torch
import transformers
from diffusers import DiffusionPipeline, ModelMixin
from safetensors import SafetensorError, safe_open
from transformers import PreTrainedModel

from assets.errors import AssayError
from models.generators.batches import out_of_memory
from models.generators.hub.fetching import FAILURES, INDEX, fetched, no_variant
from models.generators.hub.moved_classes import restore_moved_classes

OWN_PIPELINES = {"TokenPipeline": "models.generators.vqdm"}
"""Pipeline classes of ours, by the `_class_name` in model_index.json, and where they are."""

OWN_COMPONENTS = ("models.generators.ddpm", "models.generators.vqdm")
"""Modules of ours whose classes a model_index.json may name; diffusers imports none but its own."""

PIECES = ("sentencepiece", "protobuf")
"""Packages that read a spiece.model (PixArt's repositories have no other tokenizer file)."""


class Extras(NamedTuple):
    """Parts that alter finished images: a detector would find them, not the model."""

    safety_checker: bool = False
    """Blacks out what it finds indecent."""
    watermarker: bool = False
    """Writes an invisible mark."""


NO_EXTRAS = Extras()


def load_pipeline(
    source: str | Path,
    dtype: str,
    device: str,
    revision: str | None = None,
    variant: str | None = None,
    extras: Extras = NO_EXTRAS,
) -> tuple[Any, dict[str, int]]:
    """Load a pipeline from a folder, or of a hub id at `revision`, without the parts that alter images.

    Returns: the pipeline, and component -> number of its weights that no model of it took.
    Raises:
        AssayError: not there (nor in the hub's cache, when offline), gated, not a pipeline, no safetensors,
            weights cut short or of another architecture, no such variant, a full disk.
    """
    _silence()
    restore_moved_classes()
    folder = fetched(source, INDEX, revision, variant)
    try:
        index = DiffusionPipeline.load_config(folder)
        pipeline_class = _pipeline_class(index["_class_name"], source)
        _import_components(index)
        settings = _extras(pipeline_class, index, extras)
        with _watched() as loaded:
            pipeline = pipeline_class.from_pretrained(
                folder, variant=variant, use_safetensors=True, dtype=getattr(torch, dtype), **settings
            )
    except FAILURES as error:
        raise AssayError(_unopened(source, folder, variant, error)) from error
    unused = {place: _taken_whole(source, place, info) for place, info in loaded}
    return on_device(pipeline, device, source), {place: count for place, count in unused.items() if count}


def load_part(
    part_class: Any,
    source: str | Path,
    subfolder: str,
    dtype: str,
    device: str,
    revision: str | None = None,
    variant: str | None = None,
) -> Any:
    """Load one model of a pipeline, e.g. its autoencoder, as `load_pipeline` loads all of them.

    Raises:
        AssayError: as `load_pipeline`.
    """
    _silence()
    folder = fetched(source, f"{subfolder}/config.json".lstrip("/"), revision, variant, only=subfolder)
    place = folder / subfolder
    if variant and not any(f".{variant}" in path.name for path in place.iterdir()):
        raise AssayError(no_variant(source, place, variant))
    try:
        with _watched() as loaded:
            part = part_class.from_pretrained(
                place, variant=variant, use_safetensors=True, dtype=getattr(torch, dtype)
            )
    except FAILURES as error:
        raise AssayError(_unopened(source, folder, variant, error)) from error
    for name, info in loaded:
        _taken_whole(source, name, info)
    return on_device(part, device, source)


def on_device(model: Any, device: str, source: str | Path) -> Any:
    """Move a pipeline or a model to the device.

    Raises:
        AssayError: it does not fit there.
    """
    try:
        return model.to(device)
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
    raise AssayError(
        f"{source} does not fit in the memory of {device}; set the generator's sampler.dtype to bfloat16 or "
        "float16, or draw on a larger device"
    )


def _silence() -> None:
    """No bars over loading, and no warnings: LDMPipeline warns of any autoencoder but a VQModel."""
    for library in (diffusers.utils.logging, transformers.utils.logging):
        library.disable_progress_bar()
        library.set_verbosity_error()


@contextmanager
def _watched() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """Note what the libraries know of the weights of each model that is loaded meanwhile.

    Yields a list that fills with (the model's folder, its loading info). Both libraries start what a file
    lacks at random and only log it; a pipeline's `from_pretrained` does not hand the information on.
    """
    seen: list[tuple[str, dict[str, Any]]] = []

    def noting(original: Any) -> Any:
        @functools.wraps(original.__func__)
        def from_pretrained(cls: Any, place: Any, *args: Any, **kwargs: Any) -> Any:
            kwargs["output_loading_info"] = True
            if issubclass(cls, PreTrainedModel):  # else the names are in its log alone
                kwargs["ignore_mismatched_sizes"] = True
            model, info = original.__func__(cls, place, *args, **kwargs)
            seen.append((Path(kwargs.get("subfolder") or place).name, info))
            return model

        return classmethod(from_pretrained)

    originals = {home: home.__dict__["from_pretrained"] for home in (ModelMixin, PreTrainedModel)}
    try:
        for home, original in originals.items():
            setattr(home, "from_pretrained", noting(original))  # noqa: B010 - mypy refuses the assignment
        yield seen
    finally:
        for home, original in originals.items():
            setattr(home, "from_pretrained", original)  # noqa: B010


def _taken_whole(source: str | Path, place: str, info: dict[str, Any]) -> int:
    """The number of weights in the file that the model has no place for.

    Some released files hold such, e.g. counters of an older library; they change no image.

    Raises:
        AssayError: weights of the model that the file lacks or has in another shape.
    """
    missing = sorted(map(str, info["missing_keys"]))
    unexpected = sorted(map(str, info["unexpected_keys"]))
    misshapen = sorted(str(entry[0]) for entry in info["mismatched_keys"])
    if not missing and not misshapen:
        return len(unexpected)
    said = [
        f"{word} {names[0]}" + (f" (and {len(names) - 1} more)" if len(names) > 1 else "")
        for word, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", misshapen))
        if names
    ]
    raise AssayError(
        f"{source}: the weights in {place}/ are of another architecture than its config.json: "
        f"{'; '.join(said)}; get the config.json that belongs to them, or the other way round"
    )


def _pipeline_class(name: Any, source: str | Path) -> Any:
    if not isinstance(name, str):
        raise AssayError(f"{source}: its pipeline is code of its own in the repository, which is never run")
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


def _extras(pipeline_class: Any, index: dict[str, Any], extras: Extras) -> dict[str, Any]:
    """Arguments that load the parts that alter images, or leave them out.

    Raises:
        AssayError: one is asked for that the pipeline does not have.
    """
    name, takes = pipeline_class.__name__, inspect.signature(pipeline_class.__init__).parameters
    settings: dict[str, Any] = {}
    if "safety_checker" in takes and not extras.safety_checker:
        settings["safety_checker"] = None
        if "requires_safety_checker" in takes:
            settings["requires_safety_checker"] = False
    elif extras.safety_checker and not (index.get("safety_checker") or [None])[0]:
        raise AssayError(f"safety_checker: this {name} has none; set it to false")
    if "add_watermarker" in takes:
        settings["add_watermarker"] = extras.watermarker
        if extras.watermarker and find_spec("imwatermark") is None:
            raise AssayError(
                f"watermarker: that of {name} needs invisible-watermark: `pip install invisible-watermark`"
            )
    elif "watermarker" in takes and not extras.watermarker:
        settings["watermarker"] = None
    elif extras.watermarker and not (index.get("watermarker") or [None])[0]:
        raise AssayError(f"watermarker: this {name} has none; set it to false")
    return settings


def _unopened(source: str | Path, folder: Path, variant: str | None, error: Exception) -> str:
    if out_of_memory(error):
        return f"{source}: the weights do not fit in this machine's memory"
    if damaged := _damaged(folder):
        return f"{folder}/{damaged}; download it again"
    if variant is not None and "variant" in str(error):
        return no_variant(source, folder, variant)
    if any(folder.rglob("spiece.model")) and (absent := [name for name in PIECES if not _installed(name)]):
        return (
            f"{source}: its tokenizer needs {' and '.join(absent)}, not installed here: "
            f"`pip install {' '.join(absent)}`"
        )
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    hint = "" if Path(source).is_dir() else f"; if files are missing, `hf download {source}` gets them"
    return f"{source} cannot be opened as a diffusers pipeline with safetensors weights: {lines[0]}{hint}"


def _installed(name: str) -> bool:
    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False


def _damaged(folder: Path) -> str | None:
    """The first weight file that is cut short, and what is wrong with it; only headers are read."""
    for path in sorted(folder.rglob("*.safetensors")):
        try:
            with safe_open(path, "pt"):
                pass
        except (SafetensorError, OSError) as error:
            reason = str(error).splitlines()[0]
            return f"{path.relative_to(folder)} is damaged, perhaps a download that was cut short: {reason}"
    return None
