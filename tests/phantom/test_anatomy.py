"""The healthy man: convention, deformation, volumes, determinism."""

from __future__ import annotations

from dataclasses import replace

import cc3d
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pelvimets.errors import SettingsError
from pelvimets.labels import Bone
from pelvimets.phantom.anatomy.atlas import SOURCES, WOMEN, load_atlas
from pelvimets.phantom.anatomy.convention import Part, structures
from pelvimets.phantom.anatomy.healthy import AnatomySettings, axes_of, build_anatomy, draw_anatomy
from pelvimets.phantom.anatomy.patient import Landmarks, Tissue
from pelvimets.phantom.anatomy.variation import (
    VariationSettings,
    draw_variation,
    jacobian,
    patient_landmarks,
    to_atlas,
    to_patient,
)

COARSE = AnatomySettings(spacing_mm=4.0)
GLANDS_OF_MEN = {
    Tissue.PROSTATE_PERIPHERAL,
    Tissue.PROSTATE_CENTRAL,
    Tissue.SEMINAL_VESICLE,
}
HEADS = Landmarks((80.0, 0.0, 0.0), (-80.0, 0.0, 0.0), 24.0)
STILL = VariationSettings(
    size=(1.0, 1.0),
    width=(1.0, 1.0),
    depth=(1.0, 1.0),
    height=(1.0, 1.0),
    tilt_deg=(0.0, 0.0),
    roll_deg=0.0,
    lordosis_mm=(0.0, 0.0),
    scoliosis_mm=0.0,
    femur_version_deg=(0.0, 0.0),
    femur_abduction_deg=(0.0, 0.0),
    soft_scale=(1.0, 1.0),
    warp_mm=(0.0, 0.0),
    fine_warp_mm=(0.0, 0.0),
    mirror_probability=0.0,
)


def _name(part: Part, x: float, y: float, z: float) -> int:
    mask = np.full((1,), part, np.uint8)
    return int(structures(mask, np.array([x]), np.array([y]), np.array([z]), HEADS)[0])


@pytest.mark.parametrize(
    ("part", "x", "y", "z", "bone"),
    [
        (Part.LUMBAR, 0, 30, 150, Bone.LUMBAR_VERTEBRA),
        (Part.SACRUM, 0, 60, 80, Bone.SACROCOCCYX),
        (Part.HIP, 80, 0, 36.9, Bone.ACETABULUM),
        (Part.HIP, 80, 0, 37.1, Bone.ILIUM),
        (Part.HIP, 34, -6, 10, Bone.PUBIS),  # superior ramus
        (Part.HIP, 36, -6, 10, Bone.ILIUM),  # too lateral for the ramus, too far for the socket
        (Part.HIP, 34, -4, 10, Bone.ILIUM),  # too far back for the ramus
        (Part.HIP, 34, -6, 26, Bone.ILIUM),  # too high for the ramus
        (Part.HIP, 60, 13, -40, Bone.ISCHIUM),  # 13 > 0.35 * 40 - 2
        (Part.HIP, 60, 11, -40, Bone.PUBIS),
        (Part.HIP, -60, 13, -40, Bone.ISCHIUM),
        (Part.FEMUR, 80, 0, 25.4, Bone.FEMORAL_HEAD),
        (Part.FEMUR, 80, 0, 25.6, Bone.FEMORAL_HEAD),  # outside the sphere, away from the neck
        (Part.FEMUR, 80, 20, 16.1, Bone.FEMORAL_HEAD),
        (Part.FEMUR, 100, 18, 0, Bone.FEMORAL_HEAD),  # a bulge beside the neck, 55 degrees off
        (Part.FEMUR, 101, 12, -10, Bone.FEMORAL_NECK),  # 26.2 mm out, 31 degrees off
        (Part.FEMUR, 54, 0, 0, Bone.FEMORAL_HEAD),
        (Part.FEMUR, -54, 0, 0, Bone.FEMORAL_HEAD),
        (Part.FEMUR, 100, 0, -16.1, Bone.FEMORAL_NECK),  # 25.6 along the neck
        (Part.FEMUR, -100, 0, -16.1, Bone.FEMORAL_NECK),
        (Part.FEMUR, -80, 0, -79, Bone.FEMORAL_NECK),
        (Part.FEMUR, -80, 0, -81, 0),  # the shaft is background
        (Part.NONE, 80, 0, 0, 0),
    ],
)
def test_convention_at_its_borders(part: Part, x: float, y: float, z: float, bone: int) -> None:
    assert _name(part, x, y, z) == bone


