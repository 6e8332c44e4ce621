"""Metastases, mimics and the second time point."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, lru_cache

import cc3d
import numpy as np
import pytest

from pelvimets.errors import SettingsError
from pelvimets.labels import Bone, Side
from pelvimets.phantom.anatomy.healthy import AnatomySettings
from pelvimets.phantom.anatomy.patient import (
    DigitalPatient,
    LesionCourse,
    LesionKind,
    MimicKind,
    Tissue,
)
from pelvimets.phantom.cohort.build import PatientSettings, build_follow_up, build_patient
from pelvimets.phantom.disease.burden import BurdenSettings, draw_volumes
from pelvimets.phantom.disease.follow_up import FollowUpSettings
from pelvimets.phantom.disease.metastases import DiseaseSettings
from pelvimets.phantom.disease.mimics import MimicSettings

COARSE = AnatomySettings(spacing_mm=3.0)
SICK = PatientSettings(anatomy=COARSE, metastases_probability=1.0)
HEALTHY = replace(SICK, lesion_volumes_cm3=())
EVERY_MIMIC = replace(HEALTHY, mimics=MimicSettings(always=True))


@cache
def patient(seed: int) -> DigitalPatient:
    return build_patient(seed, SICK)


@lru_cache(maxsize=1)
def mimic_patient() -> DigitalPatient:
    return build_patient(2, EVERY_MIMIC)


SEEDS = range(5)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_lesion_is_one_piece_of_bone_as_described(seed: int) -> None:
    man = patient(seed)
    voxel = man.geometry.voxel_volume_mm3 / 1000.0
    assert [row.number for row in man.lesion_table] == list(range(1, len(man.lesion_table) + 1))
    assert set(np.unique(man.lesions)) == {0, *(row.number for row in man.lesion_table)}
    for row in man.lesion_table:
        mask = man.lesions == row.number
        assert row.volume_cm3 == pytest.approx(mask.sum() * voxel)
        assert row.volume_cm3 >= 0.2 - voxel
        assert cc3d.connected_components(mask, connectivity=26).max() == 1
        assert (man.bones[mask] > 0).all()  # a metastasis counts as bone
        assert (man.tissue[mask] == row.kind.tissue).all()
        assert man.bones[mask].size and np.bincount(man.bones[mask]).argmax() > 0
        if row.side is not Side.MIDLINE:
            left = row.centre_lps_mm[0] > man.landmarks.midline_x_mm
            assert left == (row.side is Side.LEFT)


@pytest.mark.parametrize("seed", SEEDS)
def test_lesions_and_mimics_never_share_a_voxel(seed: int) -> None:
    man = patient(seed)
    assert not ((man.lesions > 0) & (man.mimics > 0)).any()
    assert not man.marrow_fat_percent[man.lesions > 0].any()


def test_adc_follows_the_kind() -> None:
    rows = [row for seed in SEEDS for row in patient(seed).lesion_table]
    assert all((row.adc_um2_per_s > 1400) == (row.kind is LesionKind.TREATED) for row in rows)


def test_a_lesion_that_breaks_the_cortex_leaves_the_healthy_bone() -> None:
    disease = DiseaseSettings(breaking_probability=1.0, kinds=((LesionKind.LYTIC, 1.0),))
    settings = replace(HEALTHY, disease=disease, lesion_volumes_cm3=(12.0, 9.0, 8.0))
    sick, healthy = build_patient(11, settings), build_patient(11, HEALTHY)
    broken = [row for row in sick.lesion_table if row.breaks_cortex]
    assert broken
    grown = (sick.bones > 0) & (healthy.bones == 0)
    assert grown.any()
    assert (sick.lesions[grown] > 0).all()
    assert (sick.bones[healthy.bones > 0] == healthy.bones[healthy.bones > 0]).all()


def test_places_follow_the_predilection() -> None:
    settings = replace(SICK, lesion_volumes_cm3=(0.3,) * 40)
    counts = np.zeros(9)
    for seed in range(4):
        for row in build_patient(seed, settings).lesion_table:
            counts[row.bone] += 1
    axial = counts[[Bone.LUMBAR_VERTEBRA, Bone.SACROCOCCYX, Bone.ILIUM]].sum()
    femoral = counts[[Bone.FEMORAL_HEAD, Bone.FEMORAL_NECK]].sum()
    assert counts.sum() > 100
    assert axial > 0.6 * counts.sum()
    assert femoral < 0.12 * counts.sum()


def test_burden_follows_table_3() -> None:
    settings = BurdenSettings()
    rng = np.random.default_rng(0)
    drawn = [draw_volumes(rng, settings) for _ in range(4000)]
    numbers = np.array([len(v) for v in drawn])
    totals = np.array([sum(v) for v in drawn])
    bins = [(1, 1), (2, 3), (4, 5), (6, 99)]
    shares = [np.mean((numbers >= low) & (numbers <= high)) for low, high in bins]
    assert shares == pytest.approx(np.array([30, 36, 24, 44]) / 134, abs=0.03)
    assert numbers.mean() == pytest.approx(664 / 134, rel=0.08)
    quartiles = np.percentile(totals, [25, 50, 75])
    assert quartiles == pytest.approx(settings.volume_quartiles_cm3, rel=0.12)
    assert min(min(v) for v in drawn) >= 0.2


def test_impossible_quartiles_are_refused() -> None:
    with pytest.raises(SettingsError, match="out of order"):
        BurdenSettings(volume_quartiles_cm3=(8.0, 7.0, 9.0))


def test_wanted_volumes_are_reached() -> None:
    wanted = (20.0, 6.0, 2.0, 0.5)
    man = build_patient(4, replace(HEALTHY, lesion_volumes_cm3=wanted))
    got = sorted((row.volume_cm3 for row in man.lesion_table), reverse=True)
    assert got == pytest.approx(wanted, rel=0.16)


def test_same_seed_same_bytes() -> None:
    again = build_patient(1, SICK)
    first = patient(1)
    for name in ("tissue", "bones", "lesions", "mimics", "marrow_fat_percent"):
        assert getattr(first, name).tobytes() == getattr(again, name).tobytes()
    assert first.lesion_table == again.lesion_table
    assert first.mimic_table == again.mimic_table


def test_every_mimic_occurs_and_is_never_a_lesion() -> None:
    man = mimic_patient()
    kinds = {row.kind for row in man.mimic_table}
    assert kinds == set(MimicKind)
    assert not man.lesions.any()
    for kind in MimicKind:
        mask = man.mimics == kind.label
        assert mask.any()
        if kind.in_bone:
            assert (man.bones[mask] > 0).all()
    outside = (MimicKind.LYMPH_NODE, MimicKind.VESSEL, MimicKind.NERVE_ROOT)
    for kind in outside:
        assert not man.bones[man.mimics == kind.label].any()
    assert (man.tissue[man.mimics == MimicKind.CYST.label] == Tissue.BONE_CYST).all()


@pytest.mark.parametrize("kind", list(MimicKind))
def test_each_mimic_can_be_switched_off_alone(kind: MimicKind) -> None:
    others = tuple(k for k in MimicKind if k is not kind)
    man = build_patient(2, replace(EVERY_MIMIC, mimics=MimicSettings(kinds=others, always=True)))
    assert not (man.mimics == kind.label).any()
    assert kind not in {row.kind for row in man.mimic_table}
    earlier = [k for k in MimicKind if k.label < kind.label]
    for other in earlier:  # kinds placed before are untouched
        assert ((man.mimics == other.label) == (mimic_patient().mimics == other.label)).all()


def test_mimics_do_not_change_anatomy() -> None:
    without = build_patient(2, replace(HEALTHY, mimics=MimicSettings(kinds=())))
    assert (without.bones == mimic_patient().bones).all()
    changed = without.tissue != mimic_patient().tissue
    assert (mimic_patient().mimics[changed] > 0).all()


def _only(course: LesionCourse, **changes: object) -> PatientSettings:
    follow_up = replace(FollowUpSettings(), courses=((course, 1.0),), new_lesions=0.0, **changes)
    return replace(SICK, follow_up=follow_up, lesion_volumes_cm3=(6.0, 2.0))


def test_second_time_point_grows_shrinks_responds() -> None:
    first = build_patient(5, _only(LesionCourse.STABLE))
    total = first.total_lesion_volume_cm3
    stable = build_follow_up(5, _only(LesionCourse.STABLE))
    grown = build_follow_up(5, _only(LesionCourse.GROWN))
    shrunk = build_follow_up(5, _only(LesionCourse.SHRUNK))
    responded = build_follow_up(5, _only(LesionCourse.RESPONDED))
    assert (stable.lesions > 0).tolist() == (first.lesions > 0).tolist()
    assert grown.total_lesion_volume_cm3 > 1.2 * total
    assert ((first.lesions > 0) <= (grown.lesions > 0)).all()
    assert shrunk.total_lesion_volume_cm3 < 0.8 * total
    assert ((shrunk.lesions > 0) <= (first.lesions > 0)).all()
    assert all(row.kind is LesionKind.TREATED for row in responded.lesion_table)
    assert all(row.adc_um2_per_s > 1400 for row in responded.lesion_table)
    assert all(row.course is LesionCourse.GROWN for row in grown.lesion_table)
    assert (first.bones == stable.bones).all()
    assert (first.mimics[shrunk.lesions == 0] <= shrunk.mimics[shrunk.lesions == 0]).all()


def test_new_lesions_appear_apart_from_the_old() -> None:
    settings = replace(
        SICK,
        lesion_volumes_cm3=(3.0,),
        follow_up=replace(
            FollowUpSettings(), courses=((LesionCourse.STABLE, 1.0),), new_lesions=6.0
        ),
    )
    first, later = build_patient(7, settings), build_follow_up(7, settings)
    new = [row for row in later.lesion_table if row.course is LesionCourse.NEW]
    assert new
    for row in new:
        assert not first.lesions[later.lesions == row.number].any()
        assert cc3d.connected_components(later.lesions > 0, connectivity=26).max() == len(
            later.lesion_table
        )


def test_a_healthy_man_stays_healthy() -> None:
    assert not build_follow_up(3, HEALTHY).lesion_table
