"""From lesion probability to lesions, and from lesions to findings."""

import numpy as np
import pytest

from pelvimets.config import EvidenceWeights, LesionSettings, SequenceSettings, settings_from_dict
from pelvimets.core.corrected import ReviewMeasure
from pelvimets.core.evidence import weigh_lesions
from pelvimets.core.findings import BoneMasks
from pelvimets.core.geometry import Geometry
from pelvimets.core.lesions import (
    faint_score,
    inside_bone,
    label_above,
    label_lesions,
    largest_axial_diameter_mm,
    lesion_score,
    measure_lesions,
    near_bone,
)
from pelvimets.core.measure import Origin, measure
from pelvimets.core.review import begin_review
from pelvimets.core.segmentation import Segmented
from pelvimets.core.volume import Volume
from pelvimets.labels import Bone, Sequence, Side

from .test_bones import pelvis

SETTINGS = LesionSettings()


def ball(grid, centre, radius):
    points = grid.to_lps(np.indices(grid.shape).reshape(3, -1).T)
    return (np.linalg.norm(points - centre, axis=1) <= radius).reshape(grid.shape)


def probability_on(grid, *balls):
    array = np.zeros(grid.shape, np.float32)
    for centre, radius, value in balls:
        array[ball(grid, centre, radius)] = value
    return Volume(array, grid)


def test_lesions_are_numbered_by_volume_and_small_ones_dropped():
    bones = pelvis()
    grid = bones.geometry
    found = probability_on(
        grid, ((75, 10, 60), 12, 0.8), ((0, 60, 50), 20, 0.9), ((85, 0, 0), 3, 0.95)
    )
    labels = label_lesions(found, bones, SETTINGS)
    assert sorted(np.unique(labels.array)) == [0, 1, 2]
    first, second = measure_lesions(labels, found, SETTINGS)
    assert first.volume_cm3 > second.volume_cm3
    assert first.centre_lps_mm == pytest.approx((0, 60, 50), abs=2.5)
    assert first.score == pytest.approx(0.9) and second.score == pytest.approx(0.8)


def test_probability_away_from_bone_is_no_lesion():
    bones = pelvis()
    found = probability_on(bones.geometry, ((0, -20, 30), 12, 0.99))
    assert not label_lesions(found, bones, SETTINGS).array.any()
    assert faint_score(inside_bone(found, bones, SETTINGS), SETTINGS) == 0


def test_near_bone_reaches_the_margin_and_no_further():
    bones = pelvis()
    mask = near_bone(bones, 5.0)
    assert (mask & (bones.array > 0)).sum() == (bones.array > 0).sum()
    z, y, x = np.argwhere(bones.array == Bone.SACROCOCCYX).min(axis=0)
    assert mask[z, y - 1, x + 3] and not mask[z, y - 2, x + 3]


def test_the_score_is_the_threshold_that_the_lesion_still_survives():
    grid = Geometry.from_axes((10, 10, 10), (5.0, 4.0, 5.0))  # 0.1 cm3 a voxel: two are needed
    assert lesion_score(np.array([0.9, 0.7, 0.6], np.float32), grid, SETTINGS) == pytest.approx(0.7)
    assert lesion_score(np.array([0.9], np.float32), grid, SETTINGS) == 0.0


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_diameter_is_measured_in_the_slices_nearest_to_axial(axis):
    axes = np.eye(3)[::-1][[axis, (axis + 1) % 3, (axis + 2) % 3]]
    grid = Geometry.from_axes((40, 40, 40), (1.0, 1.0, 1.0), axes=axes)
    mask = np.zeros(grid.shape, bool)
    index = np.zeros((30, 3), int)
    longest = int(np.abs(grid.axes[:, 2]).argmax())
    index[:, longest] = np.arange(30)  # a rod along the patient's long axis
    mask[tuple(index.T)] = True
    assert largest_axial_diameter_mm(np.argwhere(mask), grid) == pytest.approx(1.0)


