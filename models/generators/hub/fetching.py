"""Files of a model: those of a folder, or of a hub id at its commit, and one clear message where not."""

import errno
from collections.abc import Iterator
from pathlib import Path

from diffusers import DiffusionPipeline
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from safetensors import SafetensorError

from assets.errors import AssayError

INDEX = "model_index.json"
WEIGHTS = "diffusion_pytorch_model.safetensors"

FAILURES = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    ImportError,
    RuntimeError,
    AttributeError,
    SafetensorError,
)
"""What diffusers and transformers raise for folders that they cannot load."""


def fetched(
    source: str | Path, first: str, revision: str | None, variant: str | None, only: str | None = None
) -> Path:
    """The folder with a source's files: itself, or the hub's cache after what is needed was downloaded.

    Args: first: a file that must be there; only: the one subfolder that is needed, of a pipeline all.
    Raises:
        AssayError: not there, gated, offline and not in the cache, no safetensors, a full disk.
    """
    if Path(source).is_dir():
        return Path(source)
    try:
        found = Path(hf_hub_download(str(source), first, revision=revision))
        if only is None:
            return Path(
                DiffusionPipeline.download(
                    str(source), revision=revision, variant=variant, use_safetensors=True
                )
            )
        folder = found.parents[len(Path(first).parts) - 1]
        name = f"diffusion_pytorch_model.{variant}.safetensors" if variant else WEIGHTS
        try:
            hf_hub_download(str(source), f"{only}/{name}".lstrip("/"), revision=revision)
        except EntryNotFoundError as error:
            if isinstance(error, LocalEntryNotFoundError):
                raise
            missing = (
                no_variant(source, folder / only, variant) if variant else f"'{source}' has no {only}/{name}"
            )
            raise AssayError(f"{missing}; weights are read from safetensors alone") from None
        return folder
    except (EntryNotFoundError, HFValidationError, *FAILURES) as error:
        raise AssayError(_unfetched(str(source), first, revision, variant, error)) from error


def no_variant(source: str | Path, folder: Path, variant: str) -> str:
    """The message for a variant that a source does not have; `folder` is where to look for those it has."""
    parts = [path.name.split(".") for path in folder.rglob("*.safetensors")] if folder.is_dir() else []
    there = sorted({name[-2].split("-")[0] for name in parts if len(name) > 2})
    has = f"it has {', '.join(there)}" if there else "leave 'variant' out"
    return f"variant: {source} has no weights of the variant '{variant}'; {has}"


def _unfetched(source: str, first: str, revision: str | None, variant: str | None, error: Exception) -> str:
    """One message for whatever kept a hub id from being fetched."""
    chain = list(_causes(error))
    page = f"https://huggingface.co/{source}"

    def has(kind: type[BaseException]) -> bool:
        return any(isinstance(one, kind) for one in chain)

    if any(getattr(one, "errno", None) in (errno.ENOSPC, errno.EDQUOT) for one in chain):
        return (
            f"the disk is full: '{source}' could not be downloaded whole; make room, or put the cache on "
            "another disk (HF_HOME), then run again: what is there already is kept"
        )
    if has(GatedRepoError):
        return f"'{source}' is gated: accept its terms at {page}, then `hf auth login` with that account"
    if has(RevisionNotFoundError):
        return f"'{source}' has no commit {revision}; see 'History' at {page}/commits/main"
    if has(RepositoryNotFoundError):
        return (
            f"'{source}' is not on the Hugging Face hub: misspelt, withdrawn, or private (then "
            "`hf auth login` first)"
        )
    if has(EntryNotFoundError) and not has(LocalEntryNotFoundError):
        remedy = (
            "it is not in the layout of a diffusers pipeline" if first == INDEX else f"see {page}/tree/main"
        )
        return f"'{source}' has no {first}: {remedy}"
    if variant is not None and "variant" in str(error) and not has(LocalEntryNotFoundError):
        return no_variant(source, Path(source), variant)
    if "safetensors" in str(error):
        return f"'{source}' has no safetensors weights, and others are not read: {str(error).splitlines()[0]}"
    reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return (
        f"the pipeline '{source}' is neither a folder here nor in the Hugging Face cache, and could not be "
        f"fetched: {reason} With a network, unset HF_HUB_OFFLINE or run `hf download {source}` first; "
        "without one, put the folder here and name its path as id"
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those it came from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
