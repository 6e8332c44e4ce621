"""The motion between two examinations, from the bones of both."""

from __future__ import annotations

import numpy as np
import pytest

from pelvimets.core.between import motion_between
from pelvimets.core.geometry import Geometry
from pelvimets.core.volume import Volume
from pelvimets.labels import Bone, Sequence

GRID = Geometry.from_axes((40, 60, 70), (5.0, 4.0, 4.0), (-140.0, -120.0, -100.0))
BONES = [
    (Bone.ILIUM, (70, 10, 40)),
    (Bone.ILIUM, (-70, 10, 40)),
    (Bone.SACROCOCCYX, (0, 60, 30)),
    (Bone.FEMORAL_HEAD, (85, 0, -50)),
    (Bone.FEMORAL_HEAD, (-85, 0, -50)),
    (Bone.PUBIS, (20, -50, -60)),
    (Bone.PUBIS, (-20, -50, -60)),
]


def bones(grid: Geometry = GRID, without: tuple[Bone, ...] = ()) -> Volume:
    points = grid.to_lps(np.moveaxis(np.indices(grid.shape), 0, -1))
    array = np.zeros(grid.shape, np.uint8)
    for bone, centre in BONES:
        if bone not in without:
            array[np.linalg.norm(points - centre, axis=-1) < 18] = bone
    return Volume(array, grid)


def moved(degrees: float, shift: tuple[float, float, float]) -> np.ndarray:
    angle = np.deg2rad(degrees)
    motion = np.eye(4)
    motion[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    motion[:3, 3] = shift
    return motion


@pytest.mark.parametrize("sequence", list(Sequence))
def test_a_patient_who_lies_turned_and_shifted_is_found(sequence: Sequence) -> None:
    motion, here = moved(7.0, (12.0, -8.0, 25.0)), bones()
    there = Volume(here.array, Geometry(GRID.shape, motion @ GRID.matrix))
    found = motion_between({sequence: here}, {sequence: there})
    places = np.array([[70, 10, 40, 1], [0, 60, 30, 1], [-85, 0, -50, 1]])
    assert np.abs((found - motion) @ places.T).max() < 0.1
    assert np.linalg.det(found[:3, :3]) == pytest.approx(1)


def test_a_bone_that_is_cut_off_in_one_is_left_out() -> None:
    here = bones()
    matrix = GRID.matrix.copy()
    matrix[:3, 3] = GRID.to_lps([10, 0, 0])
    there = {Sequence.T1: Volume(here.array[10:], Geometry((30, 60, 70), matrix))}
    assert np.abs(motion_between({Sequence.T1: here}, there) - np.eye(4)).max() < 0.5


def test_few_bones_give_a_shift_and_none_gives_nothing() -> None:
    most = (Bone.ILIUM, Bone.FEMORAL_HEAD, Bone.PUBIS)
    here = bones(without=most)
    there = Volume(here.array, Geometry(GRID.shape, moved(0, (5, 6, 7)) @ GRID.matrix))
    found = motion_between({Sequence.DWI: here}, {Sequence.DWI: there})
    assert np.allclose(found, moved(0, (5, 6, 7)))
    empty = here.with_array(np.zeros_like(here.array))
    assert np.array_equal(motion_between({Sequence.DWI: here}, {Sequence.DWI: empty}), np.eye(4))
    assert np.array_equal(motion_between({Sequence.DWI: here}, {Sequence.T1: here}), np.eye(4))
