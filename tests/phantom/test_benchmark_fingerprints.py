"""A volume is known again: exactly, closely after rounding, or not at all."""

from __future__ import annotations

import numpy as np

from pelvimets.core.geometry import Geometry
from pelvimets.core.volume import Volume
from pelvimets.phantom.cohort.benchmark import Agreement, agreement, fingerprint, worst

GRID = Geometry.from_axes((10, 20, 20), (4.0, 2.0, 2.0), (-1.0, 2.0, -3.0))


def image(seed=0):
    return np.random.default_rng(seed).integers(100, 400, GRID.shape).astype(np.uint16)


def compared(first, second, *, labels=False, grid=GRID):
    frozen = fingerprint(Volume(first, GRID), labels=labels)
    return agreement(fingerprint(Volume(second, grid), labels=labels), frozen)


def test_the_number_type_of_the_file_does_not_matter():
    assert compared(image(), image().astype(np.int32)) is Agreement.EXACT


def test_a_rounded_voxel_is_close_and_another_image_is_not():
    rounded = image()
    rounded[3, 4, 5] += 1
    assert compared(image(), rounded) is Agreement.CLOSE
    assert compared(image(), image() + np.uint16(20)) is Agreement.DIFFERENT


def test_labels_may_lose_a_few_voxels_but_no_lesion():
    truth = np.zeros(GRID.shape, np.uint16)
    truth[2:6, 2:12, 2:12], truth[8, 3:5, 3:5] = 1, 2
    fewer = truth.copy()
    fewer[2, 2, 2:4] = 0
    assert compared(truth, fewer, labels=True) is Agreement.CLOSE
    assert compared(truth, np.where(truth == 2, 0, truth), labels=True) is Agreement.DIFFERENT
    much = truth.copy()
    much[2, 2:4] = 0
    assert compared(truth, much, labels=True) is Agreement.DIFFERENT


def test_another_place_is_different_and_a_rounded_one_is_not():
    moved = Geometry.from_axes(GRID.shape, GRID.spacing, (-1.0, 2.0, -2.0))
    assert compared(image(), image(), grid=moved) is Agreement.DIFFERENT
    nearly = Geometry.from_axes(GRID.shape, GRID.spacing, (-1.0, 2.004, -3.0))
    assert compared(image(), image(), grid=nearly) is Agreement.EXACT


def test_the_least_agreement_counts():
    assert worst([Agreement.EXACT, Agreement.CLOSE]) is Agreement.CLOSE
    assert worst([Agreement.CLOSE, Agreement.DIFFERENT, Agreement.EXACT]) is Agreement.DIFFERENT
    assert worst([]) is Agreement.EXACT
