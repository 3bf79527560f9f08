"""GPU slots: one stage a GPU at a time, over all runs of this user on this machine.

A slot is a lock on a file, which the kernel frees when its last holder is gone: nothing to clean up after
a kill. Where there is no GPU there are no slots, and GPU stages are ordinary ones.
"""

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_LISTED = re.compile(r"^GPU (\d+):.*?(?:\(UUID: (\S+)\))?$", re.MULTILINE)
_SHARED = Path("/tmp")  # not TMPDIR, which a batch system sets anew for every job


@dataclass
class Slot:
    """One GPU, held until `release`."""

    device: str
    """As CUDA_VISIBLE_DEVICES names it: an index or a UUID."""
    handle: int
    """Descriptor of the locked file; a child that inherits it keeps the slot held while it lives."""

    @property
    def environment(self) -> dict[str, str]:
        """Variables under which a child process sees this GPU and no other."""
        narrowed = {"CUDA_VISIBLE_DEVICES": self.device}
        if os.environ.get("ASSAY_DEVICE", "").startswith("cuda:"):
            narrowed["ASSAY_DEVICE"] = "cuda"  # the one that is left is the first
        return narrowed

    def release(self) -> None:
        """Let the next stage have it."""
        os.close(self.handle)


def devices() -> list[str]:
    """GPUs that stages may use, found without loading torch; [] without one or with ASSAY_DEVICE=cpu."""
    asked = os.environ.get("ASSAY_DEVICE", "")
    if asked and not asked.startswith("cuda"):
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    found = _present() if visible is None else _named(visible)
    index = asked.removeprefix("cuda").removeprefix(":")
    return found[int(index) : int(index) + 1] if index.isdecimal() else found


def take(among: Sequence[str]) -> Slot | None:
    """A GPU of `among` that nobody holds, or None if all are taken at this moment."""
    for device in among:
        handle = os.open(_lock_of(device), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            continue
        return Slot(device, handle)
    return None


def _lock_of(device: str) -> Path:
    shared = _SHARED if os.access(_SHARED, os.W_OK) else Path(tempfile.gettempdir())
    folder = shared / f"assay-gpus-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / f"{_full_name(device).replace(os.sep, '_')}.lock"


def _full_name(device: str) -> str:
    """One name a GPU: another run may call it by its index, its UUID, or the UUID's beginning."""
    for index, uuid in _listed():
        if uuid and (device == index or (device.startswith("GPU-") and uuid.startswith(device))):
            return uuid
    return device


def _named(visible: str) -> list[str]:
    """CUDA_VISIBLE_DEVICES as CUDA reads it: whatever follows an invalid entry such as -1 is hidden."""
    names: list[str] = []
    for name in (part.strip() for part in visible.split(",")):
        if not name or name.startswith("-"):
            break
        names.append(name)
    return names


def _present() -> list[str]:
    return [index for index, _ in _listed()]


def _listed() -> list[tuple[str, str]]:
    """Index and UUID of every GPU of this machine, as the driver's own program tells them."""
    program = shutil.which("nvidia-smi")
    return list(_asked(program)) if program else []


@cache
def _asked(program: str) -> tuple[tuple[str, str], ...]:
    try:
        listing = subprocess.run([program, "-L"], capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return tuple(_LISTED.findall(listing.stdout))
