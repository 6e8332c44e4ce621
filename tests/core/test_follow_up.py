"""The same patient again: bones laid onto each other, lesions matched, change, response."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from pelvimets.config import LesionSettings
from pelvimets.core.findings import BoneMasks, BonePart, LesionMasks
from pelvimets.core.follow_up.change import Quantity, Region, lesion_changes
from pelvimets.core.follow_up.course import follow
from pelvimets.core.follow_up.matching import Fate, LesionPair, TimePoint, match
from pelvimets.core.follow_up.registration import register_bones
from pelvimets.core.follow_up.response import Category, sign_of, suggestions
from pelvimets.core.follow_up.settings import FollowUpSettings, MatchSettings, ResponseSettings
from pelvimets.core.geometry import Geometry
from pelvimets.core.measure import Origin, measure
from pelvimets.core.volume import Volume
from pelvimets.errors import InputError, SettingsError
from pelvimets.labels import Bone, Sequence, Side

from .test_bones import pelvis
from .test_lesions import ball

FEMUR, ILIUM, SACRUM = (75.0, 10.0, 60.0), (-60.0, 0.0, 120.0), (0.0, 40.0, 130.0)


def point(lesions: dict[tuple[float, float, float], tuple[float, float]], title="baseline"):
    """Balls of a radius (mm) with an ADC, by centre."""
    bones = pelvis()
    labels = np.zeros(bones.array.shape, np.uint16)
    adc = np.full(bones.array.shape, 1500.0, np.float32)
    for number, (centre, (radius, value)) in enumerate(lesions.items(), start=1):
        inside = ball(bones.geometry, centre, radius) & (labels == 0)
        labels[inside], adc[inside] = number, value
    return of_maps(bones, bones.with_array(labels), bones.with_array(adc), title)


def of_maps(bones: Volume, lesions: Volume, adc: Volume, title: str) -> TimePoint:
    maps = {Sequence.DWI: lesions}
    sure = {Sequence.DWI: lesions.with_array((lesions.array > 0).astype(np.float32))}
    findings = measure(
        BoneMasks({Sequence.DWI: bones}),
        LesionMasks.of(maps, sure),
        adc,
        LesionSettings(),
        Origin("P", "b", title),
    )
    return TimePoint(title, findings, {Sequence.DWI: bones}, maps)


def moved(volume: Volume, turn: Rotation, offset_mm) -> Volume:
    """The same voxels elsewhere in the scanner."""
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn.as_matrix(), offset_mm
    return Volume(volume.array, Geometry(volume.geometry.shape, matrix @ volume.geometry.matrix))


def test_bones_that_lie_elsewhere_are_found_again():
    bones = pelvis()
    turn, offset = Rotation.from_euler("zyx", [6.0, -3.0, 4.0], degrees=True), (18.0, -9.0, 22.0)
    found = register_bones(bones, moved(bones, turn, offset), MatchSettings(bodies=False))
    corners = bones.geometry.to_lps(np.argwhere(bones.array > 0))[::97]
    meant = turn.apply(corners) + offset
    apart = np.linalg.norm(found.all_bones(corners) - meant, axis=1)
    assert apart.max() < 3.0  # a voxel of the grid
    assert found.overlap > 0.9 > found.overlap_before
    back = found.all_bones.inverse()(found.all_bones(corners))
    assert np.allclose(back, corners)


def fates(before: TimePoint, now: TimePoint) -> list[tuple[Fate, int, int]]:
    pairs = match(before, now, MatchSettings(bodies=False)).pairs
    return sorted((p.fate, len(p.before), len(p.now)) for p in pairs)


def test_lesions_are_matched_by_place_not_by_order():
    before = point({FEMUR: (12, 900), ILIUM: (8, 900)})
    now = point({FEMUR: (6, 900), ILIUM: (14, 900)}, "now")  # the order by volume turns round
    pairs = match(before, now, MatchSettings(bodies=False)).pairs
    assert [p.fate for p in pairs] == [Fate.MATCHED] * 2
    assert all(p.before[0].part == p.now[0].part and p.distance_mm < 3 for p in pairs)
    ratios = [c.volume_cm3.ratio or 0.0 for c in lesion_changes(pairs)]
    big, small = sorted(ratios, reverse=True)
    assert big > 2.5 and small < 0.4


def test_new_and_vanished_and_a_neighbour_that_is_no_partner():
    before, now = point({FEMUR: (10, 900)}), point({ILIUM: (10, 900)}, "now")
    assert fates(before, now) == [(Fate.NEW, 0, 1), (Fate.VANISHED, 1, 0)]


def test_lesions_that_grow_together_and_fall_apart():
    apart = {FEMUR: (6, 900), (75.0, 10.0, 42.0): (6, 900)}
    whole = {(75.0, 10.0, 51.0): (17, 900)}
    assert fates(point(apart), point(whole, "now")) == [(Fate.MERGED, 2, 1)]
    assert fates(point(whole), point(apart, "now")) == [(Fate.SPLIT, 1, 2)]


def test_what_the_other_field_does_not_show_is_neither_new_nor_vanished():
    before, now = point({FEMUR: (10, 900)}), point({FEMUR: (10, 900), ILIUM: (8, 900)}, "now")
    index = before.bones[Sequence.DWI].geometry.to_index(np.asarray(ILIUM))
    low = int(index[0]) - 4
    cut = {
        "bones": {s: cropped(v, low) for s, v in before.bones.items()},
        "lesions": {s: cropped(v, low) for s, v in before.lesions.items()},
    }
    assert fates(replace(before, **cut), now)[-1] == (Fate.NOT_IN_FIELD_BEFORE, 0, 1)


def cropped(volume: Volume, top: int) -> Volume:
    z, y, x = volume.array[:top].shape
    return Volume(volume.array[:top], Geometry((z, y, x), volume.geometry.matrix))


def change_of(before: tuple[float, float], now: tuple[float, float]):
    """Of one lesion, (cm3, ADC) before and now."""
    pair = point({FEMUR: (10, 900)}).findings.lesions
    changes = lesion_changes([LesionPair(tuple(pair), tuple(pair), Fate.MATCHED)])
    return replace(
        changes[0],
        volume_cm3=Quantity(before[0], now[0]),
        adc_um2_per_s=Quantity(before[1], now[1]),
    )


@pytest.mark.parametrize(
    ("before", "now", "category"),
    [
        ((2.0, 900.0), (2.0, 900.0), 3),
        ((2.0, 900.0), (2.4, 930.0), 3),  # +20 %
        ((2.0, 900.0), (2.6, 930.0), 4),  # +30 %
        ((2.0, 900.0), (3.6, 930.0), 5),  # +80 %
        ((0.2, 900.0), (0.36, 900.0), 3),  # +80 %, but 0.16 cm3
        ((2.0, 900.0), (1.4, 900.0), 2),  # -30 %
        ((2.0, 900.0), (0.6, 900.0), 1),  # -70 %
        ((2.0, 900.0), (2.0, 1150.0), 2),  # ADC +28 %
        ((2.0, 900.0), (2.0, 1270.0), 1),  # ADC +41 %
        ((2.0, 1200.0), (2.0, 1450.0), 1),  # from below to above 1400
        ((2.0, 1300.0), (2.0, 950.0), 4),  # ADC -27 %
        ((2.0, 1900.0), (2.0, 1420.0), 3),  # falls, but stays high
        ((2.0, 900.0), (4.0, 1700.0), 1),  # swells while it dies
    ],
)
def test_what_one_lesion_says(before, now, category):
    sign = sign_of(change_of(before, now), ResponseSettings(), 0.5)
    assert sign is not None and sign.category == category
    assert "lesion 1" in sign.fact and f"{now[0]:.2f} cm3" in sign.fact


def test_a_region_with_a_new_lesion_progresses_and_says_what_the_others_do():
    before = point({FEMUR: (10, 900), ILIUM: (8, 900)})
    now = point({FEMUR: (10, 1600), ILIUM: (8, 900), (75.0, 10.0, 20.0): (7, 900)}, "now")
    course = follow([before, now], FollowUpSettings(), suspicious_score=0.5)
    by_region = {s.region: s for s in course.main.suggestions}
    rows = [s for s in by_region.values() if s.category is not None]
    worst = max(rows, key=lambda s: s.category)
    assert worst.category is Category.CLEARLY_PROGRESSING and "new lesion" in worst.rule
    assert "new" in worst.facts[0]
    doubtful = suggestions(
        course.main.lesions, ResponseSettings(), suspicious_score=0.5, reliable=False
    )
    assert all(s.category is None for s in doubtful)


def test_a_response_must_hold_for_most_of_the_disease():
    small, large = change_of((0.5, 900.0), (0.5, 1700.0)), change_of((5.0, 900.0), (5.0, 900.0))
    row = {s.region: s for s in suggestions([small, large], ResponseSettings(), suspicious_score=1)}
    (found,) = [s for s in row.values() if s.facts]
    assert found.category is Category.STABLE
    row = suggestions(
        [replace(small, volume_cm3=Quantity(9.0, 9.0)), large],
        ResponseSettings(),
        suspicious_score=1,
    )
    (found,) = [s for s in row if s.facts]
    assert found.category is Category.CLEARLY_RESPONDING and "64%" in found.rule


def test_three_time_points_make_tracks():
    points = [
        point({FEMUR: (6, 900)}, "a"),
        point({FEMUR: (9, 900), ILIUM: (6, 900)}, "b"),
        point({FEMUR: (12, 900)}, "c"),
    ]
    course = follow(points, FollowUpSettings(), suspicious_score=0.5)
    assert [(c.before, c.now) for c in course.steps] == [(0, 1), (1, 2)]
    assert (course.main.before, course.main.now) == (0, 2)
    shape = sorted(tuple(len(own) for own in track.lesions) for track in course.tracks)
    assert shape == [(0, 1, 0), (1, 1, 1)]
    whole = course.tracks[0]
    assert whole.volumes_cm3[0] < whole.volumes_cm3[1] < whole.volumes_cm3[2]


def test_what_cannot_be():
    with pytest.raises(InputError, match="two time points"):
        follow([point({})], FollowUpSettings(), suspicious_score=0.5)
    with pytest.raises(SettingsError, match="overlap_share"):
        MatchSettings(overlap_share=0.0)
    with pytest.raises(SettingsError, match="adc_high"):
        ResponseSettings(adc_high=-1)
    empty = follow([point({}), point({}, "now")], FollowUpSettings(), suspicious_score=0.5)
    assert all(s.category is None for s in empty.main.suggestions) and empty.tracks == ()
    assert {s.region for s in empty.main.suggestions} == set(Region)
    assert BonePart(Bone.ILIUM, Side.LEFT) not in {b.part for b in empty.main.bones}
