"""Released weights in one file: read without running code, and loaded whole or not at all."""

import argparse
import pickle  # noqa: TID251 - for the name of the error that torch raises; nothing is unpickled here
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from assets.errors import AssayError
from assets.files import sha256_of

DAMAGED = (
    SafetensorError,
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AssertionError,
    struct.error,
    zipfile.BadZipFile,
)
"""What reading a damaged file raises: torch checks little of what is in a pickle before it uses it."""
_HARMLESS: list[Any] = [argparse.Namespace]
"""Classes that a file may name though torch does not list them: training programs keep their arguments so."""


def pin(paths: Mapping[str, str]) -> dict[str, Any]:
    """What model.json says of weights that stay where they are: role -> path, and the hash of each.

    Args: paths: what a file is for -> where it is, e.g. {"checkpoint": "weights/256x256_diffusion.pt"}.
    Raises:
        AssayError: a file is not there.
    """
    found = {}
    for role, place in paths.items():
        path = Path(place)
        if not path.is_file():
            raise AssayError(f"{role}: {place} is not there; download it, and name its path as '{role}'")
        found[role] = {"path": place, "sha256": sha256_of(path)}
    return {"checkpoints": found}


def read_pinned(model: dict[str, Any], role: str) -> tuple[Path, dict[str, Tensor]]:
    """The state dict that `pin` noted under `role`, the very bytes it noted.

    Raises:
        AssayError: the file is gone, has changed, or is no plain state dict.
    """
    path = pinned_path(model, role)
    return path, read_state(path)


def pinned_path(model: dict[str, Any], role: str) -> Path:
    """The file that `pin` noted under `role`, where it still has the very bytes it noted.

    Raises:
        AssayError: the file is gone or has changed.
    """
    noted = model["checkpoints"][role]
    path = Path(noted["path"])
    if not path.is_file():
        raise AssayError(f"{path} is gone; put it back, or name another file as '{role}'")
    if sha256_of(path) != noted["sha256"]:
        raise AssayError(f"{path} has changed since the model was fitted; fit it again to take it as it is")
    return path


def read_state(path: Path) -> dict[str, Tensor]:
    """The state dict in a .safetensors file, or in a .pt/.pth file that holds tensors alone.

    Raises:
        AssayError: the file is cut short or damaged, would run code when read, or holds no state dict.
    """
    found = read_whole(path)
    while (
        isinstance(found, Mapping)
        and len(found) == 1
        and isinstance(inner := next(iter(found.values())), Mapping)
    ):
        found = inner  # {"model": {...}}
    return plain_state(found, path)


def read_whole(path: Path) -> Any:
    """All that a file holds: a training checkpoint has several state dicts, and plain values.

    Raises:
        AssayError: the file is cut short or damaged, or would run code when read.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        # Mapped, not read: a training checkpoint is four times the model that is taken out of it.
        with torch.serialization.safe_globals(_HARMLESS):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        reason = str(error).strip().splitlines()[-1] if "Unsupported" in str(error) else "not tensors alone"
        raise AssayError(
            f"{path} is refused: reading it could run code that is in it ({reason}); get the weights as "
            ".safetensors, or as a .pt file with nothing but tensors in it"
        ) from None
    except DAMAGED as error:
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise AssayError(f"{path} cannot be read, perhaps a download that was cut short: {line}") from None


def plain_state(found: Any, path: Path) -> dict[str, Tensor]:
    """`found` as a state dict; `path` is for the error.

    Raises:
        AssayError: it is none.
    """
    if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()):
        raise AssayError(f"{path} holds no plain state dict (names to tensors)")
    return dict(found)


def load_strictly(model: nn.Module, state: Mapping[str, Tensor], path: Path, what: str) -> None:
    """Load a state dict into a model that must have exactly these names and shapes.

    Args: what: the model in words, for the error, e.g. "ADM's diffusion model".
    Raises:
        AssayError: with the first missing, unexpected and misshapen names.
    """
    own = model.state_dict()
    missing = [name for name in own if name not in state]
    unexpected = [name for name in state if name not in own]
    misshapen = [name for name in own if name in state and own[name].shape != state[name].shape]
    if not (missing or unexpected or misshapen):
        model.load_state_dict(dict(state))
        return
    said = [
        f"{word} {names[0]} (and {len(names) - 1} more)" if len(names) > 1 else f"{word} {names[0]}"
        for word, names in (("missing", missing), ("unexpected", unexpected))
        if names
    ]
    if misshapen:
        name = misshapen[0]
        said.append(f"{name} is {tuple(state[name].shape)}, not {tuple(own[name].shape)}")
    raise AssayError(f"{path} is not a checkpoint of {what} with these options: {'; '.join(said)}")
