"""Losses: cross-entropy and soft overlap over the whole batch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from pelvimets.labels import UNIONS
from pelvimets.training.sample import OPEN_BONE, UNION_VALUES
from pelvimets.training.settings import LossSettings

_SMOOTH = 1.0
_VALUES = max(UNION_VALUES.values()) + 1
_ENDING_ELSEWHERE = [UNION_VALUES[union.value] for union in UNIONS if union.reaches_further]


def bone_loss(
    logits: Tensor, target: Tensor, settings: LossSettings, values: Tensor | None = None
) -> Tensor:
    """Loss of the bone network.

    Where a person drew some bones alone, the background of his mask may be any of the others:
    its probability is the sum of theirs, and the overlap is taken of what he drew (marginal
    loss: Shi et al., Med Image Anal 2021;70:101979). So it is for bones drawn as one.

    Args:
        logits: (batch, classes, z, y, x).
        target: Value of each voxel (batch, z, y, x), integer: a class, a union of some, or
            ``OPEN_BONE``, which counts for nothing.
        settings: Weights.
        values: Value under which each class lies in each patch (batch, classes); None where
            each has its own.
    """
    log_probability = logits.float().log_softmax(dim=1)
    classes = logits.shape[1]
    if values is not None and not _one_by_one(target, values, classes):
        return _marginal_loss(log_probability, target.long(), values, settings)
    loss = settings.cross_entropy * functional.nll_loss(log_probability, target.long())
    truth = torch.stack([target == number for number in range(classes)], dim=-1)
    overlap = _overlap(log_probability.exp(), truth.movedim(-1, 1).float(), settings)[1:]
    return loss + settings.overlap * (1 - overlap.mean())


def _one_by_one(target: Tensor, values: Tensor, classes: int) -> bool:
    own = torch.arange(classes, device=values.device)
    return bool((values == own).all()) and int(target.max()) < classes


def _marginal_loss(
    log_probability: Tensor, target: Tensor, values: Tensor, settings: LossSettings
) -> Tensor:
    known = target != OPEN_BONE
    target = target.masked_fill(~known, 0)
    merged = torch.stack([_merged(*own) for own in zip(log_probability, values, strict=True)])
    entropy = -merged.gather(1, target[:, None])[:, 0]
    loss = settings.cross_entropy * (entropy * known).sum() / known.sum().clamp(min=1)
    drawn = merged.isfinite().flatten(2).any(2)  # (batch, values)
    drawn[:, [0, *_ENDING_ELSEWHERE]] = False
    counted = (drawn[:, :, None, None, None] & known[:, None]).float()
    truth = torch.stack([target == number for number in range(merged.shape[1])], dim=1)
    overlap = _overlap(merged.exp() * counted, truth.float() * counted, settings)[drawn.any(0)]
    return loss + settings.overlap * (1 - overlap.mean()) if len(overlap) else loss


def _merged(log_probability: Tensor, values: Tensor) -> Tensor:
    """Log probability of each value (values, z, y, x) from that of the classes of one patch."""
    result = log_probability.new_full((_VALUES, *log_probability.shape[1:]), -torch.inf)
    members = {int(value): torch.nonzero(values == value)[:, 0] for value in torch.unique(values)}
    for value, own in members.items():
        if value in _ENDING_ELSEWHERE:  # what lies beyond our structures is drawn with it
            own = torch.cat([own, own.new_zeros(1)])
        result[value] = log_probability[own].logsumexp(0)
    return result


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
