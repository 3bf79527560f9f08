"""Why a stage failed, in a line for a table: short, the same every time, without paths and secrets."""

import os
import re
from pathlib import Path

from flows.running.dvc import LOGS

_LONGEST = 160
_SAID = re.compile(r"^error: (.+)$", re.MULTILINE)
_RAISED = re.compile(r"^(?:\w+\.)*(\w*(?:Error|Exception|Interrupt|Warning|Exit))(?:: (.*))?$", re.MULTILINE)
_STATUS = re.compile(r"exited with (-?\d+)$")
_SECRET_NAMES = re.compile(r"TOKEN|SECRET|PASSW|API_?KEY|ACCESS_KEY|AUTH|CREDENTIAL", re.IGNORECASE)
_SHORTEST_SECRET = 6
_SCRUBBED = (
    (re.compile(r"\w+://[^\s'\"<>]+"), "[address]"),
    (re.compile(r"(?i)\b(bearer|basic) [\w.~+/=-]+"), "[secret]"),
    (
        re.compile(r"(?i)\b(authorization|token|secret|password|passwd|api[-_ ]?key)\b\s*[=:]\s*\S+"),
        r"\1 [secret]",
    ),
    (re.compile(r"\b(?:hf|sk|gh[a-z]|xox[a-z]|github_pat|AKIA|AIza)[-_A-Za-z0-9]{8,}"), "[secret]"),
    (re.compile(r"(?<![\w.~])(?:~|\.{1,2})?/[^\s'\",;:()<>\]]+"), "[path]"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d\S*"), "[time]"),
    (re.compile(r"\b0x[0-9a-fA-F]+\b|\b(?=[0-9a-f-]*\d)[0-9a-f][0-9a-f-]{14,}[0-9a-f]\b"), "[id]"),
    (re.compile(r"\b\d+(?:\.\d+)? ?(?:[KMGT]i?B|ms|s|sec|seconds|minutes)\b"), "[amount]"),
    (re.compile(r"\b(pid|process) \d+", re.IGNORECASE), r"\1 [id]"),
    (re.compile(r"\$\{"), "{"),
)


def reason_of(root: Path, stage: str, reason: str) -> str:
    """`generate@sdxl: what the program said last`, or how it ended where it said nothing that we know.

    Args: reason: DVC's own words.
    """
    try:
        text = (root / LOGS / f"{stage}.log").read_text("utf-8", errors="replace")
    except OSError:
        text = ""  # it ran on another machine
    return f"{stage}: {scrubbed(_last_words(text) or _how_it_ended(reason))}"


def scrubbed(text: str) -> str:
    """A line without addresses, paths, secrets and what differs from one time to the next."""
    text = " ".join(text.split())
    secrets = {value for name, value in os.environ.items() if _SECRET_NAMES.search(name)}
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "[secret]")
    for pattern, word in _SCRUBBED:
        text = pattern.sub(word, text)
    text = "".join(character for character in text if character.isprintable())
    if len(text) <= _LONGEST:
        return text
    kept, space, word = text[: _LONGEST - 4].rpartition(" ")
    return f"{kept if space else word} ..."


def _last_words(text: str) -> str:
    """The stage's own message, or the exception that ended it."""
    if said := _SAID.findall(text):
        return str(said[-1])
    if raised := _RAISED.findall(text):
        kind, message = raised[-1]
        return f"{kind}: {message}" if message else str(kind)
    return ""


def _how_it_ended(reason: str) -> str:
    status = _STATUS.search(reason)
    return f"its command ended with status {status[1]}" if status else reason
