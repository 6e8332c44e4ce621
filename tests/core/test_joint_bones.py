"""Bones of both sequences together: laid on each other, mixed, or left alone."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pelvimets.calibration.bones import AnsweredPatient, fit_shares, mean_dsc
from pelvimets.config import BoneSettings, GridSettings, ReadingSettings
from pelvimets.core.geometry import Geometry
from pelvimets.core.joint_bones import (
    BoneAnswer,
    agreement,
    best_shift_mm,
    bones_together,
    laid_on,
    mixed,
)
from pelvimets.core.segmentation import run_networks
from pelvimets.core.segmenter import N_BONE_CLASSES, FixedSegmenter
from pelvimets.core.volume import Volume
from pelvimets.errors import SettingsError
from pelvimets.labels import Bone, Sequence

GRID = Geometry.from_axes((20, 40, 48), (4.0, 2.0, 2.0), origin=(-50.0, -40.0, -30.0))
FINE = Geometry.from_axes((36, 60, 60), (3.0, 1.6, 1.8), origin=(-52.0, -45.0, -40.0))
SHARED = BoneSettings(other_in_dwi=0.6)
PARTS = {Bone.ILIUM: (-20.0, 0.0, 10.0), Bone.SACROCOCCYX: (15.0, 8.0, 5.0)}
RADII = {Bone.ILIUM: (16.0, 12.0, 20.0), Bone.SACROCOCCYX: (10.0, 12.0, 14.0)}


def labels(grid, by_mm=(0.0, 0.0, 0.0), parts=tuple(PARTS)):
    """Two ellipsoids in the patient (LPS mm), moved."""
    points = grid.to_lps(np.moveaxis(np.indices(grid.shape), 0, -1))
    array = np.zeros(grid.shape, np.uint8)
    for bone in parts:
        distance = (points - np.add(PARTS[bone], by_mm)) / RADII[bone]
        array[(distance**2).sum(-1) <= 1] = bone
    return array


def answer(grid, by_mm=(0.0, 0.0, 0.0), parts=tuple(PARTS), sure=0.9):
    found = labels(grid, by_mm, parts)
    one_hot = np.stack([found == value for value in range(N_BONE_CLASSES)]).astype(np.float32)
    return BoneAnswer(one_hot * sure + (1 - sure) / N_BONE_CLASSES, grid, grid)


@settings(max_examples=15, deadline=None)
@given(st.tuples(*[st.floats(-7.0, 7.0)] * 3))
def test_a_shift_between_the_sequences_is_found(by_mm):
    found = best_shift_mm(answer(GRID), answer(FINE, by_mm), farthest_mm=8.0)
    np.testing.assert_allclose(found, np.negative(by_mm), atol=2.0)  # half a cell


def test_a_shift_stays_within_what_was_allowed():
    found = best_shift_mm(answer(GRID), answer(GRID, (0.0, 20.0, 0.0)), farthest_mm=8.0)
    assert np.abs(found).max() <= 8.0


def test_what_one_sequence_misses_comes_from_the_other_where_it_lies():
    """T1 lies 6 mm off; the sacrum that DWI misses is drawn where DWI would show it."""
    dwi = answer(GRID, parts=(Bone.ILIUM,), sure=0.6)
    own = {Sequence.DWI: dwi, Sequence.T1: answer(FINE, (0.0, 6.0, 0.0))}
    together = bones_together(own, SHARED)
    found = Volume(together[Sequence.DWI].probabilities.argmax(0).astype(np.uint8), GRID)
    assert mean_dsc(found, Volume(labels(GRID), GRID), tuple(PARTS)) > 0.85
    sums = together[Sequence.DWI].probabilities.sum(0)
    np.testing.assert_allclose(sums, 1, atol=1e-3)
    assert together[Sequence.T1] is own[Sequence.T1]  # its share is 0


def test_bones_that_lie_elsewhere_are_left_alone():
    """A patient who moved by 40 mm, or another patient's T1."""
    own = {Sequence.DWI: answer(GRID), Sequence.T1: answer(FINE, (35.0, -20.0, 0.0))}
    assert laid_on(own[Sequence.T1], own[Sequence.DWI]) is None
    assert bones_together(own, SHARED)[Sequence.DWI] is own[Sequence.DWI]


def test_a_field_that_ends_within_the_bones_pulls_nothing_towards_it():
    low = Geometry.from_axes((16, 60, 60), (3.0, 1.6, 1.8), origin=(-52.0, -45.0, -40.0))
    for here, other in ((answer(GRID), answer(low)), (answer(low), answer(GRID))):
        assert np.abs(best_shift_mm(here, other, farthest_mm=8.0)).max() < 2.5


