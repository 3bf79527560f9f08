"""What all phases of a training share: the detector, the images, and where it stands on disk."""

import time
from dataclasses import dataclass, field
from typing import Any

import torch
from tqdm import tqdm

from assets.progress import say
from models.detectors.detector import Detector, Phase
from models.detectors.training.checkpoint import Checkpoints
from models.detectors.training.distributed import Processes
from models.detectors.training.examples import Examples
from models.detectors.training.interrupt import Interrupt
from models.detectors.training.logs import Line, write_logs
from models.detectors.training.sampling import Origin


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, after which the training stands on disk."""


@dataclass
class Course:
    """One training under way, as one of its processes sees it."""

    detector: Detector
    examples: Examples
    origin: Origin
    """What all random choices derive from; the last three parts name the training."""
    where: str
    """The detector's place in the parameters, e.g. `detectors.resnet18`."""
    processes: Processes
    checkpoints: Checkpoints
    bar: "tqdm[Any]"
    interrupt: Interrupt
    lines: list[Line] = field(default_factory=list)
    """Of the log, one an epoch."""
    phases: list[dict[str, Any]] = field(default_factory=list)
    """Those that are over: `name`, `epochs` that were run, and `kept`, the epoch whose weights go on."""
    _kept_at: float = field(default_factory=time.monotonic)

    def log(self, line: Line) -> None:
        """Take in the line of one more epoch."""
        self.lines.append(line)
        shown = {name: line[name] for name in ("loss", "val_auroc") if line[name] is not None}
        self.bar.set_postfix({name: f"{value:.3f}" for name, value in shown.items()})

    def due(self, seconds: float) -> bool:
        """Whether so much time has passed since something was kept."""
        return time.monotonic() - self._kept_at >= seconds

    def keep(self, state: dict[str, Any]) -> None:
        """Write a checkpoint, `state` of the current phase and what is known here, and the log beside it."""
        self._kept_at = time.monotonic()
        random = self.processes.gathered(_random_state(self.processes.device))
        if self.processes.first:
            about = {"lines": self.lines, "phases": self.phases, "random": random}
            self.checkpoints.write({**about, **state})
            if self.lines:
                write_logs(self.checkpoints.folder, self.lines)

    def resume(self, phases: list[Phase]) -> dict[str, Any] | None:
        """What the newest checkpoint says, in all processes; None: from the beginning."""
        found = self.checkpoints.newest() if self.processes.first else None
        saved = self.processes.gathered(found)[0]
        if saved is None:
            return None
        self.lines, self.phases = saved["lines"], saved["phases"]
        phase = phases[saved["phase"]]
        last = saved["epoch"] >= phase.spec.epochs or saved["patience"]["over"]
        if self.processes.first:
            name = f"{phase.name}, " if len(phases) > 1 else ""
            later = f", after {saved['steps']} of its steps" if saved["steps"] else ""
            place = "its end" if last else f"epoch {saved['epoch'] + 1} of {phase.spec.epochs}{later}"
            say(f"{self.label}: resumes at {name}{place}")
        return saved

    def restore_random(self, saved: dict[str, Any]) -> None:
        """Put torch's generators back to where a checkpoint found them."""
        states = saved["random"][self.processes.rank]
        torch.set_rng_state(states["cpu"])
        if "cuda" in states:
            torch.cuda.set_rng_state(states["cuda"], self.processes.device)

    @property
    def label(self) -> str:
        """The training in words."""
        return label_of(self.origin)


def label_of(origin: Origin) -> str:
    """A training in words."""
    return f"train {'/'.join(map(str, origin[2:]))}"


def _random_state(device: torch.device) -> dict[str, torch.Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states