def test_the_diameter_of_a_ball():
    grid = Geometry.from_axes((20, 60, 60), (3.0, 1.0, 1.0))
    index = np.argwhere(ball(grid, (30, 30, 30), 12))
    assert largest_axial_diameter_mm(index, grid) == pytest.approx(25.0, abs=0.6)


def study_masks(dwi_balls, t1_balls):
    dwi_bones = pelvis()
    t1_bones = pelvis(shape=(45, 50, 75), spacing=(4.0, 4.0, 4.0))
    probability = {
        Sequence.DWI: probability_on(dwi_bones.geometry, *dwi_balls),
        Sequence.T1: probability_on(t1_bones.geometry, *t1_balls),
    }
    bones = BoneMasks({Sequence.DWI: dwi_bones, Sequence.T1: t1_bones})
    labels = {s: label_lesions(p, bones.by_sequence[s], SETTINGS) for s, p in probability.items()}
    found = {s: Segmented(bones[s], p, bones[s], p, labels[s]) for s, p in probability.items()}
    return bones, weigh_lesions(found, None, SETTINGS)


def measured(bones, lesions, adc=None):
    return measure(
        bones, lesions, adc, SETTINGS, Origin(patient_key="p", bundle="b", uid_seed="s", flags=())
    )


def test_a_lesion_on_both_sequences_is_listed_once():
    where = ((75, 10, 60), 12, 0.9)
    findings = measured(*study_masks([where], [where, ((-75, 10, 60), 12, 0.7)]))
    assert len(findings.lesions) == 2
    both = next(lesion for lesion in findings.lesions if len(lesion.seen_on) == 2)
    alone = next(lesion for lesion in findings.lesions if len(lesion.seen_on) == 1)
    assert (both.part.bone, both.part.side) == (Bone.ILIUM, Side.LEFT)
    assert (alone.part.bone, alone.part.side) == (Bone.ILIUM, Side.RIGHT)
    assert alone.sequences == (Sequence.T1,)
    assert findings.m1_suspected and findings.patient_score == pytest.approx(0.9)


def test_tracking_uids_depend_on_the_input_alone():
    masks = study_masks([((75, 10, 60), 12, 0.9)], [])
    a, b = measured(*masks), measured(*masks)
    assert a.lesions[0].tracking_uid == b.lesions[0].tracking_uid
    assert len({lesion.tracking_uid for lesion in a.lesions}) == len(a.lesions)


def test_adc_is_read_from_its_own_grid():
    bones, lesions = study_masks([((75, 10, 60), 14, 0.9)], [])
    grid = Geometry.from_axes((40, 60, 80), (5.0, 4.0, 4.0), (-150.0, -100.0, -60.0))
    adc = np.where(ball(grid, (75, 10, 60), 14), 800.0, 1500.0).astype(np.float32)
    lesion = measured(bones, lesions, Volume(adc, grid)).lesions[0]
    assert lesion.adc_median_um2_per_s == pytest.approx(800)
    assert 780 <= lesion.adc_mean_um2_per_s <= 1000
    assert measured(bones, lesions).lesions[0].adc_mean_um2_per_s is None


def test_burden_adds_up_to_the_lesion_volume_inside_bone():
    bones, lesions = study_masks([((0, 60, 50), 15, 0.9)], [])
    findings = measured(bones, lesions).sequences[Sequence.DWI]
    within = sum(b.lesion_volume_cm3 for b in findings.burden)
    inside = (lesions[Sequence.DWI].array > 0) & (bones.by_sequence[Sequence.DWI].array > 0)
    assert within == pytest.approx(
        inside.sum() * bones.by_sequence[Sequence.DWI].geometry.voxel_volume_mm3 / 1000
    )


def test_no_lesion_is_an_explicit_outcome():
    findings = measured(*study_masks([], []))
    assert findings.lesions == () and not findings.m1_suspected and findings.patient_score == 0.0


