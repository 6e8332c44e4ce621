"""Signal equations and tissue parameters: closed forms, contrasts, and the tables."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pelvimets.errors import SettingsError
from pelvimets.labels import Sequence
from pelvimets.phantom.anatomy.patient import Tissue
from pelvimets.phantom.physics.scanner import AVANTO, DISCOVERY, SCANNERS
from pelvimets.phantom.physics.sequences import DixonImage
from pelvimets.phantom.physics.signal import (
    combine_dixon,
    diffusion_water,
    fat_left,
    fat_null_ms,
    fat_phasor,
    short_tau_inversion_recovery,
    spin_echo_diffusion,
    spoiled_gradient_echo,
    tissue_intensities,
    turbo_spin_echo,
)
from pelvimets.phantom.physics.tissue_parameters import (
    PARAMETERS,
    SOURCES,
    at_field,
    varied_parameters,
)

RELAXATION = st.floats(5.0, 4000.0)


@settings(deadline=None)
@given(t1=RELAXATION, tr=st.floats(2.0, 8000.0))
def test_spoiled_gradient_echo_at_90_degrees_is_saturation_recovery(t1, tr):
    signal = spoiled_gradient_echo(t1, 1e9, tr_ms=tr, te_ms=0.0, flip_deg=90.0)
    assert signal == pytest.approx(1.0 - np.exp(-tr / t1), rel=1e-6)


@settings(deadline=None)
@given(t1=st.floats(100.0, 4000.0), tr=st.floats(2.0, 50.0))
def test_spoiled_gradient_echo_peaks_at_the_ernst_angle(t1, tr):
    ernst = np.rad2deg(np.arccos(np.exp(-tr / t1)))
    at = [
        spoiled_gradient_echo(t1, 50.0, tr_ms=tr, te_ms=2.0, flip_deg=ernst * factor)
        for factor in (0.8, 1.0, 1.2)
    ]
    assert at[1] == max(at)


@pytest.mark.parametrize("field_t", [1.5, 3.0])
def test_stir_nulls_fat_and_adds_long_t1_to_long_t2(field_t):
    """Against a turbo spin echo of the same timing: no fat; metastases stand out from marrow."""
    water, fat = short_tau_inversion_recovery(4500.0, 60.0, field_t)
    plain, plain_fat = turbo_spin_echo(4500.0, 60.0, field_t)
    assert np.abs(fat).max() < 1e-9 < plain_fat[Tissue.SUBCUTANEOUS_FAT]
    assert fat_null_ms(1e9, field_t) == pytest.approx(np.log(2) * {1.5: 343.0, 3.0: 382.0}[field_t])
    share = PARAMETERS[Tissue.RED_MARROW].fat_fraction
    marrow = abs((1 - share) * water[Tissue.RED_MARROW])
    without = (1 - share) * plain[Tissue.RED_MARROW] + share * plain_fat[Tissue.RED_MARROW]
    for lesion in (Tissue.METASTASIS_LYTIC, Tissue.METASTASIS_DIFFUSE):
        assert abs(water[lesion]) / marrow > 2 > plain[lesion] / without


@settings(deadline=None)
@given(tr=st.floats(2500.0, 8000.0), t1=st.floats(600.0, 4000.0))
def test_stir_is_the_equation_of_inversion_recovery(tr, t1):
    """Recovery since the last excitation, inverted, recovering again until the null of fat."""
    row = replace(PARAMETERS[Tissue.MUSCLE], water_t1_ms=(t1, t1), water_t2_ms=(50.0, 50.0))
    water, _ = short_tau_inversion_recovery(tr, 0.0, 3.0, {Tissue.MUSCLE: row})
    ti = fat_null_ms(tr, 3.0)
    before = 1.0 - np.exp(-(tr - ti) / t1)
    wanted = 1.0 - (1.0 + before) * np.exp(-ti / t1)
    assert water[Tissue.MUSCLE] == pytest.approx(row.proton_density * wanted, rel=1e-6)


@settings(deadline=None)
@given(adc=st.floats(100.0, 3000.0), b=st.floats(100.0, 1500.0))
def test_two_b_values_give_back_the_adc(adc, b):
    low, high = (
        spin_echo_diffusion(1400, 40, adc, tr_ms=4000, te_ms=60, b_s_per_mm2=value)
        for value in (0.0, b)
    )
    assert np.log(low / high) / b * 1e6 == pytest.approx(adc, rel=1e-6)


def test_fat_opposes_water_halfway_between_echoes_in_phase():
    for field_t, opposed_ms in ((3.0, 1.15), (1.5, 2.3)):
        assert fat_phasor(opposed_ms, field_t).real < -0.6
        assert fat_phasor(2 * opposed_ms, field_t).real > 0.6


def test_dixon_images_of_one_voxel():
    water, fat = np.float32([[[3.0]]]), np.float32([[[5.0]]])
    values = [float(combine_dixon(water, fat, image)[0, 0, 0]) for image in DixonImage]
    assert values == [8.0, 2.0, 3.0, 5.0]


def test_every_tissue_has_plausible_parameters_with_known_sources():
    assert set(PARAMETERS) == set(Tissue)
    for tissue, row in PARAMETERS.items():
        assert set(row.sources) <= set(SOURCES), tissue
        assert 0.0 <= row.fat_fraction <= 1.0 and 0.0 <= row.proton_density <= 1.0
        assert row.adc_um2_per_s <= 3050.0  # free water at body temperature
        for field in range(2):
            assert row.water_t2_star_ms[field] <= row.water_t2_ms[field] <= row.water_t1_ms[field]


def test_t1_grows_with_the_field_and_other_fields_are_refused():
    muscle = PARAMETERS[Tissue.MUSCLE].water_t1_ms
    assert at_field(muscle, 1.5) < at_field(muscle, 2.0) < at_field(muscle, 3.0)
    with pytest.raises(SettingsError, match="7"):
        at_field(muscle, 7.0)


def test_men_differ_and_strength_zero_is_the_table():
    rng = np.random.default_rng(4)
    assert varied_parameters(rng, 0.0) == PARAMETERS
    first, second = varied_parameters(rng), varied_parameters(rng)
    assert first[Tissue.MUSCLE] != second[Tissue.MUSCLE]
    ratio = first[Tissue.MUSCLE].water_t1_ms[0] / PARAMETERS[Tissue.MUSCLE].water_t1_ms[0]
    assert 0.75 < ratio < 1.3


@pytest.mark.parametrize("scanner", SCANNERS.values(), ids=lambda s: s.name)
def test_contrasts_that_readers_rely_on(scanner):
    t1 = tissue_intensities(Sequence.T1, scanner.field_strength_t, scanner.dixon)
    dwi = tissue_intensities(Sequence.DWI, scanner.field_strength_t, scanner.diffusion)
    lesions = [t for t in Tissue if t.name.startswith("METASTASIS") and "TREATED" not in t.name]
    for lesion in lesions:
        assert t1[lesion] < 0.8 * t1[Tissue.RED_MARROW]
        assert dwi[lesion] > 1.15 * dwi[Tissue.RED_MARROW]
    assert t1[Tissue.SUBCUTANEOUS_FAT] > t1[Tissue.RED_MARROW] > t1[Tissue.MUSCLE]
    assert t1[Tissue.URINE] < t1[Tissue.MUSCLE]
    assert dwi[Tissue.NERVE] > 2 * dwi[Tissue.MUSCLE]
    assert dwi[Tissue.METASTASIS_TREATED] < dwi[Tissue.METASTASIS_LYTIC]
    assert dwi[Tissue.CORTICAL_BONE] < 0.05 * dwi[Tissue.MUSCLE]


def test_intensities_are_indexed_by_tissue_and_refuse_the_wrong_protocol():
    table = tissue_intensities(Sequence.DWI, 3.0, DISCOVERY.diffusion, b_s_per_mm2=0.0)
    assert table.dtype == np.float32 and table[Tissue.AIR] == 0.0
    water = diffusion_water(DISCOVERY.diffusion, 3.0, 0.0)
    assert table[Tissue.URINE] == pytest.approx(water[Tissue.URINE])
    with pytest.raises(TypeError, match="no protocol of T1 in phase"):
        tissue_intensities(Sequence.T1, 3.0, DISCOVERY.diffusion)


def test_fat_suppression_leaves_little():
    assert 0.0 < fat_left(AVANTO.diffusion) < 0.12
