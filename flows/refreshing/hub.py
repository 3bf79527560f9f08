"""Models of the Hugging Face hub whose repository has moved on since they were pinned."""

import os
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, get_args

from assets.errors import AssayError
from assets.params import Fit, Params
from flows.editing.edits import ParamsFile
from flows.refreshing.findings import Finding

if TYPE_CHECKING:
    from huggingface_hub import HfApi

Follow = Literal["follow", "say", "off"]
FOLLOW: tuple[str, ...] = get_args(Follow)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_SECONDS = 20.0
_ABOUT = re.compile(r"(?i)(readme|licen[cs]e|notice|changelog|\.git)[^/]*")
"""Names of files that say something about a model and are none of it."""
_NEVER_READ = re.compile(
    r"(?i).*\.(md|rst|pdf|png|jpe?g|webp|gif|svg|avif|mp4|webm|mp3|wav"  # pictures of what it draws
    r"|bin|ckpt|pth?|pkl|pickle|msgpack|h5|onnx|onnx_data|pb|tflite|gguf|ot)"  # weights that we do not load
)


def find_revisions(params: Params, follow: str, root: Path) -> Iterator[Finding]:
    """Models whose weights, configuration or tokenizer differ between their pin and the hub's head.

    A hub that cannot be reached is a line, not an error.

    Args: follow: `follow`: the pin is to be moved; `say`: it is told; `off`: the hub is not asked.
    """
    pinned = {name: fit for name, fit in params.fit.items() if _is_pinned(fit, root)}
    if follow == "off" or not pinned:
        return
    import huggingface_hub
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return
    api = huggingface_hub.HfApi(endpoint=os.environ.get("HF_ENDPOINT") or constants.ENDPOINT)
    for name, fit in pinned.items():
        try:
            head = _changed(api, fit)
        except Exception as error:
            if _is_answer(error):
                yield Finding(
                    "hub", name, f"the hub does not say what became of {fit.options['id']}: {_said(error)}"
                )
                continue
            yield Finding(
                "hub", "hub", f"the hub cannot be reached, so no model was asked for: {_said(error)}"
            )
            return
        if head is not None:
            yield _finding(root, name, fit, head, follow)


def _finding(root: Path, name: str, fit: Fit, head: str, follow: str) -> Finding:
    pin = str(fit.options["revision"])
    says = f"{fit.options['id']} is at {head[:12]} on the hub and fit.{name} pins {pin[:12]}"
    if follow == "follow":
        return Finding("revision", name, f"{says}: the pin is moved", partial(_move, root, name, pin, head))
    return Finding("revision", name, f"{says}; to follow, put `revision: {head}` there, or `--hub follow`")


def _move(root: Path, name: str, pin: str, head: str) -> list[str]:
    file = ParamsFile(root)
    if file.get(f"fit.{name}.options.revision") != pin:
        raise AssayError(f"fit.{name} was changed in the meantime")
    file.replace(("fit", name, "options", "revision"), head)
    file.save()
    return [f"fit.{name} pins {head} now, before: {pin}"]


def _is_pinned(fit: Fit, root: Path) -> bool:
    """Whether a model is a hub id at a commit, whatever its kind."""
    id_, revision = fit.options.get("id"), fit.options.get("revision")
    named = isinstance(id_, str) and bool(_HUB_ID.fullmatch(id_)) and not (root / id_).is_dir()
    return named and isinstance(revision, str) and bool(_COMMIT.fullmatch(revision))


def _changed(api: "HfApi", fit: Fit) -> str | None:
    """The head of the repository, if files that count differ there."""
    id_, pin = str(fit.options["id"]), str(fit.options["revision"])
    head = api.model_info(id_, timeout=_SECONDS).sha
    if head is None or head == pin or not _COMMIT.fullmatch(head):
        return None
    return head if _files(api, id_, pin) != _files(api, id_, head) else None


def _files(api: "HfApi", id_: str, revision: str) -> dict[str, Any]:
    """Files that count -> hash of what is in them."""
    found = api.list_repo_tree(id_, revision=revision, recursive=True)
    return {one.path: getattr(one, "blob_id", None) for one in found if _counts(one.path)}


def _counts(path: str) -> bool:
    name = PurePosixPath(path).name
    return not (_ABOUT.fullmatch(name) or _NEVER_READ.fullmatch(name))


def _is_answer(error: Exception) -> bool:
    """Whether the hub did answer, and refused: the others may be there."""
    status = getattr(getattr(error, "response", None), "status_code", 0)
    return 400 <= status < 500


def _said(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), type(error).__name__)
