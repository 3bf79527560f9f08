"""What a refresh remembers in this workspace: which folders it has taken in, and what failed."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from assets.errors import AssayError
from assets.files import write_json
from flows.running.dvc import WORKSPACE

PATH = WORKSPACE / "refresh.json"


@dataclass
class State:
    """Lost with the workspace: a folder that is dropped again is then taken for another of that name."""

    folders: dict[str, str] = field(default_factory=dict)
    """Name -> fingerprint of the listing that was taken in."""
    taking: dict[str, str] = field(default_factory=dict)
    """The same, of one that is being taken in: what is left if that is killed."""
    cards: list[str] = field(default_factory=list)
    """Cards that were added: a generator that was taken out of params.yaml again stays out."""
    failed: dict[str, str] = field(default_factory=dict)
    """Generator that is set aside -> fingerprint of what it was made from when it failed."""


def read_state(root: Path) -> State:
    """What was remembered, or nothing.

    Raises:
        AssayError: the file is not ours.
    """
    path = root / PATH
    try:
        return State(**json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        return State()
    except (ValueError, TypeError):
        raise AssayError(f"{path} is damaged; delete it: dropped folders are then looked at anew") from None


def write_state(root: Path, state: State) -> None:
    """Remember it, whole or not at all."""
    write_json(root / PATH, asdict(state))


def fingerprint(facts: Any) -> str:
    """A hash over anything that is JSON."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
