from __future__ import annotations

import math

import pytest
import torch
from monai.losses import DiceLoss

from pelvimets.training.losses import _marginal_loss, bone_loss, lesion_loss
from pelvimets.training.sample import UNION_VALUES
from pelvimets.training.settings import LossSettings

ONE = torch.zeros(1, dtype=torch.int64)
EVEN = torch.ones((1, 1, 1, 1))


def test_a_sure_and_right_answer_costs_nothing() -> None:
    target = torch.randint(0, 9, (2, 4, 4, 4), generator=torch.Generator().manual_seed(0))
    logits = 30.0 * torch.nn.functional.one_hot(target, 9).movedim(-1, 1).float()
    assert float(bone_loss(logits, target, LossSettings())) == pytest.approx(0, abs=1e-3)


def test_knowing_nothing_costs_log_nine() -> None:
    target = torch.zeros((1, 4, 4, 4), dtype=torch.uint8)
    loss = bone_loss(torch.zeros(1, 9, 4, 4, 4), target, LossSettings(overlap=0.0))
    assert float(loss) == pytest.approx(math.log(9))


def test_the_bone_loss_is_cross_entropy_plus_dice_of_the_bones() -> None:
    """Against PyTorch's cross-entropy and MONAI's Dice loss without background."""
    generator = torch.Generator().manual_seed(1)
    target = torch.randint(0, 9, (2, 4, 6, 6), generator=generator)
    logits = torch.randn(2, 9, 4, 6, 6, generator=generator)
    dice = DiceLoss(
        include_background=False,
        to_onehot_y=True,
        softmax=True,
        batch=True,
        smooth_nr=2.0,
        smooth_dr=2.0,
    )
    expected = torch.nn.functional.cross_entropy(logits, target) + dice(logits, target[:, None])
    assert float(bone_loss(logits, target, LossSettings())) == pytest.approx(float(expected))


def test_the_lesion_loss_looks_only_inside_the_region() -> None:
    region = torch.zeros((1, 4, 4, 4), dtype=torch.bool)
    region[:, :2] = True
    target = torch.zeros((1, 4, 4, 4), dtype=torch.uint8)
    target[:, 0] = 1
    logits = torch.where(target > 0, 20.0, -20.0)[:, None]
    elsewhere = logits.clone()
    elsewhere[:, :, 2:] = 20.0
    settings = LossSettings()
    assert float(lesion_loss(logits, target, region, EVEN, ONE, settings)) == pytest.approx(
        0, abs=1e-3
    )
    assert float(lesion_loss(elsewhere, target, region, EVEN, ONE, settings)) == pytest.approx(
        0, abs=1e-3
    )


def test_tversky_weighs_missed_voxels() -> None:
    """Half of 32 voxels missed, none wrong: overlap 17 / (17 + 0.7 * 16)."""
    target = torch.zeros((1, 4, 4, 4), dtype=torch.uint8)
    target[:, :2] = 1
    logits = torch.full((1, 1, 4, 4, 4), -40.0)
    logits[:, :, 0] = 40.0
    settings = LossSettings(cross_entropy=0.0, false_positives=0.3, false_negatives=0.7)
    loss = lesion_loss(
        logits, target, torch.ones_like(target, dtype=torch.bool), EVEN, ONE, settings
    )
    assert float(loss) == pytest.approx(1 - 17 / (17 + 0.7 * 16), abs=1e-5)


def test_each_sequence_counts_with_its_own_overlap() -> None:
    """First sequence right: overlap 1. Second all missed: (0 + 1) / (0 + 0.5 * 64 + 1)."""
    target = torch.ones((2, 4, 4, 4), dtype=torch.uint8)
    logits = torch.full((2, 1, 4, 4, 4), 40.0)
    logits[1] = -40.0
    settings = LossSettings(cross_entropy=0.0)
    region, group = torch.ones_like(target, dtype=torch.bool), torch.tensor([0, 1])
    loss = lesion_loss(logits, target, region, EVEN, group, settings)
    assert float(loss) == pytest.approx(1 - (1 + 1 / 33) / 2, abs=1e-5)


def test_doubt_where_there_is_no_lesion_costs_its_cross_entropy_alone() -> None:
    target = torch.zeros((1, 4, 4, 4), dtype=torch.uint8)
    logits = torch.full((1, 1, 4, 4, 4), -2.0)
    region = torch.ones_like(target, dtype=torch.bool)
    loss = lesion_loss(logits, target, region, EVEN, ONE, LossSettings())
    assert float(loss) == pytest.approx(math.log(1 + math.exp(-2)), rel=1e-4)