@pytest.mark.parametrize("seed", range(6))
def test_each_hip_has_one_femoral_neck_and_one_head(seed: int) -> None:
    """No specks of neck inside the acetabulum, which would be 'found' nowhere near the neck."""
    settings = AnatomySettings(spacing_mm=2.0)
    anatomy = build_anatomy(draw_anatomy(np.random.default_rng(seed), settings), settings)
    for bone in (Bone.FEMORAL_HEAD, Bone.FEMORAL_NECK):
        parts = cc3d.connected_components(anatomy.bones == bone)
        volumes = np.sort(np.bincount(parts.ravel())[1:])[::-1]
        assert volumes[2:].sum() < 5
        assert volumes[1] > 0.8 * volumes[0]


@pytest.mark.parametrize("source", SOURCES)
def test_atlas_holds_every_tissue_and_no_air_inside_bone(source: str) -> None:
    atlas = load_atlas(source)
    wanted = {t for t in Tissue if t < Tissue.METASTASIS_SCLEROTIC} - {Tissue.TENDON}
    if source in WOMEN:
        wanted -= GLANDS_OF_MEN
        assert not GLANDS_OF_MEN & set(np.unique(atlas.tissue))
    assert wanted <= set(np.unique(atlas.tissue))
    in_bone = np.unique(atlas.tissue[atlas.part > 0])
    assert set(in_bone) == {Tissue.CORTICAL_BONE, Tissue.RED_MARROW, Tissue.YELLOW_MARROW}
    assert (atlas.part[atlas.tissue == Tissue.CORTICAL_BONE] > 0).all()


def test_unknown_source_is_refused() -> None:
    with pytest.raises(SettingsError, match="Choose from"):
        load_atlas("unicorn")
    with pytest.raises(SettingsError, match="not known"):
        AnatomySettings(sources=("unicorn",))
    with pytest.raises(SettingsError, match="voxel size"):
        AnatomySettings(spacing_mm=0.1)


