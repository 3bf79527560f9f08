"""The supervised contrastive loss: features of one label together, all others apart."""

import torch
from torch import Tensor


def supervised_contrast(features: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Mean over all views of all images of how unlike they are to what shares their label.

    For an anchor z with the positives P (all other features of its label, its own other views among them)
    and all other features A: the mean over p in P of -log(exp(z.p / t) / sum over a in A of exp(z.a / t)).
    Anchors without a positive (single views of a label that occurs once) are left out; with none left, or
    no image at all, the loss is 0.

    Source: Khosla et al. 2020, arXiv 2004.11362, equation 2; with the features of two depths of one network
    as views, it is SelfCon, Bae et al. 2023 (AAAI), arXiv 2106.15499, on one crop of each image.

    Args: features: (N, V, D) of length 1, V views of N images; labels: (N,).
    """
    num_views = features.shape[1]
    with torch.autocast(features.device.type, enabled=False):  # one part in 256 is too coarse at this heat
        feature_MD = features.float().transpose(0, 1).flatten(0, 1)
        label_M = labels.repeat(num_views)
        itself_MM = torch.eye(len(label_M), dtype=torch.bool, device=label_M.device)
        positive_MM = (label_M[:, None] == label_M) & ~itself_MM
        anchor_M = positive_MM.any(1)
        if not anchor_M.any():
            return feature_MD.sum() * 0  # a zero that can still be derived
        positive_AM = positive_MM[anchor_M].float()
        likeness_AM = feature_MD[anchor_M] @ feature_MD.T / temperature
        others_A = likeness_AM.masked_fill(itself_MM[anchor_M], -torch.inf).logsumexp(1)
        likely_A = (likeness_AM * positive_AM).sum(1) / positive_AM.sum(1) - others_A
        return -likely_A.mean()


def origin_and_group(features: Tensor, classes: Tensor, temperature: float, group_weight: float) -> Tensor:
    """ImagiNet's loss: real against generated on all images, plus generator against generator.

    Source: arXiv 2407.20020v3; `MultiLabelLossImagiNet` in
    https://github.com/delyan-boychev/imaginet at d87b53a, training_utils/losses/losses.py.

    Args: features: (N, V, D) of length 1; classes: (N,), 0 real, 1 + i generator i.
    """
    made = classes > 0
    origin = supervised_contrast(features, made.long(), temperature)
    return origin + group_weight * supervised_contrast(features[made], classes[made], temperature)
