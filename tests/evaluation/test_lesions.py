"""Lesions: components, matching, links between sequences, rates and curves."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from pelvimets.core.geometry import Geometry
from pelvimets.core.volume import Volume
from pelvimets.errors import SettingsError
from pelvimets.evaluation.measures import detection
from pelvimets.evaluation.measures.lesions import (
    LinkedLesion,
    Named,
    Overlap,
    SequenceLesions,
    describe_lesions,
    find_overlaps,
    link_sequences,
    match_lesions,
    number_lesions,
)
from pelvimets.evaluation.readings import FalseItem, LesionTally, MergingItem, ReferenceItem
from pelvimets.evaluation.settings import (
    EvaluationSettings,
    LesionInstances,
    MatchRule,
    count_group,
    volume_group,
)

QUICK = EvaluationSettings(bootstrap_samples=200)


def row(text):
    """A one-dimensional scene: one digit per voxel."""
    return np.array([[[int(c) for c in text]]])


def lesions_of(reference, prediction):
    first, second = number_lesions(row(reference)), number_lesions(row(prediction))
    grid = Geometry.from_axes(first.shape, (1.0, 1.0, 10.0))
    return SequenceLesions(
        describe_lesions(first, grid), describe_lesions(second, grid), find_overlaps(first, second)
    )


@pytest.mark.parametrize(("connectivity", "fully"), [(6, False), (26, True)])
def test_components_are_those_of_simpleitk(connectivity, fully):
    mask = np.random.default_rng(0).random((6, 9, 8)) < 0.2
    image = sitk.ConnectedComponent(sitk.GetImageFromArray(mask.astype(np.uint8)), fully)
    expected = sitk.GetArrayFromImage(image)
    found = number_lesions(mask, connectivity)
    assert len(set(zip(found[mask], expected[mask], strict=True))) == expected.max() == found.max()


def test_label_values_count_as_lesions_where_asked():
    touching = row("0112203")
    assert number_lesions(touching).max() == 2
    assert number_lesions(touching, instances=LesionInstances.LABELS).max() == 3
    assert number_lesions(row("22"), instances=LesionInstances.LABELS).max() == 1


def test_records_tell_volume_place_bone_score_and_mimic():
    lesion = row("0110001")
    records = describe_lesions(
        number_lesions(lesion),
        Geometry.from_axes((1, 1, 7), (4.0, 5.0, 2.0), origin=(100.0, 0.0, 0.0)),
        bones=row("0331000"),
        scored=Named(row("0780001"), {7: 0.4, 8: 0.9}),
        mimics=Named(row("0000002"), {2: "cyst"}),
    )
    assert [r.volume_cm3 for r in records] == pytest.approx([0.08, 0.04])
    assert records[0].centre_lps_mm == (103.0, 0.0, 0.0)
    assert [r.bone for r in records] == ["ilium", "outside bone"]
    assert [r.score for r in records] == [0.9, None]
    assert [r.mimic for r in records] == [None, "cyst"]


def test_one_to_one_needs_the_overlap_and_counts_fragments_as_false():
    lesions = lesions_of("0111111111100", "0000000000110")  # IoU 1/11
    assert match_lesions(lesions).pairs == ()
    assert match_lesions(lesions, smallest_iou=0.05).pairs == ((1, 1),)
    assert match_lesions(lesions, MatchRule.ANY_OVERLAP).pairs == ((1, 1),)


def test_a_split_lesion_is_found_once():
    lesions = lesions_of("111111", "110011")
    strict, loose = (match_lesions(lesions, rule) for rule in MatchRule)
    assert (len(strict.pairs), strict.false, strict.split) == (1, (2,), (1,))
    assert (len(loose.pairs), loose.false) == (1, ())


def test_a_merge_finds_one_lesion_strictly_and_both_by_any_overlap():
    lesions = lesions_of("110011", "111111")
    strict, loose = (match_lesions(lesions, rule) for rule in MatchRule)
    assert (len(strict.pairs), len(strict.missed), strict.merging) == (1, 1, (1,))
    assert (len(loose.pairs), loose.missed) == (2, ())


def test_more_pairs_go_before_more_overlap():
    overlaps = (Overlap(1, 1, 9, 0.9), Overlap(1, 2, 2, 0.2), Overlap(2, 1, 2, 0.2))
    scene = lesions_of("1011", "1011")
    pairs = match_lesions(SequenceLesions(scene.reference, scene.prediction, overlaps)).pairs
    assert pairs == ((1, 2), (2, 1))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_matching_is_the_best_of_all_matchings(seed):
    rng = np.random.default_rng(seed)
    iou = np.where(rng.random((4, 4)) < 0.5, rng.random((4, 4)), 0)
    overlaps = tuple(
        Overlap(r + 1, p + 1, 1, float(iou[r, p])) for r, p in np.argwhere(iou > 0).tolist()
    )
    scene = lesions_of("1010101", "1010101")
    found = match_lesions(SequenceLesions(scene.reference, scene.prediction, overlaps)).pairs
    allowed = np.where(iou >= 0.1, iou, 0)
    best = max(
        (sum(allowed[r, p] > 0 for r, p in enumerate(order)), allowed[range(4), order].sum())
        for order in permutations(range(4))
    )
    reached = sum(iou[r - 1, p - 1] for r, p in found)
    assert (len(found), reached) == (best[0], pytest.approx(best[1]))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_overlaps_are_those_of_each_pair_of_masks(seed):
    rng = np.random.default_rng(seed)
    first, second = (number_lesions(rng.random((4, 6, 6)) < 0.3, 6) for _ in range(2))
    for o in find_overlaps(first, second):
        one, two = first == o.reference, second == o.prediction
        assert o.voxels == (one & two).sum()
        assert o.iou == pytest.approx((one & two).sum() / (one | two).sum())
    pairs = {(o.reference, o.prediction) for o in find_overlaps(first, second)}
    both = (first > 0) & (second > 0)
    assert pairs == set(zip(first[both].tolist(), second[both].tolist(), strict=True))


def test_lesions_of_two_sequences_are_joined_by_place():
    dwi = Volume(row("0110020"), Geometry.from_axes((1, 1, 7), (8.0, 8.0, 8.0)))
    fine = np.zeros((4, 4, 28), int)
    fine[:, :, 5:8], fine[:, :, 8:10], fine[:, :, 0:2] = 1, 2, 3
    grid = Geometry.from_axes(fine.shape, (2.0, 2.0, 2.0), origin=(-3.0, -3.0, -3.0))
    assert set(link_sequences(dwi, Volume(fine, grid))) == {
        LinkedLesion((1,), (1, 2)),
        LinkedLesion((2,), ()),
        LinkedLesion((), (3,)),
    }


def test_links_do_not_need_overlapping_fields():
    near = Geometry.from_axes((1, 1, 3), (1.0, 1.0, 1.0))
    far = Geometry.from_axes((1, 1, 3), (1.0, 1.0, 1.0), origin=(500.0, 0.0, 0.0))
    links = link_sequences(Volume(row("010"), near), Volume(row("010"), far))
    assert set(links) == {LinkedLesion((1,), ()), LinkedLesion((), (1,))}


def tally(patient, reference, false):
    return LesionTally(
        patient,
        tuple(ReferenceItem(1.0, "ilium", score is not None, score) for score in reference),
        tuple(FalseItem(0.4, "pubis", score, None, False) for score in false),
    )


COHORT = [
    tally("a", [0.9, 0.8, None], [0.85]),
    tally("b", [0.7], [0.6, 0.3]),
    tally("c", [], [0.75]),
    tally("d", [0.2, None], []),
]


def test_rates_of_a_cohort():
    found = detection.detect(COHORT, QUICK, np.random.default_rng(0))
    assert (found.found, found.missed, found.false, found.false_in_m0) == (4, 2, 4, 1)
    assert found.recall.estimate == pytest.approx(4 / 6)
    assert found.precision.estimate == pytest.approx(4 / 8)
    assert found.f1.estimate == pytest.approx(8 / 14)
    assert found.false_per_patient.estimate == 1.0
    assert found.recall.bootstrap.low <= 4 / 6 <= found.recall.bootstrap.high


def test_average_precision_is_that_of_scikit_learn():
    from sklearn.metrics import average_precision_score

    hits = [(s, 1) for t in COHORT for s in (i.score for i in t.reference) if s is not None]
    false = [(item.score, 0) for t in COHORT for item in t.false]
    score, hit = zip(*(hits + false), strict=True)
    found = detection.detect(COHORT, QUICK, np.random.default_rng(0))
    # scikit-learn knows only the lesions found: its recall ends at 1, here at 4 of 6
    expected = average_precision_score(hit, score) * 4 / 6
    assert found.average_precision.estimate == pytest.approx(expected)


def test_froc_by_counting():
    froc = detection.detect(COHORT, QUICK, np.random.default_rng(0)).froc
    for rate, interval in froc.at.items():
        thresholds = [np.inf, 0.9, 0.85, 0.8, 0.75, 0.7, 0.6, 0.3, 0.2]
        best = max(
            sum((i.score or -1) >= t for c in COHORT for i in c.reference) / 6
            for t in thresholds
            if sum(i.score >= t for c in COHORT for i in c.false) / len(COHORT) <= rate
        )
        assert interval.estimate == pytest.approx(best)
    assert froc.sensitivity[-1] == pytest.approx(4 / 6)


def test_ties_are_taken_together():
    tied = [tally("a", [0.5, 0.5], [0.5, 0.5])]
    found = detection.detect(tied, QUICK, np.random.default_rng(0))
    assert found.average_precision.estimate == pytest.approx(0.5)


def test_curves_need_scores_and_say_so():
    bare = [LesionTally("a", (ReferenceItem(1.0, None, True, None),), ())]
    found = detection.detect(bare, QUICK, np.random.default_rng(0))
    assert found.average_precision is None and found.note == detection.NO_SCORES


def test_clustered_lesions_have_wider_intervals_than_independent_ones():
    clustered = [tally(str(n), [0.5] * 10 if n % 2 else [None] * 10, []) for n in range(20)]
    recall = detection.detect(clustered, QUICK, np.random.default_rng(0)).recall
    wide = recall.bootstrap.high - recall.bootstrap.low
    assert wide > 2 * (recall.clopper_pearson.high - recall.clopper_pearson.low)


def test_groups_keep_false_positives_of_every_patient():
    named = dict(detection.groups_by_count(COHORT))
    assert [len(named[name]) for name in ("1", "2-3", "4-5", ">5", "none")] == [1, 2, 0, 0, 1]
    by_bone = dict(detection.groups_by_bone(COHORT))
    assert sum(len(t.false) for t in by_bone["pubis"]) == 4
    assert sum(len(t.reference) for t in by_bone["ilium"]) == 6
    by_volume = dict(detection.groups_by_volume(COHORT, (0.5, 2.0, 10.0)))
    assert sum(len(t.false) for t in by_volume["< 0.5 cm3"]) == 4
    by_scanner = dict(detection.groups_by_attribute(COHORT, {"a": "x", "b": "x", "c": None}))
    assert [t.patient for t in by_scanner["x"]] == ["a", "b"]


def test_merges_and_splits_stand_where_they_happened():
    # patient a: a lesion of the ilium in two pieces; b: two of the pubis in one prediction
    split = LesionTally("a", (ReferenceItem(1.0, "ilium", True, None, True),), (), ())
    merged = LesionTally(
        "b", (ReferenceItem(3.0, "pubis", True), ReferenceItem(0.3, "pubis", False)), (),
        (MergingItem(4.0, "pubis"),),
    )  # fmt: skip
    groups = dict(detection.groups_by_bone([split, merged]))
    counted = {
        name: (found.merges, found.splits)
        for name, members in groups.items()
        for found in [detection.detect(members, QUICK, np.random.default_rng(0))]
    }
    assert counted == {"ilium": (0, 1), "pubis": (1, 0)}
    by_volume = dict(detection.groups_by_volume([split, merged], (0.5, 2.0, 10.0)))
    assert [sum(t.merges for t in by_volume[n]) for n in by_volume] == [0, 0, 1, 0]
    both = detection.detect([LesionTally("c", (), ())], QUICK, np.random.default_rng(0))
    assert both.merges is None and both.splits is None


def test_false_positives_are_named_by_mimic():
    items = (
        FalseItem(1, None, None, "cyst", False),
        FalseItem(1, None, None, None, True),
        FalseItem(1, None, None, None, False),
    )
    assert detection.false_by_mimic([LesionTally("a", (), items)]) == {
        "cyst": 1,
        "part of a lesion": 1,
        "nothing named": 1,
    }


def test_group_names():
    assert [count_group(n) for n in (0, 1, 2, 3, 4, 5, 6, 40)] == [
        None, "1", "2-3", "2-3", "4-5", "4-5", ">5", ">5",
    ]  # fmt: skip
    names = [volume_group(v, (0.5, 2.0)) for v in (0.1, 0.5, 2.0)]
    assert names == ["< 0.5 cm3", "0.5 to < 2 cm3", ">= 2 cm3"]


@pytest.mark.parametrize(
    "wrong", [{"connectivity": 8}, {"smallest_iou": 1.5}, {"bootstrap_samples": 0}]
)
def test_settings_outside_their_range_are_refused(wrong):
    with pytest.raises(SettingsError):
        EvaluationSettings(**wrong)
