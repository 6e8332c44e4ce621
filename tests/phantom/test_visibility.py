"""What a reader draws: bright on DWI, dark on T1, large enough, against the marrow around."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pelvimets.core.geometry import Geometry
from pelvimets.core.volume import Volume
from pelvimets.labels import Sequence
from pelvimets.phantom.physics.placement import Truth
from pelvimets.phantom.physics.visibility import ReaderSettings, drawn_truth, lesions_seen

GRID = Geometry.from_axes((12, 40, 40), (4.0, 2.0, 2.0))
READER = ReaderSettings()
NOISE = 10.0


def seen_on(image, truth, sequence, reader):
    """On one sequence alone."""
    return lesions_seen({sequence: (image, truth)}, reader)[sequence]


def examined(*lesions):
    """A block of marrow at 200 with a dark cortex, and cubes (side in mm, signal) inside."""
    rng = np.random.default_rng(0)
    bones = np.zeros(GRID.shape, np.uint8)
    bones[2:10, 5:35, 5:35] = 3
    image = np.where(bones > 0, 200.0, 60.0)
    image[2:10, 5, 5:35] = 20.0
    numbers = np.zeros(GRID.shape, np.uint16)
    for number, (side, signal) in enumerate(lesions, start=1):
        x = 8 + 14 * (number - 1)
        box = np.s_[4 : 4 + side // 4, 16 : 16 + side // 2, x : x + side // 2]
        numbers[box], image[box] = number, signal
    image += rng.normal(0, NOISE, GRID.shape)
    truth = Truth(bones, numbers, np.zeros(GRID.shape, np.uint8))
    return Volume(image.clip(0).astype(np.uint16), GRID), truth


def test_contrast_is_measured_in_deviations_of_the_marrow():
    image, truth = examined((12, 250.0), (12, 210.0))
    seen = seen_on(image, truth, Sequence.DWI, READER)
    assert seen[1].cnr == pytest.approx(5.0, abs=0.7)
    assert seen[2].cnr == pytest.approx(1.0, abs=0.5)
    assert (seen[1].drawn, seen[2].drawn) == (True, False)
    assert seen[1].volume_cm3 == pytest.approx(12**3 / 1000)
    assert drawn_truth(truth, seen).lesions.max() == 1
    assert truth.lesions.max() == 2  # the whole truth stays as it was


def test_bright_counts_on_dwi_and_dark_on_t1():
    image, truth = examined((12, 250.0), (12, 120.0))
    drawn = {s: {n for n, one in seen_on(image, truth, s, READER).items() if one.drawn}
             for s in Sequence}  # fmt: skip
    assert drawn == {Sequence.DWI: {1}, Sequence.T1: {2}}


def test_small_ones_are_not_drawn_and_without_a_reader_all_are():
    image, truth = examined((4, 400.0), (12, 210.0))
    seen = seen_on(image, truth, Sequence.DWI, READER)
    assert seen[1].cnr > 10 and not seen[1].drawn
    everything = seen_on(image, truth, Sequence.DWI, None)
    assert all(one.drawn for one in everything.values())
    loose = replace(READER, smallest_cm3=0.05, smallest_seen_cm3=0.05)
    assert seen_on(image, truth, Sequence.DWI, loose)[1].drawn


def test_a_lesion_that_fills_its_bone_is_compared_with_other_marrow():
    image, truth = examined((12, 250.0))
    bones = np.where(truth.lesions > 0, 4, 0).astype(np.uint8)
    bones[2:10, 33:39, 2:39] = 3  # farther than the rim
    far = Truth(bones, truth.lesions, truth.mimics)
    array = image.array.copy()
    array[bones == 3] = 200
    array[2:10, 34:38:2, 2:39] = 220  # some texture
    seen = seen_on(Volume(array, GRID), far, Sequence.DWI, READER)
    assert seen[1].cnr is not None and seen[1].drawn


def test_what_one_sequence_shows_well_is_drawn_on_the_other_if_it_shows_there():
    """A bright block too small on DWI alone is truth there if T1 shows enough of it."""
    reader = replace(READER, smallest_cm3=0.6)
    small, truth = examined((8, 300.0))
    large, other = examined((12, 120.0))
    assert not seen_on(small, truth, Sequence.DWI, reader)[1].drawn
    both = lesions_seen({Sequence.DWI: (small, truth), Sequence.T1: (large, other)}, reader)
    assert both[Sequence.DWI][1].drawn and both[Sequence.T1][1].drawn
    faint, hidden = examined((12, 195.0))
    both = lesions_seen({Sequence.DWI: (small, truth), Sequence.T1: (faint, hidden)}, reader)
    assert not both[Sequence.DWI][1].drawn and not both[Sequence.T1][1].drawn
