"""Structures of other programs that are unions of ours: the hip bone, the proximal femur."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pelvimets.core.geometry import Geometry
from pelvimets.evaluation.measures.masks import BoolArray
from pelvimets.evaluation.measures.voxel import VoxelMeasures, measure_labels
from pelvimets.labels import Bone


@dataclass(frozen=True)
class BoneUnion:
    """A structure that holds several of ours.

    Attributes:
        key: Identifier in files.
        value: In a predicted bone mask, beyond those of ``Bone``.
        members: Of the reference.
        reaches_further: It goes on where our structures end: only slices that hold some of
            them are compared.
    """

    key: str
    value: int
    members: tuple[Bone, ...]
    reaches_further: bool = False


HIP_BONE = BoneUnion("hip_bone", 21, (Bone.ILIUM, Bone.ACETABULUM, Bone.ISCHIUM, Bone.PUBIS))
PROXIMAL_FEMUR = BoneUnion("proximal_femur", 22, (Bone.FEMORAL_HEAD, Bone.FEMORAL_NECK), True)
UNIONS = (HIP_BONE, PROXIMAL_FEMUR)


def measure_union(
    union: BoneUnion,
    reference: npt.NDArray[np.integer],
    prediction: npt.NDArray[np.integer],
    geometry: Geometry,
) -> VoxelMeasures:
    """All voxel measures of a union: the reference's members against the predicted whole.

    Args:
        union: Which.
        reference: ``Bone`` values (z, y, x).
        prediction: Values of ``Bone`` and of unions on the same grid.
        geometry: The grid.
    """
    whole = np.isin(reference, [int(bone) for bone in union.members])
    predicted = prediction == union.value
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
