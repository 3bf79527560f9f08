"""What came over the network, an errand or its outcome, checked as far as is possible without a clone."""

import re
from dataclasses import fields
from pathlib import PurePosixPath
from typing import Any

from assets.errors import AssayError
from flows.elsewhere.errand import VERSION, Errand, Outcome, refused
from flows.elsewhere.fragments import sound_content

_STAGE = re.compile(r"[A-Za-z][\w.-]*(@[\w.-]+)?")
_MD5 = re.compile(r"([0-9a-f]{32}(\.dir)?)?")
_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


def read_errand(document: Any) -> Errand:
    """Check what came over the network, as far as that can be done without a clone.

    Raises:
        AssayError: it is no errand, or one of another version of Assay.
    """
    known = {field.name for field in fields(Errand)}
    if not isinstance(document, dict) or set(document) != known:
        raise refused("its fields are not those that this Assay knows; bring the clones to one commit")
    if document["version"] != VERSION:
        raise refused(f"it is of version {document['version']!r:.20}, this clone's is {VERSION}")
    stage, code, inputs = document["stage"], document["code"], document["inputs"]
    limit, commit, elsewhere = document["limit"], document["commit"], document["elsewhere"]
    sound = {
        "stage": _is_stage(stage),
        "force": isinstance(document["force"], bool),
        "params": isinstance(document["params"], str),
        "data": document["data"] is None or isinstance(document["data"], str),
        "code": isinstance(code, dict) and all(_is_path(path) and _is_md5(md5) for path, md5 in code.items()),
        "commit": commit is None or (isinstance(commit, str) and bool(_COMMIT.fullmatch(commit))),
        "inputs": isinstance(inputs, dict)
        and all(_is_path(path) and sound_content(content) for path, content in inputs.items()),
        "elsewhere": isinstance(elsewhere, list) and all(map(_is_path, elsewhere)),
        "share": isinstance(document["share"], bool),
        "limit": limit is None or _is_duration(limit),
        "beat": _is_duration(document["beat"]),
        "token": isinstance(document["token"], str),
    }
    if wrong := [name for name, is_sound in sound.items() if not is_sound]:
        raise refused(f"its {wrong[0]} is {document[wrong[0]]!r:.120}")
    return Errand(**{**document, "elsewhere": tuple(elsewhere)})


def read_outcome(document: Any) -> Outcome:
    """Check what came back.

    Raises:
        AssayError: it is no outcome.
    """
    known = {field.name: field.type for field in fields(Outcome)}
    if not isinstance(document, dict) or set(document) != set(known):
        raise AssayError("what came back from a worker is no outcome; bring the clones to one commit")
    texts = [document[name] for name, kind in known.items() if kind is str]
    sound = (
        all(isinstance(text, str) for text in texts)
        and document["how"] in ("ran", "restored", "skipped", "failed")
        and isinstance(document["seconds"], int | float)
        and all(isinstance(document[name], bool) for name in ("same", "may_pass"))
    )
    if not sound:
        raise AssayError(f"what came back from a worker is no outcome of a stage: {document!r:.200}")
    return Outcome(**document)


def _is_stage(name: Any) -> bool:
    return isinstance(name, str) and bool(_STAGE.fullmatch(name))


def _is_md5(text: Any) -> bool:
    return isinstance(text, str) and bool(_MD5.fullmatch(text))


def _is_duration(seconds: Any) -> bool:
    return type(seconds) in (int, float) and 0 < seconds < float("inf")


def _is_path(path: Any) -> bool:
    """Whether it lies in a clone, and is no option to a program either."""
    if not isinstance(path, str) or not path or path.startswith(("-", "/")) or "\\" in path or "\0" in path:
        return False
    return ".." not in PurePosixPath(path).parts
