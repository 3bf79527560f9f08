"""DVC's settings for a record's worktree: those of the clone, never those of the record.

A record's own .dvc/config could send the clone's credentials to another address.
"""

import os
import re
from pathlib import Path
from typing import Any

from configobj import ConfigObj, ConfigObjError

from assets.errors import AssayError
from flows.reproducing.asking import ask_dvc

_PATHS = {
    "url",
    "gdrive_user_credentials_file",
    "gdrive_service_account_json_file_path",
    "credentialpath",
    "configpath",
    "keyfile",
    "cert_path",
    "key_path",
}
"""Options of a remote that DVC reads relative to the file that they are in."""
_OPEN = {"url", "region", "profile", "endpointurl", "type", "jobs", "timeout", "user", "port"}
"""Options that may be read by anybody; whatever else a remote has is kept out of messages."""
_SECRET = ("remote ", "db ", "machine ")
_USERINFO = re.compile(r"//[^/@\s]+@")

Settings = dict[str, Any]


def of_clone(root: Path) -> Settings:
    """The clone's .dvc/config and .dvc/config.local as one, with paths that hold from anywhere.

    Raises:
        AssayError: a file that DVC cannot read either.
    """
    merged: Settings = {}
    for name in ("config", "config.local"):
        path = root / ".dvc" / name
        try:
            found = ConfigObj(str(path), encoding="utf-8").dict()
        except (ConfigObjError, UnicodeDecodeError):
            raise AssayError(f"{path} is not a settings file of DVC") from None
        for section, options in found.items():
            held = {
                option: _anywhere(path.parent, section, option, value) for option, value in options.items()
            }
            merged.setdefault(section, {}).update(held)
    return merged


def known_to_dvc(root: Path) -> dict[str, str]:
    """`core.remote`, `cache.dir` and the like as DVC sees them, with those of the user and the machine."""
    listed = ask_dvc(root, "config", "--list").text.splitlines()
    return dict(line.split("=", 1) for line in listed if "=" in line)


def cache_of(root: Path, known: dict[str, str]) -> Path:
    """The folder of the clone's cache."""
    return Path(known.get("cache.dir") or root.resolve() / ".dvc" / "cache")


def default_remote(known: dict[str, str]) -> tuple[str, str] | None:
    """Name and address of the remote that DVC asks, or None."""
    name = known.get("core.remote", "")
    url = known.get(f"remote.{name}.url")
    return (name, url) if url else None


def give(folder: Path, settings: Settings, cache: Path, remotes: bool) -> None:
    """Let DVC in a worktree work with these settings and a cache.

    Args:
        remotes: whether it may know the remotes; a record's code, which may be anybody's, need not.
    """
    kept = {
        section: options
        for section, options in settings.items()
        if remotes or not section.startswith(_SECRET)
    }
    core = {key: value for key, value in kept.get("core", {}).items() if remotes or key != "remote"}
    core |= {"analytics": "false", "check_update": "false", "autostage": "false"}
    kept |= {"core": core, "cache": {**kept.get("cache", {}), "dir": str(cache)}}
    here = folder / ".dvc"
    here.mkdir(exist_ok=True)
    (here / "config").write_text("", "utf-8")
    partial = here / "config.local.part"
    partial.unlink(missing_ok=True)
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        ConfigObj(kept, encoding="utf-8").write(file)
    partial.replace(here / "config.local")


def redacted(text: str, settings: Settings) -> str:
    """A message of DVC's without the secrets that the settings hold."""
    for section, options in settings.items():
        if section.startswith(_SECRET):
            for option, value in options.items():
                if option not in _OPEN and isinstance(value, str) and len(value) > 3:
                    text = text.replace(value, "***")
    return _USERINFO.sub("//***@", text)


def _anywhere(folder: Path, section: str, option: str, value: Any) -> Any:
    relative = (section == "cache" and option == "dir") or (
        section.startswith("remote ") and option in _PATHS
    )
    if not relative or not isinstance(value, str) or re.match(r"\w+://", value):
        return value
    return os.path.abspath(folder / Path(value).expanduser())  # noqa: PTH100  # resolves no links
