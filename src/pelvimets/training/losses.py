"""Losses: cross-entropy and soft overlap over the whole batch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from pelvimets.training.settings import LossSettings

_SMOOTH = 1.0


def bone_loss(logits: Tensor, target: Tensor, settings: LossSettings) -> Tensor:
    """Loss of the bone network.

    Args:
        logits: (batch, classes, z, y, x).
        target: Class of each voxel (batch, z, y, x), integer.
        settings: Weights.
    """
    log_probability = logits.float().log_softmax(dim=1)
    loss = settings.cross_entropy * functional.nll_loss(log_probability, target.long())
    truth = torch.stack([target == number for number in range(logits.shape[1])], dim=-1)
    overlap = _overlap(log_probability.exp(), truth.movedim(-1, 1).float(), settings)[1:]
    return loss + settings.overlap * (1 - overlap.mean())


def lesion_loss(
    logits: Tensor,
    target: Tensor,
    region: Tensor,
    weight: Tensor,
    group: Tensor,
    settings: LossSettings,
) -> Tensor:
    """Loss of the lesion network, inside the region alone.

    The overlap is taken for each sequence on its own, where there is a metastasis. Taken
    together, the sequence on which lesions are harder to see would be given up: a doubtful
    voxel raises the overlap only if its probability exceeds half of it. Without a metastasis
    the overlap would punish any doubt as much as a whole wrong lesion; there the cross-entropy
    decides alone.

    Args:
        logits: (batch, 1, z, y, x).
        target: True in metastases (batch, z, y, x).
        region: True where the loss looks (batch, z, y, x).
        weight: Of each voxel (batch, z, y, x); 1 outside metastases.
        group: Number of the sequence of each patch (batch).
        settings: Weights.
    """
    logits, region = logits[:, 0].float(), region.float()
    truth = target.to(logits.dtype)
    entropy = functional.binary_cross_entropy_with_logits(
        logits,
        truth,
        weight,
        pos_weight=torch.tensor(settings.positive_weight, device=logits.device),
        reduction="none",
    )
    truth = truth * weight
    loss = settings.cross_entropy * (entropy * region).sum() / region.sum().clamp(min=1)
    probability, truth = (logits.sigmoid() * region)[:, None], (truth * region)[:, None]
    members = [group == number for number in torch.unique(group[truth.sum((1, 2, 3, 4)) > 0])]
    overlaps = [_overlap(probability[own], truth[own], settings) for own in members]
    if not overlaps:
        return loss
    return loss + settings.overlap * (1 - torch.stack(overlaps).mean())


def _overlap(probability: Tensor, truth: Tensor, settings: LossSettings) -> Tensor:
    """Soft Tversky index per class over the batch; Dice where both weights are 0.5.

    ``truth`` is 0 outside and the weight of the voxel inside a structure.
    """
    axes = [0, 2, 3, 4]
    both = (probability * truth).sum(axes)
    false_positive = (probability * (truth == 0)).sum(axes)
    false_negative = truth.sum(axes) - both
    wrong = settings.false_positives * false_positive + settings.false_negatives * false_negative
    return (both + _SMOOTH) / (both + wrong + _SMOOTH)
