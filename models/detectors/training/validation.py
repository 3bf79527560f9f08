"""How good a detector is on the val images."""

import numpy as np
import torch

from assets.detection import Judge
from assets.errors import AssayError
from assets.images.loader import Pictures
from assets.machine import eval_batch
from assets.statistics import metrics
from models.detectors.detector import Detector
from models.detectors.scoring import Centres
from models.detectors.training.distributed import Processes
from models.detectors.training.examples import Examples
from models.detectors.training.mixing import cross_entropy
from models.loader import Loader, chunks

ValLoader = Loader[str, list[np.ndarray], torch.Tensor]


def val_loader(spec: Judge, pictures: Pictures) -> ValLoader:
    """What loads val images as `spec` sees them; its processes stay for the next epoch."""
    return Loader(Centres(pictures, ((spec.crop, spec.view),)), _stacked)


def validate(
    detector: Detector,
    spec: Judge,
    examples: Examples,
    processes: Processes,
    where: str,
    load: ValLoader | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Labels and logits of the val images: 0 real, 1 generated, and (N,); or generators from 0, and (N, K).

    Args: load: what `val_loader` gave; None: one for this time alone.
    Raises:
        AssayError: a logit is not finite.
    """
    val = {image: number for image, number in examples.val.items() if number or detector.outputs == 1}
    mine = processes.share(list(val))
    parts = processes.gathered(_scores(detector, load or val_loader(spec, examples.pictures), mine))
    logits = np.concatenate(parts)
    bad = [image for image, found in zip(val, logits, strict=True) if not np.isfinite(found).all()]
    if bad:
        raise AssayError(
            f"{where}: the scores of {len(bad)} val images are not finite, first {bad[0]}: lower {where}.lr"
        )
    classes = np.array(list(val.values()))
    return (np.minimum(classes, 1) if detector.outputs == 1 else classes - 1), logits


def val_metrics(labels: np.ndarray, logits: np.ndarray) -> dict[str, float]:
    """`val_loss` (cross entropy), `val_auroc` and `val_accuracy` (at P = 0.5) of what `validate` gives.

    With several generators: the mean of their AUROCs, each against all others by its probability, and the
    share of images whose generator has the highest logit.
    """
    truth, answers = torch.from_numpy(labels).long(), torch.from_numpy(logits).reshape(len(labels), -1)
    count = max(2, answers.shape[1])
    loss = float(cross_entropy(answers, torch.nn.functional.one_hot(truth, count).float()))
    if logits.ndim == 1:
        auroc, accuracy = metrics.auroc(labels, logits), metrics.accuracy(labels, logits)
    else:
        shares = answers.double().softmax(1).numpy()
        each = [metrics.auroc(labels == number, shares[:, number]) for number in range(count)]
        found = [value for value in each if value is not None]
        auroc = float(np.mean(found)) if found else None
        accuracy = float(np.mean(logits.argmax(1) == labels))
    assert auroc is not None and accuracy is not None  # there are images of two classes
    return {"val_loss": loss, "val_auroc": auroc, "val_accuracy": accuracy}


def _scores(detector: Detector, load: ValLoader, images: list[str]) -> np.ndarray:
    batches = load(chunks(images, eval_batch()))
    shape = (0,) if detector.outputs == 1 else (0, detector.outputs)
    return np.concatenate([np.empty(shape, np.float32), *(detector.score(batch) for batch in batches)])


def _stacked(images: list[list[np.ndarray]]) -> torch.Tensor:
    """One crop an image -> (B, 3, S, S) uint8."""
    return torch.from_numpy(np.stack([crop for (crop,) in images]))
