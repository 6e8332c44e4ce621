"""Euclidean distances of masks, in mm."""

from __future__ import annotations

import edt
import numpy as np
import numpy.typing as npt


def depth_mm(mask: npt.NDArray[np.bool_], spacing_mm: tuple[float, ...]) -> npt.NDArray[np.float32]:
    """Distance of each voxel inside to the nearest voxel outside, 0 outside.

    The border of the array does not count as outside.

    Args:
        mask: Any number of axes up to three.
        spacing_mm: One per axis.
    """
    return np.asarray(
        edt.edt(np.ascontiguousarray(mask), anisotropy=spacing_mm, black_border=False, parallel=1)
    )


def distance_to_mm(
    mask: npt.NDArray[np.bool_], spacing_mm: tuple[float, ...]
) -> npt.NDArray[np.float32]:
    """Distance of each voxel outside to the nearest voxel inside, 0 inside."""
    return depth_mm(~np.asarray(mask), spacing_mm)
