"""Archives that were downloaded and not extracted: how to extract them."""

import re
from collections.abc import Iterable
from pathlib import Path

_VOLUME = re.compile(
    r"(?P<stem>.+?)(?P<drive>-\d{3})?\.(?P<kind>z\d{2,3}|zip|7z(\.\d{3})?|tgz|tar\.gz|rar)$", re.I
)


def unpacking(paths: Iterable[Path]) -> str | None:
    """What to type to extract the archives among `paths`; None if there are none."""
    volumes: dict[tuple[Path, str], list[re.Match[str]]] = {}
    for path in paths:
        if match := _VOLUME.match(path.name):
            volumes.setdefault((path.parent, match["stem"]), []).append(match)
    told = [_how(folder, stem, matches) for (folder, stem), matches in sorted(volumes.items())]
    if not told:
        return None
    more = f"; and {len(told) - 2} more archives alike" if len(told) > 2 else ""
    return "; ".join(told[:2]) + more


def _how(folder: Path, stem: str, matches: list[re.Match[str]]) -> str:
    kinds = {match["kind"].lower() for match in matches}
    if split := {kind for kind in kinds if re.fullmatch(r"z\d+", kind)}:
        count = f"{folder}/{stem}.zip is a zip in {len(split) + ('zip' in kinds)} volumes"
        if any(match["drive"] for match in matches):
            count += f" (some were renamed by the download: take the -NNN out, {stem}.z05 is right)"
        if "zip" not in kinds:
            return f"{count} and its last one, {stem}.zip, is missing: download it too"
        return (
            f"{count}: with all of them in one folder `cd {folder} && 7z x {stem}.zip` extracts it, or "
            f"`zip -s 0 {stem}.zip --out joined.zip && unzip joined.zip`; plain unzip fails"
        )
    if any(kind.startswith("7z") for kind in kinds):
        first = f"{stem}.7z" + (".001" if any(kind.startswith("7z.") for kind in kinds) else "")
        return f"{folder}/{first} is not extracted: `cd {folder} && 7z x {first}`"
    name = matches[0].group()
    if kinds & {"tgz", "tar.gz"}:
        return f"{folder}/{name} is not extracted: `cd {folder} && tar -xzf {name}`"
    return f"{folder}/{name} is not extracted: `cd {folder} && 7z x {name}`"
