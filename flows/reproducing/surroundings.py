"""What a record was computed with against what is here."""

import json
import subprocess
from pathlib import Path
from typing import Any

from flows.records.environment import environment, pins

_ASK = """
import json, platform
from importlib import metadata
found = {d.metadata["Name"].lower().replace("_", "-"): d.version for d in metadata.distributions()}
print(json.dumps([f"{platform.python_implementation()} {platform.python_version()}", found]))
"""


def surroundings(folder: Path, python: Path | None) -> dict[str, Any]:
    """`flows.records.environment.environment` as it is for a record's stages.

    Args:
        folder: of the record, whose constraints.txt counts.
        python: the interpreter that runs them, if it is not ours.
    """
    found = environment(folder)
    if python is None:
        return found
    asked = subprocess.run(
        [str(python), "-I", "-c", _ASK], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL
    )
    named, installed = json.loads(asked.stdout)
    versions = {name: installed.get(name.lower().replace("_", "-")) for name in found["packages"]}
    differ = {
        name: [pinned, versions.get(name)]
        for name, pinned in pins(folder).items()
        if (versions.get(name) or "").partition("+")[0] != pinned
    }
    return {
        **found,
        "python": named,
        "packages": versions,
        "constraints": {"agree": not differ, "differ": differ},
    }


def differences(recorded: dict[str, Any], here: dict[str, Any]) -> dict[str, list[str | None]]:
    """What differs: name -> [recorded, here]; versions, processor and devices, not how many cores."""
    was, now = _flat(recorded), _flat(here)
    return {name: [was.get(name), now.get(name)] for name in {**was, **now} if was.get(name) != now.get(name)}


def _flat(found: dict[str, Any]) -> dict[str, str]:
    cpu = found.get("cpu") or {}
    flat = {name: found.get(name) for name in ("python", "platform", "libc", "driver", "cuda", "asked_for")}
    flat |= {"processor": cpu.get("model"), "vectors": " ".join(cpu.get("vectors") or ())}
    flat |= {"devices": ", ".join(found.get("devices") or ()), **(found.get("packages") or {})}
    return {name: str(value) for name, value in flat.items() if value}
