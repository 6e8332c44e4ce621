"""Clean-up and sides of the bone mask."""

import numpy as np
import pytest

from pelvimets.config import BoneSettings
from pelvimets.core.bones import clean_bones, midline_plane, part_of, sided_parts, volumes_cm3
from pelvimets.core.findings import BonePart
from pelvimets.core.geometry import Geometry
from pelvimets.core.volume import Volume
from pelvimets.labels import Bone, Side


def pelvis(shift_x=0.0, shape=(30, 40, 60), spacing=(6.0, 5.0, 5.0)):
    """Boxes in the places of bones; the patient's left is at larger x."""
    grid = Geometry.from_axes(shape, spacing, (-150.0 + shift_x, -100.0, -60.0))
    labels = np.zeros(shape, np.uint8)

    def box(bone, x, y, z, size):
        at = grid.to_index([x + shift_x, y, z])
        half = np.asarray(size)[::-1] / np.asarray(spacing) / 2
        low, high = np.rint(at - half).astype(int), np.rint(at + half).astype(int)
        labels[tuple(slice(max(a, 0), b) for a, b in zip(low, high, strict=True))] = bone

    for side in (-1, 1):
        box(Bone.ILIUM, side * 75, 10, 66, (30, 70, 54))
        box(Bone.ACETABULUM, side * 75, 0, 24, (40, 40, 24))
        box(Bone.FEMORAL_HEAD, side * 85, 0, 0, (45, 45, 24))
        box(Bone.FEMORAL_NECK, side * 120, 5, -20, (35, 35, 48))
        box(Bone.ISCHIUM, side * 60, 30, -30, (30, 30, 36))
        box(Bone.PUBIS, side * 35, -35, -20, (40, 25, 24))
    box(Bone.SACROCOCCYX, 0, 60, 50, (80, 30, 80))
    box(Bone.LUMBAR_VERTEBRA, 0, 45, 104, (50, 50, 24))
    return Volume(labels, grid)


def test_the_two_largest_components_of_a_bone_stay():
    bones = pelvis()
    stray = bones.array.copy()
    stray[0, :3, :3] = Bone.ILIUM
    cleaned = clean_bones(bones.with_array(stray), BoneSettings())
    assert (cleaned.array == bones.array).all()


def test_up_to_five_separate_vertebrae_stay_and_crumbs_go():
    grid = Geometry.from_axes((26, 10, 10), (5.0, 5.0, 5.0))
    labels = np.zeros(grid.shape, np.uint8)
    for n in range(6):
        labels[n * 4 : n * 4 + 2, 2 : 8 - (n == 5), 2:8] = Bone.LUMBAR_VERTEBRA
    labels[25, 9, 9] = Bone.LUMBAR_VERTEBRA
    cleaned = clean_bones(Volume(labels, grid), BoneSettings()).array
    assert [bool(cleaned[n * 4].any()) for n in range(6)] == [True] * 5 + [False]
    assert not cleaned[25].any()


@pytest.mark.parametrize("shift", [0.0, 37.0, -60.0])
def test_sides_follow_the_patient_not_the_field(shift):
    bones = pelvis(shift)
    parts = sided_parts(bones, midline_plane(bones))
    for value in np.unique(parts.array[parts.array > 0]):
        part = part_of(int(value))
        x = bones.geometry.to_lps(np.argwhere(parts.array == value))[:, 0].mean() - shift
        if part.side is Side.MIDLINE:
            assert abs(x) < 6
        else:
            assert (x > 0) == (part.side is Side.LEFT)
    assert len(volumes_cm3(parts)) == 14


def test_with_one_hip_only_the_sacrum_tells_the_side():
    bones = pelvis()
    x = bones.geometry.to_lps(np.indices(bones.array.shape).reshape(3, -1).T)[:, 0]
    right_half = (x < 20).reshape(bones.array.shape)
    half = bones.with_array(np.where(right_half, bones.array, 0).astype(np.uint8))
    parts = volumes_cm3(sided_parts(half, midline_plane(half)))
    assert BonePart(Bone.FEMORAL_HEAD, Side.RIGHT) in parts
    assert BonePart(Bone.FEMORAL_HEAD, Side.LEFT) not in parts


def test_without_bones_the_midline_is_that_of_the_field():
    empty = Volume(np.zeros((4, 4, 4), np.uint8), Geometry.from_axes((4, 4, 4), (2, 2, 2)))
    assert midline_plane(empty).point_lps_mm[0] == pytest.approx(3.0)
    assert volumes_cm3(sided_parts(empty, midline_plane(empty))) == {}
