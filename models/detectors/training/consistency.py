"""Augmentation splits: the same answer for every version of a picture, and batch statistics for each.

Source: AugMix, Hendrycks et al. 2020, arXiv 1912.02781; auxiliary batch norms, arXiv 1911.09665; both as timm
(commit of version 1.0) does them.
"""

from collections.abc import Mapping

import torch
from timm.layers import convert_splitbn_model
from torch import Tensor, nn

from models.detectors.training.mixing import cross_entropy

ALPHA = 12.0
"""Weight of the divergence, as in AugMix."""
_AUXILIARY = ".aux_bn."


def split_batch_norms(net: nn.Module, splits: int) -> nn.Module:
    """The network with a batch norm of its own for each of the equal parts of a batch; changed in place.

    The first part's has the names that the plain network's has; in evaluation it alone is used.
    """
    changed: nn.Module = convert_splitbn_model(net, splits)
    return changed


def plain_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights that the plain network has, with the first part's batch statistics."""
    return {name: value for name, value in state.items() if _AUXILIARY not in f".{name}"}


def consistency_loss(answers: Tensor, targets: Tensor, splits: int) -> Tensor:
    """Cross entropy of the first part, and the Jensen-Shannon divergence of all parts' answers.

    Args: answers: (V * B, O), part by part; targets: (B, K) shares, those of the first part.
    """
    parts = answers.chunk(splits)
    shares = torch.stack([_shares(part) for part in parts])
    mixture = shares.mean(0).clamp(1e-7, 1).log()
    divergence = sum(nn.functional.kl_div(mixture, part, reduction="batchmean") for part in shares)
    return cross_entropy(parts[0], targets) + ALPHA * divergence / splits


def _shares(answers: Tensor) -> Tensor:
    """Probabilities (B, K) of answers (B, O); one logit stands for two classes, of which the first has 0."""
    if answers.shape[1] == 1:
        answers = torch.cat([torch.zeros_like(answers), answers], 1)
    return answers.softmax(1)
