"""How long a score takes on this machine: the benchmark's detectors side by side, as ImagiNet's Table 6.

Times differ from run to run, so they stand in no table of results/, whose bytes repeat.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from assets.detection import SCORES, Judge
from assets.errors import AssayError, did_you_mean
from assets.machine import device
from assets.params import Params
from models.detectors import build
from models.detectors.timing import Timing, measure

BASELINE = "resnet50"
"""ResNet-50 on crops of the same side, timed first in the same run."""


class Row(NamedTuple):
    """One detector."""

    name: str
    crop: int
    timing: Timing
    times: float
    """Milliseconds of one image, over those of the baseline."""


def time_detectors(params: Params, names: Sequence[str], side: int | None, repeats: int) -> Iterator[Row]:
    """Time what an evaluation does after decoding, 8-bit crops in memory -> scores; the baseline first.

    Weights are random: the work is the same. Attributors and detectors that are tables of scores are left
    out.

    Args: names: of `detectors`; none stands for all. side: of the crops in pixels; None: each detector's own.
    Raises:
        AssayError: an unknown name, a detector that cannot be built, a side that its network does not take.
    """
    known = {name: spec for name, spec in params.detectors.items() if spec.kind != SCORES}
    for name in names:
        if name not in known:
            raise AssayError(f"there is no detector '{name}' to time; {did_you_mean(name, known)}")
    baseline = Judge(model=BASELINE, crop=side or 224)
    first = _timed(f"{BASELINE} (baseline)", baseline, repeats)
    yield Row(f"{BASELINE} (baseline)", baseline.crop, first, 1.0)
    for name, spec in known.items():
        if not names or name in names:
            plain = Judge(**{key: getattr(spec, key) for key in Judge.model_fields})
            chosen = plain.model_copy(update={"weights": "none", "sha256": None, "crop": side or spec.crop})
            timing = _timed(name, chosen, repeats)
            yield Row(name, chosen.crop, timing, timing.milliseconds / first.milliseconds)


def _timed(name: str, spec: Judge, repeats: int) -> Timing:
    detector = build(spec, 0, f"detectors.{name}", 1).to(device())
    return measure(detector, spec, (1, 8), repeats)
