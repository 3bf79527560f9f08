"""Where a training stands, kept on disk so that a killed one goes on as if nothing had happened.

A checkpoint carries the hash of its bytes in its name and is put there in one step: it is whole, or known
to be damaged. The folder's name comes from all that decides the result, so that no other training takes it.
"""

import shutil
from pathlib import Path
from typing import Any

import torch

from assets.files import full_disk_told, replacing, sha256_of
from assets.progress import say
from models.checkpoint import read_whole

_DIGITS = 16


class Checkpoints:
    """The checkpoints of one training, of which the newest alone is kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def newest(self) -> dict[str, Any] | None:
        """What was written last, on the CPU; None if there is nothing. A damaged one is told and removed."""
        for path in reversed(self._files()):
            if sha256_of(path)[:_DIGITS] == path.stem.partition("-")[2]:
                found: dict[str, Any] = read_whole(path)
                return found
            say(f"{path} is damaged: its bytes are not those that were written; it is left out and removed")
            path.unlink()
        return None

    def write(self, content: dict[str, Any]) -> None:
        """Keep tensors, numbers, strings, lists and dictionaries in place of what was written before.

        Raises:
            AssayError: the disk is full; what was written before is still there.
        """
        older = self._files()
        number = int(older[-1].stem.partition("-")[0]) + 1 if older else 1
        with full_disk_told("the training stops; free some space and run it again: it goes on from before"):
            whole = self.folder / "whole.pt"
            with replacing(whole) as temporary:
                torch.save(content, temporary)
            whole.replace(self.folder / f"{number:06d}-{sha256_of(whole)[:_DIGITS]}.pt")
        for path in older:
            path.unlink()

    def remove(self) -> None:
        """Remove them all, with their folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _files(self) -> list[Path]:
        """The oldest first."""
        return sorted(self.folder.glob("*-*.pt"))
