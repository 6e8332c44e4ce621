from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from pelvimets.core.distance import box_around, depth_mm, distance_mm

SPACING = (4.0, 1.5, 1.0)


@pytest.fixture
def blob() -> np.ndarray:
    mask = np.zeros((12, 40, 50), dtype=bool)
    mask[3:6, 10:25, 20:32] = True
    mask[4, 12:14, 0:3] = True  # reaches the border of the field
    return mask


def test_depth_is_that_of_the_whole_field(blob: np.ndarray) -> None:
    wanted = ndimage.distance_transform_edt(blob, sampling=SPACING)
    assert np.allclose(depth_mm(blob, SPACING), wanted, atol=1e-4)


def test_distance_is_that_of_the_whole_field_up_to_its_reach(blob: np.ndarray) -> None:
    wanted = ndimage.distance_transform_edt(~blob, sampling=SPACING)
    found = distance_mm(blob, SPACING, reach_mm=7.0)
    near = wanted <= 7.0
    assert np.allclose(found[near], wanted[near], atol=1e-4)
    assert np.isinf(found[~near]).all() and near.any() and (~near).any()


def test_nothing_is_far_from_everything() -> None:
    nothing = np.zeros((3, 4, 5), dtype=bool)
    assert box_around(nothing) is None
    assert not depth_mm(nothing, SPACING).any()
    assert np.isinf(distance_mm(nothing, SPACING, 5.0)).all()
