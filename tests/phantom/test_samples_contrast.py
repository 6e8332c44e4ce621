"""Variety of drawn contrast: sub-classes of tissues, and what surrounds bone in many shapes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pelvimets.labels import Sequence
from pelvimets.phantom.anatomy.atlas import PART_SHIFT, TISSUE_MASK
from pelvimets.phantom.anatomy.convention import Part
from pelvimets.phantom.anatomy.patient import Tissue
from pelvimets.phantom.samples.contrast import (
    BRIGHTEST_CORTEX,
    Contrast,
    ContrastSettings,
    draw_contrast,
)
from pelvimets.phantom.samples.dressing import DressingSettings, dress
from pelvimets.phantom.samples.sampler import SamplerSettings, draw_sample

NOTHING = DressingSettings(
    dry_disc_probability=0.0,
    bulging_disc_probability=0.0,
    facet_probability=0.0,
    thick_joint_probability=0.0,
    ligament_probability=0.0,
)
SPACING = (2.0, 2.0, 2.0)


def contrasts(settings: ContrastSettings, realistic: float = 1.0) -> list[Contrast]:
    return [
        draw_contrast(np.random.default_rng(seed), sequence, realistic, settings)
        for seed in range(120)
        for sequence in Sequence
    ]


def test_sub_classes_come_as_often_as_asked_and_leave_marrow_nearly_even() -> None:
    drawn = contrasts(ContrastSettings(split_probability=0.5))
    split = [c for c in drawn if len(c.classes) > 1]
    assert 0.4 < len(split) / len(drawn) < 0.6
    assert {len(c.classes) for c in split} == {2, 3, 4}
    marrow = np.concatenate([c.classes[:, Tissue.RED_MARROW] for c in split])
    muscle = np.concatenate([c.classes[:, Tissue.MUSCLE] for c in split])
    assert np.log(marrow).std() < 0.12 < np.log(muscle).std()
    assert all((c.classes[:, [Tissue.AIR, Tissue.GAS]] == 1.0).all() for c in split)
    never = contrasts(ContrastSettings(split_probability=0.0))
    assert all((c.classes == 1.0).all() and len(c.classes) == 1 for c in never)


def test_what_surrounds_bone_varies_more_than_marrow_and_cortex_stays_darker() -> None:
    narrow = ContrastSettings(spread=(0.1, 0.1), around_bone_spread=(0.6, 0.6))
    means = np.array([c.mean for c in contrasts(narrow) if c.sequence is Sequence.T1])
    disc, marrow = (np.log(means[:, t]).std() for t in (Tissue.DISC_ANNULUS, Tissue.RED_MARROW))
    assert disc > 3.0 * marrow
    for c in contrasts(ContrastSettings()) + contrasts(ContrastSettings(), realistic=0.0):
        assert c.mean[Tissue.CORTICAL_BONE] <= BRIGHTEST_CORTEX * c.marrow + 1e-6


def test_sub_classes_show_in_the_image_of_one_tissue() -> None:
    flat = ContrastSettings(split_probability=0.0)
    split = ContrastSettings(split_probability=1.0, class_spread=(0.5, 0.5))

    def spread(settings: ContrastSettings) -> float:
        config = replace(SamplerSettings(), contrast=settings)
        images = [
            draw_sample(np.random.default_rng(seed), (24, 48, 48), (8.0,) * 3, config).image
            for seed in range(8)
        ]
        return float(
            np.median([image[image > 0].std() / image[image > 0].mean() for image in images])
        )

    assert spread(split) > 1.1 * spread(flat)


@pytest.fixture
def spine() -> np.ndarray:
    """Two vertebrae with a disc, two facets one voxel apart, in fat."""
    tissue = np.full((24, 24, 24), Tissue.VISCERAL_FAT, np.uint8)
    part = np.zeros_like(tissue)
    for low in (2, 14):
        part[low : low + 8, 4:14, 6:18] = Part.LUMBAR
    part[10:12, 18:22, 8:10] = part[10:12, 18:22, 11:13] = Part.LUMBAR
    tissue[10:14, 5:13, 7:17] = Tissue.DISC_ANNULUS
    tissue[11:13, 7:11, 9:15] = Tissue.DISC_NUCLEUS
    tissue[part > 0] = Tissue.RED_MARROW
    return tissue | (part << np.uint8(PART_SHIFT))


def dressed(spine: np.ndarray, **changes: Any) -> np.ndarray:
    settings = replace(NOTHING, **changes)
    before = spine.copy()
    code = dress(np.random.default_rng(3), spine, SPACING, settings)
    assert (spine == before).all()
    assert (code >> PART_SHIFT == spine >> PART_SHIFT).all()
    bone = spine >> PART_SHIFT > 0
    assert (code[bone] == spine[bone]).all()
    return code & TISSUE_MASK


def test_nothing_changes_unless_asked(spine: np.ndarray) -> None:
    assert (dressed(spine) == spine & TISSUE_MASK).all()


def test_discs_dry_out_and_bulge(spine: np.ndarray) -> None:
    before = spine & TISSUE_MASK
    dry = dressed(spine, dry_disc_probability=1.0)
    assert not (dry == Tissue.DISC_NUCLEUS).any()
    assert (dry == Tissue.DISC_ANNULUS).sum() == (before == Tissue.DISC_ANNULUS).sum() + 2 * 4 * 6
    bulging = dressed(spine, bulging_disc_probability=1.0)
    assert (bulging == Tissue.DISC_ANNULUS)[11, 4, 10] and before[11, 4, 10] == Tissue.VISCERAL_FAT


def test_facet_joints_are_filled(spine: np.ndarray) -> None:
    filled = dressed(spine, facet_probability=1.0) == Tissue.CARTILAGE
    assert filled[10:12, 18:22, 10].all()
    assert not filled[:, :, :8].any()
    thick = dressed(spine, facet_probability=1.0, thick_joint_probability=1.0)
    assert (thick == Tissue.CARTILAGE).sum() > filled.sum()


def test_ligaments_cover_the_asked_share_of_the_surface(spine: np.ndarray) -> None:
    share = dressed(spine, ligament_probability=1.0, ligament_share=(0.3, 0.3)) == Tissue.TENDON
    everywhere = (
        dressed(spine, ligament_probability=1.0, ligament_share=(1.0, 1.0)) == Tissue.TENDON
    )
    assert share.sum() == pytest.approx(0.3 * everywhere.sum(), rel=0.1)
    assert not (share & ~everywhere).any()
