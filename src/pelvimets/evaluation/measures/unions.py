"""Structures of other programs that are unions of ours: the hip bone, the proximal femur."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pelvimets.core.geometry import Geometry
from pelvimets.evaluation.measures.masks import BoolArray
from pelvimets.evaluation.measures.voxel import VoxelMeasures, measure_labels
from pelvimets.labels import BoneUnion


def measure_union(
    union: BoneUnion,
    reference: npt.NDArray[np.integer],
    prediction: npt.NDArray[np.integer],
    geometry: Geometry,
) -> VoxelMeasures:
    """All voxel measures of a union, drawn as one or in its members on either side.

    Args:
        union: Which.
        reference: ``Bone`` values (z, y, x).
        prediction: Values of ``Bone`` and of unions on the same grid.
        geometry: The grid.
    """
    values = [union.value, *(int(bone) for bone in union.members)]
    whole, predicted = np.isin(reference, values), np.isin(prediction, values)
    if union.reaches_further:
        predicted &= _slices_with(whole, geometry)
    pair = whole.astype(np.uint8), predicted.astype(np.uint8)
    return measure_labels(*pair, geometry.spacing, [1])[1]


def _slices_with(mask: BoolArray, geometry: Geometry) -> BoolArray:
    """Axial slices that hold any of the mask, as an array that broadcasts."""
    axial = int(np.argmax(np.abs(geometry.axes[:, 2])))
    others = tuple(axis for axis in range(3) if axis != axial)
    held: BoolArray = np.asarray(mask.any(axis=others, keepdims=True))
    return held
