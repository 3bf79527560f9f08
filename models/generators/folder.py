"""What lies in a model folder, by content."""

import hashlib
from pathlib import Path

from assets.errors import AssayError
from assets.files import sha256_of

MODEL_FILE = "model.json"
LOADED = (".safetensors", ".json", ".txt", ".model")
"""Endings of the files that a pipeline is loaded from: weights, configurations, vocabularies."""


def content(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below `folder` that a model is loaded from, by relative path."""
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.suffix in LOADED}
    hidden = {name for name in paths if any(part.startswith(".") for part in name.split("/"))}
    return {name: sha256_of(paths[name]) for name in sorted(set(paths) - hidden - {MODEL_FILE})}


def digest(files: dict[str, str]) -> str:
    """One SHA-256 over names and contents."""
    return hashlib.sha256(
        "".join(f"{name}\0{sha}\n" for name, sha in sorted(files.items())).encode()
    ).hexdigest()


def check_content(folder: Path, files: dict[str, str], remedy: str) -> None:
    """Compare a folder with the hashes noted when it was made; `remedy` ends the error message.

    Raises:
        AssayError: a file is missing, changed or new.
    """
    found = content(folder)
    for problem, names in (
        ("is missing", sorted(set(files) - set(found))),
        ("has changed", [name for name in files if name in found and found[name] != files[name]]),
        ("has appeared", sorted(set(found) - set(files))),
    ):
        if names:
            raise AssayError(f"{folder}/{names[0]} {problem} since the model was fitted; {remedy}")
