"""What a benchmark was computed with: versions, processor, devices. Recorded beside a hash, never in it.

No name of the machine or of the user, and no path.
"""

import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from assets.machine import DEVICE

CONSTRAINTS = "constraints.txt"
_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;#]+)", re.MULTILINE)
_VECTORS = ("avx", "avx2", "avx512f", "avx512_bf16", "amx_tile", "asimd", "sve", "sve2")
"""Instruction sets by which numerical libraries choose how they add up."""


def environment(root: Path = Path()) -> dict[str, Any]:
    """What can change a number and is no part of a recipe; ready for JSON.

    `python`, `platform`, `libc`; `cpu` (`model`, `cores`, `vectors`); `devices` (GPUs), `driver` and `cuda`
    (the newest that the driver knows), None without a GPU; `asked_for`: the device that ASSAY_DEVICE names;
    `packages`: versions of what constraints.txt names and of NVIDIA's libraries; `constraints`: `agree`, and
    `differ`, package -> [pinned, installed] where they do not.
    """
    pinned = pins(root)
    installed = {name: _version(name) for name in pinned}
    differ = {
        name: [version, installed[name]]
        for name, version in pinned.items()
        if (installed[name] or "").partition("+")[0] != version
    }
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": f"{platform.system()} {platform.machine()}",
        "libc": " ".join(platform.libc_ver()).strip() or None,
        "cpu": {"model": _cpu(), "cores": os.cpu_count(), "vectors": _vectors()},
        **_nvidia(),
        "asked_for": os.environ.get(DEVICE) or None,
        "packages": {**installed, **_nvidia_libraries()},
        "constraints": {"agree": bool(pinned) and not differ, "differ": differ},
    }


def in_short(found: dict[str, Any]) -> str:
    """An environment in a few words, for a list."""
    packages, devices = found.get("packages") or {}, found.get("devices") or []
    parts = [str(found.get("python") or "?").replace("CPython", "Python")]
    if packages.get("torch"):
        parts.append(f"torch {packages['torch']}")
    parts += [", ".join(devices) if devices else str((found.get("cpu") or {}).get("model") or "CPU")]
    if not (found.get("constraints") or {}).get("agree", True):
        parts.append(f"not as {CONSTRAINTS}")
    return ", ".join(parts)


def pins(root: Path) -> dict[str, str]:
    """Name -> version of every pin in constraints.txt; {} where there is none."""
    path = root / CONSTRAINTS
    return dict(_PIN.findall(path.read_text("utf-8"))) if path.is_file() else {}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _nvidia_libraries() -> dict[str, str]:
    """Versions of cuBLAS, cuDNN and the like, which come as packages of their own."""
    found = {
        str(distribution.metadata["Name"]): distribution.version
        for distribution in metadata.distributions()
        if str(distribution.metadata["Name"]).startswith("nvidia-")
    }
    return dict(sorted(found.items()))


def _cpu() -> str | None:
    """The processor's model, as its maker calls it."""
    if model := _cpuinfo("model name"):
        return model
    if sys.platform == "darwin":
        return _said("sysctl", "-n", "machdep.cpu.brand_string") or None
    return platform.processor() or None


def _vectors() -> list[str]:
    known = {*(_cpuinfo("flags") or "").split(), *(_cpuinfo("Features") or "").split()}
    return [name for name in _VECTORS if name in known]


def _cpuinfo(field: str) -> str | None:
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8", errors="replace")
    except OSError:
        return None
    found = re.search(rf"^{field}\s*:\s*(.+)$", text, re.MULTILINE)
    return " ".join(found[1].split()) if found else None


def _nvidia() -> dict[str, Any]:
    """GPUs and their driver, asked of the driver's own tool: loading torch takes seconds."""
    rows = [line.rpartition(", ") for line in _lines("nvidia-smi", "--query-gpu=name,driver_version")]
    newest = re.search(r"CUDA Version\s*:\s*([\d.]+)", _said("nvidia-smi")) if rows else None
    return {
        "devices": [name for name, _, _ in rows],
        "driver": rows[0][2] if rows else None,
        "cuda": newest[1] if newest else None,
    }


def _lines(*command: str) -> Iterator[str]:
    yield from filter(None, _said(*command, "--format=csv,noheader").splitlines())


def _said(*command: str) -> str:
    """What a tool prints; '' where there is no such tool or it finds nothing."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
