"""How long a stage may take, and how often it is tried again. Facts of a machine: they change no result."""

import os
from collections.abc import Mapping

from assets.errors import AssayError, did_you_mean

HOURS: dict[str, float] = {
    "collect": 24,
    "fit": 240,
    "generate": 720,
    "dedupe": 24,
    "split": 6,
    "audit": 24,
    "spectrum": 24,
    "degrade": 72,
    "start": 6,
    "pool": 24,
    "train": 240,
    "adopt": 24,
    "evaluate": 72,
    "attribute": 72,
    "gallery": 6,
    "report": 6,
}
"""Family of stages -> hours after which one is ended: far above what a full GenImage needs on one GPU, so
that a stage which hangs does not hold its machine for ever."""

RETRIES = 2
"""How often a stage is tried again after an error that may pass (`dvc.StageFailed.may_pass`)."""
_PAUSES = (10.0, 120.0)
_VARIABLE = "ASSAY_RETRY_SECONDS"


def time_limits(changed: Mapping[str, float] | None = None) -> dict[str, float]:
    """Seconds a stage of each family may take, with some of the hours changed; 0 hours: no limit.

    Raises:
        AssayError: an unknown family, or a negative number.
    """
    for family, hours in (changed or {}).items():
        if family not in HOURS:
            raise AssayError(f"limits: there is no family '{family}'; {did_you_mean(family, HOURS)}")
        if hours < 0:
            raise AssayError(f"limits.{family} is {hours} hours: expected 0 (no limit) or more")
    return {family: 3600 * hours for family, hours in {**HOURS, **(changed or {})}.items()}


def pauses() -> list[float]:
    """Seconds before each new attempt: ASSAY_RETRY_SECONDS, with commas, or 10 and 120."""
    text = os.environ.get(_VARIABLE, "")
    if not text:
        return list(_PAUSES)
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = [-1.0]
    if any(not 0 <= pause < 1e6 for pause in found):
        raise AssayError(f"{_VARIABLE} is {text!r}: expected seconds with commas between, such as 10,120")
    return found