def test_a_sequence_with_a_weak_network_lists_lesions_but_decides_nothing():
    where = ((75, 10, 60), 12, 0.9)
    bones, lesions = study_masks([((0, 60, 50), 12, 0.4)], [where])
    weak = LesionSettings(t1=SequenceSettings(decides=False))
    findings = measure(
        bones, lesions, None, weak, Origin(patient_key="p", bundle="b", uid_seed="s")
    )
    assert len(findings.lesions) == 1 and not findings.m1_suspected
    assert findings.patient_score == pytest.approx(0.4)
    assert findings.sequences[Sequence.T1].patient_score == pytest.approx(0.9)


@pytest.mark.parametrize(("above", "suspected"), [(0.0, True), (1e-6, False)])
def test_a_score_at_the_operating_point_is_suspicious(above: float, suspected: bool) -> None:
    bones, lesions = study_masks([((75, 10, 60), 12, 0.9)], [])
    score = measured(bones, lesions).lesions[0].score
    at = LesionSettings(operating_point=score + above)
    found = measure(bones, lesions, None, at, Origin(patient_key="p", bundle="b", uid_seed="s"))
    assert found.m1_suspected is suspected
    drawn = {s: lesions[s] for s in bones.by_sequence}
    review = begin_review(found, "sha", "2026-03-01T08:00:00+01:00")
    left = ReviewMeasure(found, bones.by_sequence, None, at).apply(review, drawn)
    assert left.findings.m1_suspected is suspected  # pending lesions count by their score


def strip(*values: float) -> Volume:
    """Blocks of 4 voxels (0.256 cm3) along x, each of one probability."""
    grid = Geometry.from_axes((4, 4, 4 * len(values)), (4.0, 4.0, 4.0))
    return Volume(np.broadcast_to(np.repeat(values, 4), grid.shape).astype(np.float32), grid)


def numbers_along(found: Volume, **settings: float) -> list[int]:
    labels = label_above(found, LesionSettings(**settings)).array
    return [int(labels[0, 0, 4 * n]) for n in range(labels.shape[2] // 4)]


def test_pieces_of_one_lesion_grow_together() -> None:
    found = strip(0.0, 0.8, 0.3, 0.9, 0.0, 0.3, 0.0)
    assert numbers_along(found, threshold=0.5) == [0, 1, 0, 2, 0, 0, 0]
    assert numbers_along(found, threshold=0.5, grow_to=0.2) == [0, 1, 1, 1, 0, 0, 0]
    assert numbers_along(found, threshold=0.2) == [0, 1, 1, 1, 0, 2, 0]
    assert numbers_along(found, threshold=0.5, grow_to=0.4) == [0, 1, 0, 2, 0, 0, 0]


def test_a_candidate_too_small_to_count_does_not_grow() -> None:
    """One sure voxel in a wide faint place was no candidate and stays none."""
    found = strip(0.0, 0.3, 0.3, 0.0, 0.9)
    array = found.array.copy()
    array[0, 0, 5] = 0.9
    grown = numbers_along(found.with_array(array), threshold=0.5, grow_to=0.2)
    assert grown == [0, 0, 0, 0, 1]


def test_the_larger_grown_lesion_has_the_lower_number() -> None:
    found = strip(0.9, 0.0, 0.3, 0.8, 0.3)
    assert numbers_along(found, threshold=0.5, grow_to=0.2) == [2, 0, 1, 1, 1]


def test_settings_without_growth_are_those_of_earlier_bundles() -> None:
    assert settings_from_dict(LesionSettings, {"threshold": 0.4}).grow_to is None
    settings = LesionSettings(dwi=SequenceSettings(EvidenceWeights(threshold=0.5, grow_to=0.2)))
    own = settings.on(Sequence.DWI)
    assert (own.threshold, own.grow_to) == (0.5, 0.2)
    assert settings.on(Sequence.T1).grow_to is None
