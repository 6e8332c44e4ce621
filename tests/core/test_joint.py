from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pelvimets.config import (
    JointSettings,
    LesionSettings,
    SequenceSettings,
    settings_from_dict,
    settings_to_dict,
)
from pelvimets.core.geometry import Geometry
from pelvimets.core.joint import covered, log_odds, read_together
from pelvimets.core.lesions import shown_lesions
from pelvimets.core.segmentation import Found, gather_candidates
from pelvimets.core.volume import Volume
from pelvimets.labels import Bone, Sequence

T1 = Geometry.from_axes((30, 40, 40), (4.0, 2.0, 2.0))
DWI = Geometry.from_axes((24, 30, 30), (5.0, 3.0, 3.0), (-4.0, -5.0, -3.0))
CENTRE = (40.0, 40.0, 60.0)
EVEN = JointSettings(own=0.5, other=0.5)
SETTINGS = LesionSettings(dwi=SequenceSettings(joint=EVEN), t1=SequenceSettings(joint=EVEN))


def blob(grid: Geometry, value: float, centre=CENTRE, radius=9.0) -> Volume:
    points = grid.to_lps(np.indices(grid.shape).reshape(3, -1).T)
    inside = np.linalg.norm(points - np.asarray(centre), axis=1) <= radius
    return Volume((inside.reshape(grid.shape) * value).astype(np.float32), grid)


def at(volume: Volume, point=CENTRE) -> float:
    z, y, x = np.rint(volume.geometry.to_index(np.asarray(point))).astype(int)
    return float(volume.array[z, y, x])


def test_two_doubtful_networks_that_agree_are_believed_and_one_denied_is_not() -> None:
    sure, doubtful, none = blob(T1, 0.95), blob(DWI, 0.4), blob(DWI, 0.0)
    agreeing = read_together({Sequence.T1: sure, Sequence.DWI: doubtful}, SETTINGS)
    denied = read_together({Sequence.T1: sure, Sequence.DWI: none}, SETTINGS)
    assert 0.7 < at(agreeing[Sequence.T1]) < 0.95
    assert at(agreeing[Sequence.DWI]) > 0.7
    assert at(denied[Sequence.T1]) < 0.3


def test_the_weights_are_those_of_the_logits() -> None:
    own, other = 0.8, 0.3
    joint = JointSettings(own=0.7, other=0.4, intercept=0.2)
    settings = LesionSettings(t1=SequenceSettings(joint=joint))
    found = read_together(
        {Sequence.T1: blob(T1, own), Sequence.DWI: blob(DWI, other, radius=20.0)}, settings
    )
    expected = 0.2 + 0.7 * np.log(own / (1 - own)) + 0.4 * np.log(other / (1 - other))
    assert at(found[Sequence.T1]) == pytest.approx(1 / (1 + np.exp(-expected)), abs=1e-3)
    assert at(found[Sequence.DWI]) == pytest.approx(other)  # no weights for it: its own


def test_where_the_other_sequence_does_not_look_the_own_network_decides() -> None:
    elsewhere = Geometry.from_axes(DWI.shape, DWI.spacing, (200.0, 0.0, 0.0))
    alone = blob(T1, 0.9)
    far = Volume(np.zeros(elsewhere.shape, np.float32), elsewhere)
    for own in ({Sequence.T1: alone}, {Sequence.T1: alone, Sequence.DWI: far}):
        found = read_together(own, SETTINGS)[Sequence.T1]
        np.testing.assert_array_equal(found.array, alone.array)


def test_bundles_without_joint_weights_read_as_before() -> None:
    own = {Sequence.T1: blob(T1, 0.9), Sequence.DWI: blob(DWI, 0.1)}
    assert read_together(own, LesionSettings()) == own
    old = {k: v for k, v in settings_to_dict(LesionSettings()).items() if k not in ("dwi", "t1")}
    assert settings_from_dict(LesionSettings, old) == LesionSettings()
    assert settings_from_dict(LesionSettings, settings_to_dict(SETTINGS)) == SETTINGS


def test_a_displaced_neighbour_within_reach_counts() -> None:
    moved = blob(DWI, 0.9, centre=(40.0, 52.0, 60.0))
    own = blob(T1, 0.5)
    edge = tuple(np.rint(T1.to_index(np.array([40.0, 40.0, 60.0]))).astype(int))
    there = [log_odds(own, moved, reach)[1][edge] for reach in (0.0, 9.0)]
    assert there[0] < 0 < there[1]


def test_a_lesion_belongs_only_to_a_sequence_that_shows_it() -> None:
    """What the other network alone believes is not marked here, however sure it is."""
    settings = replace(
        SETTINGS,
        t1=SequenceSettings(joint=JointSettings(own=0.1, other=1.0, intercept=2.0)),
    )
    bones = {
        s: Volume(np.full(g.shape, Bone.ILIUM, np.uint8), g)
        for s, g in ((Sequence.T1, T1), (Sequence.DWI, DWI))
    }
    for own, shown in ((0.0, False), (0.01, False), (0.05, True)):
        said = {Sequence.T1: blob(T1, own), Sequence.DWI: blob(DWI, 0.99)}
        found = gather_candidates(
            {s: Found(bones[s], p, bones[s]) for s, p in said.items()}, settings
        )
        assert at(found[Sequence.T1].probability) > 0.9
        assert found[Sequence.T1].candidates.array.any() == shown


def test_lesions_that_stay_are_numbered_anew() -> None:
    labels = np.zeros(T1.shape, np.uint16)
    labels[2:8, 5:15, 5:15], labels[12:18, 5:15, 5:15] = 1, 2
    own = np.where(labels == 2, 0.4, 0.0).astype(np.float32)
    kept = shown_lesions(Volume(labels, T1), Volume(own, T1), LesionSettings())
    np.testing.assert_array_equal(kept.array, (labels == 2).astype(np.uint16))


@given(
    st.tuples(*[st.floats(-60, 60)] * 3),
    st.tuples(*[st.floats(1.5, 6.0)] * 3),
)
def test_covered_is_where_the_nearest_voxel_lies_in_the_field(origin, spacing) -> None:
    field = Geometry.from_axes((9, 10, 11), spacing, origin)
    index = field.to_index(T1.to_lps(np.indices(T1.shape).reshape(3, -1).T))
    expected = ((index > -0.5) & (index < np.asarray(field.shape) - 0.5)).all(axis=1)
    near = (np.abs(np.abs(index + 0.5) % 1) < 1e-3).any(axis=1)  # on a border: either way
    found = covered(field, T1).ravel()
    assert (found == expected)[~near].all()
