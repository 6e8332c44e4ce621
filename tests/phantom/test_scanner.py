"""The simulated scanner: sampling, distortion, noise, truth, and every artefact's switch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simple_patient import LESION_CENTRES, simple_patient
from small_scanner import small

from pelvimets.errors import SettingsError
from pelvimets.labels import Bone
from pelvimets.phantom.anatomy.patient import Tissue
from pelvimets.phantom.choices import Artefacts
from pelvimets.phantom.physics.diffusion import adc_map
from pelvimets.phantom.physics.epi import distorted, with_ghost
from pelvimets.phantom.physics.field_map import field_offset_ppm
from pelvimets.phantom.physics.imaging import Wanted, examine
from pelvimets.phantom.physics.reception import averaged_magnitude, coil_field
from pelvimets.phantom.physics.sampling import Axis, averaging, band_limit
from pelvimets.phantom.physics.scanner import ACHIEVA, DISCOVERY, INTERA, SCANNERS, scanner_named
from pelvimets.phantom.physics.sequences import DixonImage


@pytest.fixture(scope="module")
def patient():
    return simple_patient()


@pytest.fixture(scope="module")
def usual(patient):
    return examine(patient, small(DISCOVERY), wanted=Wanted(tuple(DixonImage)))


@pytest.fixture(scope="module")
def perfect(patient):
    return examine(
        patient, small(DISCOVERY), artefacts=Artefacts.none(), wanted=Wanted(tuple(DixonImage))
    )


def test_protocols_are_those_of_table_1():
    rows = []
    for scanner in (DISCOVERY, INTERA, ACHIEVA):
        dwi, t1 = scanner.diffusion, scanner.dixon
        row = [dwi.b_values_s_per_mm2[-1], dwi.te_ms, dwi.tr_ms, *dwi.field.matrix]
        row += [dwi.field.slices, dwi.field.thickness_mm, t1.te_in_ms, t1.tr_ms, t1.flip_deg]
        rows.append((*row, *t1.field.matrix, t1.field.slices, t1.field.thickness_mm))
    assert rows == [
        (800, 60, 4000, 256, 256, 25, 8, 2.0, 3.9, 13, 288, 192, 112, 4),
        (1000, 78, 4959, 240, 240, 28, 7, 2.4, 7.5, 10, 320, 200, 112, 5),
        (800, 54, 3300, 156, 180, 24, 7, 2.4, 6.7, 10, 280, 180, 120, 2),
    ]
    assert {s.field_strength_t for s in SCANNERS.values()} == {1.5, 3.0}
    with pytest.raises(SettingsError, match="Known: discovery"):
        scanner_named("tomograph")


@settings(max_examples=40, deadline=None)
@given(step=st.floats(0.8, 9.0), width=st.floats(0.0, 9.0), shift=st.floats(-3.0, 3.0))
def test_averaging_keeps_constants_and_centres(step, width, shift):
    source = Axis(0.0, 2.0, 60)
    target = Axis.centred(59.0 + shift, step, 5)
    matrix = averaging(source, target, width)
    np.testing.assert_allclose(matrix.sum(axis=1), 1.0, atol=1e-5)
    np.testing.assert_allclose(matrix @ source.centres_mm, target.centres_mm, atol=1e-3)


def test_band_limit_removes_high_frequencies_only():
    line = np.arange(64)
    low, high = np.cos(2 * np.pi * 4 * line / 64), np.cos(2 * np.pi * 30 * line / 64)
    matrix = band_limit(64, 0.5)
    np.testing.assert_allclose(matrix @ low, low, atol=1e-5)
    assert np.abs(matrix @ high).max() < 1e-5
    np.testing.assert_allclose(band_limit(64, 1.0), np.eye(64), atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), size=st.floats(0.0, 12.0))
def test_distortion_moves_signal_but_loses_none(seed, size):
    rng = np.random.default_rng(seed)
    lines = np.zeros((2, 80, 3), np.float32)
    lines[:, 25:55] = rng.random((2, 30, 3), np.float32)
    shift = (size * np.sin(np.linspace(0, 3, 80)))[None, :, None] * np.ones_like(lines)
    source, target = Axis(0.0, 2.0, 80), Axis(-20.0, 1.5, 140)
    image = distorted(lines, shift.astype(np.float32), source, target)
    np.testing.assert_allclose(image.sum() * 1.5, lines.sum() * 2.0, rtol=1e-3)


def test_constant_shift_moves_by_so_many_voxels():
    lines = np.zeros((1, 40, 1), np.float32)
    lines[0, 10:20] = 1.0
    axis = Axis(0.0, 2.0, 40)
    moved = distorted(lines, np.full_like(lines, 6.0), axis, axis)
    np.testing.assert_allclose(moved[0, 14:22, 0], 1.0, atol=1e-5)
    assert moved[0, :11].max() < 1e-5


def test_ghost_lies_half_a_field_away():
    image = np.zeros((1, 20, 1), np.float32)
    image[0, 4] = 100.0
    ghosted = with_ghost(image, 0.05, np.pi / 3)
    assert ghosted[0, 14, 0] == pytest.approx(5.0) and ghosted[0, 4, 0] == pytest.approx(95.0)


def test_noise_is_rician_and_averages_keep_the_floor():
    rng = np.random.default_rng(0)
    free = (None, band_limit(64, 1.0), band_limit(64, 1.0))
    bright = averaged_magnitude(np.full((8, 64, 64), 50.0, np.float32), 1.0, 1, free, rng)
    assert bright.std() == pytest.approx(1.0, rel=0.03)
    for averages, spread in ((1, 0.655), (4, 0.3275)):
        air = averaged_magnitude(np.zeros((8, 64, 64), np.float32), 1.0, averages, free, rng)
        assert air.mean() == pytest.approx(np.sqrt(np.pi / 2), rel=0.02)
        assert air.std() == pytest.approx(spread, rel=0.03)
    limited = (None, band_limit(64, 0.6), band_limit(64, 0.5))
    noisy = averaged_magnitude(np.full((8, 64, 64), 50.0, np.float32), 1.0, 1, limited, rng)
    assert noisy.std() == pytest.approx(1.0, rel=0.05)


def test_coil_field_is_smooth_and_flat_without_coefficients():
    np.testing.assert_allclose(coil_field((0.0,) * 9, (5, 6, 7)), 1.0, atol=1e-6)
    field = coil_field((0.1,) * 9, (20, 30, 40))
    steps = np.abs(np.diff(np.log(field), axis=2))
    assert field.shape == (20, 30, 40) and 0.0 < steps.max() < 0.03


def test_adc_map_from_three_b_values():
    by_b = {b: np.full((1, 2, 2), 500.0 * np.exp(-b * 1.1e-3), np.float32) for b in (50, 400, 900)}
    assert (adc_map(by_b, floor=10.0) == 1100).all()
    assert (adc_map(by_b, floor=1e6) == 0).all()


def test_same_seed_same_bytes(patient, usual):
    again = examine(simple_patient(), small(DISCOVERY))
    for b, image in usual.diffusion.by_b.items():
        np.testing.assert_array_equal(image, again.diffusion.by_b[b])
    in_phase = DixonImage.IN_PHASE
    np.testing.assert_array_equal(usual.dixon.images[in_phase], again.dixon.images[in_phase])
    other = examine(patient, small(DISCOVERY), examination_number=1)
    assert other.examination != usual.examination


def test_truth_without_artefacts_keeps_volumes_and_places(perfect):
    patient = perfect.patient
    for images in (perfect.diffusion, perfect.dixon):
        geometry, truth = images.geometry, images.truth
        head = truth.bones == Bone.FEMORAL_HEAD
        true_cm3 = (patient.bones == Bone.FEMORAL_HEAD).sum() * 27e-3
        assert head.sum() * geometry.voxel_volume_mm3 / 1e3 == pytest.approx(true_cm3, rel=0.1)
        centre = geometry.to_lps(np.argwhere(truth.lesions == 1).mean(axis=0))
        np.testing.assert_allclose(centre, LESION_CENTRES[1], atol=2.5)
        assert set(np.unique(truth.lesions)) == {0, 1, 2}
        assert (truth.bones[truth.lesions > 0] > 0).mean() > 0.97
        assert not (truth.mimics[truth.lesions > 0] > 0).any()


def test_truth_follows_the_displaced_image(usual):
    """The bright lytic lesion: truth covers it where the distorted image shows it."""
    image = usual.diffusion.by_b[800.0].astype(float)
    lesion = usual.diffusion.truth.lesions == 1
    around = (usual.diffusion.truth.bones == Bone.ILIUM) & ~lesion
    assert np.median(image[lesion]) > 1.3 * np.median(image[around])
    weights = np.where(around | lesion, image - 1.2 * np.median(image[around]), 0).clip(0)
    side = np.argwhere(weights)[:, 2] < image.shape[2] / 2  # the lesion's side
    points, weight = np.argwhere(weights)[side], weights[weights > 0][side]
    bright = np.average(points, axis=0, weights=weight)
    assert np.abs(bright - np.argwhere(lesion).mean(axis=0)).max() < 2.0


def test_truth_stays_where_the_image_stays_without_distortion(patient, perfect):
    """Field errors still spoil the fat suppression, yet move nothing."""
    strengths = Artefacts.none().with_strength(fat_suppression_failure=1.0)
    undistorted = examine(patient, small(DISCOVERY), artefacts=strengths)
    np.testing.assert_array_equal(undistorted.diffusion.truth.bones, perfect.diffusion.truth.bones)
    assert undistorted.diffusion.displacement_mm == 0.0


def test_small_lesion_is_kept_on_thick_slices(patient):
    lesions = np.zeros_like(patient.lesions)
    z, y, x = (round(v) for v in patient.geometry.to_index(LESION_CENTRES[1]))
    lesions[z : z + 2, y : y + 2, x : x + 2] = 1  # 0.2 cm3
    tiny = replace(patient, lesions=lesions, lesion_table=patient.lesion_table[:1])
    imaged = examine(tiny, small(DISCOVERY), artefacts=Artefacts.none())
    for images in (imaged.diffusion, imaged.dixon):
        volume = (images.truth.lesions == 1).sum() * images.geometry.voxel_volume_mm3 / 1e3
        assert 0.05 < volume < 0.6


SWITCHES = {
    "noise": ("diffusion", "dixon"),
    "texture": ("diffusion", "dixon"),
    "coil_bias": ("diffusion", "dixon"),
    "gibbs": ("diffusion", "dixon"),
    "epi_distortion": ("diffusion",),
    "chemical_shift": ("diffusion", "dixon"),
    "fat_suppression_failure": ("diffusion",),
    "ghost": ("diffusion",),
    "breathing": ("dixon",),
    "motion": ("dixon",),
}


def test_every_artefact_has_a_test():
    assert set(SWITCHES) | {"tilt", "cut_off"} == set(Artefacts.named())


@pytest.mark.parametrize("name", SWITCHES)
def test_each_switch_moves_its_own_sequence_only(patient, perfect, name):
    one = examine(
        patient, small(DISCOVERY), artefacts=Artefacts.none().with_strength(**{name: 1.0})
    )
    changed = {
        "diffusion": not np.array_equal(one.diffusion.by_b[800.0], perfect.diffusion.by_b[800.0]),
        "dixon": not np.array_equal(
            one.dixon.images[DixonImage.IN_PHASE], perfect.dixon.images[DixonImage.IN_PHASE]
        ),
    }
    assert {key for key, moved in changed.items() if moved} == set(SWITCHES[name])


def test_tilt_turns_the_grid_and_cut_off_moves_the_field(patient):
    tilted = next(
        e
        for e in (
            examine(patient, small(DISCOVERY), examination_number=n).examination for n in range(12)
        )
        if e.tilt_deg
    )
    assert 0 < abs(tilted.tilt_deg) <= 7
    straight = examine(patient, small(DISCOVERY), artefacts=Artefacts.none())
    np.testing.assert_allclose(np.abs(straight.dixon.geometry.axes[0]), [0, 0, 1], atol=1e-9)


def test_strength_outside_its_range_is_refused():
    with pytest.raises(SettingsError, match="ghost"):
        Artefacts(ghost=-1.0)
    with pytest.raises(SettingsError, match="Known: noise"):
        Artefacts().with_strength(blur=1.0)


def test_gas_disturbs_the_field_near_itself_only():
    offsets = [field_offset_ppm(simple_patient(gas=gas)) for gas in (True, False)]
    (with_gas, axes), (without, _) = offsets
    change = np.abs(with_gas - without)
    places = {"behind": (0.0, 45.0, 5.0), "far": (-120.0, -20.0, 90.0)}  # x, y, z in mm
    at = {}
    for name, place in places.items():
        pairs = zip(place[::-1], axes, strict=True)
        at[name] = change[tuple(round((v - a.first_mm) / a.step_mm) for v, a in pairs)]
    assert at["behind"] > 0.5 > 5 * at["far"]


def test_dixon_water_and_fat_separate(perfect):
    images, patient = perfect.dixon.images, perfect.patient
    geometry = perfect.dixon.geometry
    inside = {}
    for name, lps in (("fat", (0.0, -94.0, 60.0)), ("muscle", (130.0, 10.0, 60.0))):
        k = tuple(round(v) for v in geometry.to_index(lps))
        p = tuple(round(v) for v in patient.geometry.to_index(lps))
        expected = Tissue.SUBCUTANEOUS_FAT if name == "fat" else Tissue.MUSCLE
        assert patient.tissue[p] == expected
        inside[name] = {image: float(array[k]) for image, array in images.items()}
    assert inside["fat"][DixonImage.FAT] > 5 * inside["fat"][DixonImage.WATER]
    assert inside["muscle"][DixonImage.WATER] > 5 * inside["muscle"][DixonImage.FAT]
    for values in inside.values():
        total = values[DixonImage.WATER] + values[DixonImage.FAT]
        assert values[DixonImage.IN_PHASE] == pytest.approx(total, rel=0.02)
