"""Which generator? The answer to logits (N, K) of K known generators, and when it is "none of these".

A picture's score is its largest logit, and a low one means that it looks like none of them. Softmax would
forget how large the logits are together; Vaze et al. 2022 (ICLR), arXiv 2110.06207, and Hendrycks
et al. 2022 (ICML), arXiv 1911.11132, find the largest logit better at telling unknown classes than the
largest probability (Hendrycks and Gimpel 2017, arXiv 1610.02136).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from assets.errors import AssayError

Floats = NDArray[np.floating[Any]]
NONE_OF_THESE = -1


def scores(logits_NK: Floats) -> Floats:
    """(N,) how sure it is that a picture is of a known generator."""
    best: Floats = logits_NK.max(1)
    return best


def answers(logits_NK: Floats, unknown_below: float | None) -> NDArray[np.intp]:
    """(N,) the class of the largest logit, the first of equal ones; `NONE_OF_THESE` where it is too small.

    Args: unknown_below: scores below (not at) this are of none; None: every picture gets a class.
    """
    best = logits_NK.argmax(1)
    if unknown_below is not None:
        best[scores(logits_NK) < unknown_below] = NONE_OF_THESE
    return best


def judged(labels_N: NDArray[np.integer[Any]], logits_NK: Floats, share: float) -> dict[str, Any]:
    """What the card of a trained attributor says, from val images of the generators that it knows.

    Args: labels_N: 0 <= class < K; share: of these images, how many may be called unknown at most.
    Returns: JSON values. `unknown_below`: the highest score of an image that keeps to `share`; None: 0 was
        asked for. `val`: `accuracy`, the share of all images, and `recall`, that of each class (None: it
        has no image), that get their class, when all get one; `unknown`: the share that gets none.
    Raises:
        AssayError: no image at all, or a logit that is not finite.
    """
    if not len(labels_N):
        raise AssayError("no val image of a known generator is left: the score of unknown ones cannot be set")
    if bad := int(np.sum(~np.isfinite(logits_NK).all(1))):
        raise AssayError(f"{bad} of {len(logits_NK)} val images have logits that are not finite")
    score_N = scores(logits_NK)
    unknown_below = float(np.quantile(score_N, share, method="lower")) if share else None
    right_N = answers(logits_NK, None) == labels_N
    classes = [labels_N == label for label in range(logits_NK.shape[1])]
    return {
        "unknown_below": unknown_below,
        "val": {
            "accuracy": float(right_N.mean()),
            "recall": [float(right_N[mine].mean()) if mine.any() else None for mine in classes],
            "unknown": float(np.mean(answers(logits_NK, unknown_below) == NONE_OF_THESE)),
        },
    }