def test_outside_of_the_others_field_the_network_decides_alone():
    lower = Geometry.from_axes((16, 60, 60), (3.0, 1.6, 1.8), origin=(-52.0, -45.0, -40.0))
    here = answer(GRID)
    placed = laid_on(answer(lower), here)
    assert placed is not None
    result = mixed(here, placed, 0.5).probabilities
    heights = GRID.to_lps(np.moveaxis(np.indices(GRID.shape), 0, -1))[..., 2]
    beyond = heights > 20.0  # the field ends at 6.5 mm, and may be moved by 8
    assert beyond.any()
    np.testing.assert_allclose(result[:, beyond], here.probabilities[:, beyond])
    assert not np.allclose(result, here.probabilities)


def test_without_any_bone_nothing_agrees_and_nothing_fails():
    empty = answer(GRID, parts=())
    assert agreement(empty.bone, empty.bone) == 0
    own = {Sequence.DWI: empty, Sequence.T1: answer(FINE)}
    assert bones_together(own, SHARED)[Sequence.DWI] is empty


@pytest.mark.parametrize("bad", [{"other_in_t1": 1.5}, {"other_in_dwi": -0.1}])
def test_shares_that_cannot_be(bad):
    with pytest.raises(SettingsError, match="Shares lie between 0 and 1"):
        BoneSettings(**bad)


class _DwiMissesTheSacrum(FixedSegmenter):
    def bone_probabilities(self, image, sequence):
        found = super().bone_probabilities(image, sequence) * 0.7 + 0.3 / N_BONE_CLASSES
        if sequence is Sequence.DWI:
            found[0] += 0.7 * (found[Bone.SACROCOCCYX] > 0.5)
            found[Bone.SACROCOCCYX] = 0.01
        return found.astype(np.float32)


@pytest.mark.parametrize("share", [0.0, 0.7])
def test_the_main_path_reads_bones_together_as_the_bundle_says(share):
    grid = GridSettings(spacing_mm=(4.0, 2.0, 2.0), multiple_of=(1, 1, 1))
    reading = ReadingSettings(grid, grid, bones=BoneSettings(other_in_dwi=share))
    truth = Volume(labels(FINE), FINE)
    segmenter = _DwiMissesTheSacrum(truth, truth.with_array(truth.array * 0), reading)
    images = dict.fromkeys(Sequence, Volume(np.ones(FINE.shape, np.float32), FINE))
    stages = []

    def stage(name):
        stages.append(name)
        return nullcontext()

    found = run_networks(images, segmenter, stage)
    shown = {s: set(np.unique(one.whole_bones.array).tolist()) for s, one in found.items()}
    both = {0, int(Bone.ILIUM), int(Bone.SACROCOCCYX)}
    assert shown[Sequence.T1] == both
    assert shown[Sequence.DWI] == (both if share else both - {int(Bone.SACROCOCCYX)})
    looked_in = set(np.unique(found[Sequence.DWI].bones.array).tolist())
    assert looked_in == both - {int(Bone.SACROCOCCYX)}  # lesions: as this sequence shows it
    assert stages.count("read bones together") == 1


def test_the_share_with_the_highest_dsc_is_chosen_and_recorded():
    dwi = answer(GRID, parts=(Bone.ILIUM,), sure=0.6)
    truth = {Sequence.DWI: Volume(labels(GRID), GRID), Sequence.T1: Volume(labels(FINE), FINE)}
    drawn = dict.fromkeys(Sequence, tuple(PARTS))
    one = AnsweredPatient({Sequence.DWI: dwi, Sequence.T1: answer(FINE)}, truth, drawn)
    alone = replace(one, answers={**one.answers, Sequence.T1: answer(FINE, (60.0, 0.0, 0.0))})
    fitted = fit_shares([one, alone], BoneSettings())
    dwi_record = fitted.record["sequences"]["dwi"]
    assert fitted.record["patients"] == 2 and fitted.settings.other_in_t1 == 0
    assert fitted.settings.other_in_dwi == dwi_record["share"] >= 0.4
    assert dwi_record["together"] > dwi_record["alone"] + 0.2
    unchanged = fit_shares([alone], BoneSettings(other_in_dwi=0.5))
    assert unchanged.settings.other_in_dwi == 0  # where nothing gains, each by itself


def test_mean_dsc_counts_what_was_drawn_and_is_large_enough():
    truth = Volume(labels(GRID), GRID)
    half = truth.with_array(np.where(truth.array == Bone.ILIUM, truth.array, 0))
    assert mean_dsc(truth, truth, tuple(PARTS)) == 1
    assert mean_dsc(half, truth, tuple(PARTS)) == 0.5
    assert mean_dsc(half, truth, (Bone.ILIUM,)) == 1
    assert np.isnan(mean_dsc(half, truth, (Bone.PUBIS,)))
