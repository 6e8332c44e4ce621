"""Nonsense must be called nonsense."""

import numpy as np
import pytest

from pelvimets.config import LesionSettings, SequenceSettings
from pelvimets.core.findings import FlagLevel
from pelvimets.core.geometry import Geometry
from pelvimets.core.quality import agreement_flags, bone_flags, network_flags
from pelvimets.core.volume import Volume
from pelvimets.labels import Bone, Sequence

from .test_bones import pelvis


def codes(flags, level=FlagLevel.REVIEW):
    return {flag.code for flag in flags if flag.level is level}


def test_a_plausible_pelvis_needs_no_review():
    assert codes(bone_flags(pelvis(), Sequence.DWI)) == set()


def test_an_empty_mask_is_no_pelvis():
    empty = pelvis().with_array(np.zeros((30, 40, 60), np.uint8))
    assert codes(bone_flags(empty, Sequence.T1)) == {"no-pelvis"}


def test_an_upside_down_volume_is_seen():
    bones = pelvis()
    assert "bone-order" in codes(bone_flags(bones.with_array(bones.array[::-1]), Sequence.DWI))


def test_front_and_back_exchanged_is_seen():
    bones = pelvis()
    assert "bone-order" in codes(bone_flags(bones.with_array(bones.array[:, ::-1]), Sequence.DWI))


def test_a_patient_half_the_size_is_not_plausible():
    bones = pelvis()
    small = Geometry.from_axes(bones.array.shape, (3.0, 2.5, 2.5))
    found = codes(bone_flags(Volume(bones.array, small), Sequence.DWI))
    assert {"head-distance", "bone-volume"} & found


def test_a_bone_that_swallows_the_pelvis_is_seen():
    bones = pelvis()
    swollen = np.where(bones.array == 0, Bone.PUBIS, bones.array).astype(np.uint8)
    assert "bone-volume" in codes(bone_flags(bones.with_array(swollen), Sequence.DWI))


@pytest.mark.parametrize(("kept", "noted"), [(0.55, False), (0.45, True)])
def test_sides_that_differ_by_more_than_a_factor_of_two_are_noted(kept, noted):
    """The factor is of volumes: of one head a slab stays, of the other everything."""
    bones = pelvis(shape=(60, 80, 120), spacing=(3.0, 2.5, 2.5))
    left = (bones.array == Bone.FEMORAL_HEAD) & (bones_x(bones) > 0)
    rows = np.flatnonzero(left.any(axis=(0, 2)))
    left[:, : rows[round(kept * len(rows))]] = False
    array = np.where(left, 0, bones.array).astype(np.uint8)
    notes = [f for f in bone_flags(bones.with_array(array), Sequence.T1) if f.level == "note"]
    found = [f for f in notes if "femoral head differs between the sides" in f.message]
    assert bool(found) is noted


@pytest.mark.parametrize(("ratio", "noted"), [(0.5, False), (0.49, True)])
def test_just_twice_is_no_difference(ratio, noted):
    bones = pelvis(shape=(60, 80, 120), spacing=(3.0, 2.5, 2.5))
    head, x = bones.array == Bone.FEMORAL_HEAD, bones_x(bones)
    left, right = np.argwhere(head & (x > 0)), np.count_nonzero(head & (x < 0))
    gone = left[np.argsort(left[:, 1], kind="stable")][int(np.ceil(ratio * right)) :]
    array = bones.array.copy()
    array[tuple(gone.T)] = 0
    flags = bone_flags(bones.with_array(array), Sequence.T1)
    assert any("femoral head differs between the sides" in f.message for f in flags) is noted


def bones_x(bones: Volume) -> np.ndarray:
    """x of each voxel, mm (LPS)."""
    index = np.indices(bones.array.shape).reshape(3, -1).T
    return bones.geometry.to_lps(index)[:, 0].reshape(bones.array.shape)


@pytest.mark.parametrize(("shift", "flagged"), [(0, False), (12, True)])
def test_sequences_that_do_not_agree_are_flagged(shift, flagged):
    dwi = pelvis()
    t1 = pelvis(shape=(45, 50, 75), spacing=(4.0, 4.0, 4.0))
    moved = dwi.with_array(np.roll(dwi.array, shift, axis=2))
    assert bool(agreement_flags(moved, t1)) is flagged


def test_a_weak_network_notes_beside_another_and_asks_for_review_alone():
    weak = LesionSettings(t1=SequenceSettings(decides=False))
    (beside,) = network_flags((Sequence.DWI, Sequence.T1), weak)
    assert (beside.level, beside.sequence) == (FlagLevel.NOTE, Sequence.T1)
    (alone,) = network_flags((Sequence.T1,), weak)
    assert alone.level is FlagLevel.REVIEW
    assert network_flags((Sequence.DWI, Sequence.T1), LesionSettings()) == ()