def test_a_heavy_voxel_counts_as_many() -> None:
    """One voxel of weight 3 missed among 64: as three missed voxels, in both parts."""
    target = torch.zeros((1, 4, 4, 4), dtype=torch.uint8)
    target[:, 0, 0, 0] = 1
    weight = torch.where(target > 0, 3.0, 1.0)
    region, logits = torch.ones_like(target, dtype=torch.bool), torch.zeros((1, 1, 4, 4, 4))
    logits = logits - 20.0
    entropy = LossSettings(overlap=0.0)
    found = lesion_loss(logits, target, region, weight, ONE, entropy)
    assert float(found) == pytest.approx(3 * 20.0 / 64, rel=1e-4)
    overlap = LossSettings(cross_entropy=0.0)
    found = lesion_loss(logits, target, region, weight, ONE, overlap)
    assert float(found) == pytest.approx(1 - 1 / (0.5 * 3 + 1), abs=1e-5)


HIP, FEMUR, OPEN = UNION_VALUES[21], UNION_VALUES[22], 15


def random_logits(seed: int) -> torch.Tensor:
    return torch.randn(2, 9, 4, 6, 6, generator=torch.Generator().manual_seed(seed))


def test_background_beside_bones_nobody_drew_may_be_any_of_them() -> None:
    """Ilium alone was drawn: a network that says pubis in the background is not punished."""
    values = torch.tensor([[0, 0, 0, 3, 0, 0, 0, 0, 0]])
    target = torch.zeros((1, 4, 4, 4), dtype=torch.uint8)
    target[:, 0] = 3
    sure = 30.0 * torch.nn.functional.one_hot(target.long(), 9).movedim(-1, 1).float()
    pubis = sure.clone()
    pubis[:, 0, 2:], pubis[:, 8, 2:] = 0.0, 30.0
    right, elsewhere = (
        float(bone_loss(logits, target, LossSettings(), values)) for logits in (sure, pubis)
    )
    assert right == pytest.approx(0, abs=1e-3) and elsewhere == pytest.approx(right, abs=1e-6)
    assert float(bone_loss(pubis, target, LossSettings())) > 1
    ilium = sure.clone()
    ilium[:, 0, 2:], ilium[:, 3, 2:] = 0.0, 30.0
    assert float(bone_loss(ilium, target, LossSettings(), values)) > 1


def test_merged_hip_bones_teach_their_sum() -> None:
    values = torch.tensor([[0, 1, 2, HIP, HIP, 5, 6, HIP, HIP]])
    target = torch.full((1, 4, 4, 4), HIP, dtype=torch.uint8)
    for member in (3, 4, 7, 8):
        logits = torch.zeros(1, 9, 4, 4, 4)
        logits[:, member] = 30.0
        assert float(bone_loss(logits, target, LossSettings(), values)) < 0.1
    logits = torch.zeros(1, 9, 4, 4, 4)
    logits[:, 2] = 30.0
    assert float(bone_loss(logits, target, LossSettings(), values)) > 10


def test_a_femur_that_goes_on_may_be_background() -> None:
    values = torch.tensor([[0, 1, 2, 3, 4, FEMUR, FEMUR, 7, 8]])
    target = torch.full((1, 4, 4, 4), FEMUR, dtype=torch.uint8)
    entropy = LossSettings(overlap=0.0)
    for known in (0, 5, 6):
        logits = torch.zeros(1, 9, 4, 4, 4)
        logits[:, known] = 30.0
        assert float(bone_loss(logits, target, entropy, values)) < 1e-3


def test_voxels_that_nobody_judged_teach_nothing() -> None:
    logits, generator = random_logits(3), torch.Generator().manual_seed(4)
    target = torch.randint(0, 9, (2, 4, 6, 6), generator=generator)
    target[:, :2] = OPEN
    changed = logits.clone()
    changed[:, :, :2] += random_logits(5)[:, :, :2]
    values = torch.arange(9).expand(2, 9)
    first, second = (
        float(bone_loss(own, target, LossSettings(), values)) for own in (logits, changed)
    )
    assert first == pytest.approx(second, rel=1e-6)


def test_a_whole_case_beside_a_partial_one_teaches_as_ever() -> None:
    """The general form agrees with the plain one where all was drawn."""
    logits = random_logits(6)
    target = torch.randint(0, 9, (2, 4, 6, 6), generator=torch.Generator().manual_seed(7))
    plain = float(bone_loss(logits, target, LossSettings()))
    whole = torch.arange(9).expand(2, 9)
    assert float(bone_loss(logits, target, LossSettings(), whole)) == plain
    log_probability = logits.log_softmax(1)
    marginal = float(_marginal_loss(log_probability, target, whole, LossSettings()))
    assert marginal == pytest.approx(plain, rel=1e-5)


def test_the_loss_of_partial_labels_has_a_gradient() -> None:
    logits = random_logits(8).requires_grad_()
    target = torch.zeros((2, 4, 6, 6), dtype=torch.uint8)
    target[0, :2], target[1, :2] = 3, OPEN
    values = torch.tensor([[0, 0, 0, 3, 0, 0, 0, 0, 0], [0] * 9])
    bone_loss(logits, target, LossSettings(), values).backward()
    assert logits.grad is not None and torch.isfinite(logits.grad).all() and logits.grad.any()
    assert float(logits.grad[1].abs().max()) < 1e-8  # nothing was drawn there