def test_without_variation_the_man_is_the_atlas() -> None:
    settings = replace(COARSE, sources=("mesh",), variation=STILL, bladder_scale=(1.0, 1.0))
    anatomy = build_anatomy(draw_anatomy(np.random.default_rng(0), settings), settings)
    atlas = load_atlas("mesh")
    z, y, x = (int(n) for n in np.array(anatomy.geometry.shape) // 2)
    point = anatomy.geometry.to_lps([z, y, x])
    index = tuple(np.rint(atlas.geometry.to_index(point)).astype(int))
    assert anatomy.part[z, y, x] == atlas.part[index]
    volume = (anatomy.part > 0).sum() * anatomy.geometry.voxel_volume_mm3
    expected = (atlas.part > 0).sum() * atlas.geometry.voxel_volume_mm3
    assert volume == pytest.approx(expected, rel=0.04)
    assert anatomy.landmarks.left_head_mm == pytest.approx(atlas.landmarks.left_head_mm, abs=0.01)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_deformation_is_invertible(seed: int) -> None:
    landmarks = load_atlas("ct").landmarks
    variation = draw_variation(
        np.random.default_rng(seed), VariationSettings(), landmarks.head_radius_mm
    )
    points = np.random.default_rng(seed).uniform((-190, -140, -110), (190, 140, 230), (400, 3))
    determinant = np.linalg.det(jacobian(variation, points, landmarks))
    assert (determinant * (-1 if variation.mirrored else 1) > 0).all()
    heads = np.array([landmarks.left_head_mm, landmarks.right_head_mm])
    placed = to_patient(variation, heads, landmarks)
    assert np.abs(to_atlas(variation, placed, landmarks) - heads).max() < 0.05


def test_a_mirrored_man_is_the_mirror_image() -> None:
    sides = []
    for mirrored in (0.0, 1.0):
        variation = replace(STILL, mirror_probability=mirrored)
        settings = replace(COARSE, sources=("ct",), variation=variation, spacing_mm=5.0)
        draw = replace(draw_anatomy(np.random.default_rng(1), settings), bladder_scale=1.0)
        sides.append(build_anatomy(draw, settings))
    plain, mirror = sides
    assert np.mean(plain.part != mirror.part[:, :, ::-1]) < 0.002
    assert mirror.landmarks.left_head_mm[0] == pytest.approx(
        -plain.landmarks.right_head_mm[0], abs=0.01
    )


def test_same_draw_same_bytes_and_other_seed_another_man() -> None:
    def build(seed: int) -> bytes:
        draw = draw_anatomy(np.random.default_rng(seed), COARSE)
        return build_anatomy(draw, COARSE).tissue.tobytes()

    assert build(3) == build(3)
    assert build(3) != build(4)


@pytest.fixture(scope="module")
def men() -> list:
    draws = [draw_anatomy(np.random.default_rng(seed), COARSE) for seed in range(10)]
    return [build_anatomy(draw, COARSE) for draw in draws]


def test_bones_follow_the_convention_in_every_man(men: list) -> None:
    for man in men:
        z, y, x = np.meshgrid(*axes_of(man.geometry), indexing="ij", sparse=True)
        assert (man.bones == structures(man.part, x, y, z, man.landmarks)).all()
        heads = np.argwhere(man.bones == Bone.FEMORAL_HEAD)
        lps = man.geometry.to_lps(heads)
        centres = np.array([man.landmarks.left_head_mm, man.landmarks.right_head_mm])
        distance = np.linalg.norm(lps[:, None] - centres[None], axis=2).min(axis=1)
        radius = man.landmarks.head_radius_mm
        assert (distance > radius + 1.5).mean() < 0.02  # where a head is no sphere
        assert distance.max() < radius + 6.0


def test_all_eight_bones_have_plausible_volumes(men: list) -> None:
    """Both sides together, cm3: wide limits that catch a wrong label, not a norm."""
    limits = {
        Bone.LUMBAR_VERTEBRA: (90, 450),
        Bone.SACROCOCCYX: (100, 380),
        Bone.ILIUM: (220, 850),
        Bone.ACETABULUM: (60, 220),
        Bone.FEMORAL_HEAD: (40, 215),  # a small woman to a large man
        Bone.FEMORAL_NECK: (70, 300),
        Bone.ISCHIUM: (20, 150),
        Bone.PUBIS: (18, 120),
    }
    for man in men:
        volumes = np.bincount(man.bones.reshape(-1), minlength=9) * man.geometry.voxel_volume_mm3
        for bone, (low, high) in limits.items():
            assert low < volumes[bone] / 1000.0 < high, bone


def test_marrow_is_red_in_the_spine_and_yellow_in_the_femoral_heads(men: list) -> None:
    for man in men:
        inside = man.marrow_fat_percent > 0
        spine = man.marrow_fat_percent[inside & (man.bones == Bone.LUMBAR_VERTEBRA)].mean()
        head = man.marrow_fat_percent[inside & (man.bones == Bone.FEMORAL_HEAD)].mean()
        assert 20 < spine < 75
        assert head > spine + 20
        marrow = np.isin(man.tissue, (Tissue.RED_MARROW, Tissue.YELLOW_MARROW))
        assert (marrow == inside).all()


def test_marrow_gets_fattier_with_age() -> None:
    fat = []
    for age in (50.0, 85.0):
        draw = draw_anatomy(np.random.default_rng(2), COARSE, age_years=age)
        man = build_anatomy(draw, COARSE)
        fat.append(man.marrow_fat_percent[man.bones == Bone.SACROCOCCYX].mean())
    assert fat[1] > fat[0] + 5


def test_an_emptier_bladder_is_smaller_and_leaves_bone_alone() -> None:
    draw = draw_anatomy(np.random.default_rng(5), COARSE)
    full = build_anatomy(replace(draw, bladder_scale=1.0), COARSE)
    empty = build_anatomy(replace(draw, bladder_scale=0.5), COARSE)
    ratio = (empty.tissue == Tissue.URINE).sum() / (full.tissue == Tissue.URINE).sum()
    assert 0.02 < ratio < 0.3
    assert (full.bones == empty.bones).all()


@pytest.mark.parametrize("head_radius_mm", [19.6, 24.0, 27.2])
def test_nobody_is_larger_or_smaller_than_people_are(head_radius_mm: float) -> None:
    wide = replace(STILL, size=(0.8, 1.25))
    for seed in range(40):
        drawn = draw_variation(np.random.default_rng(seed), wide, head_radius_mm)
        assert 18.99 < head_radius_mm * drawn.scale[0] < 27.51


def test_heads_swap_sides_when_mirrored() -> None:
    landmarks = load_atlas("ct").landmarks
    variation = draw_variation(
        np.random.default_rng(0), replace(STILL, mirror_probability=1.0), landmarks.head_radius_mm
    )
    placed = patient_landmarks(variation, landmarks)
    assert placed.left_head_mm[0] > 0 > placed.right_head_mm[0]
    assert placed.head_radius_mm == pytest.approx(landmarks.head_radius_mm, rel=0.01)


def test_rectal_gas_lies_in_front_of_the_other_content() -> None:
    draw = replace(draw_anatomy(np.random.default_rng(5), COARSE), rectal_gas=0.0)
    without = build_anatomy(draw, COARSE)
    with_gas = build_anatomy(replace(draw, rectal_gas=0.5), COARSE)
    changed = without.tissue != with_gas.tissue
    assert changed.any()
    assert (with_gas.tissue[changed] == Tissue.GAS).all()
    assert (without.bones == with_gas.bones).all()


def test_marbling_turns_muscle_into_fat_only() -> None:
    draw = replace(draw_anatomy(np.random.default_rng(5), COARSE), muscle_fat=0.0)
    lean = build_anatomy(draw, COARSE)
    fat = build_anatomy(replace(draw, muscle_fat=0.8), COARSE)
    changed = lean.tissue != fat.tissue
    muscle = lean.tissue == Tissue.MUSCLE
    assert 0.01 < changed[muscle].mean() < 0.25
    assert muscle[changed].all()
