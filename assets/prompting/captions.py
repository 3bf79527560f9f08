"""Prompts out of a file of the user's: captions in COCO's format, or a prompt a line."""

import hashlib
import json
from pathlib import Path
from typing import Any

from assets.errors import AssayError
from assets.files import sha256_of
from assets.params import Prompts
from assets.seeds import derive_seed


def check_file(prompts: Prompts, root: Path, where: str) -> None:
    """Refuse a file of prompts that is not there, or whose hash the parameters do not give.

    Looks at the file only to print that hash; `where` begins the messages, e.g.
    `generators.sd15.prompts`.

    Raises:
        AssayError: as said.
    """
    path = root / str(prompts.file)
    if not path.is_file():
        raise AssayError(
            f"{where}.file: {prompts.file} is not there (looked for {path.resolve()}): put the file there, "
            "or name another"
        )
    if prompts.sha256 is None:
        raise AssayError(
            f"{where}.sha256 is missing: without it, a changed {prompts.file} would pass for the same "
            f"benchmark. Add this line below 'file':\n  sha256: {sha256_of(path)}"
        )


def ordered_prompts(prompts: Prompts, seed: int, root: Path) -> tuple[str, ...]:
    """The prompts of the file, in an order that follows a hash of (seed, caption) alone.

    So all generators are asked for the same prompts in the same order, and one more image is one more
    prompt. White space is made single; empty captions and lines are left out, and so are lines that
    stand there already (captions have ids of their own, and stay).

    Raises:
        AssayError: a file that is not there, has another hash than the parameters say, cannot be read
            as what it is to be, or holds no prompts.
    """
    where = "prompts"
    check_file(prompts, root, where)
    path = root / str(prompts.file)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise AssayError(f"{prompts.file} cannot be read: {error.strerror}") from None
    if (found := hashlib.sha256(data).hexdigest()) != prompts.sha256:
        raise AssayError(
            f"{prompts.file} is not the file that {where}.sha256 names ({prompts.sha256}). If you mean the "
            f"file that is there now, which is another benchmark, write\n  sha256: {found}"
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise AssayError(f"{prompts.file} is not UTF-8: byte {error.start} cannot be read") from None
    known = _lines(text) if prompts.of == "lines" else _captions(text, prompts.file or "")
    if not known:
        raise AssayError(f"{prompts.file} holds no prompts: every caption or line in it is empty")
    keyed = sorted((derive_seed(seed, "prompts", name), name) for name in known)
    return tuple(known[name] for _, name in keyed)


def _lines(text: str) -> dict[str, str]:
    """Prompt -> prompt: a line is its own id, so that a line put in between moves no other."""
    plain = (" ".join(line.split()) for line in text.split("\n"))
    return {line: line for line in plain if line}


def _captions(text: str, file: str) -> dict[str, str]:
    """Caption id -> caption; where annotations have no `id`, image id and caption are it."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise AssayError(f"{file} is not JSON: {error}") from None
    listed = document.get("annotations") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise AssayError(
            f"{file} has no list 'annotations': captions are expected in COCO's format, "
            '{"annotations": [{"id": 1, "image_id": 9, "caption": "A dog."}, ...]}; for a prompt a line, '
            "write `of: lines`"
        )
    known: dict[str, str] = {}
    for number, entry in enumerate(listed):
        caption = _caption(entry, number, file)
        if not caption:
            continue
        name = str(entry["id"]) if "id" in entry else f"{entry['image_id']} {caption}"
        if known.setdefault(name, caption) != caption:
            raise AssayError(f"{file}: the caption id {name} stands twice, with different captions")
    return known


def _caption(entry: Any, number: int, file: str) -> str:
    if not isinstance(entry, dict) or not isinstance(entry.get("caption"), str):
        raise AssayError(f"{file}: annotations[{number}] has no 'caption' (a text)")
    if "id" not in entry and "image_id" not in entry:
        raise AssayError(f"{file}: annotations[{number}] has neither 'id' nor 'image_id'")
    caption = " ".join(entry["caption"].split())
    if not caption.isascii() and any("\ud800" <= letter <= "\udfff" for letter in caption):
        raise AssayError(f"{file}: annotations[{number}] holds half a character, which no prompt may")
    return caption
