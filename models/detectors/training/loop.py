"""A training: its phases one after another, from wherever a killed one was left."""

from pathlib import Path

from assets.detection import Detector as Spec
from assets.progress import counter
from models.detectors.detector import Detector
from models.detectors.training.checkpoint import Checkpoints
from models.detectors.training.course import Course, label_of
from models.detectors.training.distributed import Processes
from models.detectors.training.examples import Examples
from models.detectors.training.interrupt import interruptible
from models.detectors.training.part import Part, begin, images_an_epoch
from models.detectors.training.sampling import Origin


def train_through(
    detector: Detector,
    spec: Spec,
    examples: Examples,
    origin: Origin,
    where: str,
    work: Path,
    processes: Processes,
) -> Course:
    """Train a detector through all its phases; it has the weights to keep afterwards.

    Args: origin: what all random choices derive from; where: the detector's place in the parameters, e.g.
        `detectors.resnet18`; work: the folder of checkpoints, of this very training alone.
    Returns: its log and its phases.
    Raises:
        AssayError: a loss, a gradient or a score that is not finite; a batch too small for the processes.
        Interrupted: after Ctrl-C.
    """
    phases = detector.phases(spec)
    with counter(label_of(origin), 0) as bar, interruptible() as interrupt:
        course = Course(detector, examples, origin, where, processes, Checkpoints(work), bar, interrupt)
        images = [images_an_epoch(course, phase) for phase in phases]
        bar.reset(sum(phase.spec.epochs * count for phase, count in zip(phases, images, strict=True)))
        saved = course.resume(phases)
        for number, phase in enumerate(phases):
            if saved is not None and number < saved["phase"]:
                begin(course, phase, number)  # it may change the network
                continue
            part = Part(course, phase, number)
            if saved is not None and number == saved["phase"]:
                part.restore(saved)
                bar.update(sum(phases[i].spec.epochs * images[i] for i in range(number)))
                bar.update(saved["epoch"] * images[number])
            part.run()
    return course
