"""An image that does not show what its sequence shows is called nonsense."""

import numpy as np
import pytest

from pelvimets.core.contrast import adc_flags, contrast_flags, contrast_of
from pelvimets.core.findings import FlagLevel
from pelvimets.core.geometry import Geometry
from pelvimets.core.volume import Volume
from pelvimets.labels import Bone, Sequence

from .test_bones import pelvis

MUSCLE, AIR = 100.0, 2.0
FATTY = (Bone.FEMORAL_HEAD, Bone.FEMORAL_NECK)
SIGNAL = {Sequence.DWI: (90.0, 220.0), Sequence.T1: (260.0, 200.0)}  # fatty and red marrow


def image(sequence, fatty=None, red=None):
    bones = pelvis()
    typical = SIGNAL[sequence]
    values = np.random.default_rng(3).normal(MUSCLE, 5, bones.array.shape)
    values[:, :12], values[:, :, :6] = AIR, AIR
    values[bones.array > 0] = red or typical[1]
    values[np.isin(bones.array, FATTY)] = fatty or typical[0]
    return bones.with_array(values.astype(np.float32)), bones


def codes(flags):
    assert all(flag.level is FlagLevel.REVIEW for flag in flags)
    return {flag.code for flag in flags}


@pytest.mark.parametrize("sequence", list(Sequence))
@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e20])
def test_each_sequence_as_it_should_be_whatever_its_units(sequence, scale):
    volume, bones = image(sequence)
    scaled = volume.with_array(volume.array * np.float32(scale))
    assert contrast_flags(scaled, bones, sequence) == ()


@pytest.mark.parametrize("sequence", list(Sequence))
def test_one_sequence_given_as_the_other(sequence):
    other = Sequence.T1 if sequence is Sequence.DWI else Sequence.DWI
    volume, bones = image(other)
    (flag,) = contrast_flags(volume, bones, sequence)
    assert flag.code == "contrast" and "Fatty marrow is" in flag.message
    assert flag.sequence is sequence


@pytest.mark.parametrize("sequence", list(Sequence))
@pytest.mark.parametrize("offset", [0.0, 300.0])
def test_an_inverted_image(sequence, offset):
    volume, bones = image(sequence)
    flags = contrast_flags(volume.with_array(offset - volume.array), bones, sequence)
    assert codes(flags) == ({"negative-signal"} if offset == 0 else {"contrast"})


def test_a_few_negative_values_of_an_interpolation_are_no_fault():
    volume, bones = image(Sequence.DWI)
    volume.array[:, :6] = -2.0
    assert contrast_flags(volume, bones, Sequence.DWI) == ()


def test_values_that_are_not_finite():
    volume, bones = image(Sequence.T1)
    volume.array[0, 0, 0] = np.inf
    assert codes(contrast_flags(volume, bones, Sequence.T1)) == {"not-finite"}


def test_metastases_in_half_of_the_marrow_do_not_look_like_another_sequence():
    """Bright on DWI and dark on T1, in both femora or in the spine."""
    for sequence, tumour in ((Sequence.DWI, 280.0), (Sequence.T1, 110.0)):
        for sick in (FATTY, (Bone.SACROCOCCYX, Bone.LUMBAR_VERTEBRA)):
            volume, bones = image(sequence)
            z = np.arange(len(volume.array))[:, None, None]
            volume.array[np.isin(bones.array, sick) & (z % 5 < 2)] = tumour
            assert contrast_flags(volume, bones, sequence) == ()


def test_nothing_is_said_of_what_is_not_in_the_field_or_not_there():
    volume, bones = image(Sequence.DWI)
    without = bones.with_array(np.where(np.isin(bones.array, FATTY), 0, bones.array))
    assert contrast_of(volume, without).fatty_over_red is None
    empty = bones.with_array(np.zeros_like(bones.array))
    assert contrast_flags(volume, empty, Sequence.DWI) == ()


def test_an_image_that_is_the_same_everywhere():
    volume, bones = image(Sequence.DWI)
    black = volume.with_array(np.zeros_like(volume.array))
    assert codes(contrast_flags(black, bones, Sequence.DWI)) == {"contrast"}


def test_fine_grids_are_measured_as_coarse_ones():
    volume, bones = image(Sequence.T1)
    grid = bones.geometry
    fine = Geometry.from_axes(
        tuple(2 * n for n in grid.shape), tuple(s / 2 for s in grid.spacing), grid.origin
    )
    twice = [v.array.repeat(2, 0).repeat(2, 1).repeat(2, 2) for v in (volume, bones)]
    there = contrast_of(Volume(twice[0], fine), Volume(twice[1], fine))
    here = contrast_of(volume, bones)
    assert there.fatty_over_red == pytest.approx(here.fatty_over_red, rel=0.02)
    assert there.marrow_over_muscle == pytest.approx(here.marrow_over_muscle, rel=0.1)


@pytest.mark.parametrize(("away_mm", "flagged"), [(0, False), (60, False), (900, True)])
def test_an_adc_map_that_lies_elsewhere(away_mm, flagged):
    bones = pelvis()
    moved = bones.geometry.matrix.copy()
    moved[0, 3] += away_mm
    adc = Volume(np.full(bones.array.shape, 1000.0, np.float32), Geometry(bones.array.shape, moved))
    flags = adc_flags(adc, bones)
    assert codes(flags) == ({"adc-elsewhere"} if flagged else set())
    assert not flagged or "900 mm" in flags[0].message


@pytest.mark.parametrize(("share", "flagged"), [(0.011, False), (0.009, True)])
def test_an_adc_map_has_a_hundredth_of_the_bones(share, flagged):
    """A map of all voxels beside bones of a thousand, of which some lie inside it."""
    grid = Geometry.from_axes((1, 1, 2000), (1.0, 1.0, 1.0))
    bones = np.zeros(grid.shape, np.uint8)
    bones[..., :1000] = 1
    matrix = grid.matrix.copy()
    matrix[0, 3] += round(1000 * (1 - share))
    adc = Volume(np.full(grid.shape, 1000.0, np.float32), Geometry(grid.shape, matrix))
    found = codes(adc_flags(adc, Volume(bones, grid)))
    assert found == ({"adc-elsewhere"} if flagged else set())
