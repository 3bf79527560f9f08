"""A diffusers pipeline from elsewhere: a hub id at a pinned commit, or a local folder by its content."""

from pathlib import Path
from typing import Any

import numpy as np

from assets.errors import AssayError
from assets.params import Sampler
from models.generators.folder import check_content, content, digest
from models.generators.options import PretrainedOptions, ReconstructionOptions
from models.generators.pipeline import PipelineDrawer


def fit(images: np.ndarray, out: Path, options: PretrainedOptions, seed: int, device: str) -> dict[str, Any]:
    """Nothing is trained and no weights are copied: only the pointer is written, into model.json."""
    return pinned(options, Path(options.id), "model_index.json")


def open_drawer(folder: Path, model: dict[str, Any], sampler: Sampler, device: str) -> PipelineDrawer:
    """Open the pipeline that the pointer names, the very bytes it named when it was written."""
    options = PretrainedOptions.model_validate(model["options"])
    check_pinned(options, Path(options.id), model, folder.name)
    return PipelineDrawer(options.id, model, sampler, device, options.revision, options.variant)


def pinned(options: PretrainedOptions | ReconstructionOptions, local: Path, first: str) -> dict[str, Any]:
    """What model.json says of weights that stay where they are: of a local folder the content.

    Args: local: the folder, if `options.id` is one; first: a file that it must have.
    Raises:
        AssayError: a hub id without its commit, a folder with one, or without that file.
    """
    if not Path(options.id).is_dir():
        if options.revision is None:
            raise AssayError(
                f"'{options.id}' is not a folder here; if it is a Hugging Face id, pin its weights with "
                "revision: COMMIT (40 hex digits, listed under 'History' on the model's page)"
            )
        return {}
    if options.revision is not None:
        raise AssayError(f"'{options.id}' is a local folder, pinned by its content: leave 'revision' out")
    files = content(local)
    if first not in files:
        raise AssayError(f"{local}/{first} is not there: expected a folder from `save_pretrained`")
    return {"sha256": digest(files), "files": files}


def check_pinned(
    options: PretrainedOptions | ReconstructionOptions, local: Path, model: dict[str, Any], name: str
) -> None:
    """Check that a local folder still is what `pinned` noted in `model`; a hub id is pinned by its commit.

    Raises:
        AssayError: it is gone or another.
    """
    if options.revision is None:
        if not local.is_dir():
            raise AssayError(f"the folder {local} is gone; put it back, or name another id in fit.{name}")
        check_content(local, model["files"], f"`dvc repro --force fit@{name}` takes it as it is now")
